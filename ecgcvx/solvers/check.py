"""An independent check of a ReLU network: the convex program over its own patterns, by solvers that did not make it.

The network is a feasible point of that program, so the program's optimum is at most its P, and not by more than the gap
allows: a larger difference says that the training had not converged or that its bound was wrong.
"""

from dataclasses import dataclass

from ecgcvx.atoms.family import Atoms
from ecgcvx.errors import SolverError
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.solvers.column_generation import MASTERS, restricted_program

TOLERANCE = 1e-6
MOST_VARIABLES = {"cvxpy": 1024, "osqp": 1600}  # 64 and 100 neurons of 16 weights: about a minute with 86,385 rows


@dataclass(frozen=True)
class Check:
    """What a solver made of the program over a network's patterns.

    neurons : variables u_j of the program, one a pattern and sign. objective : its optimum, None where there is none.
    difference : (P - objective) / P. status : of the solver, or why there was no solve.
    """

    solver: str
    neurons: int
    objective: float | None
    difference: float | None
    status: str
    seconds: float


def check_network(
    program: AllPatterns, atoms: Atoms, primal: float, time_limit: float = float("inf")
) -> tuple[Check, ...]:
    """Solve the program over the patterns and signs of ReLU neurons by CVXPY and by OSQP, and compare with their P.

    Programs of more than 1,024 (CVXPY) or 1,600 (OSQP) variables are not solved, and the checks say so.

    Raises InputError when no neuron has an active row.
    """
    restricted, u = restricted_program(program, atoms)
    g, d = restricted.shape
    checks = []
    for name, make in MASTERS.items():
        most = MOST_VARIABLES[name]
        if g * d > most:
            refusal = f"not solved: {g} neurons of {d} weights, more than {most:,} variables; keep {most // d} neurons"
            checks.append(Check(name, g, None, None, refusal, 0.0))
            continue
        try:
            found = make(TOLERANCE).solve(restricted, warm_start=u, time_limit=time_limit)
        except SolverError as error:
            checks.append(Check(name, g, None, None, str(error), 0.0))
            continue
        difference = (primal - found.primal) / primal if primal > 0 else 0.0
        checks.append(Check(name, g, found.primal, difference, found.status, found.seconds))
    return tuple(checks)
