"""The ReLU generator (Z W1)_+ W2 as a vector-output convex program, with its dual.

A neuron is an atom (w, a), w (d,) a unit vector and a (r,) any vector, with the output (Zw)_+ a' on the n latents Z:

    min  1/(2n) ||sum_j (Z w_j)_+ a_j' - T||_F^2 + beta sum_j ||a_j||                         (residual)
    max_V  <V, T>/n - ||V||_F^2/(2n)   s.t.  ||V'(Zw)_+|| <= beta n  for all ||w|| <= 1       (its dual)

    min  sum_j ||a_j||   s.t.  sum_j (Z w_j)_+ a_j' = T                                       (equality)
    max_V  <V, T>/n   s.t.  ||V'(Zw)_+|| <= n  for all ||w|| <= 1                             (its dual)

sum_j ||a_j|| is half of the smallest ||W1||_F^2 + ||W2||_F^2 that gives the same network. ||V'(Zw)_+||/n is the price
of a neuron. No norm of a matrix, since the pattern 1[Zw >= 0] changes with w, and no sum over the columns of T.

Source: Sahiner et al. 2022 (ICLR), "Hidden convexity of Wasserstein GANs"; Sahiner, Ergen, Pauly & Pilanci 2021 (ICLR).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.programs.losses import scaled_parabola
from ecgcvx.types import Array

CHUNK = 2048  # rows of latents worked on at once
SINGLE_ROWS = 512  # from which search and descent are of float32; what is reported is of float64


class _Data(NamedTuple):
    Z: Any
    T: Any


@dataclass(frozen=True, eq=False)
class Neurons:
    """m ReLU neurons: W (m, d) of unit rows, A (m, r) of outputs."""

    W: Array
    A: Array

    def __len__(self) -> int:
        return len(self.W)

    def outputs(self, Z: Array) -> Array:
        """Return sum_j (Z w_j)_+ a_j', (n, r), for latents Z (n, d)."""
        out = np.empty((len(Z), self.A.shape[1]))
        for a in range(0, len(Z), CHUNK):
            out[a : a + CHUNK] = np.maximum(Z[a : a + CHUNK] @ self.W.T, 0.0) @ self.A
        return out

    @property
    def price(self) -> float:
        """sum_j ||a_j||."""
        return float(np.linalg.norm(self.A, axis=1).sum())

    def weights(self) -> tuple[Array, Array]:
        """Balanced W1 (d, m) and W2 (m, r), for which (||W1||_F^2 + ||W2||_F^2) / 2 = sum_j ||a_j||."""
        roots = np.sqrt(np.linalg.norm(self.A, axis=1))
        return self.W.T * roots, self.A / roots[:, None]


@dataclass(frozen=True, eq=False)
class GeneratorProgram:
    """The program of the residual, of latents Z (n, d) and targets T (n, r).

    Raises InputError if Z and T are not finite matrices with the same number of rows, or beta is not positive.
    """

    Z: Array
    T: Array
    beta: float

    def __post_init__(self) -> None:
        for name in ("Z", "T"):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if value.ndim != 2 or not value.size or not np.isfinite(value).all():
                raise InputError(f"{name} has shape {value.shape}; give a matrix of finite numbers that is not empty")
            object.__setattr__(self, name, np.ascontiguousarray(value))
        if len(self.Z) != len(self.T):
            raise InputError(f"Z has {len(self.Z)} rows and T has {len(self.T)}; give one latent for each target")
        if not (np.isfinite(self.beta) and self.beta > 0):
            raise InputError(f"beta = {self.beta}: it must be a positive number, as 1e-3")

    @cached_property
    def fast(self) -> "_Data":
        """Z and T as the search and the descent read them: of many rows in float32."""
        kind = np.float32 if len(self.Z) >= SINGLE_ROWS else np.float64
        return _Data(self.Z.astype(kind), self.T.astype(kind))

    @property
    def n(self) -> int:
        """Number of latents."""
        return len(self.Z)

    def residual(self, neurons: Neurons) -> Array:
        """Return T - sum_j (Z w_j)_+ a_j', (n, r)."""
        return self.T - neurons.outputs(self.Z)

    def objective(self, neurons: Neurons) -> float:
        """Return the primal objective."""
        R = self.residual(neurons)
        return float(np.vdot(R, R)) / (2 * self.n) + self.beta * neurons.price

    def prices(self, W: Array, V: Array) -> Array:
        """Return ||V'(Zw)_+||/n (k,) of the rows of W (k, d)."""
        return np.linalg.norm(np.maximum(self.Z @ W.T, 0.0).T @ V, axis=1) / self.n

    def dual_value(self, V: Array, price: float) -> float:
        """Return the largest dual objective among the multiples of V (n, r), whose largest price is `price`."""
        limit = self.beta / price if price > 0 else np.inf
        return scaled_parabola(float(np.vdot(V, self.T)) / self.n, float(np.vdot(V, V)) / self.n, limit)
