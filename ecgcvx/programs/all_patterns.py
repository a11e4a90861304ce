"""The convex program over all activation patterns: data of the problem, no algorithm.

    minimise over finite sums of atoms and a   P = L(U a + sum_j f(X; p_j)) + beta sum_j ||p_j||

P is convex in the measure that the atoms make up. For ReLU neurons this is the program over all patterns of X at once
(Pilanci & Ergen 2020, theorem 1), whose number of variables, the patterns, need not be known. Its dual is

    maximise D(v)   subject to   v'f(X; p)/n <= beta   for every unit atom p,   U'v = 0,

D as in `ecgcvx.programs.losses`. The free part U a, none by default, is not penalised: a network that is never behind
the linear forecast has U = X (`ecgcvx.programs.free`).

Sources: Bach (2017), Breaking the curse of dimensionality with convex neural networks; Pilanci & Ergen (2020).
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ecgcvx.atoms.cells import Cells
from ecgcvx.atoms.family import AtomFamily, Atoms, Passes
from ecgcvx.atoms.relu import ReluFamily
from ecgcvx.atoms.workers import Workers
from ecgcvx.errors import InputError
from ecgcvx.programs.free import Fitted, Free, FreePart
from ecgcvx.programs.losses import Loss, SquaredLoss, checked_targets
from ecgcvx.rows import Matrix, check_matrix
from ecgcvx.types import Array


@dataclass(frozen=True, eq=False)
class AllPatterns:
    """A program over all atoms of a family on rows X.

    X : (n, d) rows, an array or a lazy matrix. y : (n,) targets, or labels for the logistic loss. beta : weight of the
    penalty, in our convention (1/(2n) before the squared loss). family : the kind of atoms, ReLU neurons unless said
    otherwise. sample_weight : (n,) weights >= 0 of the samples in the loss; of mean 1, beta keeps its meaning. free :
    the unpenalised part: 'none', 'offset' (a constant) or 'linear' (x'a).

    Raises InputError when X, y or a weight is unusable or beta is not positive.
    """

    X: Matrix
    y: Array
    beta: float
    loss: Loss = field(default_factory=SquaredLoss)
    family: AtomFamily = field(default_factory=ReluFamily)
    sample_weight: Array | None = None
    free: Free = "none"

    def __post_init__(self) -> None:
        n, _ = check_matrix(self.X)
        object.__setattr__(self, "y", self.loss.targets(checked_targets(self.y, n, self.beta)))
        if self.sample_weight is not None:
            object.__setattr__(self, "sample_weight", _checked_weights(self.sample_weight, n))
        _ = self.part

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.y)

    @cached_property
    def passes(self) -> Passes:
        """The family's passes over X, prepared once for every beta and solve."""
        return self.family.prepare(self.X)

    @cached_property
    def part(self) -> FreePart:
        """The free part, and what is fitted with it."""
        return FreePart(self.free, self.X, self.loss, self.y, self.sample_weight)

    @cached_property
    def cells(self) -> Cells | None:
        """The cells of X with their exact prices, None where they are too many."""
        return self.family.cells(self.X)

    def at(self, beta: float) -> "AllPatterns":
        """The same program with another beta; what was prepared of the data is kept."""
        return self._sharing(replace(self, beta=beta), self.passes, self.part, self.cells)

    def with_targets(self, y: Array) -> "AllPatterns":
        """The same program with other targets (n,) of its rows; what was prepared of the rows is kept."""
        return self._sharing(replace(self, y=y), self.passes, cells=self.cells)

    def using(self, workers: Workers) -> "AllPatterns":
        """The same program with another pool of threads for its passes."""
        return self._sharing(replace(self), self.passes.using(workers), self.part, self.cells)

    def on_rows(self, rows: NDArray[np.intp]) -> "AllPatterns":
        """The program on some of the rows, of ascending indices."""
        passes = self.passes.on_rows(rows)
        weights = None if self.sample_weight is None else self.sample_weight[rows]
        return self._sharing(replace(self, X=passes.X, y=self.y[rows], sample_weight=weights), passes)

    @property
    def quadratic(self) -> bool:
        """Whether the loss is a quadratic function of the outputs."""
        return isinstance(self.loss, SquaredLoss)

    @property
    def squared_targets(self) -> Array | None:
        """y where the loss is ||f - y||^2/(2n) and nothing is free, else None."""
        return self.y if self.quadratic and self.sample_weight is None and self.free == "none" else None

    def fitted(self, f: Array, start: Array | None = None) -> Fitted:
        """The loss and the residual at the outputs f (n,) of the atoms, the free weights at their best.

        start (q,) : weights to look from where that takes iterations; the result does not depend on it beyond rounding.
        """
        return self.part.fitted(f, start)

    def at_atoms(self, atoms: Atoms) -> Fitted:
        """The same at the sum of some atoms."""
        f = self.passes.outputs(atoms)
        if self.squared_targets is None:
            return self.fitted(f)
        v = np.subtract(self.y, f, out=f)  # in its place: a day of windows has 250 MB a vector
        return Fitted(float(v @ v) / (2 * self.n), v, np.zeros(0), None)

    def curvature_weights(self, point: Fitted) -> Array | None:
        """h = w l''(f) (n,) at the whole outputs f, by which a sample counts in the curvature; None for ones."""
        if self.quadratic:
            return self.sample_weight
        assert point.outputs is not None
        h = self.loss.second_derivative(point.outputs, self.y)
        return h if self.sample_weight is None else self.sample_weight * h

    def penalty(self, atoms: Atoms) -> float:
        """Return beta sum_j ||p_j||."""
        return self.beta * float(self.family.norms(atoms).sum())

    def objective(self, atoms: Atoms) -> float:
        """Return P in float64."""
        return self.at_atoms(atoms).loss + self.penalty(atoms)

    def dual_value(self, v: Array, price: float) -> float:
        """Return the largest D(c v) over c in [0, beta/price]: a lower bound if `price` is the largest of all atoms.

        0, which every loss is above, where v is not orthogonal to the free part.
        """
        if not self.part.feasible(v):
            return 0.0
        return self.loss.dual_value(v, self.y, self.beta / max(price, 1e-300), self.sample_weight)

    @staticmethod
    def _sharing(
        program: "AllPatterns", passes: Passes, part: FreePart | None = None, cells: Cells | None = None
    ) -> "AllPatterns":
        program.__dict__["passes"] = passes  # where the cached property keeps it
        program.__dict__["cells"] = cells  # a program on some of the rows has none
        if part is not None:
            program.__dict__["part"] = part
        return program


class Profile:
    """A program as a function of its atoms' outputs alone, for one descent: free weights go on from the last ones."""

    def __init__(self, program: AllPatterns) -> None:
        self.program, self.squared_targets = program, program.squared_targets
        self.free: Array | None = None

    def loss_and_residual(self, f: Array) -> tuple[float, Array]:
        """The loss and v (n,) at outputs f (n,)."""
        found = self.program.fitted(f, self.free)
        self.free = found.free
        return found.loss, found.v


def _checked_weights(weights: Array, n: int) -> Array:
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (n,):
        raise InputError(f"sample_weight has shape {weights.shape}; X has {n} rows, so give ({n},)")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise InputError("sample_weight must hold finite numbers >= 0, not all of them 0")
    return weights
