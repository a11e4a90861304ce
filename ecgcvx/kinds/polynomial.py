"""Networks with a polynomial activation: over networks of any width, a semidefinite program."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ecgcvx.errors import InputError
from ecgcvx.evidence import Evidence, Gap
from ecgcvx.kinds.kind import Limits, NetworkKind, Problem, Trained, linear_option
from ecgcvx.options import option

if TYPE_CHECKING:
    from ecgcvx.activations import Polynomial
    from ecgcvx.certificates import Certificate
    from ecgcvx.programs.moments import MonomialSums, SecondMoments
    from ecgcvx.programs.polynomial_form import PolynomialForm
    from ecgcvx.rows import Matrix
    from ecgcvx.types import Array, Progress
    from ecgcvx.windows import Windows

MOST_PRODUCTS = 1 << 14  # of two columns: their matrix has 2 GiB, and training holds several


@dataclass(frozen=True, kw_only=True)
class PolynomialKind(NetworkKind):
    """Options of a network with the activation s(t) = .09 t^2 + .5 t + .47. Source: Bartan & Pilanci 2021."""

    name: ClassVar[str] = "polynomial"
    title: ClassVar[str] = "polynomial"
    summary: ClassVar[str] = "the activation .09 t^2 + .5 t + .47, near a ReLU on [-5, 5]; no patterns"

    solver: str | None = option(
        None, "semidefinite: interior point on the Gram matrix (default), or cvxpy", choices=("semidefinite", "cvxpy")
    )
    gap: float | None = option(None, "relative gap to stop at (default 1e-6)", metavar="TOL", above=0.0, example="1e-6")

    linear: str | None = linear_option()

    @property
    def method(self) -> str:
        return self.solver or "semidefinite"

    @property
    def described(self) -> str:
        return f"network={self.name!r} with solver={self.method!r}"

    @classmethod
    def activation(cls) -> "Polynomial":
        """Return the activation."""
        from ecgcvx.activations import RELU_LIKE

        return RELU_LIKE

    def problem(self, windows: "Windows", seed: int, progress: "Progress", *, rounds: int | None = None) -> Problem:
        from ecgcvx.programs.linear_part import LinearPart
        from ecgcvx.programs.moments import MonomialSums
        from ecgcvx.programs.polynomial import PolynomialProgram
        from ecgcvx.reductions import LocalEngine, held

        columns = windows.X.shape[1]
        statistics = self.statistics(columns, seed)
        progress(f"{MonomialSums(columns).size:,} products of two columns, in {len(windows):,} windows", None)
        if statistics is not None:
            return statistics.problem(LocalEngine().total(statistics.sums, held(windows.X, windows.y)))
        program = PolynomialProgram(windows.X, windows.y, 1.0, self.activation(), linear=LinearPart(windows.X))
        _ = program.quadratic  # computed here once, so that every beta shares it
        return self.problem_of(program)

    def with_targets(
        self, problem: Any, windows: "Windows", seed: int, progress: "Progress", *, rounds: int | None = None
    ) -> Problem:
        statistics = self.statistics(windows.X.shape[1], seed)
        if statistics is None:
            return self.problem_of(problem.program.with_targets(windows.y))
        return statistics.problem(statistics.sums.with_targets(problem.program.sums, windows.X, windows.y))

    def statistics(self, width: int, seed: int, gates: "Array | None" = None) -> "PolynomialStatistics | None":
        statistics = PolynomialStatistics(self, width)
        products = statistics.sums.size
        if products > MOST_PRODUCTS:
            raise InputError(
                f"network = {self.name!r}: windows of {width - 1} columns have {products:,} products of two, more than "
                f"{MOST_PRODUCTS:,}, whose matrix fills 2 GiB; take a smaller window, fewer leads, or network='relu'"
            )
        return None if self.free_linear else statistics

    def problem_of(self, program: "PolynomialForm") -> "PolynomialProblem":
        """Return the training problem of a program, whatever it knows of the data."""
        from ecgcvx.solvers.polynomial import PolynomialCvxpySolver, PolynomialSolver

        options: dict[str, Any] = {} if self.gap is None else {"gap": self.gap}
        solver = PolynomialSolver if self.method == "semidefinite" else PolynomialCvxpySolver
        return PolynomialProblem(program, solver(**options), f"{self.name} network, {self.method}")

    @classmethod
    def certify(cls, network: Any, X: "Matrix", y: "Array", beta: float) -> "Certificate | None":
        from ecgcvx.certificates import certify_polynomial

        return certify_polynomial(network, X, y, beta)


@dataclass(frozen=True, kw_only=True)
class Quadratic(PolynomialKind):
    """Options of a network with the activation t^2: the program's penalty is a nuclear norm."""

    name: ClassVar[str] = "quadratic"
    title: ClassVar[str] = "quadratic"
    summary: ClassVar[str] = "the activation t^2"

    @classmethod
    def activation(cls) -> "Polynomial":
        from ecgcvx.activations import QUADRATIC

        return QUADRATIC


@dataclass(frozen=True, eq=False)
class PolynomialStatistics:
    """The sums that polynomial and quadratic networks over `width` columns, the last one ones, need."""

    kind: PolynomialKind
    width: int

    @property
    def sums(self) -> "MonomialSums":
        """The products of two columns."""
        from ecgcvx.programs.moments import MonomialSums

        return MonomialSums(self.width)

    @property
    def tensors(self) -> "dict[str, Array]":
        """Nothing besides the sums."""
        return {}

    def problem(self, total: "SecondMoments") -> "PolynomialProblem":
        """Return the training problem of the sums of some rows."""
        from ecgcvx.programs.summed import SummedPolynomial

        return self.kind.problem_of(SummedPolynomial(self.width, total, 1.0, self.kind.activation()))


@dataclass(frozen=True, eq=False)
class PolynomialProblem:
    """A program of a polynomial network, with its Gram matrix, and its solver."""

    program: "PolynomialForm"
    solver: Any
    title: str

    def largest_beta(self) -> float:
        """Return the smallest beta at which the network is zero."""
        return self.program.largest_beta()

    def mean_loss(self, trained: Trained) -> float:
        """Return the squared loss over the rows of this program's sums of a network that another program trained."""
        from ecgcvx.programs.summed import SummedPolynomial

        assert isinstance(self.program, SummedPolynomial)
        return self.program.mean_loss(trained.warm)

    def train(
        self, beta: float, *, warm: Trained | None, limits: Limits, progress: "Progress", rough: bool = False
    ) -> Trained:
        """Train at a beta; every beta starts from nothing, which takes milliseconds."""
        from ecgcvx.models import polynomial_network_of

        program = self.program.at(beta)
        progress(f"{self.title}: solving", None)
        solution = self.solver.solve(program, time_limit=limits.left)
        gap = Gap(solution.primal, solution.dual, Evidence.EIGENVALUES)
        return Trained.of(solution, network=polynomial_network_of(program, solution.u), beta=beta, gap=gap)
