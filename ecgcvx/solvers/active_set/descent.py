"""Descent of all atoms at once: L-BFGS on the rounded objective, its inverse Hessian started from blocks.

Kinks are rounded over |z| < relative width * typical height * ||p||, frozen during a descent. An atom whose optimum
lies on a kink stops within the band, its derivative there playing the multiplier: no stall, no cone rows. The starting
inverse Hessian has a block for each atom, of the Gauss-Newton matrix of the loss and the Hessian beta/||p|| (I - ww')
of the norm: what makes windows hard, the conditioning of X'D X, is in the blocks.
"""

from collections import deque
from collections.abc import Callable

import numpy as np

from ecgcvx.atoms.family import Atoms
from ecgcvx.programs.all_patterns import AllPatterns, Profile
from ecgcvx.types import Array

MEMORY = 60
SUFFICIENT = 1e-4  # share of the slope's promise that a step must keep
SHRINK = 0.4
TRIALS = 8
CROSSED = 1e-3  # an atom that turns this far from itself has passed through zero
RIDGE = 1e-7
FAR = 3.0  # times an atom, beyond which its first step is damped
LOOK = 10  # iterations between looks at the progress


def descend(
    program: AllPatterns,
    atoms: Atoms,
    width: float,
    tolerance: float,
    iterations: int,
    expired: Callable[[], bool] = lambda: False,
) -> tuple[Atoms, int]:
    """Return the atoms moved downhill, those that reach zero left out, and the number of passes over the rows.

    Stops after `iterations`, when LOOK of them gain less than LOOK * tolerance of the objective, or when time has
    expired.
    """
    if not len(atoms):
        return atoms, 0
    family = program.family
    widths = width * program.passes.height * family.norms(atoms)
    profile = Profile(program)
    P, G = _objective(profile, atoms, widths)
    inverse = _inverse_blocks(program, atoms, G)
    scale = 1.0 / max(4.0, len(atoms) / 8)
    pairs: deque[tuple[Array, Array, float]] = deque(maxlen=MEMORY)
    passes, last = 1, P
    for iteration in range(iterations):
        direction = -_two_loop(G, pairs, inverse, scale)
        slope = float(np.vdot(G, direction))
        if slope >= 0:
            break
        step, found = 1.0, False
        for _ in range(TRIALS):
            points = atoms.points + step * direction
            dead = np.einsum("ij,ij->i", points, atoms.points) <= CROSSED * family.norms(atoms) ** 2
            points[dead] = 0.0
            P_new, G_new = _objective(profile, atoms.moved(points), widths)
            passes += 1
            if P_new <= P + SUFFICIENT * step * slope or (dead.any() and P_new <= P):
                found = True
                break
            step *= SHRINK
        if not found:
            break
        moved = atoms.moved(points)
        if dead.any():
            kept = ~dead
            moved, G_new, widths, inverse = moved.subset(kept), G_new[kept], widths[kept], inverse[kept]
            cut = [(s[kept], q[kept]) for s, q, _ in pairs]
            pairs.clear()
            for s, q in cut:
                _remember(pairs, s, q)
        else:
            s, q = points - atoms.points, G_new - G
            if _remember(pairs, s, q):
                scale = float(np.vdot(s, q) / np.vdot(q, _apply(inverse, q)))
        atoms, P, G = moved, P_new, G_new
        if not len(atoms) or expired():
            break
        if iteration % LOOK == LOOK - 1:
            if last - P < LOOK * tolerance * P:
                break
            last = P
    return atoms, passes


def _objective(profile: Profile, atoms: Atoms, widths: Array) -> tuple[float, Array]:
    program = profile.program
    loss, gradient = program.passes.loss_and_gradient(atoms, widths, profile)
    beta, norms = program.beta, program.family.norms(atoms)
    return loss + beta * float(norms.sum()), gradient + beta * atoms.points / np.maximum(norms, 1e-300)[:, None]


def _inverse_blocks(program: AllPatterns, atoms: Atoms, G: Array) -> Array:
    """Inverses (m, k, b, b) of the blocks, damped where their Newton step along the gradient G (m, p) would be far.

    Blocks come from a sample of the rows. Of an atom that is on in few rows it may hold none, and its block is nothing
    but the ridge along the atom: with one such step no step of all atoms together goes downhill. A step longer than FAR
    times its atom has the block damped by ||G_j|| / (FAR ||p_j||), with which it cannot be (Levenberg 1944).
    """
    family = program.family
    weights = None if program.quadratic else program.curvature_weights(program.at_atoms(atoms))
    blocks = program.passes.curvature(atoms, program.sample_weight if program.quadratic else weights)
    m, k, b, _ = blocks.shape
    norms = family.norms(atoms)
    units, weights = family.units(atoms).points.reshape(m, k, b), program.beta / norms
    blocks = blocks + weights[:, None, None, None] * (np.eye(b) - units[:, :, :, None] * units[:, :, None, :])
    size = np.trace(blocks, axis1=2, axis2=3)[:, :, None, None] / b
    blocks = blocks + RIDGE * size * np.eye(b)
    inverse: Array = np.linalg.inv(blocks)
    far = np.linalg.norm(_apply(inverse, G), axis=1) > FAR * norms
    damping = np.linalg.norm(G[far], axis=1) / (FAR * norms[far])
    inverse[far] = np.linalg.inv(blocks[far] + damping[:, None, None, None] * np.eye(b))
    return inverse


def _apply(inverse: Array, q: Array) -> Array:
    m, k, b, _ = inverse.shape
    return np.matmul(inverse, q.reshape(m, k, b, 1)).reshape(q.shape)


def _remember(pairs: deque[tuple[Array, Array, float]], s: Array, q: Array) -> bool:
    sq = float(np.vdot(s, q))
    good = sq > 1e-10 * float(np.linalg.norm(s) * np.linalg.norm(q))
    if good:
        pairs.append((s, q, 1.0 / sq))
    return good


def _two_loop(G: Array, pairs: deque[tuple[Array, Array, float]], inverse: Array, scale: float) -> Array:
    q = G.copy()
    shares = []
    for s, change, rho in reversed(pairs):
        share = rho * float(np.vdot(s, q))
        q -= share * change
        shares.append(share)
    q = scale * _apply(inverse, q)
    for (s, change, rho), share in zip(pairs, reversed(shares), strict=True):
        q += (share - rho * float(np.vdot(change, q))) * s
    return q
