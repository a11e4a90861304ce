"""The passes of ReLU atoms against plain float64 formulas."""

import numpy as np
import pytest

from ecgcvx.atoms.family import Atoms
from ecgcvx.atoms.relu import ReluFamily
from ecgcvx.atoms.workers import workers
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.solvers.active_set.amplitudes import amplitude_system

RELU = ReluFamily()


@pytest.fixture
def problem():
    rng = np.random.default_rng(3)
    X = np.c_[rng.standard_normal((700, 4)), np.ones(700)]
    program = AllPatterns(X, rng.standard_normal(700), 0.1)
    atoms = Atoms(rng.standard_normal((6, 5)), np.where(rng.random((6, 1)) < 0.5, 1.0, -1.0))
    return program, atoms


def rounded(Z, e):
    q = np.clip(Z / (2 * e) + 0.5, 0, 1)
    return e * q**2 + np.maximum(Z - e, 0)


def test_loss_and_gradient_are_those_of_the_rounded_relu(problem):
    program, atoms = problem
    passes = program.passes
    e = 0.3 * RELU.norms(atoms)

    def loss(points):
        f = rounded(program.X @ points.T, e) @ atoms.tags[:, 0]
        return np.mean((f - program.y) ** 2) / 2

    value, gradient = passes.loss_and_gradient(atoms, e, program)
    assert value == pytest.approx(loss(atoms.points), rel=1e-5)
    for j, k in [(0, 0), (3, 4), (5, 2)]:
        step = np.zeros_like(atoms.points)
        step[j, k] = 1e-5
        difference = (loss(atoms.points + step) - loss(atoms.points - step)) / 2e-5
        assert gradient[j, k] == pytest.approx(difference, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(("exact", "tolerance"), [(True, 1e-13), (False, 1e-5)])
def test_prices_are_gradients(problem, exact, tolerance):
    program, atoms = problem
    passes = program.passes
    v = np.random.default_rng(1).standard_normal(program.n)
    mask = program.X @ atoms.points.T > 0
    expected = atoms.tags * ((mask * v[:, None]).T @ program.X) / program.n
    np.testing.assert_allclose(passes.prices(atoms, v, exact=exact), expected, atol=tolerance)


def test_residual_amplitudes_and_curvature(problem):
    program, atoms = problem
    passes = program.passes
    Phi = np.maximum(program.X @ atoms.points.T, 0) * atoms.tags[:, 0]
    np.testing.assert_allclose(passes.outputs(atoms), Phi.sum(axis=1), atol=1e-12)
    units, norms = RELU.units(atoms), RELU.norms(atoms)
    system = amplitude_system(program, units, norms)
    np.testing.assert_allclose(system.Q, Phi.T @ Phi / program.n / np.outer(norms, norms), atol=1e-5)
    slopes = Phi.T @ (program.y - Phi.sum(axis=1)) / program.n / norms
    np.testing.assert_allclose(system.b - system.Q @ norms, slopes, atol=1e-12)
    active = program.X[program.X @ atoms.points[2] > 0]
    np.testing.assert_allclose(passes.curvature(atoms)[2, 0], active.T @ active / program.n, atol=1e-5)


def test_starts_are_unit_and_of_their_seed(problem):
    program, atoms = problem
    passes = program.passes
    for active in (passes.none(), atoms):
        one, two, other = (passes.starts(50, active, np.random.default_rng(seed)) for seed in (0, 0, 1))
        np.testing.assert_allclose(RELU.norms(one), 1)
        np.testing.assert_array_equal(one.points, two.points)
        assert not np.array_equal(one.points, other.points)


def test_some_rows_are_the_family_of_those_rows(problem):
    program, atoms = problem
    passes = program.passes
    rows = np.array([3, 50, 400])
    np.testing.assert_allclose(passes.on_rows(rows).outputs(atoms), passes.outputs(atoms)[rows])


def test_threads_change_no_bit(problem):
    program, atoms = problem
    passes = program.passes
    with workers(3) as pool:
        other = passes.using(pool)
        np.testing.assert_array_equal(passes.outputs(atoms), other.outputs(atoms))
        one, two = (f.loss_and_gradient(atoms, 0.1 * RELU.norms(atoms), program) for f in (passes, other))
        assert one[0] == two[0]
        np.testing.assert_array_equal(one[1], two[1])
