"""Our solver over all patterns, in a process of its own as the peers are.

Usage: python train_ecgcvx.py RECORD RESULT.npz --threads 2 --beta 1e-4 [--horizon 1] [--gap 1e-3] [--confirm 3000]
RESULT gets the networks of all rounds on all rows: seconds (k,), sizes (k,) neurons, W1 (d, sum of sizes), W2 (sum of
sizes,); lines, the solver's history; ending, a JSON text; and version. The clock is the solver's own, from the windows
to the atoms. Networks are read from the solver's checkpoints, which are written after every round at its expense.
A short solve comes first, so that compiled code is there.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load

import ecgcvx
from ecgcvx.atoms.family import Atoms
from ecgcvx.models import ReluNetwork
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.records import read_recording
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.solvers.active_set.solution import Round
from ecgcvx.windows import split_windows


def main() -> None:
    """Parse the command line, solve, write."""
    arguments = _parser().parse_args()
    train = split_windows(read_recording(arguments.record).signal, horizon=arguments.horizon).train
    X, y = (train.X, train.y) if arguments.windows is None else (train.X[: arguments.windows], train.y)
    y = y[: X.shape[0]]
    solver = ActiveSetSolver(
        gap=arguments.gap, confirm_starts=arguments.confirm, seed=arguments.seed, threads=arguments.threads
    )
    few = replace(solver, rounds=8, confirm_starts=300)
    few.solve(AllPatterns(train.X[:4000], train.y[:4000], arguments.beta))

    program = AllPatterns(X, y, arguments.beta)
    seconds: list[float] = []
    networks: list[ReluNetwork] = []
    lines: list[Round] = []
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "state"
        read = None

        def look(line: Round) -> None:
            nonlocal read
            lines.append(line)
            if line.rows < len(y) or not checkpoint.exists() or (written := checkpoint.stat().st_mtime_ns) == read:
                return
            read = written
            held = load(checkpoint.read_bytes())
            seconds.append(line.seconds)
            networks.append(program.family.network(Atoms(held["points"], held["tags"])))

        solution = solver.solve(
            program, callback=look, time_limit=arguments.seconds, checkpoint=checkpoint, checkpoint_every=0.0
        )
    seconds.append(solution.seconds)
    networks.append(program.family.network(solution.atoms))
    found = solution.confirmation
    ending = {
        "status": solution.status, "primal": solution.primal, "gap": solution.gap, "memory_gib": _peak_memory(),
        **({} if found is None else {"starts": found.starts, "violators": found.violators, "price": found.price}),
    }  # fmt: skip
    np.savez(
        arguments.result, seconds=seconds, sizes=[network.neurons for network in networks],
        W1=np.concatenate([network.W1 for network in networks], axis=1),
        W2=np.concatenate([network.W2 for network in networks]),
        lines=np.array(lines, dtype=np.float64), ending=json.dumps(ending), version=f"ecgcvx {ecgcvx.__version__}",
    )  # fmt: skip


def _peak_memory() -> float:
    """Largest memory this process has held, in GiB; NaN where the system does not say."""
    try:
        import resource
    except ImportError:
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / (1 << 30)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", type=Path)
    parser.add_argument("result")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--beta", type=float, required=True)
    parser.add_argument("--horizon", type=int, default=1, help="samples (default: %(default)s)")
    parser.add_argument("--windows", type=int, help="first windows of the training part (default: all)")
    parser.add_argument("--gap", type=float, default=1e-5, help="relative searched gap (default: %(default)s)")
    parser.add_argument("--confirm", type=int, default=0, help="fresh starts of the confirmation (default: none)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="time limit (default: none)")
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    main()
