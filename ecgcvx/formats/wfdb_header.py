"""WFDB headers (header(5) of the WFDB applications guide), read strictly, and the sizes of their signal files.

wfdb's own patterns match a prefix of a damaged line and guess the rest, and it drops the µ of µV; these match lines.
Fields are ASCII, and blanks and tabs part them.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from ecgcvx.errors import RecordError
from ecgcvx.formats.shared import check_frequency, decode
from ecgcvx.formats.units import Head

# (samples, bytes) of a block in each uncompressed format; FLAC files know their own length.
_BLOCK = {
    "8": (1, 1), "80": (1, 1), "16": (1, 2), "61": (1, 2), "160": (1, 2), "24": (1, 3), "32": (1, 4),
    "212": (2, 3), "310": (3, 4), "311": (3, 4),
}  # fmt: skip
_FLAC = ("508", "516", "524")
DEFAULT_GAIN = 200.0  # ADC units a mV where a header gives none, or 0
_GAINS = (1e-12, 1e15)
LARGEST = 1 << 20  # bytes of a header

_RECORD_LINE = re.compile(
    r"[-\w.]+(/(?P<segments>\d{1,9}))?[ \t]+(?P<leads>\d{1,9})"
    # Then a time and a date, of which no use is made.
    r"([ \t]+(?P<frequency>\d{1,9}\.?\d*|\.\d+)(/\S*)?([ \t]+(?P<frames>\d{1,15})([ \t].*)?)?)?",
    re.ASCII,
)
_SIGNAL_LINE = re.compile(
    r"(?P<file>~|[-\w][-\w.]*)[ \t]+(?P<format>\d{1,4})(x(?P<per_frame>\d{1,9}))?(:(?P<skew>\d{1,9}))?"
    r"(\+(?P<offset>\d{1,15}))?"
    r"([ \t]+(?P<gain>-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?)(\((?P<baseline>-?\d{1,11})\))?(/(?P<unit>\S+))?"
    r"([ \t]+\d+([ \t]+(?P<zero>-?\d{1,11})([ \t]+(?P<initial>-?\d{1,11})([ \t]+(?P<checksum>-?\d{1,11})"
    r"([ \t]+\d+([ \t]+(?P<name>\S.*))?)?)?)?)?)?)?",
    re.ASCII | re.IGNORECASE,
)
_SEGMENT_LINE = re.compile(r"(?P<name>~|[-\w]+)[ \t]+(?P<frames>\d{1,15})", re.ASCII)


@dataclass(frozen=True)
class WfdbLead(Head):
    """A signal line: name and unit, and how its samples are stored.

    file : "~" in a layout. per_frame : samples a frame. skew : frames. offset : bytes before the first sample. gain :
    ADC units a physical unit, `baseline` the ADC units of 0. checksum : of all samples, modulo 65,536; None without.
    """

    file: str
    format: str
    per_frame: int
    skew: int
    offset: int
    gain: float
    baseline: int
    initial: int
    checksum: int | None


@dataclass(frozen=True)
class Header:
    """What a .hea file says. `base` is its path without .hea; `segments` has the name and length in frames of each."""

    base: Path
    frequency: float  # frames a second
    frames: int | None
    leads: tuple[WfdbLead, ...] = ()
    segments: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()

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
        with open(source, "rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise RecordError(f"{source}: cannot be read ({error.strerror}); check the path and its permissions") from error
    if len(content) > LARGEST or b"\0" in content:
        raise RecordError(
            f"{source}: not a WFDB header but {'binary' if b'0' in content else 'too long'}; get it again"
        )
    # Not splitlines(), which takes more for ends of lines than WFDB does.
    raw = [line.strip(" \t") for line in re.split(r"\r\n|\n|\r", decode(content))]
    ended = not raw or raw[-1] == ""
    lines = [line for line in raw if line and not line.startswith("#")]
    first = _match(_RECORD_LINE, lines[0] if lines else "", source)
    frequency = float(first["frequency"] or 250)  # the standard's default
    check_frequency(frequency, source, "correct the header")
    # 0 means unspecified.
    header = Header(base, frequency, int(first["frames"] or 0) or None)
    count = int(first["segments"] or first["leads"])
    if len(lines) - 1 < count:
        raise RecordError(f"{source}: {count} lines should follow the first, not {len(lines) - 1}; get it again")
    # Lines beyond that number are not read, says the standard.
    rest = lines[1 : count + 1]
    if first["segments"] is None:
        leads = tuple(_read_lead(line, source) for line in rest)
        notes: tuple[str, ...] = ()
        if leads and not ended and raw[-1] == rest[-1]:
            match = _match(_SIGNAL_LINE, rest[-1], source)
            if match["name"] is None:
                raise RecordError(
                    f"{source}: cut short, it ends within the line {rest[-1][:60]!r}; get it again, or end it with a "
                    "line break if that is all"
                )
            notes = (
                f"{source} ends without a line break: the name of its last lead, {leads[-1].name}, may be cut short",
            )
        return replace(header, leads=leads, notes=notes)
    matches = [_match(_SEGMENT_LINE, line, source) for line in rest]
    segments = tuple((match["name"], int(match["frames"])) for match in matches)
    if header.frames not in (None, sum(frames for _, frames in segments)):
        raise RecordError(f"{source}: its segments do not add up to {header.frames} samples; get the header again")
    return replace(header, segments=segments, frames=sum(frames for _, frames in segments))


def _read_lead(line: str, source: str) -> WfdbLead:
    match = _match(_SIGNAL_LINE, line, source)
    if match["file"] != "~" and match["format"] not in (*_BLOCK, *_FLAC):
        raise RecordError(f"{source}: signal format {match['format']} is none of WFDB's; correct the header")
    gain = float(match["gain"] or 0) or DEFAULT_GAIN
    if not _GAINS[0] <= abs(gain) <= _GAINS[1] or (
        match["gain"] and float(match["gain"]) == 0 and _digits(match["gain"])
    ):
        raise RecordError(f"{source}: a gain of {match['gain'][:40]} is none; correct the header")
    return WfdbLead(
        name=(match["name"] or "").strip(" \t,"),  # some databases end their names with a comma
        unit=match["unit"] or "mV",
        file=match["file"],
        format=match["format"],
        per_frame=int(match["per_frame"] or 1) or 1,
        skew=int(match["skew"] or 0),
        offset=int(match["offset"] or 0),
        gain=gain,
        baseline=int(match["baseline"] or match["zero"] or 0),
        initial=int(match["initial"] or 0),
        # 0 stands in headers written by hand for "not computed".
        checksum=int(match["checksum"] or 0) % 65536 or None,
    )


def _digits(number: str) -> bool:
    """Tell whether a number that float() takes for 0 is not written as 0, as 1e-400."""
    return bool(re.search("[1-9]", number.lower().split("e")[0]))


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
    lead = next(lead for lead in header.leads if lead.file != "~")
    if lead.format in _FLAC:
        raise RecordError(f"{header.source}: FLAC files need their number of samples; add it to the first line")
    samples, size = _BLOCK[lead.format]
    per_frame = sum(other.per_frame for other in header.leads if other.file == lead.file)
    return max(_file_size(header, lead.file) - lead.offset, 0) * samples // (size * per_frame)


def signal_bytes(header: Header, file: str) -> int | None:
    """Return how many bytes a signal file must have by its header; None for FLAC, which tells when it is cut short."""
    leads = [lead for lead in header.leads if lead.file == file]
    if leads[0].format in _FLAC:
        return None
    samples, size = _BLOCK[leads[0].format]
    flat = (header.frames or 0) * sum(lead.per_frame for lead in leads)
    return leads[0].offset + -(-flat * size // samples)


def check_size(header: Header, file: str) -> None:
    """Refuse a signal file that is missing, or shorter than the header says: wfdb can take what is missing for samples.

    Raises
    ------
    RecordError
        for either.
    """
    actual, needed = _file_size(header, file), signal_bytes(header, file)
    if needed is not None and actual < needed:
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
