"""Networks with a polynomial activation."""

from typing import Any, Self

from numpy.typing import ArrayLike

from ecgcvx.activations import QUADRATIC, RELU_LIKE, Polynomial
from ecgcvx.errors import InputError
from ecgcvx.estimators.base import NetworkRegressor, positive, seconds_of
from ecgcvx.evidence import Evidence, Gap
from ecgcvx.models import polynomial_network_of
from ecgcvx.programs.polynomial import PolynomialProgram
from ecgcvx.solvers.polynomial import PolynomialSolver


class PolynomialNetworkRegressor(NetworkRegressor):
    """The network with a polynomial activation s(t) = a t^2 + b t + c, trained to its proved optimum.

    Minimises 1/(2n) sum_k (f(x_k) - y_k)^2 + beta sum_j |alpha_j| with f(x) = sum_j alpha_j s(x'u_j), ||u_j|| = 1, over
    networks of any width: a semidefinite program of order d + 2, whatever n.

    Parameters
    ----------
    beta : float
        Weight of the penalty.
    activation : 'relu-like', 'quadratic' or (a, b, c)
        .09 t^2 + .5 t + .47, t^2, or any other.
    gap : float
        Relative duality gap to stop at.
    time_limit : float, optional
        Seconds at most.

    Notes
    -----
    Attributes are those of `ConvexReLURegressor`. Source: Bartan & Pilanci 2021.
    """

    def __init__(
        self,
        beta: float = 1e-3,
        *,
        activation: str | tuple[float, float, float] = "relu-like",
        gap: float = 1e-6,
        time_limit: float | None = None,
    ) -> None:
        self.beta = beta
        self.activation = activation
        self.gap = gap
        self.time_limit = time_limit

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on X (n, d) and y (n,)."""
        rows, targets = self._checked(X, y)
        beta = positive("beta", self.beta)
        program = PolynomialProgram(rows, targets, beta, activation_of(self.activation))
        found = PolynomialSolver(gap=self.gap).solve(program, time_limit=seconds_of(self.time_limit))
        self._training_rows = rows
        gap = Gap(found.primal, found.dual, Evidence.EIGENVALUES)
        self._keep(polynomial_network_of(program, found.u), gap, self.beta, found.iterations)
        return self


def activation_of(activation: str | tuple[float, float, float]) -> Polynomial:
    known: dict[Any, Polynomial] = {"relu-like": RELU_LIKE, "quadratic": QUADRATIC}
    if isinstance(activation, str):
        if activation not in known:
            raise InputError(f"activation = {activation!r}: choose 'relu-like', 'quadratic' or numbers (a, b, c)")
        return known[activation]
    return Polynomial(*(float(number) for number in activation))
