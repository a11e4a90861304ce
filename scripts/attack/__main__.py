"""All fuzzers in turn, each for its share of a processor time or of a number of inputs; 1 when there was a fault.

python -m attack --seconds 60        # in scripts/, or with it on PYTHONPATH
python -m attack --inputs 1000000    # a quarter of an hour
"""

import argparse
import json
import math
import sys
from importlib import import_module
from typing import NamedTuple

from attack.common import attack


class Share(NamedTuple):
    """Of the time and of the inputs."""

    time: float
    inputs: float


TARGETS = {
    "streams": Share(0.15, 0.55),
    "metrics": Share(0.08, 0.06),
    "checkpoints": Share(0.07, 0.09),
    "models": Share(0.15, 0.12),
    "classifiers": Share(0.05, 0.04),
    "headers": Share(0.25, 0.07),
    "tables": Share(0.25, 0.07),
}
"""Modules with a `try_one`; their shares sum to 1, that of the inputs by what one costs."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m attack", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, help="of processor time in all (default 60, no limit with --inputs)")
    parser.add_argument("--inputs", type=int, help="how many in all")
    parser.add_argument("--seed", type=int, default=0, help="of all inputs (default 0)")
    options = parser.parse_args()
    seconds = options.seconds or (60.0 if options.inputs is None else math.inf)
    inputs = faults = 0
    for name, share in TARGETS.items():
        target = import_module(f"attack.{name}").try_one
        attack(target, inputs=1)  # compiles
        most = None if options.inputs is None else math.ceil(options.inputs * share.inputs)
        found = attack(target, seconds=seconds * share.time, inputs=most, seed=options.seed)
        print(json.dumps({"target": name, **found}), flush=True)
        inputs += found["inputs"]
        faults += found["outcomes"].get("fault", 0)
    print(f"{inputs:,} inputs, {faults} faults")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
