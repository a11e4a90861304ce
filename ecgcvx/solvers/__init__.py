"""Algorithms: `Solver(options).solve(program) -> Solution`. No knowledge of ECG.

active_set          all patterns of a family of atoms; column_generation: the same with convex programs alone
fista, admm, cvxpy_solver, osqp_solver, sgd   given patterns; group_lasso: programs without cones, by working sets
polynomial          polynomial activations; vector: several outputs; consensus: many machines
"""

from typing import TYPE_CHECKING

from ecgcvx._lazy import lazy

if TYPE_CHECKING:
    from ecgcvx.solvers.active_set.loop import ActiveSetSolver
    from ecgcvx.solvers.active_set.sparsify import sparsify
    from ecgcvx.solvers.admm import AdmmSolver
    from ecgcvx.solvers.column_generation import ColumnGeneration
    from ecgcvx.solvers.cvxpy_solver import CvxpySolver
    from ecgcvx.solvers.fista import FistaSolver
    from ecgcvx.solvers.osqp_solver import OsqpSolver
    from ecgcvx.solvers.polynomial import PolynomialCvxpySolver, PolynomialSolver
    from ecgcvx.solvers.sgd import SgdSolver
    from ecgcvx.solvers.solution import Solution, Solver
    from ecgcvx.solvers.vector import VectorAdmmSolver

__all__ = [
    "ActiveSetSolver",
    "AdmmSolver",
    "ColumnGeneration",
    "CvxpySolver",
    "FistaSolver",
    "OsqpSolver",
    "PolynomialCvxpySolver",
    "PolynomialSolver",
    "SgdSolver",
    "Solution",
    "Solver",
    "VectorAdmmSolver",
    "sparsify",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "ActiveSetSolver": "active_set.loop",
        "AdmmSolver": "admm",
        "ColumnGeneration": "column_generation",
        "CvxpySolver": "cvxpy_solver",
        "FistaSolver": "fista",
        "OsqpSolver": "osqp_solver",
        "PolynomialCvxpySolver": "polynomial",
        "PolynomialSolver": "polynomial",
        "SgdSolver": "sgd",
        "Solution": "solution",
        "Solver": "solution",
        "VectorAdmmSolver": "vector",
        "sparsify": "active_set.sparsify",
    },
    globals(),
)
