"""Measure two claims about the solvers of two-layer programs on MIT-BIH record 208; docs/benchmarks.md has the results.

agreement  All solvers find the same optimum: gated and ReLU programs of the first 2,000 training windows, 25 patterns.
gram       A gated ReLU program of all 86,385 training windows and 100 gates, solved to a relative gap of 1e-6, is done
           sooner than by adelie and by pyscnn, at an objective that is no higher, for few active gates and for many.
dense      The same for the group lasso on dense matrices: correlated Gaussian columns as in benchopt's benchmark
           (1,000 x 2,000 and 100 x 200, groups of 10), against adelie, celer and skglm.

Usage: python scripts/bench_solvers.py agreement
       python scripts/bench_solvers.py gram [--share 0.1 0.01 0.001] [--make-peers]
       python scripts/bench_solvers.py dense [--make-peers]

The peers run in environments of their own (--make-peers makes them with this Python, which must be one that the peers'
wheels support) as child processes, from the same standardised windows and gates. Every clock runs from these arrays in
memory to the coefficients, without imports; the runs of all contenders take turns. Objectives and gaps of all are
computed in float64 from the data by ecgcvx.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from ecgcvx.arrangements import patterns_of_gates, sample_patterns
from ecgcvx.programs.dense import DenseFeatures
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import ConvexProgram, gated_relu_program, group_lasso_program, relu_program
from ecgcvx.records import read_recording
from ecgcvx.solvers.admm import AdmmSolver
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.solvers.fista import FistaSolver
from ecgcvx.solvers.group_lasso import GroupLassoSolver
from ecgcvx.solvers.osqp_solver import OsqpSolver
from ecgcvx.solvers.solution import Solver
from ecgcvx.types import Array
from ecgcvx.windows import Windows, split_windows
from harness import (
    Seconds,
    add_peers,
    add_record,
    add_threads,
    machine,
    parser,
    peer_python,
    program_file,
    run_peer,
    table,
    take_turns,
)  # fmt: skip

PEERS = {"adelie": 1e-9, "scnn": 1e-6}  # scripts/peers/gated_NAME.py, requirements gated_NAME.txt, own tolerance
SOLVERS = {
    "CVXPY": CvxpySolver,
    "OSQP": OsqpSolver,
    "FISTA": FistaSolver,
    "ADMM": AdmmSolver,
    "group lasso": GroupLassoSolver,
}
DENSE_PEERS = {"adelie": 1e-12, "celer": 1e-9, "skglm": 1e-9}  # scripts/peers/dense_group_lasso.py
GROUP = 10  # columns
SIZES = ((1000, 2000), (100, 200))
PROGRAMS = {"gated": gated_relu_program, "ReLU": relu_program}


@dataclass(frozen=True)
class Run:
    """One contender's solution; stages: what its seconds were spent on, or its version."""

    u: Array
    seconds: Seconds
    stages: str


def main() -> None:
    """Parse the command line and measure one claim."""
    arguments = _parser().parse_args()
    print(f"{machine()}; {arguments.threads} threads; record {arguments.record.name}\n")
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
            if make_solver is GroupLassoSolver and kind != "gated":
                continue
            # Each solver gets a program of its own, so that each pays for the Gram matrix.
            solver = make_solver(gap=arguments.tolerance)
            solutions[name] = solver.solve(make(features, y, arguments.beta), time_limit=arguments.time_limit)
        best = min(solution.primal for solution in solutions.values())
        for name, s in solutions.items():
            numbers = f"{s.primal:.9e} {s.primal / best - 1:.1e} {s.gap:.1e} {s.violation:.1e} {s.seconds:.2f}"
            rows.append([kind, name, *numbers.split(), s.status])
    print(table(["program", "solver", "objective", "above the best", "gap", "violation", "seconds", "status"], rows))


def measure_gram(windows: Windows, arguments: argparse.Namespace) -> None:
    """Solve the large program at every beta with us and the peers in turn and print a table each."""
    X, y = windows.X[: len(windows)], windows.y
    gates = sample_patterns(X, arguments.patterns, arguments.seed).gates
    judge = gated_relu_program(PatternFeatures(X, patterns_of_gates(X, gates)), y, 1.0)
    largest = judge.largest_beta()
    solver = GroupLassoSolver(gap=arguments.tolerance)

    def ours(beta: float) -> Run:
        return _timed(lambda: gated_relu_program(PatternFeatures(X, patterns_of_gates(X, gates)), y, beta), solver)

    ours(largest)  # compile and load what is compiled
    print(f"{len(X):,} windows, {len(gates)} gates, relative gap {arguments.tolerance:g}, {arguments.runs} runs each")
    for share in arguments.share:
        data = {"X": X, "y": y, "gates": gates, "beta": share * largest}
        _compare(f"{share:g} of beta_max", data, judge, ours, PEERS, arguments)


def measure_dense(windows: Windows, arguments: argparse.Namespace) -> None:
    """Solve dense group lassos with us and the peers in turn and print a table each."""
    solver = GroupLassoSolver(gap=arguments.tolerance)
    for n, columns in SIZES:
        A, y = correlated_data(n, columns, arguments.seed)
        judge = group_lasso_program(DenseFeatures(A, GROUP), y, 1.0)
        largest = judge.largest_beta()

        def ours(beta: float, A: Array = A, y: Array = y) -> Run:
            return _timed(lambda: group_lasso_program(DenseFeatures(A, GROUP), y, beta), solver)

        ours(0.5 * largest)
        for share in arguments.share:
            data = {"A": A, "y": y, "group": GROUP, "beta": share * largest}
            _compare(f"{n:,} x {columns:,}, {share:g} of beta_max", data, judge, ours, DENSE_PEERS, arguments)


def correlated_data(n: int, columns: int, seed: int) -> tuple[Array, Array]:
    """Gaussian columns, neighbours correlated by .6, a fifth of them in the targets, noise of a third of that."""
    random = np.random.default_rng(seed)
    A = np.empty((n, columns), order="F")
    A[:, 0] = random.standard_normal(n)
    for j in range(1, columns):
        A[:, j] = 0.6 * A[:, j - 1] + 0.8 * random.standard_normal(n)
    support = random.choice(columns, columns // 5, replace=False)
    y, noise = A[:, support] @ random.standard_normal(len(support)), random.standard_normal(n)
    return A, y + noise * np.linalg.norm(y) / np.linalg.norm(noise) / 3


def _compare(
    title: str, data: dict[str, Array | float], judge: ConvexProgram, ours: Callable[[float], Run],
    peers: dict[str, float], arguments: argparse.Namespace,
) -> None:  # fmt: skip
    beta = float(data["beta"])
    with program_file(data) as program:
        contenders = {"ecgcvx": lambda: ours(beta), **_peers(program, peers, arguments)}
        runs = take_turns(contenders, arguments.runs)
    first = statistics.median(run.seconds.cpu for run in runs["ecgcvx"])
    header = ["contender", "CPU s (median)", "of all runs", "seconds", "ratio", "objective", "gap", "active", "stages"]
    print(f"\n{title}\n")
    print(table(header, [_row(name, done, first, judge.at(beta)) for name, done in runs.items()]), flush=True)


def _timed(make: Callable[[], ConvexProgram], solver: Solver) -> Run:
    started, used = time.perf_counter(), time.process_time()
    program = make()
    made = time.process_time()
    u = solver.solve(program).u
    ended = time.process_time()
    stages = f"program {made - used:.3f}, solve {ended - made:.3f}"
    return Run(u, Seconds(time.perf_counter() - started, ended - used), stages)


def _peers(program: Path, names: dict[str, float], arguments: argparse.Namespace) -> dict[str, Callable[[], Run]]:
    """The peers whose environment is there (or can be made); the others are named on the error output."""
    peers: dict[str, Callable[[], Run]] = {}
    for name, tolerance in names.items():
        options = ["--tolerance", str(tolerance)]
        if names is DENSE_PEERS:
            script, folder, options = "dense_group_lasso", "dense", [*options, "--peer", name]
        else:
            script, folder = f"gated_{name}", name
        if python := peer_python(folder, arguments, f"{script}.txt"):
            peers[name] = partial(_run_peer, name, f"{script}.py", python, program, arguments.threads, options)
    return peers


def _run_peer(name: str, script: str, python: Path, program: Path, threads: int, options: list[str]) -> Run:
    """Solve in the peer's environment; RuntimeError with its last words if it fails."""
    result = program.with_name(f"{name}.npz")
    run_peer(script, [program, result, *options], threads, python)
    with np.load(result) as data:
        return Run(data["u"], Seconds(float(data["seconds"]), float(data["cpu"])), f"version {data['version']}")


def _row(name: str, runs: list[Run], first: float, judge: ConvexProgram) -> list[str]:
    cpu = [run.seconds.cpu for run in runs]
    middle = min(runs, key=lambda run: abs(run.seconds.cpu - statistics.median(cpu)))
    u = middle.u.reshape(judge.shape)
    objective = judge.objective(u)
    gap = 1 - judge.dual_bound(judge.residual(u)).value / objective
    return [
        name, f"{statistics.median(cpu):.3f}", ", ".join(f"{s:.3f}" for s in cpu),
        f"{statistics.median(run.seconds.wall for run in runs):.3f}", f"{statistics.median(cpu) / first:.1f}",
        f"{objective:.7e}", f"{gap:.1e}", str(np.count_nonzero(u.any(axis=1))), middle.stages,
    ]  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    command = parser(__doc__)
    common = argparse.ArgumentParser(add_help=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add_record(common)
    add_threads(common)
    common.add_argument("--seed", type=int, default=0, help="of the Gaussian gates")
    claims = command.add_subparsers(required=True, metavar="{agreement,gram,dense}")

    def claim(name: str, summary: str, measure: Callable, patterns: int, tolerance: float) -> argparse.ArgumentParser:
        added = claims.add_parser(
            name, parents=[common], help=summary, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        if patterns:
            added.add_argument("--patterns", type=int, default=patterns, help="number of Gaussian gates")
        added.add_argument("--tolerance", type=float, default=tolerance, help="relative gap that our solvers stop at")
        added.set_defaults(measure=measure)
        return added

    agreement = claim("agreement", "all solvers find the same optimum", measure_agreement, 25, 1e-5)
    agreement.add_argument("--beta", type=float, default=1e-3, help="weight of the penalty")
    agreement.add_argument("--windows", type=int, default=2000, help="first windows of the training part")
    agreement.add_argument("--time-limit", type=float, default=600.0, help="seconds a solve")
    gram = claim("gram", "gated networks against adelie and pyscnn", measure_gram, 100, 1e-6)
    dense = claim("dense", "the group lasso against adelie, celer and skglm", measure_dense, 0, 1e-6)
    for added in (gram, dense):
        added.add_argument("--share", type=float, nargs="+", default=[0.1, 0.01, 0.001], help="of beta_max")
        added.add_argument("--runs", type=int, default=3, help="runs of every contender; the median counts")
        add_peers(added)
    return command


if __name__ == "__main__":
    main()
