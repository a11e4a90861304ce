"""Measure two claims about the solvers of two-layer programs on MIT-BIH record 208; docs/benchmarks.md has the results.

agreement  All solvers find the same optimum: gated and ReLU programs of the first 2,000 training windows, 25 patterns.
gram       A gated ReLU program of all 86,385 training windows and 100 gates, solved on its Gram matrix to a relative
           gap of 1e-6, is done sooner than by adelie and by pyscnn, at an objective that is no higher.

Usage: python scripts/bench_solvers.py agreement
       python scripts/bench_solvers.py gram [--make-peers]

The peers run in environments of their own (--make-peers makes them with this Python, which must be one that the peers'
wheels support) as child processes, from the same standardised windows and gates. Every clock runs from these arrays in
memory to the coefficients, without imports; the runs of all contenders take turns. Objectives and gaps of all are
computed in float64 from the data by ecgcvx.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from contenders import ENVIRONMENTS, PEER_FILES, machine, make_environment, python_of, run_peer, table
from ecgcvx.arrangements import patterns_of_gates, sample_patterns
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import ConvexProgram, gated_relu_program, relu_program
from ecgcvx.records import read_recording
from ecgcvx.solvers.admm import AdmmSolver
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.solvers.fista import FistaSolver
from ecgcvx.solvers.osqp_solver import OsqpSolver
from ecgcvx.solvers.solution import Solver
from ecgcvx.types import Array
from ecgcvx.windows import Windows, split_windows

ROOT = Path(__file__).resolve().parent.parent
PEERS = {"adelie": 1e-9, "scnn": 1e-6}  # scripts/peers/gated_NAME.py, requirements gated_NAME.txt, own tolerance
SOLVERS = {"CVXPY": CvxpySolver, "OSQP": OsqpSolver, "FISTA": FistaSolver, "ADMM": AdmmSolver}
PROGRAMS = {"gated": gated_relu_program, "ReLU": relu_program}


@dataclass(frozen=True)
class Run:
    """One contender's solution of the `gram` program; stages: seconds of its parts."""

    u: Array
    seconds: float
    stages: str


def main() -> None:
    """Parse the command line and measure one claim."""
    arguments = _parser().parse_args()
    print(f"{machine()}; {arguments.threads} threads; record {arguments.record.name}, beta = {arguments.beta:g}\n")
    windows = split_windows(read_recording(arguments.record).signal).train
    with threadpool_limits(arguments.threads):
        arguments.measure(windows, arguments)


def measure_agreement(windows: Windows, arguments: argparse.Namespace) -> None:
    """Solve the small programs with every solver and print one table."""
    X, y = windows.X[: arguments.windows], windows.y[: arguments.windows]
    features = PatternFeatures(X, sample_patterns(X, arguments.patterns, arguments.seed))
    print(f"{len(X):,} windows, {features.count} patterns, relative gap {arguments.tolerance:g}\n")
    rows = []
    for kind, make in PROGRAMS.items():
        solutions = {}
        for name, make_solver in SOLVERS.items():
            # Each solver gets a program of its own, so that each pays for the Gram matrix.
            solver = make_solver(gap=arguments.tolerance)
            solutions[name] = solver.solve(make(features, y, arguments.beta), time_limit=arguments.time_limit)
        best = min(solution.primal for solution in solutions.values())
        for name, s in solutions.items():
            numbers = f"{s.primal:.9e} {s.primal / best - 1:.1e} {s.gap:.1e} {s.violation:.1e} {s.seconds:.2f}"
            rows.append([kind, name, *numbers.split(), s.status])
    print(table(["program", "solver", "objective", "above the best", "gap", "violation", "seconds", "status"], rows))


def measure_gram(windows: Windows, arguments: argparse.Namespace) -> None:
    """Solve the large program with us and the peers in turn and print one table and the ratio."""
    X, y = windows.X[: len(windows)], windows.y
    gates = sample_patterns(X, arguments.patterns, arguments.seed).gates
    solver = SOLVERS[arguments.solver](gap=arguments.tolerance)
    ours = f"ecgcvx {arguments.solver}"
    print(f"{len(X):,} windows, {len(gates)} gates, relative gap {arguments.tolerance:g}, {arguments.runs} runs each\n")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "program.npz"
        np.savez(program, X=X, y=y, gates=gates, beta=arguments.beta)
        contenders: dict[str, Callable[[], Run]] = {
            ours: lambda: _run_ours(X, y, gates, arguments.beta, solver),
            **_peers(program, arguments),
        }
        runs = _take_turns(contenders, arguments.runs)
    medians = {name: statistics.median(run.seconds for run in done) for name, done in runs.items()}
    judge = gated_relu_program(PatternFeatures(X, patterns_of_gates(X, gates)), y, arguments.beta)
    rows = [_gram_row(name, done, medians[name] / medians[ours], judge) for name, done in runs.items()]
    header = ["contender", "seconds (median)", "of all runs", "ratio", "objective", "gap", "neurons", "stages"]
    print(table(header, rows))
    others = [seconds for name, seconds in medians.items() if name != ours]
    if others:
        print(f"\nThe faster peer takes {min(others) / medians[ours]:.1f} times as long as {ours}.")


def _run_ours(X: Array, y: Array, gates: Array, beta: float, solver: Solver) -> Run:
    started = time.perf_counter()
    program = gated_relu_program(PatternFeatures(X, patterns_of_gates(X, gates)), y, beta)
    made = time.perf_counter()
    _ = program.gram
    passed = time.perf_counter()
    u = solver.solve(program).u
    ended = time.perf_counter()
    stages = f"patterns {made - started:.2f}, Gram pass {passed - made:.2f}, solve {ended - passed:.2f}"
    return Run(u, ended - started, stages)


def _peers(program: Path, arguments: argparse.Namespace) -> dict[str, Callable[[], Run]]:
    """The peers whose environment is there (or can be made); the others are named on the error output."""
    peers: dict[str, Callable[[], Run]] = {}
    for name in PEERS:
        folder = arguments.peers / name
        if arguments.make_peers:
            make_environment(folder, PEER_FILES / f"gated_{name}.txt")
        if (python := python_of(folder)).exists():
            tolerance = getattr(arguments, f"{name}_tolerance")
            peers[name] = partial(_run_peer, name, python, program, arguments.threads, tolerance)
        else:
            print(f"{name}: no environment in {folder}, left out; --make-peers makes it", file=sys.stderr)
    return peers


def _run_peer(name: str, python: Path, program: Path, threads: int, tolerance: float) -> Run:
    """Solve in the peer's environment; RuntimeError with its last words if it fails."""
    result = program.with_name(f"{name}.npz")
    run_peer(f"gated_{name}.py", [program, result, "--tolerance", str(tolerance)], threads, python)
    with np.load(result) as data:
        return Run(data["u"], float(data["seconds"]), f"version {data['version']}")


def _take_turns(contenders: dict[str, Callable[[], Run]], count: int) -> dict[str, list[Run]]:
    """Run every contender `count` times, turn by turn, so that a busy machine slows all alike; who fails drops out."""
    runs, failed = defaultdict(list), set()
    for turn in range(count):
        for name, run in contenders.items():
            if name in failed:
                continue
            try:
                runs[name].append(run())
            except RuntimeError as error:
                print(f"{name}: failed and is left out: {error}", file=sys.stderr)
                failed.add(name)
            else:
                print(f"run {turn + 1}, {name}: {runs[name][-1].seconds:.2f} s", file=sys.stderr)
    return runs


def _gram_row(name: str, runs: list[Run], ratio: float, judge: ConvexProgram) -> list[str]:
    seconds = [run.seconds for run in runs]
    middle = min(runs, key=lambda run: abs(run.seconds - statistics.median(seconds)))
    objective = judge.objective(middle.u)
    gap = 1 - judge.dual_bound(judge.residual(middle.u)).value / objective
    return [
        name, f"{statistics.median(seconds):.2f}", ", ".join(f"{s:.2f}" for s in seconds), f"{ratio:.1f}",
        f"{objective:.7e}", f"{gap:.1e}", str(np.count_nonzero(middle.u.any(axis=1))), middle.stages,
    ]  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common = argparse.ArgumentParser(add_help=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    common.add_argument("--record", type=Path, default=ROOT / "data" / "mitdb208" / "208", help="WFDB record")
    common.add_argument("--beta", type=float, default=1e-3, help="weight of the penalty")
    common.add_argument("--threads", type=int, default=2, help="threads of every contender")
    common.add_argument("--seed", type=int, default=0, help="of the Gaussian gates")
    claims = parser.add_subparsers(required=True, metavar="{agreement,gram}")

    def claim(name: str, summary: str, measure: Callable, patterns: int, tolerance: float) -> argparse.ArgumentParser:
        added = claims.add_parser(
            name, parents=[common], help=summary, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        added.add_argument("--patterns", type=int, default=patterns, help="number of Gaussian gates")
        added.add_argument("--tolerance", type=float, default=tolerance, help="relative gap that our solvers stop at")
        added.set_defaults(measure=measure)
        return added

    agreement = claim("agreement", "all solvers find the same optimum", measure_agreement, 25, 1e-5)
    agreement.add_argument("--windows", type=int, default=2000, help="first windows of the training part")
    agreement.add_argument("--time-limit", type=float, default=600.0, help="seconds a solve")
    gram = claim("gram", "the Gram route against adelie and pyscnn", measure_gram, 100, 1e-6)
    gram.add_argument("--solver", choices=SOLVERS, default="FISTA", help="which of our solvers")
    gram.add_argument("--runs", type=int, default=3, help="runs of every contender; the median counts")
    gram.add_argument("--peers", type=Path, default=ENVIRONMENTS, help="folder of the peers' environments")
    for name, tolerance in PEERS.items():
        gram.add_argument(f"--{name}-tolerance", type=float, default=tolerance, help=f"{name}'s own stopping rule")
    gram.add_argument("--make-peers", action="store_true", help="make the peers' environments first")
    return parser


if __name__ == "__main__":
    main()
