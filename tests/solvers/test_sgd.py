"""Convex SGD: what it reaches, and its options. The properties that it shares are in test_every_solver."""

import numpy as np
import pytest
from test_every_solver import networks, small
from theory_programs import theory_programs

from ecgcvx.arrangements import sample_patterns
from ecgcvx.errors import InputError
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.losses import LogisticLoss
from ecgcvx.programs.program import gated_relu_program, relu_program
from ecgcvx.records import read_recording
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.solvers.sgd import SgdSolver, _batches
from ecgcvx.windows import split_windows

THEORY = list(theory_programs())
LOOSE = {gated_relu_program: 1e-2, relu_program: 0.1}  # of the objective, after 300 epochs


@networks
@pytest.mark.parametrize("loss", [None, LogisticLoss()], ids=["squared", "logistic"])
def test_comes_near_the_optimum_from_above(network, loss):
    program = small(network, loss=loss)
    optimum = CvxpySolver(gap=1e-8).solve(program).primal
    solution = SgdSolver(gap=1e-6, epochs=300).solve(program)
    assert optimum * (1 - 1e-8) <= solution.primal <= optimum * (1 + LOOSE[network])
    assert solution.dual <= optimum * (1 + 1e-8)
    assert solution.violation <= 1e-12
    assert solution.primal == program.objective(solution.u)
    assert solution.dual == program.dual_bound(program.residual(solution.u)).value


@pytest.mark.parametrize(("name", "program", "optimum"), THEORY, ids=[name for name, _, _ in THEORY])
def test_bounds_the_theory_cases_from_both_sides(name, program, optimum):
    solution = SgdSolver(epochs=50).solve(program)
    assert solution.dual <= optimum * (1 + 1e-6)
    assert optimum * (1 - 1e-6) <= solution.primal <= program.objective(np.zeros(program.shape))
    assert solution.violation <= 1e-12


@pytest.mark.slow
@networks
def test_reaches_what_its_docstring_says_on_the_ecg(network, record_208):
    train = split_windows(read_recording(str(record_208)).signal).train
    features = PatternFeatures(train.X[0:2000], sample_patterns(train.X[0:2000], 25, 0))
    optimum = {gated_relu_program: 3.38902106e-3, relu_program: 8.61463943e-3}[network]
    solution = SgdSolver().solve(network(features, train.y[:2000], 1e-3))
    assert (solution.status == "optimal") == (network is gated_relu_program)
    assert optimum <= solution.primal <= optimum * (1.002 if network is gated_relu_program else 1.2)
    assert solution.dual <= optimum
    assert solution.violation <= 1e-12


@networks
def test_beta_above_the_largest_price_gives_exactly_zero(network):
    program = small(network)
    assert not SgdSolver().solve(program.at(1.001 * program.largest_beta())).u.any()
    assert SgdSolver().solve(program.at(0.5 * program.largest_beta())).u.any()


@networks
def test_scaling_of_the_data_scales_the_solution(network):
    """The hinge is in units of beta, so the path itself scales, not only its end."""
    program = small(network)
    features = PatternFeatures(64 * program.features.X, program.features.patterns)
    scaled = network(features, 8 * program.y, 512 * program.beta)
    a, b = (SgdSolver(gap=1e-9, epochs=20).solve(p) for p in (program, scaled))
    assert b.primal == pytest.approx(64 * a.primal, rel=1e-6)


@networks
@pytest.mark.parametrize("column", [0.0, 1.0])
def test_constant_columns_give_finite_points(network, column):
    program = small(network)
    features = PatternFeatures(
        np.c_[program.features.X, np.full(40, column)], sample_patterns(program.features.X, 6, 0)
    )
    solution = SgdSolver(epochs=50).solve(network(features, program.y, 0.02))
    assert np.isfinite(solution.u).all()
    assert solution.dual <= solution.primal <= 0.5 * float(program.y @ program.y) / 40


def test_seeds_change_the_path_and_only_them():
    program = small(gated_relu_program)
    a, b, c = (SgdSolver(gap=1e-9, epochs=20, seed=seed).solve(program).u.tobytes() for seed in (0, 0, 1))
    assert a == b
    assert a != c


def test_a_warm_start_is_never_lost():
    program = small(relu_program)
    optimum = CvxpySolver(gap=1e-8).solve(program)
    solution = SgdSolver(gap=1e-12, epochs=3).solve(program, warm_start=optimum.u)
    assert solution.primal == pytest.approx(optimum.primal, rel=1e-8)


@pytest.mark.parametrize("n", [1, 9, 512, 20_000])
def test_an_epoch_takes_every_row_once_with_its_own_pattern(n):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 3))
    features = PatternFeatures(X, sample_patterns(X, 1, 0))
    program = gated_relu_program(features, X[:, 0] + 1, 0.1)
    batches = list(_batches(features, program.y, 64, rng))
    taken = np.concatenate([batch.X for batch in batches])
    assert max(len(batch.y) for batch in batches) <= 64
    np.testing.assert_array_equal(np.sort(taken[:, 0]), np.sort(X[:, 0]))
    for batch in batches:
        np.testing.assert_array_equal(batch.masks, features.patterns.gates @ batch.X.T >= 0)
        np.testing.assert_array_equal(batch.y, batch.X[:, 0] + 1)


def test_a_weak_hinge_leaves_the_cones():
    """Rounding costs more than what the hinge forbids; the exact penalty is far above."""
    program = small(relu_program)
    weak, strong = (SgdSolver(gap=1e-9, epochs=100, hinge=h).solve(program).primal for h in (1e-3, 1e6))
    assert strong < weak


@pytest.mark.parametrize(("option", "value"), [("epochs", 0), ("batch", 0), ("hinge", 0.0), ("seed", -1)])
def test_bad_options_are_refused(option, value):
    with pytest.raises(InputError, match=f"{option} = "):
        SgdSolver(**{option: value})
