"""The group lasso over any design: few groups at a time, by blocks and by Newton's method."""

from ecgcvx.solvers.group_lasso.solver import GroupLassoSolver

__all__ = ["GroupLassoSolver"]
