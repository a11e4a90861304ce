"""All fuzzers in turn, each for its share of a stated processor time; 1 when there was a fault.

python -m attack --seconds 60        # in scripts/, or with it on PYTHONPATH
"""

import argparse
import json
import sys
from importlib import import_module

from attack.common import attack

TARGETS = {"headers": 3, "tables": 3, "models": 2, "checkpoints": 1, "streams": 2, "metrics": 1}
"""Modules with a `try_one`, and their shares of the time."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m attack", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of processor time in all (default 60)")
    parser.add_argument("--seed", type=int, default=0, help="of all inputs (default 0)")
    options = parser.parse_args()
    inputs = faults = 0
    for name, share in TARGETS.items():
        target = import_module(f"attack.{name}").try_one
        attack(target, inputs=1)  # compiles
        found = attack(target, seconds=options.seconds * share / sum(TARGETS.values()), seed=options.seed)
        print(json.dumps({"target": name, **found}), flush=True)
        inputs += found["inputs"]
        faults += found["outcomes"].get("fault", 0)
    print(f"{inputs:,} inputs, {faults} faults")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
