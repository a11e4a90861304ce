"""Which reader a name is for."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ecgcvx.errors import RecordError
from ecgcvx.formats.physionet import fetch_record, is_physionet_name
from ecgcvx.formats.shared import Reading
from ecgcvx.formats.wfdb_record import read_wfdb

FORMATS = (
    "WFDB, EDF, EDF+ and BDF, text tables (.csv, .tsv, .txt), .parquet, .npy, .npz, .mat; HL7 aECG, SCP-ECG, DICOM, "
    "ISHNE and MFER by their extensions .xml, .scp, .dcm, .ecg, .mwf"
)
_TEXT = (".csv", ".tsv", ".tab", ".txt", ".asc")
_EDF = (".edf", ".bdf")
_CLINICAL = (".xml", ".scp", ".dcm", ".dicom", ".ecg", ".mwf", ".mfer", ".mfr")
_ARRAYS = (".parquet", ".pq", ".npy", ".npz", ".mat")
_CURES = {
    ".xlsx": "an Excel workbook; save it as CSV", ".xls": "an Excel workbook; save it as CSV",
    ".h5": "HDF5; save its signal as .npy or CSV", ".hdf5": "HDF5; save its signal as .npy or CSV",
    ".json": "JSON; save its signal as CSV",
    ".wav": "sound; convert it with wfdb.io.convert.wav_to_wfdb or save it as CSV",
    ".gz": "compressed; decompress it", ".zip": "an archive; unpack it", ".pdf": "a page, no samples; ask for the data",
    ".pkl": "a pickle, which may run code; save it with numpy.save", ".feather": "Feather; save it as Parquet or CSV",
}  # fmt: skip

Reader = Callable[[str | int | None], Reading]


def locate(
    name: Any,
    start: float | None,
    end: float | None,
    sampling_frequency: float | None,
    any_unit: bool,
    annotator: str | None,
) -> tuple[str, str, Reader]:
    """Return the source for messages, the name of the record, and a function that reads one of its leads.

    Raises
    ------
    RecordError
        when there is no such file or record, or its format is not read.
    """
    if not isinstance(name, str | os.PathLike):
        return _memory(name, start, end, sampling_frequency, any_unit)
    text = os.fspath(name)
    root, extension = os.path.splitext(text)
    kind = extension.lower()
    header = os.path.isfile(f"{root}.hea")
    if kind in (*_TEXT, *_EDF, *_CLINICAL, *_ARRAYS) and not (kind == ".mat" and header):
        if annotator is not None:
            raise RecordError(f"{text}: annotator={annotator} is for WFDB records; leave it out")
        return text, Path(text).stem, _file_reader(Path(text), kind, start, end, sampling_frequency, any_unit)
    base, title = _locate_wfdb(text, root, kind, header)
    read = partial(_read_wfdb, base, start, end, any_unit, annotator, text, sampling_frequency)
    return text, title, read


def _memory(
    data: Any, start: float | None, end: float | None, sampling_frequency: float | None, any_unit: bool
) -> tuple[str, str, Reader]:
    from ecgcvx.formats.arrays import pandas_table
    from ecgcvx.formats.table import read_table

    if type(data).__module__.split(".")[0] != "pandas" or type(data).__name__ not in ("Series", "DataFrame"):
        raise RecordError(f"{type(data).__name__} is no record; give a path, a PhysioNet name, or a pandas Series")
    table = pandas_table(data)
    title = str(getattr(data, "name", None) or "series")
    return table.source, title, lambda lead: read_table(table, lead, start, end, sampling_frequency, any_unit)


def _file_reader(
    path: Path, kind: str, start: float | None, end: float | None, sampling_frequency: float | None, any_unit: bool
) -> Reader:
    from ecgcvx.formats.table import read_table

    if os.path.isdir(path):
        raise RecordError(f"{path}: cannot be read (it is a folder); name a file in it")
    if kind in _EDF:
        from ecgcvx.formats.edf import read_edf

        def read(lead: str | int | None) -> Reading:
            return _same_frequency(read_edf(path, lead, start, end, any_unit), str(path), sampling_frequency)

        return read
    if kind in _CLINICAL:
        from ecgcvx.formats.clinical import open_clinical, read_clinical

        file = open_clinical(path)
        return lambda lead: _same_frequency(
            read_clinical(file, lead, start, end, any_unit), str(path), sampling_frequency
        )
    if kind in _TEXT:
        from ecgcvx.formats.csv_table import csv_table as open_table
    elif kind in (".npy", ".npz"):
        from ecgcvx.formats.arrays import numpy_table as open_table
    elif kind == ".mat":
        from ecgcvx.formats.arrays import matlab_table as open_table
    else:
        from ecgcvx.formats.arrays import parquet_table as open_table
    table = open_table(path)
    return lambda lead: read_table(table, lead, start, end, sampling_frequency, any_unit)


def _read_wfdb(
    base: Path,
    start: float | None,
    end: float | None,
    any_unit: bool,
    annotator: str | None,
    source: str,
    sampling_frequency: float | None,
    lead: str | int | None,
) -> Reading:
    return _same_frequency(read_wfdb(base, lead, start, end, any_unit, annotator), source, sampling_frequency)


def _same_frequency(reading: Reading, source: str, given: float | None) -> Reading:
    if given not in (None, reading.sampling_frequency):
        raise RecordError(
            f"{source}: sampling_frequency={given} Hz contradicts its header, which says "
            f"{reading.sampling_frequency:g} Hz; leave it out"
        )
    return reading


def _locate_wfdb(name: str, root: str, kind: str, header: bool) -> tuple[Path, str]:
    """Path without extension, and name, of a local record or of the cached copy of a PhysioNet record."""
    # os.path, not Path: it answers False, not with an exception, for a name no file system takes.
    if os.path.isfile(f"{name}.hea"):
        return Path(name), Path(name).name
    if kind and header:  # the header itself, or one of the files beside it
        return Path(root), Path(root).name
    if os.path.isdir(name):
        raise RecordError(f"{name}: is a folder; name a record in it")
    base = root if kind in (".hea", ".dat") else name
    if os.path.isfile(name):
        what = f"no header {os.path.basename(base)}.hea beside it" if kind == ".dat" else _CURES.get(kind)
        what = what or f"{kind or 'a file without extension'} is not read; convert it to one of them"
        raise RecordError(f"{name}: {what} (what is read: {FORMATS})")
    if kind in (".hea", ".dat") or not is_physionet_name(name):
        raise RecordError(
            f"{base}.hea: no such file; give a WFDB record, another file ({FORMATS}), or a name like mitdb/100"
        )
    return fetch_record(name), name
