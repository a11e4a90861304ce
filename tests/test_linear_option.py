"""The free linear part of fitted networks: its certificate, its choice by validation, and what reads it."""

import numpy as np
import pytest

import ecgcvx
from ecgcvx.activations import RELU_LIKE
from ecgcvx.arrangements.enumeration import enumerate_patterns
from ecgcvx.baselines.linear import least_squares
from ecgcvx.certificates import certify_bounded, certify_enumerated, certify_given
from ecgcvx.certificates.certify import linear_slack, residual_of
from ecgcvx.errors import InputError
from ecgcvx.fit_options import fit_options
from ecgcvx.fitting import fit
from ecgcvx.interpretation import decompose, interpret
from ecgcvx.models import GatedNetwork, PolynomialNetwork, ReluNetwork, network_of
from ecgcvx.output import linear_note
from ecgcvx.programs import AllPatterns, LinearPart, PatternFeatures, relu_program
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.types import silent

cp = pytest.importorskip("cvxpy")


@pytest.fixture(scope="module")
def tiny():
    """Rows with few patterns, targets no linear map explains, and the optimum by CVXPY over all patterns."""
    random = np.random.default_rng(3)
    X = np.column_stack([random.standard_normal((12, 1)), np.ones(12)])
    y = np.abs(X[:, 0]) + 2 * X[:, 0] + 0.3 * random.standard_normal(12)
    beta, masks = 0.02, enumerate_patterns(X).masks(0, 12)
    a, parts = cp.Variable(2), []
    f, penalty, constraints = X @ a, 0.0, []
    for mask in np.asarray(masks, dtype=float):
        for sign in (1.0, -1.0):
            u = cp.Variable(2)
            f, penalty = f + sign * cp.multiply(mask, X @ u), penalty + cp.norm(u)
            constraints.append(cp.multiply(2 * mask - 1, X @ u) >= 0)
            parts.append(u)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(f - y) / 24 + beta * penalty), constraints)
    problem.solve(solver=cp.CLARABEL)
    return X, y, beta, float(problem.value)


def test_a_certificate_of_a_free_linear_part_encloses_the_optimum(tiny):
    X, y, beta, optimum = tiny
    program = relu_program(PatternFeatures(X, enumerate_patterns(X)), y, beta, linear=LinearPart(X))
    best = network_of(program, CvxpySolver(gap=1e-9).solve(program).u)
    worse = ReluNetwork(best.W1 * 0.9, best.W2, linear=best.linear)
    for network, gap in ((best, 1e-6), (worse, 0.4)):
        for found in (
            certify_enumerated(network, X, y, beta),
            certify_bounded(network, X, y, beta, time_limit=2.0),
            certify_given(network, X, y, beta, enumerate_patterns(X)),
        ):
            assert found.dual <= optimum * (1 + 1e-7)
            assert optimum <= found.primal * (1 + 1e-7)
            assert found.gap <= gap + 2e-3  # the bound stops at a price 1.001 times beta
    assert certify_enumerated(worse, X, y, beta).gap > 1e-6


def test_the_slack_of_a_proof_is_what_rounding_leaves_and_grows_with_it(tiny):
    X, y, beta, optimum = tiny
    network = ReluNetwork(np.ones((2, 1)), np.ones(1), linear=np.zeros(2))
    v = residual_of(network, X, y, beta)
    assert np.abs(X.T @ v).max() < 1e-13
    assert linear_slack(network, X, y, beta, v, optimum) < 1e-9
    moved = v + 1e-3 * X[:, 0]
    # D at a v that X explains a part of may lie above the optimum, by no more than the slack.
    slack = linear_slack(network, X, y, beta, moved, optimum)
    assert slack > 1e-4
    plain = ReluNetwork(np.ones((2, 1)), np.ones(1))
    assert linear_slack(plain, X, y, beta, v, optimum) == 0.0


@pytest.mark.parametrize("kind", ["relu", "gated", "polynomial"])
def test_a_linear_part_adds_its_product_to_the_same_bits_of_rows_and_batches(kind):
    random = np.random.default_rng(0)
    W1, W2, gates, linear = (random.standard_normal(shape) for shape in ((4, 11), 11, (4, 11), 4))
    extra = {"gated": (gates,), "polynomial": (RELU_LIKE,), "relu": ()}[kind]
    made = {"relu": ReluNetwork, "gated": GatedNetwork, "polynomial": PolynomialNetwork}[kind]
    X = np.column_stack([random.standard_normal((300, 3)), np.ones(300)])
    with_part, without = made(W1, W2, *extra, linear=linear), made(W1, W2, *extra)
    np.testing.assert_allclose(with_part.predict(X), without.predict(X) + X @ linear, atol=1e-12)
    alone = np.concatenate([with_part.predict(row[None]) for row in X[:20]])
    np.testing.assert_array_equal(alone, with_part.predict(X)[:20])
    units = with_part.units()
    np.testing.assert_allclose(units.outputs(X, units.on(X)).sum(axis=1), with_part.predict(X), atol=1e-12)
    again = made.from_tensors(with_part.tensors(), with_part.attributes())
    np.testing.assert_array_equal(again.predict(X), with_part.predict(X))
    with pytest.raises(InputError, match="linear"):
        made(W1, W2, *extra, linear=np.ones(3))


@pytest.fixture(scope="module")
def smooth():
    """A signal far above its noise that a linear forecast nearly explains: 2 kHz, 4 s."""
    t = np.arange(8_000) / 2000
    beat = sum(np.exp(-(((t + shift) % 0.8 - 0.3) ** 2) / 2 / 0.02**2) for shift in (0.0, 0.25))
    return ecgcvx.Recording(beat + 1e-4 * np.random.default_rng(1).standard_normal(len(t)), 2000.0, "I", "made")


@pytest.mark.parametrize("options", [{"network": "polynomial"}, {"network": "gated", "patterns": 8}])
def test_auto_is_never_behind_the_linear_forecast_on_a_smooth_signal(smooth, options):
    found = fit(smooth, fit_options(**options), silent)
    ar, convex = found.scores[1], found.scores[-1]
    assert convex.test_rmse_mv <= 1.02 * ar.test_rmse_mv
    assert found.linear.free
    assert found.trained.network.linear is not None
    assert found.linear.free_rmse_mv < found.linear.penalised_rmse_mv
    assert found.path.largest_beta < 1e-2  # of the program beside a linear part
    penalised = fit(smooth, fit_options(**options, linear="penalised"), silent)
    assert penalised.scores[-1].test_rmse_mv > 1.02 * ar.test_rmse_mv


def test_beside_a_linear_forecast_that_is_nearly_exact_the_path_ends_early():
    """Without noise but that of rounding: no beta of 1e-9 with a gap of tens of percent."""
    t = np.arange(8_000) / 250
    turn = 2 * np.pi * (t + 0.02 * np.sin(t))
    signal = np.round(np.exp(4 * np.cos(turn) - 4) + 0.2 * np.exp(3 * np.cos(turn - 1.5) - 3), 4)
    found = fit(ecgcvx.Recording(signal, 250.0, "I", "made"), fit_options(baselines="linear"), silent)
    assert found.linear.linear_exact
    assert found.linear.free
    assert found.trained.gap.relative <= 1e-2
    assert found.path.chosen.beta >= 0.5 * found.path.largest_beta * (1 - 1e-12)
    assert not any("smallest that was tried" in caution for caution in found.cautions)
    ar, convex = found.scores[1], found.scores[-1]
    assert convex.test_rmse_mv <= 1.02 * ar.test_rmse_mv


def test_auto_beside_a_given_beta_compares_at_that_beta(smooth):
    found = fit(smooth, fit_options("polynomial", beta=1e-4, linear="auto"), silent)
    assert found.linear.free
    assert (found.trained.beta, found.path) == (1e-4, None)
    assert fit(smooth, fit_options("polynomial", beta=1e-4), silent).trained.network.linear is None


def test_relu_beside_a_linear_part_is_the_program_of_all_patterns(smooth):
    found = fit(smooth, fit_options(beta=1e-6, linear="free", rounds=3, confirm_starts=20, choose="within:5%"), silent)
    network, train = found.trained.network, found.split.train
    assert found.scores[-1].test_rmse_mv <= 1.02 * found.scores[1].test_rmse_mv
    program = AllPatterns(train.X, train.y, 1e-6, free="linear")
    atoms = program.family.atoms(ReluNetwork(network.W1, network.W2))
    assert found.trained.objective == pytest.approx(program.objective(atoms), rel=1e-9)
    certificate = ecgcvx.certify(found, smooth, seconds=1.0)[0]
    assert certificate.primal == pytest.approx(found.trained.objective, rel=1e-9)
    assert 0 <= certificate.gap < 1


def test_a_path_of_both_programs_is_refused(smooth):
    with pytest.raises(InputError, match="linear = 'auto': a path is that of one program"):
        ecgcvx.regularisation_path(smooth, "polynomial", betas=3, linear="auto")


def test_readings_name_the_linear_part_and_add_up(smooth):
    found = fit(smooth, fit_options("gated", patterns=8, beta=1e-5, linear="free"), silent)
    reading = interpret(found.forecaster, smooth, refitting=None)
    row = reading.table[reading.table.neurons == "linear"].iloc[0]
    assert (row.coverage, row.norm) == (1.0, 0.0)
    assert row.nonlinear_mv == pytest.approx(0.0, abs=1e-6)
    assert reading.table.variance_share.sum() == pytest.approx(1.0, abs=1e-6)
    one = decompose(found.forecaster, smooth, 6000)
    assert one.mean_mv + one.contributions.sum() == pytest.approx(one.forecast_mv, abs=1e-9)
    assert len(one.contributions) == found.trained.network.neurons + 1
    poly = fit(smooth, fit_options("polynomial", beta=1e-5, linear="free"), silent).forecaster
    form = interpret(poly, smooth, refitting=None).quadratic
    windows = np.stack([smooth.signal[k : k + 15] for k in range(0, 500, 7)])
    np.testing.assert_allclose(form(windows), poly.predict(smooth)[15:515:7], atol=1e-9)


def test_without_neurons_it_is_least_squares(smooth):
    found = fit(smooth, fit_options("gated", patterns=8, beta=1.0, linear="free"), silent)
    network, train = found.trained.network, found.split.train
    assert network.neurons == 0
    np.testing.assert_allclose(train.X[:] @ network.linear, train.X[:] @ least_squares(train.X, train.y), atol=1e-7)


def test_a_free_part_is_not_tried_where_the_linear_forecast_alone_is_far_behind(smooth, monkeypatch):
    monkeypatch.setattr("ecgcvx.fit_start.FAR_BEHIND", 0.0)
    found = fit(smooth, fit_options(rounds=1, confirm_starts=0, baselines="none"), silent)
    assert found.linear.free_rmse_mv is None
    assert not found.linear.free
    assert found.trained.network.linear is None
    assert found.linear.penalised_rmse_mv == found.path.chosen.validation_rmse_mv
    assert "no free linear part was tried" in linear_note(found.linear)
