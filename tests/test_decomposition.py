"""Neurons of a matrix: as many as its rank, unit vectors, and the same output to 1e-9."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polynomial_cases import ACTIVATIONS, random_data

from ecgcvx.errors import InputError
from ecgcvx.models import neural_decomposition, polynomial_network_of
from ecgcvx.programs.polynomial import PolynomialProgram
from ecgcvx.solvers.polynomial import PolynomialCvxpySolver, PolynomialSolver


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 8),
    st.integers(0, 8),
    st.floats(1e-6, 1e6),
    st.floats(0.0, 4.0),
    st.booleans(),
)
def test_a_balanced_matrix_is_a_sum_of_neurons(seed, d, rank, size, spread, planted):
    """Made of neurons, or of any factors scaled to tr Z1 = z4; with eigenvalues of any spread."""
    rng = np.random.default_rng(seed)
    rank = min(rank, d + 1)
    P = rng.standard_normal((rank, d + 1)) * 10 ** (-spread * rng.random((rank, 1)))
    lengths = np.linalg.norm(P[:, :-1], axis=1)
    if planted:
        P[:, -1] = lengths
    elif rank:
        P[:, -1] *= np.linalg.norm(lengths) / np.linalg.norm(P[:, -1])
    Z = size * P.T @ P
    alpha, u = neural_decomposition(Z)
    assert len(alpha) == np.linalg.matrix_rank(Z, tol=1e-12 * np.linalg.norm(Z, 2), hermitian=True)
    assert (alpha > 0).all()
    np.testing.assert_allclose(np.linalg.norm(u, axis=1), 1, rtol=1e-12)
    lifted = np.c_[u, np.ones(len(u))]
    scale = np.abs(Z).max(initial=1e-300)
    np.testing.assert_allclose((lifted.T * alpha) @ lifted / scale, Z / scale, atol=1e-9)


@pytest.mark.parametrize("name", list(ACTIVATIONS))
@pytest.mark.parametrize("solver", [PolynomialSolver(), PolynomialCvxpySolver()], ids=["own", "cvxpy"])
def test_a_program_and_its_network_agree(name, solver):
    X, y = random_data(14, n=60, d=5)
    program = PolynomialProgram(X, y, 0.01, ACTIVATIONS[name])
    found = solver.solve(program)
    network = polynomial_network_of(program, found.u)
    ranks = np.linalg.matrix_rank(found.u, tol=1e-11 * np.linalg.norm(found.u), hermitian=True)
    assert network.neurons == ranks.sum() <= 2 * program.order
    np.testing.assert_allclose(np.linalg.norm(network.W1, axis=0), 1, rtol=1e-12)
    assert np.abs(network.predict(X) - program.predict(found.u)).max() <= 1e-9
    value = np.mean((y - network.predict(X)) ** 2) / 2 + program.beta * np.abs(network.W2).sum()
    assert value == pytest.approx(found.primal, rel=1e-12)


def test_what_is_no_sum_of_neurons_is_refused():
    with pytest.raises(InputError, match="tr Z1"):
        neural_decomposition(np.eye(3))
    with pytest.raises(InputError, match="smallest eigenvalue"):
        neural_decomposition(np.diag([2.0, -1.0, 1.0]))
