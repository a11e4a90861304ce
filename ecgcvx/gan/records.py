"""Generated and denoised signals as WFDB records; a generated one says so in its name and in its header."""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError
from ecgcvx.files import atomic_write
from ecgcvx.types import Array

MARK = "synthetic"
GAIN = 1000.0  # units of a mV: steps of 1 uV, +-32 mV in 16 bits
LIMIT = 32767 / GAIN
INVALID = -32768  # of format 16


def write_record(
    folder: Path, name: str, signal: Array, sampling_frequency: float, leads: Sequence[str], unit: str,
    comments: Sequence[str], peaks: NDArray[np.int64] | None = None, symbols: Sequence[str] = (),
) -> tuple[Path, ...]:  # fmt: skip
    """Write signal (samples, leads) as NAME.dat and NAME.hea, and R peaks as NAME.atr; return the files, header last.

    NaN becomes WFDB's invalid sample. Raises InputError for a signal beyond +-32.767 units, or a folder that cannot be
    written.
    """
    missing = np.isnan(signal)
    if np.abs(signal[~missing]).max(initial=0.0) > LIMIT:
        raise InputError(f"{name}: the signal is beyond {LIMIT:g} {unit}; check the unit and gain of the record")
    import wfdb  # slow to import

    samples = np.where(missing, INVALID, np.rint(np.where(missing, 0.0, signal) * GAIN)).astype(np.int64)

    with tempfile.TemporaryDirectory() as scratch:
        wfdb.wrsamp(
            name, fs=sampling_frequency, units=[unit] * len(leads), sig_name=list(leads),
            d_signal=samples, fmt=["16"] * len(leads), adc_gain=[GAIN] * len(leads),
            baseline=[0] * len(leads), comments=list(comments), write_dir=scratch,
        )  # fmt: skip
        if peaks is not None:
            wfdb.wrann(name, "atr", np.asarray(peaks, dtype=np.int64), list(symbols), write_dir=scratch)
        written = []
        for extension in ("dat", "atr", "hea"):
            made = Path(scratch) / f"{name}.{extension}"
            if made.exists():
                atomic_write(folder / made.name, partial(_copy, made))
                written.append(folder / made.name)
    return tuple(written)


def _copy(source: Path, target: BinaryIO) -> None:
    target.write(source.read_bytes())
