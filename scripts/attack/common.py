"""What every fuzzer shares: the loop, the count, the faults and the inputs that made them."""

import argparse
import json
import math
import os
import shutil
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ecgcvx.errors import EcgcvxError

Target = Callable[[np.random.Generator, Path], str]
"""Tries one input in an empty folder; returns what came out ('read', 'refused', ...), AssertionError for a fault."""

T = TypeVar("T")
LONGEST = 600  # characters of a message
LOOK = 16  # inputs between looks at the clock
MEMORY = "/dev/shm"  # where files cost no disk


def attack(target: Target, *, seconds: float = math.inf, inputs: int | None = None, seed: int = 0) -> dict[str, Any]:
    """Try inputs until `seconds` of processor time are over or `inputs` are tried; count outcomes, keep ten faults.

    Input k depends on (seed, k) alone, so that a fault can be made again.
    """
    begun, k = time.process_time(), 0
    outcomes: Counter[str] = Counter()
    faults: list[dict[str, object]] = []
    with in_memory() as name, warnings.catch_warnings():
        warnings.simplefilter("error")
        while (inputs is None or k < inputs) and (k % LOOK or time.process_time() - begun < seconds):
            try:
                outcomes[target(np.random.default_rng([seed, k]), Path(name))] += 1
            except Exception as error:  # whatever escapes is what this is for
                outcomes["fault"] += 1
                if len(faults) < 10:
                    said = traceback.format_exception_only(error)[-1].strip()
                    faults.append({"seed": seed, "input": k, "error": said[:LONGEST]})
            empty(name)
            k += 1
    spent = round(time.process_time() - begun, 1)
    return {"inputs": k, "seconds": spent, "outcomes": dict(outcomes), "faults": faults}


@contextmanager
def in_memory() -> Iterator[str]:
    """A folder that costs no disk, where there is such a thing, and in which other scratch folders are made too."""
    before = tempfile.tempdir
    if os.path.isdir(MEMORY):
        tempfile.tempdir = MEMORY
    try:
        with tempfile.TemporaryDirectory(prefix="ecgcvx-attack-") as name:
            yield name
    finally:
        tempfile.tempdir = before


def empty(folder: str) -> None:
    """Remove what an input left, so that the next one has an empty folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)


def pick(random: np.random.Generator, values: Sequence[T]) -> T:
    """One of some values."""
    return values[int(random.integers(len(values)))]


def refusal(error: EcgcvxError) -> str:
    """Check that an error is one printable line of a sane length; return 'refused'."""
    text = str(error)
    assert text.isprintable(), f"a message that is not printable: {text!r}"
    assert 10 < len(text) <= LONGEST, f"a message of {len(text)} characters"
    return "refused"


def main(target: Target, words: str) -> int:
    """Run a fuzzer from the command line; 1 when there was a fault."""
    parser = argparse.ArgumentParser(description=words)
    parser.add_argument("--seconds", type=float, default=60.0, help="of processor time (default 60)")
    parser.add_argument("--seed", type=int, default=0, help="of all inputs (default 0)")
    parser.add_argument("--input", type=int, help="try this one alone, and show its traceback")
    options = parser.parse_args()
    if options.input is not None:
        folder = Path(tempfile.mkdtemp(prefix="ecgcvx-attack-"))
        print(f"in {folder}")
        print(target(np.random.default_rng([options.seed, options.input]), folder))
        return 0
    found = attack(target, seconds=options.seconds, seed=options.seed)
    print(json.dumps(found, indent=1))
    return 1 if found["faults"] else 0
