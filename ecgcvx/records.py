"""One ECG lead in mV from a WFDB record, a PhysioNet name or a CSV file."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ecgcvx.errors import RecordError
from ecgcvx.formats.csv_table import read_csv
from ecgcvx.formats.physionet import fetch_record, is_physionet_name
from ecgcvx.formats.wfdb_record import read_wfdb


@dataclass(frozen=True, eq=False)
class Annotation:
    """Reference annotation: `samples` (k,) int64, relative to the recording's start, and a WFDB symbol for each."""

    samples: npt.NDArray[np.int64]
    symbols: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Recording:
    """One lead: `signal` (n,) in mV with NaN where there is no valid sample, `sampling_frequency` in Hz."""

    signal: npt.NDArray[np.float64]
    sampling_frequency: float
    lead: str
    name: str
    annotation: Annotation | None = None

    @property
    def gaps(self) -> npt.NDArray[np.int64]:
        """The (g, 2) runs of NaN, each as start and stop (exclusive) in samples."""
        missing = np.concatenate(([False], np.isnan(self.signal), [False]))
        return np.flatnonzero(missing[1:] != missing[:-1]).astype(np.int64).reshape(-1, 2)

    @property
    def duration(self) -> float:
        """Length in seconds, gaps included."""
        return len(self.signal) / self.sampling_frequency


def read_recording(
    name: str | os.PathLike[str],
    lead: str | int | None = None,
    start: float | None = None,
    end: float | None = None,
    sampling_frequency: float | None = None,
) -> Recording:
    """Read one ECG lead.

    Parameters
    ----------
    name
        a local WFDB record, with or without .hea or .dat: one or several segments; a lead with several samples a frame
        comes at its own frequency; an .atr file beside the header becomes the annotation.
        Or, where there is no such file, a PhysioNet name, `database/[version/][folder/]record` such as `mitdb/100`:
        downloaded once into the user's cache directory.
        Or a .csv file: comma separated, one column a lead; an optional first line of names such as `II` or `ECG (uV)`,
        mV where none is given; empty fields are gaps; an optional column `time`, `t` or `seconds` in seconds.
    lead
        name, in any case (the first of that name), or number from 0; by default the first with the name of an ECG lead.
    start, end
        seconds from the start of the record; by default all of it.
    sampling_frequency
        Hz, for a CSV file: in place of its times.

    Raises
    ------
    RecordError
        when the record is missing, damaged, cut short, without valid samples, or lacks what is asked of it.
    """
    text = os.fspath(name)
    if text.lower().endswith(".csv"):
        title = Path(text).stem
        reading = read_csv(Path(text), lead, start, end, sampling_frequency)
    else:
        base, title = _locate(text)
        reading = read_wfdb(base, lead, start, end)
        if sampling_frequency not in (None, reading.sampling_frequency):
            raise RecordError(
                f"{text}: sampling_frequency={sampling_frequency} Hz contradicts its header, which says "
                f"{reading.sampling_frequency:g} Hz; leave it out"
            )
    if np.isnan(reading.signal).all():
        raise RecordError(f"{text}: lead {reading.lead} has no valid sample there; choose another lead, start or end")
    annotation = None if reading.annotation is None else Annotation(*reading.annotation)
    return Recording(reading.signal, reading.sampling_frequency, reading.lead, title, annotation)


def _locate(name: str) -> tuple[Path, str]:
    """Path without extension, and name, of a local record or of the cached copy of a PhysioNet record."""
    root, extension = os.path.splitext(name)
    is_file_name = extension in (".hea", ".dat")
    base = root if is_file_name else name
    # os.path, not Path: it answers False, not with an exception, for a name no file system takes.
    if os.path.isfile(f"{base}.hea"):
        return Path(base), Path(base).name
    if os.path.isdir(name):
        raise RecordError(f"{name}: is a folder; name a record in it")
    if is_file_name or not is_physionet_name(name):
        raise RecordError(f"{base}.hea: no such file; give a WFDB record, a .csv file or a name like mitdb/100")
    return fetch_record(name), name
