"""Networks of the variables of convex programs and of neurons, and how they are balanced."""

import numpy as np

from ecgcvx.models.gated import GatedNetwork
from ecgcvx.models.relu import ReluNetwork
from ecgcvx.programs.features import two_layer_features
from ecgcvx.programs.program import ConvexProgram
from ecgcvx.types import Array


def network_of(program: ConvexProgram, u: Array) -> ReluNetwork | GatedNetwork:
    """Return the network of a convex program's variables u (g, d), zeros left out, the linear part beside it.

    Its output is the program's prediction (for a ReLU program: where u lies in its cones), and its weight decay
    1/2 (||W1||^2 + ||W2||^2) is the program's penalty sum ||u||. Raises InputError for a program of another network.

    Source: Pilanci & Ergen 2020, theorem 1.
    """
    features = two_layer_features(program.features, "network_of")
    active = np.flatnonzero(np.linalg.norm(u, axis=1))
    W1, W2 = _balanced(u[active], program.signs[active])
    linear = None if program.linear is None else program.fit(u).a
    if program.cones:
        return ReluNetwork(W1, W2, linear=linear)
    gates = np.ascontiguousarray(features.interior(program.blocks[active]).T)
    return GatedNetwork(W1, W2, gates, linear=linear)


def gated_network_of(gates: Array, u: Array) -> GatedNetwork:
    """Return the gated network of variables u (p, d) of the gates (p, d), zeros left out."""
    active = np.flatnonzero(np.linalg.norm(u, axis=1))
    W1, W2 = _balanced(u[active], np.ones(len(active)))
    return GatedNetwork(W1, W2, np.ascontiguousarray(gates[active].T))


def network_of_neurons(u: Array, signs: Array) -> ReluNetwork:
    """Return the balanced network of neurons u (m, d), none zero, and signs s: W1 = u/sqrt||u||, W2 = s sqrt||u||."""
    return ReluNetwork(*_balanced(u, signs))


def _balanced(u: Array, signs: Array) -> tuple[Array, Array]:
    roots = np.sqrt(np.linalg.norm(u, axis=1))
    return np.ascontiguousarray((u / roots[:, None]).T), signs * roots
