"""Lines of a stream: what is valid is read as it was meant; no line ends the reader, and none steers the terminal."""

import contextlib
import io
import json
import math
import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import numpy as np

from attack.common import main, pick
from attack.damage import DEEP, HOSTILE, damaged, hostile_json
from ecgcvx.formats.csv_cells import MISSING
from ecgcvx.streaming.line import Sample
from ecgcvx.streaming.source import Lines, Signals

RATE = 360.0
PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
GAPS = ("", "nan", "NaN", "null", "inf", "-inf", "+inf", "+Inf")
ODD = (
    b"1" * 400, b"1e400", b"-1e400", b"1e-400", b"[" * DEEP, b'{"sample": ' + b"9" * 5000 + b"}", b"1,2,3", b"1;2",
    b"1,5", b"0x10", b"1_0", "١٢".encode(), b"\xff\xfe1", b"\x00", b"\x1b[2J", b'{"sample": true}', b'{"sample": "1"}',
    b'{"sample": NaN}', b'{"sample": 1, "time": Infinity}', b"{}", b"[]", b"null", b"nan,nan", b",", b"1,", b",1",
)  # fmt: skip


def valid(random: np.random.Generator) -> tuple[str, float, float | None, float | None]:
    """A line, and the value, time and position that it means."""
    value = float(np.round(random.standard_normal() * 10.0 ** int(random.integers(-6, 5)), int(random.integers(12))))
    number = pick(random, (f"{value!r}", f"{value:.9f}", f"{value:e}", f"{value:+.6f}"))
    value = float(number)
    gap = random.random() < 0.15
    kind = int(random.integers(4))
    if kind == 0:
        return (pick(random, GAPS[1:]), math.nan, None, None) if gap else (number, value, None, None)
    time = f"{random.uniform(0, 1e6):.6f}"
    if kind == 1:
        field = pick(random, GAPS) if gap else number
        blank = pick(random, ("", " ", "\t"))
        return f"{time}{blank},{blank}{field}", math.nan if gap else value, float(time), float(time) * RATE
    told: dict[str, Any] = {"sample": None if gap else value}
    if kind == 2:
        told["time"] = float(time)
        return json.dumps(told), math.nan if gap else value, float(time), float(time) * RATE
    told |= {"sequence": int(random.integers(10**9)), "lead": "II"}
    return json.dumps(told), math.nan if gap else value, None, float(told["sequence"])


def try_one(random: np.random.Generator, folder: Path) -> str:
    """Read one line, valid or damaged."""
    lines = Lines(0, RATE, cast(Signals, None))
    lines.number = 1  # the first line may be one of names
    text, value, time, position = valid(random)
    what = pick(random, ("valid", "valid", "bytes", "json", "odd"))
    data = text.encode()
    if what == "bytes":
        data = damaged(random, data)
    elif what == "json":
        told = hostile_json(random, {"sample": 1.5, "time": 2.25, "sequence": 7})
        data = json.dumps(told).encode()
    elif what == "odd":
        data = pick(random, ODD) if random.random() < 0.5 else str(pick(random, HOSTILE)).encode(errors="replace")
    data = data.replace(b"\n", b"") + pick(random, (b"", b"\r", b" "))
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        found = lines._sample(data)
    words = said.getvalue()
    assert words.count("\n") == lines.malformed <= 1
    assert words.strip().isprintable(), f"not printable: {words!r}"
    assert len(words) < 500, f"{len(words)} characters"
    if what == "valid":
        assert found is not None, f"refused: {data!r}: {words}"
        same = found.value == value or (math.isnan(found.value) and math.isnan(value))
        assert same, f"{data!r} read as {found}"
        assert (found.time, found.position) == (time, position), f"{data!r} read as {found}"
        return "read"
    if found is None:
        assert lines.malformed or not data.strip() or not re.search(rb"[0-9{\[]", data) or lines.number == 1
        return "refused"
    check(data, found)
    return "read though damaged"


def check(data: bytes, found: Sample) -> None:
    """A line that was read means its sample by the rules of CSV and JSON alone."""
    assert not math.isinf(found.value), f"{data!r} read as {found}"
    assert math.isnan(found.value) or abs(found.value) <= 1e10
    assert all(number is None or math.isfinite(number) for number in (found.time, found.position))
    text = data.decode("utf-8" if data.startswith(b"{") else "ascii").strip()
    if text.startswith("{"):
        told = json.loads(text)
        expected = math.nan if told["sample"] is None else float(told["sample"])
    else:
        field = text.rpartition(",")[2].strip()
        gap = field.lower() in (*MISSING, *GAPS)
        assert PLAIN.fullmatch(field) or gap, f"{data!r} read as {found}"
        expected = math.nan if gap else float(Decimal(field))
    expected = expected if math.isfinite(expected) else math.nan
    assert found.value == expected or (math.isnan(found.value) and math.isnan(expected)), f"{data!r} read as {found}"


if __name__ == "__main__":
    sys.exit(main(try_one, (__doc__ or "").splitlines()[0]))
