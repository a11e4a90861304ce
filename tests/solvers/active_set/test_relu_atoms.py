"""The passes of ReLU atoms against plain float64 formulas."""

import numpy as np
import pytest

from ecgcvx.solvers.active_set.amplitudes import amplitude_system
from ecgcvx.solvers.active_set.atoms import Atoms
from ecgcvx.solvers.active_set.relu import ReluAtoms
from ecgcvx.solvers.active_set.workers import Workers, workers


@pytest.fixture
def problem():
    rng = np.random.default_rng(3)
    X = np.c_[rng.standard_normal((700, 4)), np.ones(700)]
    family = ReluAtoms(X, rng.standard_normal(700), Workers())
    atoms = Atoms(rng.standard_normal((6, 5)), np.where(rng.random((6, 1)) < 0.5, 1.0, -1.0))
    return family, atoms


def rounded(Z, e):
    q = np.clip(Z / (2 * e) + 0.5, 0, 1)
    return e * q**2 + np.maximum(Z - e, 0)


def test_loss_and_gradient_are_those_of_the_rounded_relu(problem):
    family, atoms = problem
    e = 0.3 * atoms.norms

    def loss(points):
        f = rounded(family.X @ points.T, e) @ atoms.tags[:, 0]
        return np.mean((f - family.y) ** 2) / 2

    value, gradient = family.loss_and_gradient(atoms, e)
    assert value == pytest.approx(loss(atoms.points), rel=1e-5)
    for j, k in [(0, 0), (3, 4), (5, 2)]:
        step = np.zeros_like(atoms.points)
        step[j, k] = 1e-5
        difference = (loss(atoms.points + step) - loss(atoms.points - step)) / 2e-5
        assert gradient[j, k] == pytest.approx(difference, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(("exact", "tolerance"), [(True, 1e-13), (False, 1e-5)])
def test_prices_are_gradients(problem, exact, tolerance):
    family, atoms = problem
    v = np.random.default_rng(1).standard_normal(family.n)
    mask = family.X @ atoms.points.T > 0
    expected = atoms.tags * ((mask * v[:, None]).T @ family.X) / family.n
    np.testing.assert_allclose(family.prices(atoms, v, exact=exact), expected, atol=tolerance)


def test_residual_amplitudes_and_curvature(problem):
    family, atoms = problem
    Phi = np.maximum(family.X @ atoms.points.T, 0) * atoms.tags[:, 0]
    np.testing.assert_allclose(family.residual(atoms), family.y - Phi.sum(axis=1), atol=1e-12)
    units, norms = atoms.units(), atoms.norms
    system = amplitude_system(family, units, norms)
    np.testing.assert_allclose(system.Q, Phi.T @ Phi / family.n / np.outer(norms, norms), atol=1e-5)
    slopes = Phi.T @ (family.y - Phi.sum(axis=1)) / family.n / norms
    np.testing.assert_allclose(system.b - system.Q @ norms, slopes, atol=1e-12)
    active = family.X[family.X @ atoms.points[2] > 0]
    np.testing.assert_allclose(family.curvature(atoms)[2, 0], active.T @ active / family.n, atol=1e-5)


def test_starts_are_unit_and_of_their_seed(problem):
    family, atoms = problem
    for active in (family.none(), atoms):
        one, two, other = (family.starts(50, active, np.random.default_rng(seed)) for seed in (0, 0, 1))
        np.testing.assert_allclose(one.norms, 1)
        np.testing.assert_array_equal(one.points, two.points)
        assert not np.array_equal(one.points, other.points)


def test_some_rows_are_the_family_of_those_rows(problem):
    family, atoms = problem
    rows = np.array([3, 50, 400])
    np.testing.assert_allclose(family.on_rows(rows).residual(atoms), family.residual(atoms)[rows])


def test_threads_change_no_bit(problem):
    family, atoms = problem
    with workers(3) as pool:
        other = ReluAtoms(family.X, family.y, pool)
        np.testing.assert_array_equal(family.residual(atoms), other.residual(atoms))
        one, two = (f.loss_and_gradient(atoms, 0.1 * atoms.norms) for f in (family, other))
        assert one[0] == two[0]
        np.testing.assert_array_equal(one[1], two[1])
