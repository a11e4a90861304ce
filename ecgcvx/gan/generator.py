"""A generator of beats: linear in closed form, or ReLU stages that are convex programs, with a Gaussian rest.

    x = mean + L (u_1, ..., u_r),    L L' = V' (Sigma^2 - beta_d)_+ V

The triangular L takes the resolutions one after the other: a score u_i belongs to the part of the signal that one
resolution adds to the coarser ones, less what the scores before it say of that part. So any u with Cov u = I has the
moments that the game asks for, whatever its distribution: this is the free factor U of the solutions. It is normal in
the linear generator. In the others the leading scores, a stage at a time, are outputs of a ReLU network

    u_stage = (N(u_before, z) - c - B u_before) R,    z ~ N(0, I) fresh latents of the stage's width,

whose N solves the vector-output program of targets on the beats' own distribution; c, B and R make Cov u = I again.

The latents of the stages are a scrambled Sobol sequence, spread more evenly than independent draws, so the moments of
what is drawn scatter less.

Source of the sequence: Sobol 1967; Owen 1998 (Journal of Complexity 14).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.fft import dct
from scipy.linalg import block_diag
from scipy.special import ndtri
from scipy.stats import qmc

from ecgcvx.errors import InputError
from ecgcvx.gan.aligned import AlignedBeats
from ecgcvx.gan.mixture import Mixture, fit_mixture
from ecgcvx.gan.program import GeneratorProgram, Neurons
from ecgcvx.gan.solver import GeneratorSolver
from ecgcvx.gan.target import MomentTarget, data_matrix, moment_target
from ecgcvx.types import Array, Progress

KINDS = ("linear", "relu", "progressive")
RESOLUTIONS = (8, 4, 2, 1)  # of a progressive generator: the beat decimated by these factors
SCORES = {"relu": 12, "progressive": 24}  # of the ReLU stages; the rest is Gaussian
BEATS_A_SCORE = 8  # at least
BEATS_A_COMPONENT = 60
MOST_COMPONENTS = 16
STAGE = 3  # scores of a stage of a progressive generator
LATENTS = 3000  # rows of a program
MOMENT_DRAWS = 2**15  # that c, B and R are found from
SOBOL_STEP = 2.0**-30  # between the points' coordinates
SMALL = 1e-10  # of the largest variance: smaller innovations are rounding


@dataclass(frozen=True, eq=False)
class Stage:
    """One convex program's network with its affine correction, and what its solver said.

    resolution : decimation factor. inputs, width : scores before it and in it. gap : relative, searched, of a program
    whose equality is met to `residual`, relative to the target.
    """

    resolution: int
    inputs: int
    width: int
    neurons: Neurons
    c: Array
    B: Array
    R: Array
    gap: float
    residual: float
    status: str
    seconds: float

    def outputs(self, before: Array, Z: Array) -> Array:
        """Return the stage's scores (n, width), of scores before it (n, inputs) and latents (n, width)."""
        raw = self.neurons.outputs(_stage_inputs(before, Z))
        return _corrected(raw, before, self.c, self.B, self.R)


@dataclass(frozen=True, eq=False)
class BeatGenerator:
    """A fitted generator of vectors (p,), e.g. beats of one class; see the module for the model.

    target : moments. L (p, r). stages : of the leading scores, none of a linear generator. spread : quantiles of the
    size of the Gaussian rest in a beat, of mean square 1. kind : of `KINDS`.
    """

    kind: str
    target: MomentTarget
    L: Array
    stages: tuple[Stage, ...]
    spread: Array

    @property
    def scores(self) -> int:
        """Number of scores that ReLU stages generate."""
        return sum(stage.width for stage in self.stages)

    @classmethod
    def fit(
        cls,
        X: Array | AlignedBeats,
        kind: str = "progressive",
        *,
        mixed: bool = False,
        beta_d: float = 0.0,
        rank: int | None = None,
        beta: float = 2e-3,
        signals: int | None = None,
        context: int = 0,
        scores: int | None = None,
        stage: int = STAGE,
        latents: int = LATENTS,
        solver: GeneratorSolver | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> "BeatGenerator":
        """Return the generator of beats of one class, or of any data X (n, p).

        signals : rows of X are so many leads of equal length one after the other (default 1; of beats, their leads).
        mixed : take beats of several classes; there will be beats in between that do not exist.
        context : the last columns of X are so many numbers that are no samples, e.g. an RR interval; give them a spread
        like that of the leading scores of the beats.

        beta_d, rank : of the moments (`moment_target`). beta : of a stage's program, whose targets have mean square 1.
        scores : of all ReLU stages, by default those of `SCORES`. stage : scores of one. latents : rows of a program.
        seed : of latents and searches.

        Raises InputError for data that cannot be used, for beats of several classes, and for options out of range.
        """
        X, signals = _rows(X, signals, mixed)
        n, p = X.shape
        if kind not in KINDS:
            raise InputError(f"kind = {kind!r}: give one of {', '.join(KINDS)}")
        for name, value in (("scores", scores), ("stage", stage), ("latents", latents), ("signals", signals)):
            if value is not None and value < 1:
                raise InputError(f"{name} = {value}: give at least 1")
        if not 0 <= context < p or (p - context) % signals:
            raise InputError(f"signals = {signals}, context = {context}: rows of {p} numbers are not made up like that")
        target = moment_target(X, beta_d, rank)
        if kind == "linear":
            return cls(kind, target, target.W.T, (), np.ones(2))
        if n < 2 * BEATS_A_SCORE:
            raise InputError(f"beats: {n} are too few for a ReLU generator; give {2 * BEATS_A_SCORE}, or kind 'linear'")
        factors = RESOLUTIONS if kind == "progressive" else (1,)
        L, resolution = _innovations(target, signals, context, factors)
        heads, order = _leading(L, resolution, min(scores or SCORES[kind], n // BEATS_A_SCORE, L.shape[1]))
        L, resolution = L[:, order], resolution[order]
        whitened = _scores_of(X, target, L)
        widths = _stage_widths(resolution[:heads], stage if kind == "progressive" else heads)
        mixture = fit_mixture(whitened[:, :heads], int(np.clip(n // BEATS_A_COMPONENT, 1, MOST_COMPONENTS)), seed)
        random = np.random.default_rng(seed)
        solver = GeneratorSolver(gap=0.1, rounds=10, seed=seed) if solver is None else solver
        stages: list[Stage] = []
        before, drawn = np.zeros((latents, 0)), np.zeros((MOMENT_DRAWS, 0))
        even = even_normals(MOMENT_DRAWS, heads, random)
        for number, (factor, width) in enumerate(widths, 1):
            if progress is not None:
                progress(f"stage {number} of {len(widths)}", (number - 1) / len(widths))
            Z = even[:, drawn.shape[1] : drawn.shape[1] + width]
            fitted = _fit_stage(mixture, before, drawn, Z, factor, beta, solver, random)
            before = np.hstack([before, fitted.outputs(before, random.standard_normal((latents, width)))])
            drawn = np.hstack([drawn, fitted.outputs(drawn, Z)])
            stages.append(fitted)
        rest = whitened[:, heads:]
        sizes = np.sqrt((rest**2).mean(axis=1)) if rest.shape[1] else np.ones(n)
        spread = np.quantile(sizes, np.linspace(0, 1, 101))
        return cls(kind, target, L, tuple(stages), spread / np.sqrt((spread**2).mean()))

    def sample(self, count: int, seed: int = 0) -> Array:
        """Return `count` draws (count, p), the same for a seed. Raises InputError for a count below 1."""
        if count < 1:
            raise InputError(f"count = {count}: give at least 1")
        random = np.random.default_rng(seed)
        u, Z = np.zeros((count, 0)), even_normals(count, self.scores, random)
        for stage in self.stages:
            u = np.hstack([u, stage.outputs(u, Z[:, stage.inputs : stage.inputs + stage.width])])
        rest = random.standard_normal((count, self.L.shape[1] - u.shape[1]))
        sizes = np.interp(random.random(count), np.linspace(0, 1, len(self.spread)), self.spread)
        return self.target.mean + np.hstack([u, rest * sizes[:, None]]) @ self.L.T


def _rows(X: Array | AlignedBeats, signals: int | None, mixed: bool) -> tuple[Array, int]:
    """The matrix of data or beats, and how many signals make up a row."""
    if not isinstance(X, AlignedBeats):
        if mixed:
            raise InputError("mixed: rows of a matrix have no classes; leave it out, or give beats")
        return data_matrix(X), 1 if signals is None else signals
    if signals is not None:
        raise InputError(f"signals = {signals}: beats of leads {', '.join(X.leads)} are given; leave it out")
    if len(X.counts) > 1 and not mixed:
        raise InputError(
            f"{X.name}: beats of classes {', '.join(X.counts)} in one generator would make beats that do not exist; "
            "choose a class with of_class, or give mixed=True"
        )
    return data_matrix(X.matrix), len(X.leads)


def _innovations(target: MomentTarget, signals: int, context: int, factors: Sequence[int]) -> tuple[Array, np.ndarray]:
    """L (p, r) with L L' = W'W by resolutions, and the decimation factor (r,) each column belongs to.

    The beat decimated by a factor is its lowest cosines, as many as the factor leaves samples.
    """
    C = target.covariance()
    p = len(C)
    length = (p - context) // signals
    cosines = block_diag(*[dct(np.eye(length), norm="ortho", axis=0)] * signals, np.eye(context))
    frequency = np.concatenate([np.tile(np.arange(length), signals), np.zeros(context, dtype=np.intp)])
    L, resolution, first = np.zeros((p, 0)), [], 0
    floor = SMALL * float(np.trace(C))
    left = C  # what the columns so far do not account for
    for factor in factors:
        last = -(-length // factor)
        D = cosines[(frequency >= first) & (frequency < last)]
        first = last
        values, Q = np.linalg.eigh(D @ left @ D.T)
        kept = values > floor
        values, Q = values[kept][::-1], Q[:, kept][:, ::-1]
        columns = left @ D.T @ Q / np.sqrt(values)
        L = np.hstack([L, columns])
        resolution += [factor] * len(values)
        left = left - columns @ columns.T
    return L, np.array(resolution)


def _leading(L: Array, resolution: np.ndarray, heads: int) -> tuple[int, np.ndarray]:
    """`heads`, and an order of the columns in which those of the largest variances come first, by resolution."""
    leading = np.sort(np.argsort(-(L * L).sum(axis=0), kind="stable")[:heads])
    return heads, np.concatenate([leading, np.setdiff1d(np.arange(L.shape[1]), leading)])


def _scores_of(X: Array, target: MomentTarget, L: Array) -> Array:
    """The scores (n, r) of the data, with unit moments: u with L u = the data shrunk to the target's moments."""
    centred = X - target.mean
    kept = target.moments[: target.rank]
    shrunk = centred @ target.V.T * (target.scales / np.sqrt(kept)) @ target.V
    return np.asarray(np.linalg.lstsq(L, shrunk.T, rcond=None)[0].T, dtype=np.float64)


def _stage_widths(resolution: np.ndarray, most: int) -> list[tuple[int, int]]:
    """(factor, width) of the stages: of one resolution, at most `most` wide and about equally so."""
    widths = []
    for factor in dict.fromkeys(resolution.tolist()):
        count = int((resolution == factor).sum())
        widths += [(factor, len(part)) for part in np.array_split(np.arange(count), -(-count // most))]
    return widths


def _fit_stage(
    mixture: Mixture, before: Array, drawn: Array, drawn_Z: Array, factor: int, beta: float, solver: GeneratorSolver,
    random: np.random.Generator,
) -> Stage:  # fmt: skip
    """Solve the program of one stage: white targets, uncorrelated with the scores before, on the mixture's flow.

    drawn, drawn_Z : scores before and latents that the affine correction is found from.
    """
    width = drawn_Z.shape[1]
    Z = random.standard_normal((len(before), width))
    U = mixture.flow(Z, before)
    U = _corrected(U, before, *_correction(U, before))
    program = GeneratorProgram(_stage_inputs(before, Z), U / np.sqrt(width), beta)
    found = solver.solve(program)
    neurons = Neurons(found.neurons.W, found.neurons.A * np.sqrt(width))
    raw = neurons.outputs(_stage_inputs(drawn, drawn_Z))
    c, B, R = _correction(raw, drawn)
    return Stage(
        factor, before.shape[1], width, neurons, c, B, R, found.gap, found.residual, found.status, found.seconds
    )


def even_normals(count: int, dimensions: int, random: np.random.Generator) -> Array:
    """Normal latents (count, dimensions) of a scrambled Sobol sequence, in random order."""
    if dimensions == 0:
        return np.zeros((count, 0))
    points = qmc.Sobol(dimensions, seed=random).random_base2((count - 1).bit_length())[:count]
    return np.asarray(ndtri(random.permutation(points) + SOBOL_STEP / 2), dtype=np.float64)


def _stage_inputs(before: Array, Z: Array) -> Array:
    return np.hstack([before, Z, np.ones((len(Z), 1))])


def _correction(U: Array, before: Array) -> tuple[Array, Array, Array]:
    """c, B and the symmetric R that make (U - c - before B) R white and uncorrelated with `before`."""
    inputs = np.hstack([np.ones((len(U), 1)), before])
    solved = np.linalg.lstsq(inputs, U, rcond=None)[0]
    rest = U - inputs @ solved
    values, Q = np.linalg.eigh(rest.T @ rest / len(U))
    R = (Q / np.sqrt(np.maximum(values, 1e-12 * values[-1]))) @ Q.T
    c, B = np.asarray(solved[0], dtype=np.float64), np.asarray(solved[1:], dtype=np.float64)
    return c, B, np.asarray(R, dtype=np.float64)


def _corrected(U: Array, before: Array, c: Array, B: Array, R: Array) -> Array:
    return (U - c - before @ B) @ R
