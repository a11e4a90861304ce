"""One lead of a local WFDB record, of one or several segments: wfdb decodes samples, all around them is checked."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ecgcvx.errors import RecordError
from ecgcvx.formats.shared import Reading, choose_lead, per_millivolt, reason, sample_range
from ecgcvx.formats.wfdb_header import Header, WfdbLead, check_size, count_frames, read_header


def read_wfdb(base: Path, wanted: str | int | None, start: float | None, end: float | None) -> Reading:
    """Read a lead of the record whose header is `base`.hea, from `start` to `end` seconds.

    Raises
    ------
    RecordError
        when a file is missing, damaged or cut short, or the lead or the stretch does not exist.
    """
    header = read_header(base)
    # Variable layout: the first segment is empty and describes the leads of all. Fixed: any segment does.
    variable = bool(header.segments) and header.segments[0][1] == 0
    named = [name for name, _ in header.segments if name != "~"]
    layout = read_header(base.with_name(named[0])) if named else header
    if not layout.leads:
        raise RecordError(f"{layout.source}: the record has no signals; give one that has")
    number = choose_lead(layout.leads, wanted, header.source)
    lead = layout.leads[number]
    frequency = header.frequency * lead.per_frame
    parts = header.segments or ((base.name, count_frames(header)),)
    first, last = sample_range(sum(n for _, n in parts) * lead.per_frame, frequency, start, end, header.source)
    pieces: list[tuple[slice, Header, int, int, int]] = []
    offset = 0  # of the part, in samples of the lead
    for name, frames in parts:
        begin, stop = max(first, offset), min(last, offset + frames * lead.per_frame)
        if begin < stop and name != "~":
            part = _read_segment_header(header, name, frames) if header.segments else header
            place = _find_in_segment(part, header, number, lead, variable)
            if place is not None:
                check_size(part, part.leads[place].file)
                pieces.append((slice(begin - first, stop - first), part, place, begin - offset, stop - offset))
        offset += frames * lead.per_frame
    # Only now that the files have proved as long as the headers say: a damaged header can ask for any amount of memory.
    try:
        signal = np.full(last - first, np.nan)
    except (MemoryError, ValueError) as error:
        raise RecordError(
            f"{header.source}: no memory for {last - first} samples; read less with start, end"
        ) from error
    for target, part, place, begin, stop in pieces:
        signal[target] = _read_samples(part, place, begin, stop)
    return Reading(signal, frequency, lead.name or str(number), _read_annotation(header, frequency, first, last))


def _read_segment_header(header: Header, name: str, frames: int) -> Header:
    segment = read_header(header.base.with_name(name))
    said, expected = (segment.frequency, count_frames(segment)), (header.frequency, frames)
    if segment.segments or said != expected:
        raise RecordError(
            f"{segment.source}: {said[1]} samples at {said[0]:g} Hz, but {header.source} says {expected[1]} "
            f"at {expected[0]:g} Hz; get both files again"
        )
    return segment


def _find_in_segment(segment: Header, header: Header, number: int, lead: WfdbLead, variable: bool) -> int | None:
    """Number of the lead in a segment: in a variable layout found by name, None where it is absent."""
    if variable:
        names = [other.name.casefold() for other in segment.leads]
        if lead.name.casefold() not in names:
            return None
        number = names.index(lead.name.casefold())
    if number >= len(segment.leads) or segment.leads[number].per_frame != lead.per_frame:
        raise RecordError(f"{segment.source}: its leads are not those of {header.source}; get both files again")
    return number


def _read_samples(header: Header, number: int, first: int, last: int) -> npt.NDArray[np.float64]:
    """Samples first to last (exclusive) of a lead of a one-segment record, in mV."""
    lead = header.leads[number]
    divisor = per_millivolt(lead.unit)
    if divisor is None:
        raise RecordError(f"{header.source}: lead {lead.name or number} is in {lead.unit}, no voltage; choose another")
    # wfdb reads differences (format 8), and a record whose header gives no length, rightly from the start only.
    whole = lead.format == "8" or header.frames is None
    low, high = (0, None) if whole else (first // lead.per_frame, -(-last // lead.per_frame))
    try:
        import wfdb  # slow to import, so only when there is something to read

        record = wfdb.rdrecord(str(header.base), sampfrom=low, sampto=high, channels=[number], smooth_frames=False)
        samples = np.asarray(record.e_p_signal[0], dtype=np.float64)
    except Exception as error:  # wfdb raises whatever its parsing meets, down to bare Exception
        raise RecordError(f"{header.source}: wfdb cannot read it ({reason(error)}); get the files again") from error
    samples = samples[first - low * lead.per_frame : last - low * lead.per_frame]
    if len(samples) != last - first:
        raise RecordError(f"{header.source}: {len(samples)} samples instead of {last - first}; get the files again")
    return samples / divisor


def _read_annotation(
    header: Header, frequency: float, first: int, last: int
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]] | None:
    """The .atr file's annotations from first to last sample of a lead at `frequency` Hz; None when there is no file."""
    if not os.path.isfile(f"{header.base}.atr"):
        return None
    try:
        import wfdb

        read: Any = wfdb.rdann(str(header.base), "atr")
        # Annotations count frames, or ticks of a clock of their own, not samples of the lead.
        scale = frequency / (read.fs or header.frequency)
        samples = np.rint(np.asarray(read.sample) * scale).astype(np.int64)
        symbols = [str(symbol) for symbol in read.symbol]
    except Exception as error:  # as above
        raise RecordError(f"{header.base}.atr: no WFDB annotation ({reason(error)}); replace or remove it") from error
    inside = np.flatnonzero((samples >= first) & (samples < last))
    return samples[inside] - first, tuple(symbols[i] for i in inside)
