"""WFDB headers: every spelling of the standard is read as it was meant; damage is refused, or read as wfdb reads it.

A record of known samples gets a header with random fields left out or spelt in other ways. Then, in two thirds of the
inputs, header or signal file are damaged: what is still read must be what wfdb reads from the same files, and a change
of a sample must be seen where the header has a checksum.
"""

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import wfdb

from attack.common import main, pick, refusal
from ecgcvx.errors import RecordError
from ecgcvx.formats.units import per_millivolt
from ecgcvx.records import read_recording

BITS = {"16": 16, "61": 16, "160": 16, "80": 8, "24": 24, "32": 32, "212": 12}


def pack(samples: np.ndarray, form: str) -> bytes:
    """Samples (n,) in a format, by its definition in signal(5)."""
    if form in ("16", "61"):
        return samples.astype("<i2" if form == "16" else ">i2").tobytes()
    if form == "160":
        return (samples + 2**15).astype("<u2").tobytes()
    if form == "80":
        return (samples + 2**7).astype("u1").tobytes()
    if form in ("24", "32"):
        width = int(form) // 8
        return samples.astype("<i4").view("u1").reshape(-1, 4)[:, :width].tobytes()
    pairs = np.pad(samples, (0, len(samples) % 2)).reshape(-1, 2) & 0xFFF
    low, high = pairs.T
    packed = np.stack([low & 0xFF, low >> 8 | (high >> 8) << 4, high & 0xFF], axis=1).astype("u1").tobytes()
    return packed if len(samples) % 2 == 0 else packed[:-1]


def make(random: np.random.Generator, folder: Path) -> tuple[str, np.ndarray, dict[str, Any]]:
    """Write a record; return its header, the signal of its lead in mV, and more of it."""
    n, leads, form = int(random.integers(20, 120)), int(random.integers(1, 4)), pick(random, tuple(BITS))
    bound = min(2 ** (BITS[form] - 1) - 1, 5000)
    digital = random.integers(-bound, bound + 1, (n, leads))
    (folder / "rec.dat").write_bytes(pack(digital.ravel(), form))

    def blank() -> str:
        return pick(random, (" ", "  ", "\t", " \t "))

    rate = pick(random, (128, 250, 360, 500.5, 1000))
    lead = int(random.integers(leads))
    truth: np.ndarray | None = None
    checked = False
    lines = []
    for k in range(leads):
        gain = pick(random, ("", "0", "200", "128.", "1e2", ".5", "-100", "200.0"))
        baseline = int(random.integers(-100, 100)) if gain and random.random() < 0.5 else None
        unit = pick(random, ("mV", "uV", "V", "µV")) if gain and random.random() < 0.5 else None
        zero = int(random.integers(-50, 50))
        count = pick(random, (0, 1, 2, 3, 4, 5)) if gain else 0
        checksum = int(digital[:, k].sum() % 65536) if random.random() < 0.7 else 0
        checksum = checksum - 65536 if checksum > 32767 and random.random() < 0.8 else checksum
        rest = [str(BITS[form]), str(zero), str(digital[0, k]), str(checksum), "0"][:count]
        name = pick(random, ("II", "MLII", "V5", "ECG")) if count == 5 else ""
        field = gain + (f"({baseline})" if baseline is not None else "") + (f"/{unit}" if unit else "")
        lines.append(
            blank().join(["rec.dat", form + pick(random, ("", "x1", ":0", "+0")), *([field] if field else []), *rest])
        )
        lines[-1] += blank() + name if name else ""
        if k == lead:
            offset = baseline if baseline is not None else zero if count >= 2 else 0
            truth = (digital[:, k] - offset) / (float(gain or 0) or 200.0) / (per_millivolt(unit or "mV") or 1.0)
            # A sum modulo 65,536 does not see the upper bits of longer samples.
            checked = count >= 4 and checksum % 65536 != 0 and BITS[form] <= 16
    first = ["rec", str(leads), str(rate)]
    first += [str(n)] if random.random() < 0.8 or form == "212" else []
    first += (
        ["10:00:00", pick(random, ("01/02/2003", "2006", "1.2.03"))]
        if len(first) == 4 and random.random() < 0.3
        else []
    )
    if random.random() < 0.3:
        lines.insert(0, "# a comment")
    header = pick(random, ("\n", "\r\n")).join([blank().join(first), *lines, pick(random, ("", "# end"))]) + "\n"
    assert truth is not None
    return header, truth, {"lead": lead, "rate": rate, "checked": checked, "form": form, "leads": leads, "n": n}


def try_one(random: np.random.Generator, folder: Path) -> str:
    """Read a record as made, or damaged."""
    header, truth, more = make(random, folder)
    damage = pick(random, ("none", "none", "header", "header", "cut", "sample"))
    content = header.encode(pick(random, ("utf-8", "latin-1")))
    if damage == "header":
        for _ in range(int(random.integers(1, 4))):
            at = int(random.integers(len(content)))
            content = (
                content[:at] + random.bytes(int(random.integers(0, 3))) + content[at + int(random.integers(0, 3)) :]
            )
    elif damage == "cut":
        content = content[: int(random.integers(len(content)))]
    elif damage == "sample":
        data = bytearray((folder / "rec.dat").read_bytes())
        at = int(random.integers(len(data) * 8))
        data[at // 8] ^= 1 << at % 8
        (folder / "rec.dat").write_bytes(bytes(data))
    (folder / "rec.hea").write_bytes(content)
    try:
        found = read_recording(folder / "rec", lead=more["lead"])
    except RecordError as error:
        said = str(error)
        assert damage != "none", f"refused: {said}"
        return refusal(error)
    changed = not np.allclose(found.signal, truth, rtol=1e-12, atol=1e-15) if len(found.signal) == len(truth) else True
    if damage == "none":
        assert not changed, f"read as {found.signal[:4]} where {truth[:4]} was written"
        assert found.sampling_frequency == more["rate"]
        return "read"
    if damage == "sample":
        assert not (changed and more["checked"]), "a changed sample passed its checksum"
        return "read though damaged"
    theirs = read_by_wfdb(folder, more["lead"]) if content.isascii() else None  # wfdb drops the µ of µV
    if theirs is not None:
        signal, rate, unit = theirs
        if unit in ("mV", "uV", "V") and len(signal) == len(found.signal) and rate == found.sampling_frequency:
            mine = found.signal * (per_millivolt(unit) or 1.0)
            assert np.allclose(mine, signal, rtol=1e-9, atol=1e-12, equal_nan=True), (
                f"wfdb reads {signal[:4]}, we {mine[:4]}"
            )
    return "read though damaged"


def read_by_wfdb(folder: Path, lead: int) -> tuple[np.ndarray, float, str] | None:
    """Signal in its unit, Hz and unit as wfdb reads them; None where it does not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            record = wfdb.rdrecord(str(folder / "rec"), channels=[lead])
            return record.p_signal[:, 0], float(record.fs), record.units[0]
        except Exception:  # it raises whatever its parsing meets
            return None


if __name__ == "__main__":
    sys.exit(main(try_one, __doc__.splitlines()[0]))
