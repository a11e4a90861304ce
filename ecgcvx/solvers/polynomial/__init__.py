"""Solvers of the semidefinite programs of networks with a polynomial activation."""

from ecgcvx.solvers.polynomial.cvxpy_solver import PolynomialCvxpySolver
from ecgcvx.solvers.polynomial.solver import PolynomialSolver

__all__ = ["PolynomialCvxpySolver", "PolynomialSolver"]
