"""Cells of text tables: numbers as tables have them, separators, decimal marks."""

import csv
import re
from itertools import pairwise

from ecgcvx.errors import RecordError
from ecgcvx.formats.clock_text import is_clock

MISSING = frozenset(
    ("", "-", "--", "nan", "+nan", "-nan", "na", "n/a", "#n/a", "<na>", "null", "none", "nil", "missing", "?")
)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
INTEGER = re.compile(r"[+-]?[0-9]+")


def number_of(cell: str, decimal: str) -> float | None:
    """Return a number as tables have it (ASCII digits, no underscores), NaN for a missing one; None for anything else.

    Python's float() takes more: 1_000, digits of other scripts, infinity.
    """
    text = cell.strip()
    if text.lower() in MISSING:
        return float("nan")
    if decimal == ",":
        text = "x" if "." in text else text.replace(",", ".")
    return float(text) if _NUMBER.fullmatch(text) else None


def split_line(line: str, separator: str) -> list[str]:
    """Return the cells of a line; csv.Error for quotes that do not close."""
    if separator == "":
        cell = line.strip()
        return [cell[1:-1].strip() if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell]
    if separator == " ":
        return line.split()
    return [
        cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True), [])
    ]


def cells_of(line: str, separator: str, source: str, number: int) -> list[str]:
    """Return the cells of line `number`; RecordError for quotes that do not close."""
    try:
        return split_line(line, separator)
    except csv.Error as error:
        raise RecordError(f"{source}: not a CSV file (line {number}: {error}); correct it") from error


def find_separator(body: list[str], given: str | None, source: str) -> tuple[str, str]:
    """Separator and decimal mark of lines of samples."""
    for separator in (given,) if given else (";", "\t", "|", ","):
        rows = [line for line in body if separator in line]
        if not rows or 2 * len(rows) < len(body):
            continue
        if separator != ",":
            return separator, "," if any(re.search(r"[0-9],[0-9]", line) for line in rows) else "."
        quoted = all(re.search(r'"\s*[+-]?[0-9]+,[0-9]+\s*"', line) for line in rows)
        if quoted:  # "0,004","-0,007"
            return ("," if all('","' in line for line in rows) else ""), ","
        if _all(rows, r"\s*[+-]?[0-9]+,[0-9]*\s*") and (column := _decimal_column(rows, source)) is not None:
            return ("", ",") if column else (",", ".")
        if _all(rows, r"\s*[+-]?[0-9]+,[0-9]+(\s+[+-]?[0-9]+,[0-9]+)+\s*"):
            return " ", ","
        cells = [line.split(",") for line in rows]
        if len(cells[0]) > 2 and all(INTEGER.fullmatch(c.strip()) for cells_ in cells for c in cells_ if c.strip()):
            padded = any(re.fullmatch(r"0[0-9]+", c.strip()) for cells_ in cells for c in cells_)
            if padded or any(c.strip() == "-0" for cells_ in cells for c in cells_):
                raise RecordError(
                    f"{source}: commas seem both to separate and to mark decimals ({rows[0].strip()[:40]}); "
                    "save it with semicolons between columns, or with decimal points"
                )
        return ",", "."
    cells = [line.split() for line in body]
    blanks = sum(len(row) > 1 and _looks_numeric(row[-1]) for row in cells)
    if 2 * blanks > len(body) and not all(is_clock(line) for line in body):
        return " ", "," if any(re.search(r"[0-9],[0-9]", line) for line in body) else "."
    return "", "."


def _looks_numeric(cell: str) -> bool:
    return number_of(cell, ".") is not None or number_of(cell, ",") is not None


def _all(body: list[str], pattern: str) -> bool:
    return all(re.fullmatch(pattern, line) for line in body)


def _decimal_column(body: list[str], source: str) -> bool | None:
    """True when `0,123` in every line is one number with decimal comma, False when they are two columns of integers."""
    pairs = [line.strip().split(",") for line in body]
    whole, fraction = [p[0] for p in pairs], [p[1] for p in pairs]
    if all(f == "" for f in fraction):
        return False  # a comma ends every line
    if any(re.fullmatch(r"[+-]?0[0-9]+", w) for w in whole):
        return False
    if any(w == "-0" for w in whole) or any(re.fullmatch(r"0[0-9]+", f) for f in fraction):
        return True
    if is_counting(whole) or _is_rising(whole):
        return False
    if max(abs(int(w)) for w in whole) >= 10 and len({len(f) for f in fraction}) > 1:
        return False
    if len(pairs) < 4:
        return False
    raise RecordError(
        f"{source}: {body[0].strip()[:40]!r}: the comma may separate two columns or mark decimals; save it with "
        "decimal points, or give the columns names"
    )


def _is_rising(cells: list[str]) -> bool:
    numbers = [int(cell) for cell in cells]
    return len(numbers) > 2 and all(b > a for a, b in pairwise(numbers))


def is_counting(cells: list[str]) -> bool:
    """Tell whether cells count up by one."""
    text = [cell.strip("\"' ") for cell in cells]
    if len(text) < 2 or not all(re.fullmatch(r"[0-9]{1,15}", cell) for cell in text):
        return False
    return all(int(b) - int(a) == 1 for a, b in pairwise(text))
