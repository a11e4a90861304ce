"""What stands before the samples of a text table: comments, `key: value` lines, names and units of the columns."""

import re
from dataclasses import dataclass

from ecgcvx.errors import RecordError
from ecgcvx.formats.csv_cells import cells_of
from ecgcvx.formats.units import is_ecg_name, is_time, plain_unit, read_head, seconds_per

COMMENT = re.compile(r"\s*(?![#](REF!|N/A|VALUE!|DIV/0!|NAME\?|NUM!|NULL!|SPILL!|CALC!))(#|%|//|;|!|\*)")
"""Begin of a comment; errors of spreadsheets are none, but cells."""
_KEY_VALUE = re.compile(
    r"[\s#%/;!*\"']*(?P<key>[^\W\d_][^:=,;\t]{0,60}?)[\"']?\s*[:=,;\t]\s*[\"']?(?P<value>.*?)[\s\"',;]*"
)
_RATE_KEY = re.compile(r"(sampl(e|ing)[ _-]*)?(rate|freq(uency|\.)?)([ _-]*[(\[]?hz[)\]]?)?|fs|sfreq|hz", re.IGNORECASE)
_RATE = re.compile(
    r"(?P<rate>[0-9]+([.,][0-9]+)?)\s*(?P<unit>hz|hertz|khz|sps|samples?\s*(/|per)\s*s(ec(ond)?)?)?", re.I
)
_BLANK_RATE = re.compile(
    rf"[\s#%/;!*]*(?P<key>{_RATE_KEY.pattern})\s+(?P<value>[0-9]+([.,][0-9]+)?\s*(k?hz)?)\s*", re.IGNORECASE
)
_NUMBERS = re.compile(r"[\s0-9.,;:+\-eE\"']*")
_UNIT_KEY = re.compile(r"(unit|units|y[ _-]?unit|voltage unit|amplitude unit)", re.IGNORECASE)
_LEAD_KEY = re.compile(r"(lead|channel|lead name|channel name)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Before:
    """What stands before the samples: names and units of columns; Hz, unit and lead of `key: value` lines."""

    names: list[str] | None = None
    units: list[str] | None = None
    rate: float | None = None
    unit: str = ""
    lead: str = ""


def read_before(lines: list[str], start: int, separator: str, width: int, source: str) -> Before:
    """Read comments, `key: value` lines, names and units; RecordError for any other line."""
    filled = [(number, line) for number, line in enumerate(lines, start=start + 1) if line.strip()]
    said: dict[str, str] = {}
    plain: list[tuple[int, str]] = []
    commented: list[str] | None = None
    for number, line in filled:
        if not COMMENT.match(line):
            plain.append((number, line))
            continue
        if not _take(line, said):
            cells = cells_of(COMMENT.sub("", line).lstrip("#%/;!* "), separator, source, number)
            named = len(cells) == width and any(map(_is_name if width > 1 else _is_lead, cells))
            commented = cells if named else commented
    names = units = None
    last: list[tuple[int, str]] = []
    if plain:
        cells = cells_of(plain[-1][1], separator, source, plain[-1][0])
        above = cells_of(plain[-2][1], separator, source, plain[-2][0]) if len(plain) > 1 else []
        if len(cells) == width and len(above) == width and _is_unit_row(cells) and not _is_unit_row(above):
            names, units, last, plain = above, cells, plain[-2:], plain[:-2]
        elif width > 1 or _key(plain[-1][1]) is None:
            names, last, plain = cells, plain[-1:], plain[:-1]
    headed = False
    for number, line in [*plain, *last]:
        table_like = width > 1 or _KEY_VALUE.fullmatch(line) is None
        named = table_like and not headed and _is_named(cells_of(line, separator, source, number), width)
        if headed and (number, line) not in last[1:]:
            # Rows of numbers may stand between the names and the line that is wrong.
            wrong = [one for one in [*plain, *last] if one[0] >= number and not _NUMBERS.fullmatch(one[1])]
            number, line = wrong[0] if wrong else (number, line)
            raise RecordError(f"{source}: line {number}: {line.strip()[:40]} is not a number; correct or empty it")
        headed = headed or named
        if (number, line) in plain and not named and not _take(line, said) and _KEY_VALUE.fullmatch(line) is None:
            raise RecordError(
                f"{source}: line {number}: {line.strip()[:40]!r} is no row of the table that follows; remove it, or "
                "begin it with #"
            )
    lead = re.sub(r"^lead\s+", "", said.get("lead", ""), flags=re.IGNORECASE)
    return Before(commented if names is None else names, units, _rate(said.get("rate", "")), said.get("unit", ""), lead)


def _rate(text: str) -> float | None:
    match = _RATE.fullmatch(text)
    if match is None:
        return None
    return float(match["rate"].replace(",", ".")) * (1e3 if (match["unit"] or "").lower() == "khz" else 1.0)


def _is_named(cells: list[str], width: int) -> bool:
    """Tell whether cells are the names of a table: of a lead, or of times."""
    heads = [read_head(cell) for cell in cells]
    return len(cells) == width and any(is_ecg_name(head.name) or is_time(head) for head in heads)


def _key(line: str) -> tuple[str, str] | None:
    """What a `key: value` line is about (rate, unit or lead) and says; None for any other line."""
    match = _KEY_VALUE.fullmatch(line) or _BLANK_RATE.fullmatch(line)
    for about, pattern in (("rate", _RATE_KEY), ("unit", _UNIT_KEY), ("lead", _LEAD_KEY)):
        if match and pattern.fullmatch(match["key"].strip()):
            return about, match["value"].strip()
    return None


def _take(line: str, said: dict[str, str]) -> bool:
    found = _key(line)
    if found is not None:
        said[found[0]] = found[1]
    return found is not None


def _is_name(cell: str) -> bool:
    head = read_head(cell)
    return (
        is_ecg_name(head.name) or bool(re.search(r"[^\W\d_]", cell) and not head.unit) or bool(head.name and head.unit)
    )


def _is_lead(cell: str) -> bool:
    """Tell whether a comment above one column names it: any other comment is no name."""
    head = read_head(cell)
    return is_ecg_name(head.name) or bool(head.name and head.unit)


def _is_unit_row(cells: list[str]) -> bool:
    units = [cell.strip(" '\"()[]") for cell in cells]
    return any(units) and all(
        not unit or unit in ("-", "#") or plain_unit(unit) is not None or seconds_per(unit) is not None
        or unit.lower() in ("sample", "samples", "n.u.", "nu", "au", "a.u.", "mmhg", "bpm", "%", "ohm", "g", "hz")
        for unit in units
    )  # fmt: skip
