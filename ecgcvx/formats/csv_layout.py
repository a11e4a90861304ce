"""How a text table is laid out: separator, decimal mark, lines before the samples, names and units of its columns."""

import re
from dataclasses import dataclass, field

from ecgcvx.errors import RecordError
from ecgcvx.formats.clock_text import is_clock
from ecgcvx.formats.csv_cells import INTEGER, MISSING, cells_of, find_separator, is_counting, number_of
from ecgcvx.formats.csv_preamble import COMMENT, Before, read_before
from ecgcvx.formats.units import Head, is_counter, is_time, plain_unit, read_head

BEFORE = 400  # lines that are looked at; the samples begin among them
LOOKED_AT = 60  # rows whose layout is taken for that of all
MANY = 64  # columns that no table of leads has


@dataclass(frozen=True)
class Layout:
    """separator : "" when lines hold one column, " " for any blanks. first : line of the first samples, from 0.

    heads : a name and unit a column. named : whether the file gives names. rate : Hz, of the lines before the table.
    clocks : columns of clock times. rows : the cells of some of the first rows.
    """

    separator: str
    decimal: str
    first: int
    heads: tuple[Head, ...]
    named: bool
    rate: float | None
    clocks: frozenset[int]
    rows: tuple[tuple[str, ...], ...] = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.heads)


def read_layout(lines: list[str], total: int, source: str) -> Layout:
    """Find the layout of a table of `total` lines from its first ones.

    Raises
    ------
    RecordError
        when no table of numbers is found, or commas may be both separators and decimal marks.
    """
    lines = lines[:BEFORE]
    start, given = 0, None
    if match := re.fullmatch(r'\s*"?sep=(.)"?\s*', lines[0], re.IGNORECASE):
        given, start = match[1], 1  # as Excel writes and reads
    body = [line for line in lines[start:] if line.strip() and not COMMENT.match(line)]
    if not body:
        raise RecordError(f"{source}: the record is empty, it has no line of samples; give a file with samples")
    body = body[len(body) // 2 :][:LOOKED_AT]
    separator, decimal = find_separator(body, given, source)
    widths = [len(cells_of(line, separator, source, lines.index(line) + 1)) for line in body]
    width = max(widths, key=widths.count)
    if width >= MANY and total <= width + 1:
        raise RecordError(
            f"{source}: {width:,} numbers in a line and {total} line{'s' * (total > 1)}: the "
            "samples run across; transpose it, one column a lead"
        )
    first = _first_row(lines, start, separator, decimal, width, source)
    before = read_before(lines[start:first], start, separator, width, source)
    rows = _rows(lines[first:], separator, width, source, first)
    if not rows:
        raise RecordError(f"{source}: the record is empty; give one with samples")
    names = before.names
    notes: list[str] = []
    if names is None and (names := _numeric_header(rows)) is not None:
        rows, first = rows[1:], first + 1
        notes.append(f"line {first} was taken for the number{'s' * (width > 1)} of the columns, not for samples")
    heads = _heads(_fit_names(names, rows, width, first, separator, source), before, width, source)
    for column in range(width if width > 1 else 0):
        if not heads[column].name and all(row[column] == "" for row in rows):
            heads[column] = Head("(empty)", "")  # what follows a separator at the end of every line
    clocks = frozenset(column for column in range(width) if _is_clock_column([row[column] for row in rows]))
    if decimal == ",":
        notes.append("decimal commas were read")
    named = any(head.name for head in heads)
    first_rows = tuple(map(tuple, rows))
    return Layout(separator, decimal, first, tuple(heads), named, before.rate, clocks, first_rows, tuple(notes))


def _is_clock_column(cells: list[str]) -> bool:
    known = [cell for cell in cells if cell.lower() not in MISSING]
    return bool(known) and all(map(is_clock, known))


def _fit_names(
    names: list[str] | None, rows: list[list[str]], width: int, first: int, separator: str, source: str
) -> list[str] | None:
    if names is None or len(names) == width:
        return names
    if len(names) == width - 1 and all(row[-1] == "" for row in rows):
        return [*names, ""]
    if len(names) == width - 1 and is_counting([row[0] for row in rows]):
        return ["index", *names]  # names of rows without a name of their own, as R writes them
    if len(names) == width + 1 and names[-1] == "":
        return names[:-1]
    twice = separator == "," and width == 2 * len(names)
    raise RecordError(
        f"{source}: line {first}: {len(names)} names for {width} columns; "
        + ("do commas both separate and mark decimals? save it with semicolons" if twice else "correct it")
    )


def _first_row(lines: list[str], start: int, separator: str, decimal: str, width: int, source: str) -> int:
    """The line that the samples begin at: the first of three rows of numbers, or else the first row at all."""
    found: int | None = None
    run: list[int] = []
    for number in range(start, len(lines)):
        line = lines[number]
        if not line.strip():
            continue
        if COMMENT.match(line) or not _is_row(cells_of(line, separator, source, number + 1), decimal, width):
            run = []
            continue
        run.append(number)
        found = number if found is None else found
        if len(run) == 3:
            found = run[0]
            break
    if found is not None:
        # Blank lines in front of a single column are gaps, unless text precedes them.
        while width == 1 and found > start and not lines[found - 1].strip() and not any(map(str.strip, lines[:found])):
            found -= 1
        return found
    return min(start + 1, len(lines))


def _is_row(cells: list[str], decimal: str, width: int) -> bool:
    if width > 1 and all(cell.lower() in MISSING for cell in cells):
        return False
    return len(cells) == width and all(number_of(cell, decimal) is not None or is_clock(cell) for cell in cells)


def _heads(names: list[str] | None, before: Before, width: int, source: str) -> list[Head]:
    heads = [read_head(name.strip(" ,")) for name in names] if names is not None else [Head("", "")] * width
    # The number that pandas gives to a column without a name says nothing.
    heads = [Head("", head.unit) if re.fullmatch(r"[0-9]{1,4}", head.name) else head for head in heads]
    units = before.units or [""] * width
    out = []
    for head, cell in zip(heads, units, strict=True):
        unit = cell.strip(" '\"()[]")
        unit = "" if unit in ("-", "#") else unit
        if head.unit and unit and plain_unit(head.unit) != plain_unit(unit):
            raise RecordError(
                f"{source}: column {head.name} is in {head.unit} by name, in {unit} by the line of units; correct one"
            )
        unit = head.unit or unit
        out.append(Head(head.name, unit if unit or is_time(head) or is_counter(head) else before.unit))
    if before.lead and width == 1 and not out[0].name:
        out = [Head(before.lead, out[0].unit)]
    return out


def _rows(lines: list[str], separator: str, width: int, source: str, first: int) -> list[list[str]]:
    """Cells of some rows; those of another width are refused when they are read."""
    filled = [(number, line) for number, line in enumerate(lines, start=first + 1) if line.strip()][:LOOKED_AT]
    rows = [cells_of(line, separator, source, number) for number, line in filled]
    return [row for row in rows if len(row) == width]


def _numeric_header(rows: list[list[str]]) -> list[str] | None:
    """The names `0`, `1`, ... that pandas gives to columns without a name, or None when the first row has samples."""
    cells = [cell.strip('" ') for cell in rows[0]]
    rest = rows[1:]
    index = bool(cells) and cells[0] == "" and is_counting([row[0] for row in rest])
    named = cells[1:] if index else cells
    if not rest or named != [str(i) for i in range(len(named))] or not named:
        return None
    columns = [[row[i + index] for row in rest] for i in range(len(named))]
    fractions = any(not INTEGER.fullmatch(cell) for column in columns for cell in column if cell.lower() not in MISSING)
    if index or fractions or len(named) > 2:
        return ["index", *named] if index else named
    values = [[int(cell) for cell in column if INTEGER.fullmatch(cell)] for column in columns]
    # Counts: their level tells whether a 0 is one of them.
    first = values[-1]
    if not first or (len(named) == 2 and is_counting(cells[:1] + [row[0] for row in rest])):
        return None
    spread = max(first) - min(first)
    outside = not min(first) - 2 * spread - 1 <= int(named[-1]) <= max(first) + 2 * spread + 1
    return named if outside else None
