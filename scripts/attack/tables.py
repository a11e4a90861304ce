"""Text tables: every layout that is documented is read as it was meant; damage is refused, or seen where it was done.

A table is made of a known signal in a random layout: separator, decimal mark, line ends, encoding, names and units of
columns, times as seconds, ms, clock times or dates, lines before the samples, blank lines. Then, in two thirds of the
inputs, it is damaged.
"""

import datetime
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attack.common import main, pick, refusal
from ecgcvx.errors import RecordError
from ecgcvx.records import Recording, read_recording

RATES = (128.0, 200.0, 250.0, 256.0, 360.0, 500.0, 1000.0)
UNITS = {  # how many make a mV
    "": 1.0,
    "mV": 1.0,
    "uV": 1e3,
    "µV": 1e3,
    "V": 1e-3,
    "millivolts": 1.0,
    "microvolts": 1e3,
    "Volts": 1e-3,
}
BAD_CELLS = ("abc", "1_000", "0x10", "1e999", "inf", "True", "1.2.3", "--1", "١٢", "#REF!", "1 2 3")


@dataclass
class Made:
    """A table and what is in it: lines, the number of the first line of samples, signal in mV."""

    lines: list[str]
    first: int
    signal: np.ndarray
    rate: float
    timed: bool
    separator: str
    ends: str
    encoding: str


def make(random: np.random.Generator) -> Made:
    """A table in a random layout."""
    n, rate = int(random.integers(66, 110)), pick(random, RATES)
    signal = np.round(np.sin(np.arange(n) / random.uniform(3, 8)) * 0.7 + 0.05 * random.standard_normal(n), 3)
    separator = pick(random, (",", ";", "\t", "|", " "))
    comma = separator in (";", "\t") and random.random() < 0.4
    unit = pick(random, tuple(UNITS))
    name = pick(random, ("ECG", "II", "MLII", "V5", "Lead II", "ecg"))
    shape = pick(random, ("{0} ({1})", "{0} [{1}]", "{0}_{1}", "{0}/{1}", "{0} {1}")) if unit else "{0}"
    if unit == "V" and shape in ("{0}_{1}", "{0} {1}"):
        shape = "{0} ({1})"  # `ECG V` is the chest lead
    head = shape.format(name, unit)
    cells = [f"{value * UNITS[unit]:.{9 if unit in ('V', 'Volts') else 4}f}" for value in signal]
    gap = int(random.integers(n)) if random.random() < 0.3 else None
    if gap is not None and separator != " ":
        cells[gap], signal[gap] = pick(random, ("", "NaN", "NA", "-")), np.nan
    timed = random.random() < 0.7
    if not timed and gap in (0, n - 1):
        cells[gap] = cells[gap] or "NaN"  # a blank line at either end of a single column is no sample
    time_head, times = stamps(random, np.arange(n), rate, separator)
    if separator == " " and (" " in head or any(" " in time for time in times[:1]) or " " in time_head):
        head, time_head, times = name.replace(" ", ""), "time", [f"{i / rate:.6f}" for i in range(n)]
        cells = [f"{value:.4f}" for value in signal]
    if comma:
        cells = [cell.replace(".", ",") for cell in cells]
        times = [time.replace(".", ",") for time in times]
    columns, heads = [cells], [head]
    if timed:
        columns, heads = [times, *columns], [time_head, *heads]
    if random.random() < 0.3 and timed:
        columns, heads = [*columns, ["7"] * n], [*heads, "RESP"]
    if not timed and separator == " ":
        separator = ","
    rows = [separator.join(row) for row in zip(*columns, strict=True)]
    before: list[str] = []
    if random.random() < 0.3:
        before = [f"{pick(random, ('#', '%', '//'))} {pick(random, ('device: demo', 'made by hand', 'x,y,z'))}"]
    if random.random() < 0.2 and separator != " ":
        before += [f"# Sampling rate: {rate:g} Hz"]
    lines = [*before, separator.join(heads), *rows]
    return Made(
        lines, len(before) + 2, signal, rate, timed, separator, pick(random, ("\n", "\r\n", "\r", "\r\r\n")),
        pick(random, ("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1")),
    )  # fmt: skip


def stamps(random: np.random.Generator, index: np.ndarray, rate: float, separator: str) -> tuple[str, list[str]]:
    """Name of the column of times, and its cells."""
    seconds = index / rate
    kind = pick(random, ("s", "named s", "ms", "us", "clock", "iso", "epoch"))
    if kind == "s":
        return pick(random, ("time", "t", "Time", "Elapsed time")), [f"{x:.6f}" for x in seconds]
    if kind == "named s":
        return pick(random, ("time (s)", "time_s", "timestamp(s)", "seconds")), [f"{x:.6f}" for x in seconds]
    if kind in ("ms", "us"):
        factor = {"ms": 1e3, "us": 1e6}[kind]
        return pick(random, ("time ({})", "time_{}", "Time [{}]")).format(kind), [f"{x * factor:.4f}" for x in seconds]
    if kind == "epoch":
        return "timestamp", [f"{1.7e9 + x:.6f}" for x in seconds]
    begin = datetime.datetime(2024, 2, 29, 23, 59, 59, 800000)
    moments = [begin + datetime.timedelta(microseconds=round(1e6 * x)) for x in seconds]
    if kind == "clock":
        return "time", [moment.strftime("%H:%M:%S.%f") for moment in moments]
    return "timestamp", [moment.isoformat(timespec="microseconds") for moment in moments]


def read(made: Made, folder: Path, content: bytes | None = None) -> Recording:
    """Write a table and read it back."""
    path = folder / pick(np.random.default_rng(len(made.lines)), ("table.csv", "table.txt"))
    text = made.ends.join([*made.lines, ""])
    path.write_bytes(text.encode(made.encoding, "replace") if content is None else content)
    return read_recording(path, sampling_frequency=None if made.timed else made.rate)


def same(found: Recording, signal: np.ndarray, rate: float) -> bool:
    """Whether a recording is the signal."""
    return (
        len(found.signal) == len(signal)
        and abs(found.sampling_frequency / rate - 1) < 1e-3
        and np.allclose(found.signal, signal, atol=1e-5, equal_nan=True)
    )


def try_one(random: np.random.Generator, folder: Path) -> str:
    """Read a table as made, or damaged."""
    made = make(random)
    damage = pick(random, ("none", "none", "cell", "row", "bytes", "cut", "short"))
    if damage == "none":
        found = read(made, folder)
        assert same(found, made.signal, made.rate), f"read as {found.signal[:5]}, {found.sampling_frequency} Hz"
        return "read"
    place = int(random.integers(len(made.signal)))
    line = made.first + place
    if damage == "cell":
        cells = made.lines[line - 1].split(made.separator)
        cells[1 if made.timed else 0] = pick(random, BAD_CELLS[:-1] if made.separator == " " else BAD_CELLS)
        made.lines[line - 1] = made.separator.join(cells)
    elif damage == "row":
        del made.lines[line - 1]
    elif damage == "short" and made.timed:
        made.lines[line - 1] = made.lines[line - 1].split(made.separator)[0]
    content = made.ends.join([*made.lines, ""]).encode(made.encoding, "replace")
    if damage == "cut":
        content = content[: int(random.integers(len(content)))]
    elif damage == "bytes":
        for _ in range(int(random.integers(1, 6))):
            at = int(random.integers(len(content)))
            content = content[:at] + random.bytes(int(random.integers(0, 3))) + content[at + 1 :]
    try:
        found = read(made, folder, content)
    except RecordError as error:
        said = str(error)
        assert damage != "cell" or place <= 3 or f"line {line}" in said, f"line {line} was damaged: {said}"
        return refusal(error)
    assert damage != "cell", f"line {line} was damaged and read: {made.lines[line - 1]!r}"
    assert damage != "short" or not made.timed, f"line {line} is short and was read: {made.lines[line - 1]!r}"
    assert np.nanmax(np.abs(found.signal)) <= 1e10
    if damage == "row" and made.timed and 0 < place < len(made.signal) - 1:
        expected = made.signal.copy()
        expected[place] = np.nan
        assert same(found, expected, made.rate), f"line {line} is missing, and no gap is there"
    return "read though damaged"


if __name__ == "__main__":
    sys.exit(main(try_one, __doc__.splitlines()[0]))
