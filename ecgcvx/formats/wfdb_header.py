"""WFDB headers (header(5) of the WFDB applications guide), read strictly, and the sizes of their signal files.

wfdb's own patterns match a prefix of a damaged line and guess the rest, and it drops the µ of µV; these match lines.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from ecgcvx.errors import RecordError
from ecgcvx.formats.shared import Lead, decode

# (samples, bytes) of a block in each uncompressed format; FLAC files know their own length.
_BLOCK = {
    "8": (1, 1), "80": (1, 1), "16": (1, 2), "61": (1, 2), "160": (1, 2), "24": (1, 3), "32": (1, 4),
    "212": (2, 3), "310": (3, 4), "311": (3, 4),
}  # fmt: skip
_FLAC = ("508", "516", "524")

_RECORD_LINE = re.compile(
    r"[-\w]+(/(?P<segments>\d{1,9}))?\s+(?P<leads>\d{1,9})"
    r"(\s+(?P<frequency>\d{1,9}\.?\d*|\.\d+)(/\S*)?(\s+(?P<frames>\d{1,15})(\s.*)?)?)?"
)
_SIGNAL_LINE = re.compile(
    r"(?P<file>~|[-\w]+\.?\w*)\s+(?P<format>\d+)(x(?P<per_frame>\d{1,9}))?(:\d+)?(\+(?P<offset>\d{1,15}))?"
    r"(\s+-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?(\(-?\d+\))?(/(?P<unit>\S+))?"
    r"((\s+-?\d+){5}(\s+(?P<name>\S.*))?|(\s+-?\d+){0,4}))?"
)
_SEGMENT_LINE = re.compile(r"(?P<name>~|[-\w]+)\s+(?P<frames>\d{1,15})")


@dataclass(frozen=True)
class WfdbLead(Lead):
    """A signal line: also signal file ("~" in a layout), format, samples a frame, byte offset of the first sample."""

    file: str
    format: str
    per_frame: int
    offset: int


@dataclass(frozen=True)
class Header:
    """What a .hea file says. `base` is its path without .hea; `segments` has the name and length in frames of each."""

    base: Path
    frequency: float  # frames a second
    frames: int | None
    leads: tuple[WfdbLead, ...] = ()
    segments: tuple[tuple[str, int], ...] = ()

    @property
    def source(self) -> str:
        """Path of the header, for messages."""
        return f"{self.base}.hea"

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the signal files."""
        return tuple(dict.fromkeys(lead.file for lead in self.leads if lead.file != "~"))


def read_header(base: Path) -> Header:
    """Read `base`.hea.

    Raises
    ------
    RecordError
        when it is missing or any of its lines is malformed.
    """
    source = f"{base}.hea"
    try:
        text = decode(Path(source).read_bytes())
    except OSError as error:
        raise RecordError(f"{source}: cannot be read ({error.strerror}); check the path and its permissions") from error
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    first = _match(_RECORD_LINE, lines[0] if lines else "", source)
    frequency = float(first["frequency"] or 250)  # the standard's default
    if frequency == 0:
        raise RecordError(f"{source}: the sampling frequency is 0 Hz; correct the header")
    header = Header(base, frequency, None if first["frames"] is None else int(first["frames"]))
    count = int(first["segments"] or first["leads"])
    if len(lines) - 1 != count:
        raise RecordError(f"{source}: {count} lines should follow the first, not {len(lines) - 1}; get it again")
    if first["segments"] is None:
        return replace(header, leads=tuple(_read_lead(line, source) for line in lines[1:]))
    matches = [_match(_SEGMENT_LINE, line, source) for line in lines[1:]]
    segments = tuple((match["name"], int(match["frames"])) for match in matches)
    if header.frames not in (None, sum(frames for _, frames in segments)):
        raise RecordError(f"{source}: its segments do not add up to {header.frames} samples; get the header again")
    return replace(header, segments=segments, frames=sum(frames for _, frames in segments))


def _read_lead(line: str, source: str) -> WfdbLead:
    match = _match(_SIGNAL_LINE, line, source)
    if match["file"] != "~" and match["format"] not in (*_BLOCK, *_FLAC):
        raise RecordError(f"{source}: signal format {match['format']} is none of WFDB's; correct the header")
    return WfdbLead(
        name=(match["name"] or "").strip(" ,"),  # some databases end their names with a comma
        unit=match["unit"] or "mV",
        file=match["file"],
        format=match["format"],
        per_frame=int(match["per_frame"] or 1) or 1,
        offset=int(match["offset"] or 0),
    )


def _match(pattern: re.Pattern[str], line: str, source: str) -> re.Match[str]:
    match = pattern.fullmatch(line)
    if match is None:
        raise RecordError(f"{source}: not a WFDB header, its line {line[:60]!r} is malformed; get the file again")
    return match


def count_frames(header: Header) -> int:
    """Return the frames of a record; where the header does not say, those that its first signal file holds.

    Raises
    ------
    RecordError
        when the file is missing.
    """
    if header.frames is not None or not header.files:
        return header.frames or 0
    lead = header.leads[0]
    if lead.format in _FLAC:
        raise RecordError(f"{header.source}: FLAC files need their number of samples; add it to the first line")
    samples, size = _BLOCK[lead.format]
    per_frame = sum(other.per_frame for other in header.leads if other.file == lead.file)
    return max(_file_size(header, lead.file) - lead.offset, 0) * samples // (size * per_frame)


def check_size(header: Header, file: str) -> None:
    """Refuse a signal file that is missing, or shorter than the header says: wfdb can take what is missing for samples.

    Raises
    ------
    RecordError
        for either. A FLAC file says itself when it is cut short.
    """
    leads = [lead for lead in header.leads if lead.file == file]
    actual = _file_size(header, file)
    if leads[0].format in _FLAC:
        return
    samples, size = _BLOCK[leads[0].format]
    flat = count_frames(header) * sum(lead.per_frame for lead in leads)
    needed = leads[0].offset + -(-flat * size // samples)
    if actual < needed:
        raise RecordError(
            f"{header.base.with_name(file)}: cut short, {actual} bytes where {header.source} needs {needed}; "
            "get the file again"
        )


def _file_size(header: Header, file: str) -> int:
    path = header.base.with_name(file)
    try:
        return path.stat().st_size
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror}), {header.source} needs it; get it") from error
