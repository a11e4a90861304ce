"""An entry for benchopt's benchmark of the group lasso (mathurinm/benchmark_group_lasso): copy it into its `solvers`.

    benchopt run . -s ecgcvx -s adelie -s celer -s skglm -d simulated

The benchmark's curve runs over tolerances: the solver stops where its relative duality gap, evaluated on the data, is
at most what benchopt asks for.
"""

from typing import Any

from benchopt import BaseSolver, safe_import_context

with safe_import_context() as import_ctx:
    import numpy as np

    from ecgcvx.programs.dense import Groups
    from ecgcvx.programs.program import group_lasso_program
    from ecgcvx.solvers.group_lasso import GroupLassoSolver


class Solver(BaseSolver):
    """Working sets, block descent and Newton's method on the Gram matrix of few groups."""

    name = "ecgcvx"
    sampling_strategy = "tolerance"
    requirements = ("pip::ecgcvx",)

    def skip(self, **objective: Any) -> tuple[bool, str]:
        """Refuse the sparse group lasso and sparse matrices."""
        if objective.get("tau", 0.0):
            return True, "only the group lasso"
        return not isinstance(objective["X"], np.ndarray), "only dense matrices"

    def set_objective(self, **objective: Any) -> None:
        """Take the problem: X, y, lmbd, grp_indices and grp_ptr; groups need not be consecutive columns."""
        self.X, self.y, self.lmbd = (objective[name] for name in ("X", "y", "lmbd"))
        self.order = np.asarray(objective["grp_indices"])
        self.groups = Groups(np.diff(objective["grp_ptr"]))

    def warm_up(self) -> None:
        """Compile outside the clock."""
        self.run(1.0)

    def run(self, tolerance: float) -> None:
        """Solve from zero to a relative gap; forming the blocks is part of it."""
        consecutive = np.array_equal(self.order, np.arange(len(self.order)))
        A = self.X if consecutive else self.X[:, self.order]
        program = group_lasso_program(self.groups.features(A), self.y, self.lmbd)
        u = GroupLassoSolver(gap=max(tolerance, 1e-14)).solve(program).u
        self.coefficients = np.zeros(self.X.shape[1])
        self.coefficients[self.order] = self.groups.coefficients(u)

    def get_result(self) -> dict[str, Any]:
        """The coefficients under both names that versions of the benchmark have used."""
        return {"beta": self.coefficients, "w": self.coefficients}
