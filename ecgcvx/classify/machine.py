"""One class against the others: the convex program of a convolutional network, its solution, and its certificate."""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from ecgcvx.atoms.convolutional import ConvolutionalFamily
from ecgcvx.atoms.family import Atoms
from ecgcvx.certificates.bound import PriceBound, bound_price
from ecgcvx.certificates.certify import ROUNDING
from ecgcvx.classify.windows import CONTEXT
from ecgcvx.errors import InputError
from ecgcvx.evidence import Evidence, Gap, at_most, searched
from ecgcvx.interruption import check
from ecgcvx.models.convolutional import ConvolutionalNetwork
from ecgcvx.patches import Convolution
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.programs.losses import LogisticLoss
from ecgcvx.rows import Matrix
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.solvers.active_set.solution import Round, evaluate
from ecgcvx.types import Array, Progress

STRIDE = 3  # samples: at 180 Hz with nothing above 40 Hz every third patch is enough
COARSE = 6  # one row in so many is solved first, to COARSE_GAP: a round on all rows costs as many times more
Weights: TypeAlias = Literal["none", "balanced", "patients"]
TURNS = 10  # of every class at most, to set its threshold
COARSE_GAP, COARSE_ROUNDS, COARSE_ROWS = 0.1, 8, 6000


@dataclass(frozen=True)
class Setting:
    """What is chosen by cross-validation: taps of a filter, in samples at 180 Hz, beta, and weights of the loss.

    weights : 'none': every beat weighs the same; 'balanced': both classes do; 'patients': k beats of a class in one
    patient weigh as much as sqrt(k) together, so that a patient with many counts for more, yet not for all.
    """

    taps: int
    beta: float
    weights: Weights = "patients"

    def __post_init__(self) -> None:
        Convolution(self.taps, STRIDE, "average", CONTEXT)
        if not (np.isfinite(self.beta) and self.beta > 0):
            raise InputError(f"beta = {self.beta}: it must be a positive number, e.g. 1e-3")
        if self.weights not in get_args(Weights):
            raise InputError(f"weights = {self.weights!r}: choose one of {', '.join(get_args(Weights))}")

    @property
    def convolution(self) -> Convolution:
        """Filters that see the context and a one with every patch, averaged over the beat."""
        return Convolution(self.taps, STRIDE, "average", CONTEXT)

    @property
    def words(self) -> str:
        """E.g. '9 taps, beta 0.0003, weights: patients'."""
        return f"{self.taps} taps, beta {self.beta:g}, weights: {self.weights}"


@dataclass(frozen=True, eq=False)
class Machine:
    """A network whose output plus offset is the log-odds of a class against the others, and what is known of it.

    slope, shift : of the log-odds of beats of people it never saw, slope (f + offset) + shift. threshold : of these,
    from where on the class is called. gap : of its training. atoms : of the solution, None of a model from a file.
    """

    name: str
    network: ConvolutionalNetwork
    offset: float
    gap: Gap
    status: str
    slope: float = 1.0
    shift: float = 0.0
    threshold: float = 0.0
    atoms: Atoms | None = None

    def scores(self, X: Matrix) -> Array:
        """Return the output with its offset (n,) for rows X (n, d)."""
        return self.network.predict(X) + self.offset

    def log_odds(self, X: Matrix) -> Array:
        """Return the calibrated log-odds (n,)."""
        return self.slope * self.scores(X) + self.shift


def beat_program(X: Matrix, y: Array, patients: NDArray[np.intp], setting: Setting) -> AllPatterns:
    """Return the program over all filters for rows X (n, d), labels y (n,) in {-1, 1} and the patient (n,) of each.

    minimise  (1/n) sum_i w_i log(1 + exp(-y_i (f(x_i) + b))) + beta sum_j ||u_j||,
    f(x) = (1/K) sum_k sum_j s_j (x_k'u_j)_+   over filters u_j, their signs s_j, and the offset b, which is free.
    """
    family = ConvolutionalFamily(setting.convolution, int(X.shape[1]))
    return AllPatterns(X, y, setting.beta, LogisticLoss(), family, loss_weights(y, patients, setting.weights), "offset")


def loss_weights(y: Array, patients: NDArray[np.intp], weights: Weights) -> Array | None:
    """Return the weights (n,), of mean 1, of beats with labels y (n,) and patients (n,); see `Setting`."""
    if weights == "none":
        return None
    groups = (y > 0).astype(np.intp) + (2 * patients if weights == "patients" else 0)
    counts = np.bincount(groups)[groups]
    w: Array = counts ** (-0.5 if weights == "patients" else -1.0)
    return w / w.mean()


def train_machine(
    name: str, program: AllPatterns, solver: ActiveSetSolver, *, warm: Atoms | None = None,
    time_limit: float = float("inf"), progress: Progress | None = None,
) -> Machine:  # fmt: skip
    """Solve a program of `beat_program` to the solver's searched gap; return the network.

    warm : filters to begin with; without them those of a part of the rows, where there are many.
    """

    def tell(line: Round) -> None:
        if progress is not None:
            words = f"{name}: filters {line.neurons}, P = {line.primal:.5e}, gap {at_most(line.gap)}"
            progress(f"{words}, {line.rows:,} beats", None)

    if warm is None and program.n >= COARSE_ROWS:
        part = program.on_rows(np.arange(0, program.n, COARSE))
        coarse = replace(solver, gap=max(COARSE_GAP, solver.gap), rounds=COARSE_ROUNDS, confirm_starts=0)
        warm = coarse.solve(part, callback=tell, time_limit=time_limit).atoms
    found = solver.solve(program, warm_start=warm, time_limit=time_limit, callback=tell)
    check()
    gap = searched(found.primal, found.dual, found.starts)
    network = program.family.network(found.atoms)
    assert isinstance(network, ConvolutionalNetwork)
    return Machine(name, network, float(found.free[0]), gap, found.status, atoms=found.atoms)


def prove_machine(program: AllPatterns, atoms: Atoms, seconds: float) -> tuple[Gap, PriceBound]:
    """Return the gap proved over all filters in some seconds, and the bound on the price that it rests on.

    The price of a pooled filter is the price of a neuron on all patches, the residual of a beat repeated for its own.
    """
    here = evaluate(program, atoms)
    passes = program.passes
    patches = passes.patches  # type: ignore[attr-defined]
    rows = patches.matrix
    spread = patches.spread(here.v) * (int(rows.shape[0]) / program.n)
    bound = bound_price(rows, spread, program.beta, factor=1.01, time_limit=seconds)
    dual = program.dual_value(here.v, bound.price * (1 + ROUNDING)) - ROUNDING * here.primal
    detail = f"price <= {bound.factor:.3f} beta, {bound.cells:,} cells"
    return Gap(here.primal, max(dual, 0.0), Evidence.BOUNDED, detail), bound


def calibration(scores: Array, positive: NDArray[np.bool_]) -> tuple[float, float]:
    """Return (slope, shift) of the log-odds slope score + shift that fit held-out scores (n,) best, slope >= 0.

    Platt's scaling with his targets (k + 1)/(k + 2) and 1/(k + 2), which keep it finite where scores separate.

    Source: Platt 1999; Lin, Lin & Weng 2007.
    """
    k = np.array([np.sum(~positive), np.sum(positive)])
    target = np.where(positive, (k[1] + 1) / (k[1] + 2), 1 / (k[0] + 2))

    def loss(p: Array) -> tuple[float, Array]:
        z = p[0] * scores + p[1]
        r = expit(z) - target
        value = float(np.mean(np.logaddexp(0.0, z) - target * z))
        return value, np.array([np.mean(r * scores), np.mean(r)])

    start = np.array([0.0, np.log((k[1] + 1) / (k[0] + 1))])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None), (None, None)])
    return float(found.x[0]), float(found.x[1])


def best_threshold(log_odds: Array, positive: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the threshold of the log-odds (n,) with the largest F1, between two of them, and that F1."""
    order = np.argsort(-log_odds, kind="stable")
    sorted_odds, hits = log_odds[order], np.cumsum(positive[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + positive.sum())
    last = np.append(sorted_odds[1:] < sorted_odds[:-1], True)  # a threshold cannot part equal values
    best = int(np.argmax(np.where(last, f1, -1.0)))
    below = sorted_odds[best + 1] if best + 1 < len(order) else sorted_odds[best] - 2.0
    return float((sorted_odds[best] + below) / 2), float(f1[best])


def joint_thresholds(log_odds: Array, positive: NDArray[np.bool_]) -> Array:
    """Return thresholds (k,) of log-odds (n, k) of classes whose beats are positive (n, k), for one decision of all.

    A beat is of the class whose log-odds exceed its threshold most, of none where they exceed no threshold. Each in
    turn gets the threshold with the largest F1 of its class in that decision, the others fixed, until none changes.
    """
    k = log_odds.shape[1]
    found = np.array([best_threshold(log_odds[:, j], positive[:, j])[0] for j in range(k)])
    for _ in range(TURNS if k > 1 else 0):
        before = found.copy()
        for j in range(k):
            above = np.delete(log_odds - found, j, axis=1).max(axis=1)
            found[j] = best_threshold(log_odds[:, j] - np.maximum(above, 0.0), positive[:, j])[0]
        if np.array_equal(found, before):
            break
    return found
