"""The semidefinite program with a quadratic loss that all solvers share, in the coordinates m of Z - Z'.

    min  m'Hm/2 - c'm + constant + beta t (tr Z + tr Z'),    m = vector(Z - Z'),   tr J Z = tr J Z' = 0,   Z, Z' >= 0

J = diag(1, ..., 1, -1) and t = 1/2, so that t tr Z = z4; for the pure quadratic activation there is no J, and t = 1.
With B the matrix of c - Hm, the slacks t beta I -+ B - nu J of some nu are >= 0 at the optimum.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ecgcvx.programs.losses import scaled_parabola
from ecgcvx.programs.polynomial_form import PolynomialForm, Upper
from ecgcvx.programs.program import Quadratic
from ecgcvx.types import Array

NEGLIGIBLE = 1e-15  # eigenvalue of H, relative to the largest
SIGNS = np.array([1.0, -1.0])  # of Z and Z' in the prediction


@dataclass(frozen=True, eq=False)
class LiftedProgram:
    """A program with its loss, or a quadratic model of it, seen through H, c and a constant."""

    program: PolynomialForm
    loss: Quadratic

    @property
    def upper(self) -> Upper:
        """The coordinates."""
        return self.program.upper

    @property
    def trace_weight(self) -> float:
        """t: the penalty is beta t tr Z."""
        return 1.0 if self.program.balance is None else 0.5

    def descent(self, Z: Array) -> Array:
        """Return B (k, k), minus the gradient of the loss in Z - Z'."""
        return self.upper.dual(-self.loss.gradient(self.upper.vector(Z[0] - Z[1])))

    def objective(self, Z: Array) -> float:
        """Return the objective at Z (2, k, k)."""
        return self.loss.value(self.upper.vector(Z[0] - Z[1])) + self.program.penalty(Z)

    @cached_property
    def factor(self) -> tuple[Array, Array]:
        """F (p, q), p the rank of H, and target (p,) with H = F'F and c = F'target."""
        values, Q = np.linalg.eigh(self.loss.H)
        kept = values > NEGLIGIBLE * max(float(values[-1]), 1e-300)
        roots = np.sqrt(values[kept])
        return (Q[:, kept] * roots).T, (Q[:, kept].T @ self.loss.c) / roots

    def gap(self, Z: Array) -> float:
        """Return the duality gap, relative to the larger of objective and penalty."""
        F, target = self.factor
        left, penalty = target - F @ self.upper.vector(Z[0] - Z[1]), self.program.penalty(Z)
        worst = float(self.program.prices_of(self.descent(Z)).max())
        rr, limit = float(left @ left), self.program.beta / worst if worst > 0 else np.inf
        difference = rr / 2 + penalty - scaled_parabola(float(target @ left), rr, limit)
        scale = max(self.objective(Z), penalty)
        return difference / scale if scale > 0 else 0.0

    def feasible(self, Z: Array) -> Array:
        """Return the pair without negative eigenvalues and, by scaling their first d rows, with tr J Z = 0.

        A congruence keeps the rank.
        """
        values, V = np.linalg.eigh(Z)
        out = (V * np.maximum(values, 0.0)[:, None, :]) @ V.transpose(0, 2, 1)
        if self.program.balance is None:
            return out
        last = out[:, -1, -1]
        first = np.trace(out, axis1=1, axis2=2) - last
        scale = np.ones((2, self.program.order))
        scale[:, :-1] = np.sqrt(last / np.where(first > 0, first, 1.0))[:, None]
        scale[first <= 0] = 0.0  # no row but the last: no neuron has these blocks
        return scale[:, :, None] * out * scale[:, None, :]
