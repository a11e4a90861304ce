"""One lead of a text table (CSV, TSV and their kin): pandas reads the numbers, all around them is checked."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ecgcvx.errors import RecordError
from ecgcvx.formats.clock_text import ClockText
from ecgcvx.formats.csv_cells import MISSING, cells_of, number_of
from ecgcvx.formats.csv_layout import Layout, read_layout
from ecgcvx.formats.csv_lines import TextFile, open_text
from ecgcvx.formats.table import Table
from ecgcvx.types import Array

HEAD = 1 << 16  # bytes that the layout is read from
_TRUTH = (b"u", b"U", b"s", b"S")  # letters of True and False: pandas takes a column of them for numbers
_NA = sorted({spelling for text in MISSING for spelling in (text, text.upper(), text.capitalize())} | {"NaN", "N/a"})


def csv_table(path: Path) -> Table:
    """Return a text file as a table.

    Raises
    ------
    RecordError
        when it is missing, or no table of numbers.
    """
    source = str(path)
    text = open_text(path)
    layout = read_layout(text.head(HEAD), text.lines, source)
    first = np.array([[_plain(cell, layout.decimal) for cell in row] for row in layout.rows]).reshape(-1, layout.width)

    def read(column: int, times: int | None) -> tuple[Array, Array | None]:
        return _read(text, layout, column, times, source)

    def place(row: int) -> str:
        return f"line {_line_of(text, layout, row)}"

    return Table(source, layout.heads, layout.named, read, place, first, layout.clocks, layout.rate, layout.notes)


def _plain(cell: str, decimal: str) -> float:
    number = number_of(cell, decimal)
    return float("nan") if number is None else number


def _line_of(text: TextFile, layout: Layout, row: int) -> int:
    return layout.first + 1 + row * text.step


def _read(text: TextFile, layout: Layout, column: int, times: int | None, source: str) -> tuple[Array, Array | None]:
    """A column, and that of times, as floats."""
    signal = np.empty(text.lines)
    stamps = None if times is None else np.empty(text.lines)
    clock = ClockText()
    n = 0
    clocked = times is not None and times in layout.clocks
    columns = [column] if times is None or clocked else [column, times]
    for line, block in _data_blocks(text, layout):
        values = _read_block(block, line, layout, columns, source, text.step)
        stop = n + len(values[0])
        signal[n:stop] = values[0]
        if stamps is not None and times is not None:
            stamps[n:stop] = (
                _read_clocks(block, line, layout, times, clock, source, text.step) if clocked else values[1]
            )
        n = stop
    return signal[:n], None if stamps is None else stamps[:n]


def _data_blocks(text: TextFile, layout: Layout) -> Iterator[tuple[int, bytes]]:
    """Blocks of rows without what precedes them, without blank lines that are no samples; rows of the given width."""
    held = b""  # blank lines end a file, or stand for gaps of a single column
    for number, block in text.blocks():
        line = number
        if line <= layout.first:
            skip = min(layout.first - line + 1, block.count(b"\n"))
            cut = 0
            for _ in range(skip):
                cut = block.index(b"\n", cut) + 1
            block, line = block[cut:], line + skip
        line -= held.count(b"\n")
        block = held + block
        kept = block.rstrip(b"\n \t") if layout.separator != "\t" else block.rstrip(b"\n ")
        held = block[len(kept) :]
        if not kept:
            continue
        held = held[held.index(b"\n") + 1 :]
        kept += b"\n"
        if text.spaced:
            kept = re.sub(rb"\n[ \t]*(?=\n)", b"", kept)
        if layout.separator == " ":
            kept = re.sub(rb"(?m)^[ \t]+|[ \t]+$", b"", kept)
            kept = re.sub(rb"[ \t]+", b" ", kept)
        _check_width(kept, line, layout, str(text.path), text.step)
        yield line, kept


def _check_width(block: bytes, line: int, layout: Layout, source: str, step: int) -> None:
    """Refuse a row that is longer or shorter than the others: pandas fills up the one and cuts the other."""
    separator = layout.separator.encode()
    if layout.width == 1:
        return
    expected = layout.width - 1
    if b'"' not in block:
        data = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero(data == 10)
        marks = np.flatnonzero(data == separator[0])
        counts = np.diff(np.searchsorted(marks, ends), prepend=0)
        wrong = np.flatnonzero(counts != expected)
        if not len(wrong):
            return
        row, found = int(wrong[0]), int(counts[wrong[0]]) + 1
        begin = int(ends[row - 1]) + 1 if row else 0
        content = block[begin : int(ends[row])].strip()
        what = (
            "is blank" if not content else f"has {found} field{'s' * (found > 1)} where the others have {layout.width}"
        )
        raise RecordError(f"{source}: line {line + row * step} {what}; correct or remove it")
    for row, text in enumerate(block.decode("utf-8").split("\n")[:-1]):
        width = len(cells_of(text, layout.separator, source, line + row * step))
        if width != layout.width:
            raise RecordError(
                f"{source}: line {line + row * step} has {width} fields where the others have {layout.width}; correct "
                "or remove it"
            )


def _read_block(block: bytes, line: int, layout: Layout, columns: list[int], source: str, step: int) -> list[Array]:
    """Columns of a block of rows: by pandas when all cells are plain, else cell by cell to name the line."""
    import pandas as pd

    options: dict[str, Any] = {}
    if tuple(int(part) for part in pd.__version__.split(".")[:2]) < (3, 1):
        options["float_precision"] = "round_trip"  # the default from pandas 3.1 on
    if not any(letter in block for letter in _TRUTH):
        try:
            frame = pd.read_csv(
                io.BytesIO(block), header=None, names=range(layout.width), usecols=columns, dtype=np.float64,
                sep=layout.separator or "\x1f", decimal=layout.decimal, skipinitialspace=True, keep_default_na=False,
                na_values=_NA, skip_blank_lines=False, engine="c", index_col=False, **options,
            )  # fmt: skip
        except (ValueError, UnicodeError):  # of pandas, whose parser errors are ValueErrors
            pass
        else:
            values: list[Array] = [frame[column].to_numpy(np.float64) for column in columns]
            if len(frame) == block.count(b"\n") and not any(np.isinf(found).any() for found in values):
                return values
    return [_read_cells(block, line, layout, column, source, step) for column in columns]


def _cells_of(block: bytes, line: int, layout: Layout, column: int, source: str, step: int) -> list[str]:
    rows = block.decode("utf-8").split("\n")[:-1]
    return [
        cells_of(row, layout.separator, source, line + number * step)[column] if row else ""
        for number, row in enumerate(rows)
    ]


def _read_cells(block: bytes, line: int, layout: Layout, column: int, source: str, step: int) -> Array:
    cells = _cells_of(block, line, layout, column, source, step)
    values = np.empty(len(cells))
    for row, cell in enumerate(cells):
        number = number_of(cell, layout.decimal)
        if number is None or abs(number) == float("inf"):
            raise RecordError(
                f"{source}: line {line + row * step}: {cell.strip()[:40]} is not a number; correct or empty it"
            )
        values[row] = number
    return values


def _read_clocks(
    block: bytes, line: int, layout: Layout, column: int, clock: ClockText, source: str, step: int
) -> Array:
    cells = _cells_of(block, line, layout, column, source, step)
    seconds = clock.seconds(cells)
    bad = np.flatnonzero(np.isnan(seconds))
    if len(bad):
        raise RecordError(f"{source}: line {line + int(bad[0]) * step}: {cells[bad[0]][:40]!r} is no time; correct it")
    return seconds
