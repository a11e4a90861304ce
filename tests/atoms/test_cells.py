"""Exact prices over all cells of few rows, and the active set that uses them, against programs written out in CVXPY."""

import family_oracles as oracle
import numpy as np
import pytest

from ecgcvx.atoms.batch_norm import BatchNormFamily
from ecgcvx.atoms.convolutional import ConvolutionalFamily
from ecgcvx.atoms.relu import ReluFamily
from ecgcvx.atoms.three_layer import ThreeLayerFamily
from ecgcvx.evidence import Evidence
from ecgcvx.patches import Convolution
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.solvers.active_set.pricing import price_atoms

CONVOLUTION = Convolution(2, 1, "average", 1)


def programs(seed):
    """A tiny problem of every family that enumerates its cells."""
    X, y, beta = oracle.random_problem(seed, 5, 3, bias=True)
    windows, targets, _ = oracle.random_problem(seed, 3, 5, bias=True)
    few, few_targets, _ = oracle.random_problem(seed, 3, 2)
    return {
        "relu": AllPatterns(X, y, beta, family=ReluFamily()),
        "conv": AllPatterns(windows, targets, beta, family=ConvolutionalFamily(CONVOLUTION, 5)),
        "batch norm": AllPatterns(X, y, beta, family=BatchNormFamily(), free="offset"),
        "three layers": AllPatterns(few, few_targets, beta, family=ThreeLayerFamily(2)),
    }


@pytest.mark.parametrize("name", ["relu", "conv", "batch norm", "three layers"])
def test_maximisers_have_their_prices_and_nothing_is_above_them(name):
    program = programs(0)[name]
    v = np.random.default_rng(1).standard_normal(program.n)
    atoms, prices = program.cells.maximisers(v)
    np.testing.assert_allclose(program.family.norms(atoms), 1.0, rtol=1e-9)
    np.testing.assert_allclose(price_atoms(program, v, atoms), prices, rtol=1e-8)
    drawn = program.passes.starts(3000, program.passes.none(), np.random.default_rng(2))
    assert price_atoms(program, v, drawn).max() <= prices[0] * (1 + 1e-9)
    assert (np.diff(prices) <= 1e-12).all()


def test_many_rows_have_no_cells():
    X = np.random.default_rng(0).standard_normal((200, 4))
    assert ReluFamily().cells(X) is None
    assert AllPatterns(X, X[:, 0], 0.1).cells is None


@pytest.mark.parametrize("seed", [8, 11, 27, 41])
def test_the_active_set_ends_at_the_optimum_where_a_search_ended_above_it(seed):
    """Problems of batch norm on which the search alone ended 6e-5 to 6e-2 above the optimum with a gap of 1e-10."""
    X, y, beta = oracle.random_problem(seed, 6, 2 + seed % 2, bias=seed % 2 == 1)
    found = ActiveSetSolver(gap=1e-7, rounds=40).solve(AllPatterns(X, y, beta, family=BatchNormFamily(), free="offset"))
    assert found.evidence is Evidence.ENUMERATED
    assert found.status == "optimal"
    assert found.primal == pytest.approx(oracle.batch_norm_optimum(X, y, beta), rel=1e-6)
