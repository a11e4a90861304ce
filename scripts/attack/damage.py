"""Damage to bytes and to JSON, drawn at random."""

import copy
import json
import math
from typing import Any

import numpy as np

from attack.common import pick

HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 1e308, -1e308, math.inf, -math.inf, math.nan, 10**400, 2**63, -(2**63), 1e-320, "",
    "x", "nan", "1e5", "\x1b[31m\u202e", "../../etc/passwd", "<script>alert(1)</script>", "é" * 3000, [], [1], {},
    {"a": 1}, [[[[[]]]]],
)  # fmt: skip
"""Values that JSON can carry and that hardly any field expects."""
DEEP = 100_000  # brackets


def damaged(random: np.random.Generator, data: bytes) -> bytes:
    """Bytes with a few bits flipped, bytes put in or taken out, or the end cut off."""
    kind = int(random.integers(5))
    if kind == 0:
        return data[: int(random.integers(len(data)))]
    found = bytearray(data)
    for _ in range(int(random.integers(1, 4))):
        at = int(random.integers(len(found)))
        if kind == 1:
            found[at : at + int(random.integers(4))] = random.bytes(int(random.integers(4)))
        elif kind == 2:
            found[at] = int(random.integers(256))
        else:
            found[at] ^= 1 << int(random.integers(8))
        if not found:
            return b""
    return bytes(found)


def hostile_json(random: np.random.Generator, value: Any) -> Any:
    """A copy of a JSON value with one place in it replaced, left out, or added."""
    value = copy.deepcopy(value)
    here, path = value, list[tuple[Any, Any]]()
    while isinstance(here, dict | list) and here and (not path or random.random() < 0.7):
        key = pick(random, list(here) if isinstance(here, dict) else list(range(len(here))))
        path.append((here, key))
        here = here[key]
    if not path:
        return pick(random, HOSTILE)
    where, key = path[-1]
    what = int(random.integers(6))
    if what == 0:
        del where[key]
    elif what == 1 and isinstance(where, dict):
        where[f"{key}x"] = where.pop(key)
    elif what == 2 and isinstance(where[key], int | float) and abs(where[key]) <= 1e308 and where[key] is not True:
        where[key] = where[key] * pick(random, (-1, 0, 2, 1e10, 1e-10))
    else:
        where[key] = pick(random, HOSTILE)
    return value


def json_text(random: np.random.Generator, value: Any) -> str:
    """A JSON value as text, now and then one that is no JSON or too deep."""
    kind = int(random.integers(60))
    if kind == 0:
        return "[" * DEEP
    text = json.dumps(value)
    if kind < 4:
        return damaged(random, text.encode()).decode(errors="replace")
    return text
