"""One lead of an EDF, EDF+ or BDF file (edfio reads it)."""

from pathlib import Path
from typing import Any

import numpy as np

from ecgcvx.errors import RecordError
from ecgcvx.formats.leads import choose_lead
from ecgcvx.formats.shared import Reading, check_frequency, reason, sample_range
from ecgcvx.formats.units import Head


def read_edf(path: Path, wanted: str | int | None, start: float | None, end: float | None, any_unit: bool) -> Reading:
    """Read a lead from `start` to `end` seconds.

    Raises
    ------
    RecordError
        when edfio is not installed, the file is missing, damaged, cut short or interrupted (EDF+D), or lacks the lead.
    """
    source = str(path)
    try:
        import edfio
    except ImportError:
        raise RecordError(
            f"{source}: EDF needs edfio; pip install 'ecgcvx[edf]', or convert it to WFDB or CSV"
        ) from None
    _check_size(path, source)
    read: Any = edfio.read_bdf if path.suffix.lower() == ".bdf" else edfio.read_edf
    try:
        file = read(path, lazy_load_data=True)
        signals = list(file.signals)
        leads = [Head(signal.label.strip(), signal.physical_dimension.strip()) for signal in signals]
        continuous = bool(file.is_continuous)
    except Exception as error:  # edfio raises what its parsing meets
        raise RecordError(f"{source}: edfio cannot read it ({reason(error)}); get the file again") from error
    if not continuous:
        raise RecordError(f"{source}: EDF+D, with interruptions, is not read; convert it to WFDB or CSV")
    if not leads:
        raise RecordError(f"{source}: the file has no signals; give one that has")
    choice = choose_lead(leads, wanted, source, any_unit=any_unit)
    try:
        frequency = float(signals[choice.number].sampling_frequency)
        samples = np.asarray(signals[choice.number].data, dtype=np.float64)
    except Exception as error:
        raise RecordError(f"{source}: edfio cannot read it ({reason(error)}); get the file again") from error
    check_frequency(frequency, source, "correct its header")
    first, last = sample_range(len(samples), frequency, start, end, source)
    lead = leads[choice.number]
    name = lead.name or str(choice.number)
    return Reading(samples[first:last].copy(), frequency, name, lead.unit, None, choice.others, choice.notes)


def _check_size(path: Path, source: str) -> None:
    """Refuse a file that is shorter than its header says (EDF specification, section 2.1)."""
    try:
        with open(path, "rb") as file:
            head = file.read(256)
            signals = int(head[252:256])
            more = file.read(256 * max(signals, 0))
        size = path.stat().st_size
        records = int(head[236:244])
        counts = [int(more[216 * signals + 8 * k : 216 * signals + 8 * k + 8]) for k in range(signals)]
    except OSError as error:
        raise RecordError(f"{source}: cannot be read ({error.strerror}); check the path and its permissions") from error
    except ValueError as error:
        raise RecordError(f"{source}: not an EDF file, its header is malformed; get the file again") from error
    width = 3 if head[:1] == b"\xff" else 2
    needed = 256 * (signals + 1) + records * sum(counts) * width
    if records >= 0 and size < needed:
        raise RecordError(f"{source}: cut short, {size} bytes where its header needs {needed}; get the file again")
