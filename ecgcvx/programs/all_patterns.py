"""The convex program over all activation patterns: data of the problem, no algorithm.

    minimise over finite sums of atoms   P = L(sum_j f(X; p_j)) + beta sum_j ||p_j||

P is convex in the measure that the atoms make up. For ReLU neurons this is the program over all patterns of X at once
(Pilanci & Ergen 2020, theorem 1), whose number of variables, the patterns, need not be known. Its dual is

    maximise D(v)   subject to   |v'f(X; p)|/n <= beta   for every unit atom p,       D as in `ecgcvx.programs.losses`.

Sources: Bach (2017), Breaking the curse of dimensionality with convex neural networks; Pilanci & Ergen (2020).
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ecgcvx.atoms.family import AtomFamily, Atoms, Passes
from ecgcvx.atoms.relu import ReluFamily
from ecgcvx.atoms.workers import Workers
from ecgcvx.programs.losses import Loss, SquaredLoss, checked_targets
from ecgcvx.rows import Matrix, check_matrix
from ecgcvx.types import Array


@dataclass(frozen=True, eq=False)
class AllPatterns:
    """A program over all atoms of a family on rows X.

    X : (n, d) rows, an array or a lazy matrix. y : (n,) targets, or labels for the logistic loss. beta : weight of the
    penalty, in our convention (1/(2n) before the squared loss). family : the kind of atoms, ReLU neurons unless said
    otherwise.

    Raises InputError when X or y is unusable or beta is not positive.
    """

    X: Matrix
    y: Array
    beta: float
    loss: Loss = field(default_factory=SquaredLoss)
    family: AtomFamily = field(default_factory=ReluFamily)

    def __post_init__(self) -> None:
        n, _ = check_matrix(self.X)
        object.__setattr__(self, "y", self.loss.targets(checked_targets(self.y, n, self.beta)))

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.y)

    @cached_property
    def passes(self) -> Passes:
        """The family's passes over X, prepared once for every beta and solve."""
        return self.family.prepare(self.X)

    def at(self, beta: float) -> "AllPatterns":
        """The same program with another beta; what was prepared of the data is kept."""
        return self._sharing(replace(self, beta=beta), self.passes)

    def using(self, workers: Workers) -> "AllPatterns":
        """The same program with another pool of threads for its passes."""
        return self._sharing(replace(self), self.passes.using(workers))

    def on_rows(self, rows: NDArray[np.intp]) -> "AllPatterns":
        """The program on some of the rows, of ascending indices."""
        passes = self.passes.on_rows(rows)
        return self._sharing(replace(self, X=passes.X, y=self.y[rows]), passes)

    @property
    def squared_targets(self) -> Array | None:
        """y where the loss is squared, else None."""
        return self.y if isinstance(self.loss, SquaredLoss) else None

    def value(self, f: Array) -> float:
        """Return L(f) for outputs f (n,)."""
        return self.loss.value(f, self.y)

    def residual(self, f: Array) -> Array:
        """Return v = -n dL/df (n,)."""
        return self.loss.residual(f, self.y)

    def penalty(self, atoms: Atoms) -> float:
        """Return beta sum_j ||p_j||."""
        return self.beta * float(self.family.norms(atoms).sum())

    def objective(self, atoms: Atoms) -> float:
        """Return P in float64."""
        return self.value(self.passes.outputs(atoms)) + self.penalty(atoms)

    def dual_value(self, v: Array, price: float) -> float:
        """Return the largest D(c v) over c in [0, beta/price]: a lower bound if `price` is the largest of all atoms."""
        return self.loss.dual_value(v, self.y, self.beta / max(price, 1e-300))

    @staticmethod
    def _sharing(program: "AllPatterns", passes: Passes) -> "AllPatterns":
        program.__dict__["passes"] = passes  # where the cached property keeps it
        return program
