"""One lead of a local WFDB record, of one or several segments: wfdb decodes samples, all around them is checked."""

import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from ecgcvx.errors import RecordError
from ecgcvx.formats.leads import choose_lead, unknown_unit
from ecgcvx.formats.shared import Reading, check_frequency, reason, sample_range
from ecgcvx.formats.units import ADU, per_millivolt, plain_unit
from ecgcvx.formats.wfdb_annotation import read_marks
from ecgcvx.formats.wfdb_header import Header, WfdbLead, check_size, count_frames, read_header
from ecgcvx.types import Array

# The sample of each format that stands for none; format 8, of differences, has none.
_INVALID = {
    "80": -(2**7), "310": -(2**9), "311": -(2**9), "212": -(2**11), "16": -(2**15), "61": -(2**15), "160": -(2**15),
    "24": -(2**23), "32": -(2**31), "508": -(2**7), "516": -(2**15), "524": -(2**23),
}  # fmt: skip
LARGEST_GAP = 10**8  # samples between segments: 9 days at 125 Hz


def read_wfdb(
    base: Path, wanted: str | int | None, start: float | None, end: float | None, any_unit: bool, annotator: str | None
) -> Reading:
    """Read a lead of the record whose header is `base`.hea, from `start` to `end` seconds.

    any_unit : the caller gives the unit. annotator : extension of the annotation file, which must exist; None for .atr
    if there is one.

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
    choice = choose_lead(layout.leads, wanted, header.source, any_unit=any_unit)
    lead = layout.leads[choice.number]
    frequency = header.frequency * lead.per_frame
    check_frequency(frequency, header.source, "correct the header")
    parts = header.segments or ((base.name, count_frames(header)),)
    first, last = sample_range(sum(n for _, n in parts) * lead.per_frame, frequency, start, end, header.source)
    pieces: list[tuple[slice, Header, int, int, int]] = []
    offset = held = 0  # of the part, in samples of the lead; samples of pieces
    for name, frames in parts:
        begin, stop = max(first, offset), min(last, offset + frames * lead.per_frame)
        if begin < stop and name != "~":
            part = _read_segment_header(header, name, frames) if header.segments else header
            place = _find_in_segment(part, header, choice.number, lead, variable)
            if place is not None:
                check_size(part, part.leads[place].file)
                pieces.append((slice(begin - first, stop - first), part, place, begin - offset, stop - offset))
                held += stop - begin
        offset += frames * lead.per_frame
    # Only now that the files have proved as long as the headers say: a damaged header can ask for any amount of memory.
    if last - first - held > LARGEST_GAP:
        raise RecordError(
            f"{header.source}: {last - first - held:,} of its {last - first:,} samples are in no file; read less with "
            "start, end"
        )
    units = {plain_unit(part.leads[place].unit) for _, part, place, _, _ in pieces}
    unit = lead.unit if units <= {ADU} or any_unit else "mV"
    signal = np.full(last - first, np.nan)
    for target, part, place, begin, stop in pieces:
        divisor = 1.0 if unit != "mV" else per_millivolt(part.leads[place].unit)
        if divisor is None:
            raise RecordError(f"{part.source}: {unknown_unit(part.leads[place], place)}, or choose another lead")
        signal[target] = _read_samples(part, place, begin, stop) / divisor
    marks = read_marks(header, annotator, frequency, first, last)
    notes = (*header.notes, *choice.notes)
    return Reading(signal, frequency, lead.name or str(choice.number), unit, marks, choice.others, notes)


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
    """Number of the lead in a segment, by its name; None where it is absent, which a variable layout allows."""
    names = [other.name.casefold() for other in segment.leads]
    name = lead.name.casefold()
    if not variable and number < len(names) and names[number] == name:
        found = number
    elif (name and Counter(names)[name] == 1) or (variable and name in names):
        found = names.index(name)
    elif variable:
        return None
    else:
        raise RecordError(f"{segment.source}: its leads are not those of {header.source}; get both files again")
    if segment.leads[found].per_frame != lead.per_frame:
        raise RecordError(f"{segment.source}: its leads are not those of {header.source}; get both files again")
    return found


def _read_samples(header: Header, number: int, first: int, last: int) -> Array:
    """Samples first to last (exclusive) of a lead of a one-segment record, in its unit."""
    lead = header.leads[number]
    frames = count_frames(header)
    # wfdb reads differences (format 8) rightly from the start only.
    low, high = (0, frames) if lead.format == "8" else (first // lead.per_frame, -(-last // lead.per_frame))
    counts = _decode(header, number, frames, low, high)
    if (low, high) == (0, frames):
        _check_sum(header, number, counts)
    counts = counts[first - low * lead.per_frame : last - low * lead.per_frame]
    if len(counts) != last - first:
        raise RecordError(f"{header.source}: {len(counts)} samples instead of {last - first}; get the files again")
    return (counts - lead.baseline) / lead.gain


def check_samples(header: Header) -> None:
    """Compare all leads of a one-segment record with the checksums of its header; RecordError when one differs."""
    frames = count_frames(header)
    for number, lead in enumerate(header.leads):
        if lead.checksum is not None and lead.file != "~":
            _check_sum(header, number, _decode(header, number, frames, 0, frames))


def _check_sum(header: Header, number: int, counts: Array) -> None:
    """Compare the sum of all samples of a lead modulo 65,536 with its header; RecordError when it differs."""
    lead = header.leads[number]
    if lead.checksum is None or lead.skew:
        return
    missing = np.isnan(counts)
    total = int(counts[~missing].astype(np.int64).sum()) + int(missing.sum()) * _INVALID.get(lead.format, 0)
    if total % 65536 != lead.checksum:
        raise RecordError(
            f"{header.base.with_name(lead.file)}: damaged, the checksum of lead {lead.name or number} is not that of "
            f"{header.source}; get the files again (0 for a checksum there means none)"
        )


def _decode(header: Header, number: int, frames: int, low: int, high: int) -> Array:
    """ADC units of frames low to high, NaN for what stands for no sample, by wfdb.

    It is handed a header of its own that says no more than where the samples are, so that only one program reads the
    record's header.
    """
    import wfdb  # slow to import, so only when there is something to read

    lead = header.leads[number]
    beside = [other for other in header.leads if other.file == lead.file]
    path = os.path.abspath(header.base.with_name(lead.file))
    lines = [f"record {len(beside)} 250 {frames}"]
    lines += [
        f"signal.dat {other.format}x{other.per_frame}:{other.skew}+{other.offset} 1(0)/mV 16 0 {other.initial} 0 0 s{k}"
        for k, other in enumerate(beside)
    ]
    channel = sum(other.file == lead.file for other in header.leads[:number])
    with tempfile.TemporaryDirectory(prefix="ecgcvx-") as folder:
        target = os.path.join(folder, "signal.dat")
        try:
            os.symlink(path, target)
        except OSError:  # where links are not allowed
            shutil.copyfile(path, target)
        Path(folder, "record.hea").write_text("\n".join(lines) + "\n", encoding="ascii")
        try:
            record = wfdb.rdrecord(
                os.path.join(folder, "record"), sampfrom=low, sampto=high, channels=[channel], smooth_frames=False
            )
        except Exception as error:  # wfdb raises whatever its parsing meets, down to bare Exception
            raise RecordError(f"{header.source}: wfdb cannot read it ({reason(error)}); get the files again") from error
    return np.asarray(record.e_p_signal[0], dtype=np.float64)
