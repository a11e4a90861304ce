"""What brackets the vector-output program on small problems: the gated program below, fits column by column above.

Neither equals it: the gated program lets a pattern's neurons leave their cone, a fit by columns lets no neuron feed two
outputs.
"""

from typing import NamedTuple

import numpy as np

from ecgcvx.arrangements import enumerate_patterns
from ecgcvx.gan.program import GeneratorProgram, Neurons
from ecgcvx.gan.solver import GeneratorSolver
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.vector import VectorProgram
from ecgcvx.solvers.vector import VectorAdmmSolver


class Bracket(NamedTuple):
    """A lower bound by duality, proved over all patterns; an upper bound, and the network by columns that has it."""

    lower: float
    upper: float
    by_column: Neurons


def bracket(program: GeneratorProgram, solver: GeneratorSolver | None = None) -> Bracket:
    """Return the bounds of the optimum of a small program, whose patterns are enumerated.

    Raises InputError when there are too many patterns to enumerate.
    """
    solver = GeneratorSolver(gap=1e-4) if solver is None else solver
    features = PatternFeatures(program.Z, enumerate_patterns(program.Z))
    gated = VectorAdmmSolver(gap=1e-6).solve(VectorProgram(features, program.T, program.beta))
    W, A = [], []
    for k in range(program.T.shape[1]):
        neurons = solver.solve(GeneratorProgram(program.Z, program.T[:, k : k + 1], program.beta)).neurons
        W.append(neurons.W)
        A.append(neurons.A * np.eye(program.T.shape[1])[k])
    columns = Neurons(np.concatenate(W), np.concatenate(A))
    return Bracket(gated.dual, program.objective(columns), columns)
