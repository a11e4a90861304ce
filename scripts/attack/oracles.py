"""Every solver on small random problems against CVXPY: how many were solved, left unfinished, wrong, or crashed.

    python scripts/attack/oracles.py                 # 320 problems
    python scripts/attack/oracles.py --problems 40 --first 1000 --verbose

'solved': status optimal, and primal and dual are within the gap of the optimum. 'unfinished': another status, with
bounds that hold. 'wrong': a bound on the wrong side of the optimum, or a status that is not true. 'crashed': any
exception. The exit status is 1 where something is wrong or crashed.
"""

import argparse
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np

from attack.problems import Case, case
from ecgcvx.activations import QUADRATIC, RELU_LIKE
from ecgcvx.arrangements import enumerate_patterns
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.losses import LogisticLoss, SquaredLoss
from ecgcvx.programs.polynomial import PolynomialProgram
from ecgcvx.programs.program import gated_relu_program, relu_program
from ecgcvx.programs.vector import VectorProgram
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.solvers.admm import AdmmSolver
from ecgcvx.solvers.column_generation import ColumnGeneration
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.solvers.fista import FistaSolver
from ecgcvx.solvers.group_lasso import GroupLassoSolver
from ecgcvx.solvers.osqp_solver import OsqpSolver
from ecgcvx.solvers.polynomial import PolynomialCvxpySolver, PolynomialSolver
from ecgcvx.solvers.sgd import SgdSolver
from ecgcvx.solvers.vector import VectorAdmmSolver

GAP = 1e-6
TRUST = 1e-7  # of the oracle: relative to the optimum, and a hundredth of it to the objective of the zero network
SECONDS = 60.0  # for one solve
Verdict = Literal["solved", "unfinished", "wrong", "crashed"]


class Answer(NamedTuple):
    """What a solver said. searched: its dual is no proof, so that it may be above the optimum by its gap."""

    primal: float
    dual: float
    status: str
    gap: float
    searched: bool = False


Attempt = tuple[str, Callable[[], Answer]]


def attempts(problem: Case) -> Iterator[Attempt]:
    """Every solver that takes the problem, by name."""
    X, y, beta, kind = problem.X, problem.y, problem.beta, problem.kind
    if kind in ("polynomial", "quadratic"):
        activation = RELU_LIKE if kind == "polynomial" else QUADRATIC
        for solver in (PolynomialSolver(gap=GAP), PolynomialCvxpySolver(gap=GAP)):
            yield _attempt(solver, lambda: PolynomialProgram(X, y, beta, activation), GAP)
        return
    if kind == "vector":
        yield _attempt(VectorAdmmSolver(gap=GAP), lambda: VectorProgram(_features(X), y, beta), GAP)
        return
    loss = LogisticLoss() if kind.startswith("logistic") else SquaredLoss()
    build = relu_program if kind.endswith("relu") else gated_relu_program
    given: list[tuple[object, float]] = [(kind_of(gap=GAP), GAP) for kind_of in (CvxpySolver, FistaSolver)]
    given.append((SgdSolver(epochs=100), SgdSolver().gap))
    if not kind.startswith("logistic"):
        given += [(kind_of(gap=GAP), GAP) for kind_of in (OsqpSolver, AdmmSolver)]
        if kind == "gated":
            given.append((GroupLassoSolver(gap=GAP), GAP))
    for exact, gap in given:
        yield _attempt(exact, lambda: build(_features(X), y, beta, loss), gap)
    if kind == "relu":
        searched: list[object] = [ActiveSetSolver(gap=1e-4, confirm_starts=300, threads=1)]
        searched += [ColumnGeneration(m, gap=1e-4, confirm_starts=300, threads=1) for m in ("cvxpy", "osqp")]
        for search in searched:
            yield _attempt(search, lambda: AllPatterns(X, y, beta, loss), 1e-4, searched=True)


def _features(X: np.ndarray) -> PatternFeatures:
    return PatternFeatures(X, enumerate_patterns(X))


def _attempt(solver: object, program: Callable[[], object], gap: float, searched: bool = False) -> Attempt:
    def run() -> Answer:
        found = solver.solve(program(), time_limit=SECONDS)  # type: ignore[attr-defined]
        return Answer(found.primal, found.dual, found.status, gap, searched)

    name = type(solver).__name__ + (f" ({solver.master})" if isinstance(solver, ColumnGeneration) else "")
    return name, run


def judge(answer: Answer, problem: Case) -> Verdict:
    """Compare an answer with the optimum."""
    trust = TRUST * problem.optimum + 0.01 * TRUST * problem.zero
    above = answer.gap * answer.primal if answer.searched else 0.0
    if not (np.isfinite(answer.primal) and np.isfinite(answer.dual)):
        return "wrong"
    if answer.primal < problem.optimum - trust or answer.dual > problem.optimum + trust + above:
        return "wrong"
    if answer.status != "optimal":
        return "unfinished"
    near = answer.primal <= problem.optimum + 2 * answer.gap * answer.primal + trust
    closed = answer.primal - answer.dual <= answer.gap * answer.primal * (1 + 1e-9)
    return "solved" if near and closed else "wrong"


def attack(first: int, problems: int, tell: Callable[[str], None]) -> dict[str, Counter[Verdict]]:
    """Run every solver on the problems of these seeds; return the verdicts of each solver."""
    verdicts: dict[str, Counter[Verdict]] = {}
    for seed in range(first, first + problems):
        problem = case(seed)
        for name, run in attempts(problem):
            verdict: Verdict = "crashed"
            started = time.process_time()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error", RuntimeWarning)
                    answer = run()
                verdict = judge(answer, problem)
                words = f"P = {answer.primal:.9e}, D = {answer.dual:.9e}, status {answer.status!r}"
            except Exception as error:
                words = f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-3)}"
            verdicts.setdefault(name, Counter())[verdict] += 1
            if verdict != "solved":
                seconds = time.process_time() - started
                tell(f"{verdict}: {name}, {problem.name}: optimum {problem.optimum:.9e}, {words}, {seconds:.1f} s")
    return verdicts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=320)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--verbose", action="store_true", help="also name what was left unfinished")
    chosen = parser.parse_args()

    def tell(line: str) -> None:
        if chosen.verbose or not line.startswith("unfinished"):
            print(line, flush=True)

    verdicts = attack(chosen.first, chosen.problems, tell)
    print(f"{chosen.problems} problems\n{'solver':28}{'solved':>10}{'unfinished':>12}{'wrong':>8}{'crashed':>9}")
    for name, found in sorted(verdicts.items()):
        print(f"{name:28}{found['solved']:10}{found['unfinished']:12}{found['wrong']:8}{found['crashed']:9}")
    return int(any(found["wrong"] or found["crashed"] for found in verdicts.values()))


if __name__ == "__main__":
    sys.exit(main())
