"""WFDB annotation files (annot(5)): beats, and the rhythms between them."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError, RecordError
from ecgcvx.files import atomic_write
from ecgcvx.formats.shared import Marks, Rhythm, reason
from ecgcvx.formats.wfdb_header import Header, count_frames

FIBRILLATION = "VF"  # the rhythm between the marks [ and ]
SLACK = 10.0  # s that annotations may lie beyond the end of the record
LARGEST = 1 << 27  # bytes


def read_marks(header: Header, annotator: str | None, frequency: float, first: int, last: int) -> Marks | None:
    """Return the annotations from first to last sample of a lead at `frequency` Hz; None when there is no .atr file.

    annotator : extension of the file, which must then exist.

    Raises
    ------
    RecordError
        when the file is missing or is no annotation of that record.
    """
    extension = "atr" if annotator is None else annotator.removeprefix(".")
    path = f"{header.base}.{extension}"
    if not extension.replace("-", "").replace("_", "").isalnum() or not os.path.isfile(path):
        if annotator is None:
            return None
        raise RecordError(f"{path}: no such annotation file; name the extension of one, or leave annotator out")
    try:
        _check_file(path)
        import wfdb

        read: Any = wfdb.rdann(str(header.base), extension)
        frames = np.asarray(read.sample, dtype=np.int64)
        # Annotations count frames, or ticks of a clock of their own, not samples of the lead.
        ticks = float(read.fs or header.frequency)
        symbols = tuple(str(symbol) for symbol in read.symbol)
        notes = [str(note).strip("\0 ") for note in read.aux_note]
        seconds = count_frames(header) / header.frequency
        if len(frames) and ((np.diff(frames) < 0).any() or frames[0] < 0 or frames[-1] > (seconds + SLACK) * ticks):
            raise ValueError("times out of order, or beyond the record")
    except Exception as error:  # wfdb raises whatever its parsing meets
        raise RecordError(
            f"{path}: no WFDB annotation of this record ({reason(error)}); replace or remove it"
        ) from error
    samples = np.rint(frames * (frequency / ticks)).astype(np.int64)
    inside = np.flatnonzero((samples >= first) & (samples < last))
    rhythms = tuple(
        Rhythm(max(start, first) - first, min(stop, last) - first, name)
        for start, stop, name in _rhythms(samples, symbols, notes)
        if start < last and stop > first
    )
    return Marks(samples[inside] - first, tuple(symbols[i] for i in inside), rhythms)


def _check_file(path: str) -> None:
    """Refuse what cannot be an annotation file: pairs of bytes, ended by a pair of zeros."""
    size = os.path.getsize(path)
    if size == 0 or size % 2 or size > LARGEST:
        raise ValueError(f"{size} bytes")
    with open(path, "rb") as file:
        file.seek(-2, os.SEEK_END)
        if file.read() != b"\0\0":
            raise ValueError("no end mark")


def _rhythms(samples: Any, symbols: tuple[str, ...], notes: list[str]) -> list[Rhythm]:
    """Stretches of rhythm: from the mark that names one to the next, and fibrillation between [ and ]."""
    end = np.iinfo(np.int64).max
    changes = [(int(s), note[1:].strip()) for s, note in zip(samples, notes, strict=True) if note.startswith("(")]
    found = [
        Rhythm(start, changes[k + 1][0] if k + 1 < len(changes) else end, name)
        for k, (start, name) in enumerate(changes)
    ]
    opened: int | None = None
    for sample, symbol in zip(samples, symbols, strict=True):
        if symbol == "[" and opened is None:
            opened = int(sample)
        elif symbol == "]" and opened is not None:
            found.append(Rhythm(opened, int(sample), FIBRILLATION))
            opened = None
    if opened is not None:
        found.append(Rhythm(opened, end, FIBRILLATION))
    return sorted(found)


def write_marks(
    path: Path,
    samples: NDArray[np.int64],
    symbols: Sequence[str],
    sampling_frequency: float,
    notes: Sequence[str] | None = None,
) -> None:
    """Write annotations as a file RECORD.EXTENSION: rising samples with a symbol of WFDB, and a note for each.

    Raises InputError for a name that WFDB does not take, no annotation at all, which it cannot write, and for a file
    that is there already: it may be a reference.
    """
    import wfdb  # slow to import

    name, extension = path.stem, path.suffix[1:]
    if not (extension.isascii() and extension.isalpha() and name.replace("-", "").replace("_", "").isalnum()):
        raise InputError(f"output = {path}: give a name in .csv, or RECORD.EXTENSION of letters for WFDB annotations")
    if path.exists():
        raise InputError(f"output = {path}: it is there already and may be a reference; name another extension")
    if not len(samples):
        raise InputError(f"output = {path}: nothing to annotate, and WFDB has no empty file; give a name in .csv")
    with tempfile.TemporaryDirectory() as scratch:
        wfdb.wrann(
            name, extension, samples, list(symbols), aux_note=None if notes is None else list(notes),
            fs=sampling_frequency, write_dir=scratch,
        )  # fmt: skip
        data = (Path(scratch) / path.name).read_bytes()
    atomic_write(path, lambda file: file.write(data))
