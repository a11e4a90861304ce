"""Descent of all atoms at once: no single atom keeps the others from moving."""

import numpy as np
import pytest
from family_oracles import relu_objective as objective

from ecgcvx.atoms.family import Atoms
from ecgcvx.atoms.kernels import CHUNK
from ecgcvx.atoms.relu import CURVATURE_CHUNKS
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.solvers.active_set.descent import descend


@pytest.mark.parametrize("seed", range(3))
def test_an_atom_that_is_on_in_no_sampled_row_does_not_stop_the_others(seed):
    """On record 208, five steps ahead, one of 284 neurons was on in 74 of 69,101 windows, and none of them moved."""
    rng = np.random.default_rng(seed)
    chunks, d, m = 2 * CURVATURE_CHUNKS + 2, 4, 6
    X = np.column_stack([rng.uniform(-1, 1, (chunks * CHUNK, d - 1)), np.ones(chunks * CHUNK)])
    unseen = np.setdiff1d(np.arange(chunks), np.linspace(0, chunks - 1, CURVATURE_CHUNKS).astype(int))[0]
    X[unseen * CHUNK + np.arange(5), 0] = 1.5
    rare = np.array([[1.0, 0.0, 0.0, -1.2]])
    points, signs = rng.standard_normal((m, d)), np.where(rng.random((m + 1, 1)) < 0.5, -1.0, 1.0)
    y = np.maximum(X @ np.vstack([points, 20 * rare]).T, 0) @ signs[:, 0]  # the rare one is to grow
    program = AllPatterns(X, y, 1e-5)
    start = Atoms(np.vstack([points + 0.05 * rng.standard_normal((m, d)), rare]), signs)
    moved, _ = descend(program, start, 1e-4, 1e-9, 30)
    others = np.arange(m)
    alone, _ = descend(program, start.subset(others), 1e-4, 1e-9, 30)
    without = objective(program, alone.with_more(start.subset(np.array([m]))))
    assert objective(program, moved) < without + 0.1 * (objective(program, start) - without)
