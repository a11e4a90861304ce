"""Maps between networks and the variables of convex programs: networks to variables, merging, balancing, gated to ReLU.

A neuron (w1, w2) is a direction scaled by its weight, |w2| w1, and a sign. It lies in the closed cone of a pattern when
no sample is on the other side, so that a neuron on a face belongs to every adjacent cone.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from ecgcvx.arrangements.patterns import CHUNK_ELEMENTS, pack_signs
from ecgcvx.errors import InputError, SolverError
from ecgcvx.models.gated import GatedNetwork
from ecgcvx.models.polynomial import PolynomialNetwork
from ecgcvx.models.relu import ReluNetwork
from ecgcvx.models.two_layer import TwoLayerNetwork
from ecgcvx.programs.features import PatternFeatures, two_layer_features
from ecgcvx.programs.program import ConvexProgram
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.types import Array

Bits = NDArray[np.uint8]
FACE = 1e-9  # |x'w| <= FACE ||x|| ||w|| counts as zero: below it the two sides of a ReLU differ less than our 1e-9
ROWS_A_ROUND = 32
ROUNDS = 200
TOLERANCE = 1e-13  # of a cone row, relative to the points that are subtracted
SHARE = 1e-6  # change of the share of w at which the split has converged; its norm is second order in it
SPLITS = 200


def variables_of(program: ConvexProgram, network: TwoLayerNetwork) -> Array:
    """Return the variables u (g, d) of a program whose prediction is the network's output on its rows.

    ReLU: u_j = |w2| w1 in a variable of the neuron's sign whose cone contains w1; gated: u_j = s_j w2 w1 in one with
    the gate's pattern. Neurons that meet add up. sum ||u_j|| is at most the weight decay 1/2 (||W1||^2 + ||W2||^2).
    Neurons without an active sample are left out: D = 0 contributes nothing to the prediction. A linear part is no
    variable of the program, which has the best one beside any u.

    Raises InputError if one of program and network is gated and the other is not, if their inputs differ, or if the
    program has no variable for the pattern and sign of a neuron.

    Source: Pilanci & Ergen 2020, theorem 1, read backwards.
    """
    gated = isinstance(network, GatedNetwork)
    if gated == program.cones:
        kind = "gated" if gated else "ReLU"
        raise InputError(f"network: it is a {kind} one, but the program is not; give a {kind} program")
    features = two_layer_features(program.features, "variables_of")
    X = features.X
    _check_width(network, X)
    scaled, signs, gates = _neurons(network)
    above, below = _sides(X, scaled) if gates is None else _gate_sides(X, gates)
    packed = features.patterns.packed[program.blocks]
    u = np.zeros(program.shape)
    for k in np.flatnonzero(above.any(axis=1)):
        inside = ~((above[k] & ~packed) | (below[k] & packed)).any(axis=1)
        home = np.flatnonzero(inside & (gated | (program.signs == signs[k])))
        if not len(home):
            raise InputError(
                f"network: the program's {len(packed)} variables have none for neuron {k} (sign {signs[k]:+.0f}); "
                "make its patterns by patterns_of_gates from the network's own directions"
            )
        u[home[0]] += (program.signs[home[0]] * signs[k] if gated else 1.0) * scaled[k]
    return u


def merge(network: TwoLayerNetwork, X: Matrix) -> ReluNetwork | GatedNetwork:
    """Return the network with neurons of one cone of X and one sign added; gated: neurons of one gate pattern.

    Neurons may be added when no row of X has them strictly on different sides. The output on the rows of X stays and,
    by the triangle inequality, the weight decay of the (balanced) result is not larger.

    Raises InputError if X does not fit the network.
    """
    _check_width(network, X)
    scaled, signs, gates = _neurons(network)
    if gates is None:
        above, below = _sides(X, scaled)
    else:
        above, below = _gate_sides(X, gates)
        scaled, signs = signs[:, None] * scaled, np.ones(len(signs))
    first: list[int] = []
    for k in range(len(signs)):
        for j in first:
            if signs[j] == signs[k] and not ((above[j] & below[k]) | (below[j] & above[k])).any():
                scaled[j] += scaled[k]
                above[j] |= above[k]
                below[j] |= below[k]
                break
        else:
            first.append(k)
    return _network(scaled[first], signs[first], None if gates is None else gates[first], network.linear)


def balance(network: TwoLayerNetwork) -> ReluNetwork | GatedNetwork:
    """Return the network with every neuron rescaled to |w2| = ||w1||, those without effect left out.

    The output stays; the weight decay 1/2 (||w1||^2 + w2^2) falls to its minimum over rescalings, |w2| ||w1||.
    """
    return _network(*_neurons(network), network.linear)


def decompose(
    features: PatternFeatures, blocks: NDArray[np.intp], u: Array, method: Literal["exact", "fast"] = "exact"
) -> Array:
    """Return variables (2 p, d) of the ReLU program over the same patterns for gated weights u_j (g, d) of blocks (g,).

    Every u_j = v_j - w_j with v_j, w_j in the cone of its block, so that both programs predict the same. The penalty
    differs: ||v_j|| + ||w_j|| = ||u_j|| when u_j or -u_j lies in the cone, and otherwise more, the narrower the cone,
    without a bound for all data. Measured on record 208, beta = 1e-2: 2,000 windows and 25 gates .010 -> .45 (exact),
    7.6 (fast); 86,385 windows and 100 gates .0115 -> 88, 1,059. It is a start for the ReLU program, no solution.

    'exact' minimises ||v|| + ||w||. 'fast' is w = t g, v = u + t g (or v = t g, w = t g - u) with the block's gate g
    and the smallest t, in one pass over X.

    Raises InputError for an unknown method and SolverError if a gate is not inside its cone.

    Source: Mishkin, Sahiner & Pilanci 2022.
    """
    if method not in ("exact", "fast"):
        raise InputError(f"method = {method!r}; give 'exact' or 'fast'")
    out = np.zeros((2 * features.count, features.width))
    for block, z in zip(blocks, u, strict=True):
        if z.any():
            v, w = _split(features, int(block), z, method == "exact")
            out[block] += v
            out[features.count + block] += w
    return out


def _split(features: PatternFeatures, block: int, u: Array, exact: bool) -> tuple[Array, Array]:
    """v and w in the cone of a block with v - w = u."""
    index = np.array([block])
    gate = features.interior(index)[0] / np.linalg.norm(features.interior(index)[0])
    heights, values = features.cone_values(np.array([block, block]), np.stack([gate, u]))
    t = _step(block, heights, values)
    back = _step(block, heights, -values)
    if exact and min(t, back) > 0:
        return _shortest_split(features, block, u, values, min(t, back) + float(np.linalg.norm(u)))
    return (u + t * gate, t * gate) if t <= back else (back * gate, back * gate - u)


def _step(block: int, heights: Array, values: Array) -> float:
    """The smallest t >= 0 with values + t heights >= 0."""
    low = np.flatnonzero(values < 0)
    if (heights[low] <= 0).any():
        row = low[np.argmin(heights[low])]
        raise SolverError(f"pattern {block}: its gate lies on the face of row {row}; give it a gate inside its cone")
    return float(np.max(-values[low] / heights[low], initial=0.0))


def _shortest_split(features: PatternFeatures, block: int, u: Array, values: Array, size: float) -> tuple[Array, Array]:
    """The split of least ||v|| + ||w||, given values = C u and a bound `size` of its points' norms.

    For a fixed share theta, the minimum of ||v||^2 / (1 - theta) + ||w||^2 / theta is v = x + (1 - theta) u and
    w = x - theta u with the shortest x such that C x >= max(theta C u, (theta - 1) C u). With
    theta = ||w|| / (||v|| + ||w||) it is the minimum of the sum of norms (eta-trick), and alternating descends to it.
    """
    share, rows = 0.5, np.empty(0, dtype=np.intp)
    for _ in range(SPLITS):
        x, rows = _shortest(features, block, np.maximum(share * values, (share - 1) * values), rows, size)
        v, w = x + (1 - share) * u, x - share * u
        lengths = float(np.linalg.norm(v)), float(np.linalg.norm(w))
        before, share = share, lengths[1] / sum(lengths)
        if abs(share - before) < SHARE:
            break
    return v, w


def _shortest(
    features: PatternFeatures, block: int, limits: Array, rows: NDArray[np.intp], size: float
) -> tuple[Array, NDArray[np.intp]]:
    """The shortest x with C x >= limits (n,), and the rows it needed, to start the next search with; ||x|| <= size."""
    index = np.array([block])
    x = _least_distance(features.cone_rows(block, rows), limits[rows], size)
    for _ in range(ROUNDS):
        slack = features.cone_values(index, x[None])[0] - limits
        new = np.setdiff1d(np.flatnonzero(slack < -TOLERANCE * size), rows)
        if not len(new):
            return x, rows
        rows = np.union1d(rows, new[np.argsort(slack[new])[:ROWS_A_ROUND]])
        x = _least_distance(features.cone_rows(block, rows), limits[rows], size)
    raise SolverError(f"pattern {block}: no split after {ROUNDS} rounds of rows; use method = 'fast'")


def _least_distance(C: Array, limits: Array, size: float) -> Array:
    """The shortest x with C x >= limits, by non-negative least squares (Lawson & Hanson 1974, chapter 23).

    Limits are divided by the bound on ||x||: the residual that x is read from vanishes as x grows.
    """
    if not (limits > 0).any():
        return np.zeros(C.shape[1])
    target = np.zeros(C.shape[1] + 1)
    target[-1] = 1.0
    multipliers, _ = nnls(np.vstack([C.T, limits / size]), target)
    # The active rows are met to rounding by their shortest solution, which the residual only gives to its square root.
    active = multipliers > 0
    return np.asarray(np.linalg.lstsq(C[active], limits[active])[0], dtype=np.float64)


def _neurons(network: TwoLayerNetwork) -> tuple[Array, Array, Array | None]:
    """|w2| w1 (m', d), signs (m',) and gates (m', d) of the neurons that are not zero."""
    if isinstance(network, PolynomialNetwork):
        raise InputError("network: its activation is a polynomial, which has no cones; give a ReLU network")
    scaled = (network.W1 * np.abs(network.W2)).T
    alive = scaled.any(axis=1)
    gates = network.gates.T[alive] if isinstance(network, GatedNetwork) else None
    return scaled[alive], np.sign(network.W2[alive]), gates


def _network(scaled: Array, signs: Array, gates: Array | None, linear: Array | None) -> ReluNetwork | GatedNetwork:
    """The balanced network of scaled neurons (m, d), signs and gates, and the linear part as it is."""
    norms = np.linalg.norm(scaled, axis=1)
    alive = norms > 0
    roots = np.sqrt(norms[alive])
    W1 = np.ascontiguousarray((scaled[alive] / roots[:, None]).T)
    W2 = signs[alive] * roots
    if gates is None:
        return ReluNetwork(W1, W2, linear=linear)
    return GatedNetwork(W1, W2, np.ascontiguousarray(gates[alive].T), linear=linear)


def _sides(X: Matrix, w: Array) -> tuple[Bits, Bits]:
    """Bits (m, ceil(n / 8)) of the samples strictly above and strictly below the hyperplane of each w (m, d)."""
    units = w / np.linalg.norm(w, axis=1, keepdims=True)
    above = np.empty((len(w), -(-X.shape[0] // 8)), dtype=np.uint8)
    below = np.empty_like(above)
    for start, rows in row_chunks(X, CHUNK_ELEMENTS // max(len(w), 1)):
        heights, margins = units @ rows.T, FACE * np.linalg.norm(rows, axis=1)
        columns = slice(start // 8, start // 8 + -(-len(rows) // 8))
        above[:, columns] = np.packbits(heights > margins, axis=1)
        below[:, columns] = np.packbits(heights < -margins, axis=1)
    return above, below


def _gate_sides(X: Matrix, gates: Array) -> tuple[Bits, Bits]:
    """Bits of 1[X g >= 0] and of its complement: a gate is a step, so that no sample belongs to both sides."""
    above = pack_signs(X, gates)
    return above, ~above & np.packbits(np.ones(X.shape[0], dtype=np.bool_))


def _check_width(network: TwoLayerNetwork, X: Matrix) -> None:
    if X.shape[1] != network.W1.shape[0]:
        raise InputError(f"X has {X.shape[1]} columns, but the network takes {network.W1.shape[0]} inputs")
