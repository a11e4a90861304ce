"""The main job on the record that ships with the project: both solvers agree, and the network is what it claims."""

import numpy as np
import pytest

from ecgcvx.errors import InputError
from ecgcvx.fitting import fit
from ecgcvx.models import network_of
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import gated_relu_program, relu_program
from ecgcvx.records import read_recording
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.solvers.osqp_solver import OsqpSolver
from ecgcvx.training import FitOptions, fit_patterns
from ecgcvx.windows import split_windows

GATED = {"network": "gated", "patterns": 8, "solver": "fista", "beta": 1e-5}


def silent(_what, _share):
    pass


@pytest.fixture(scope="module")
def minute(record_208):
    return read_recording(record_208, end=60)


@pytest.mark.parametrize(("build", "kind", "count"), [(gated_relu_program, "gated", 50), (relu_program, "relu", 10)])
def test_both_solvers_agree_on_the_whole_record(record_208, build, kind, count):
    windows = split_windows(read_recording(record_208).signal).train
    assert len(windows) == 86_385
    patterns = fit_patterns(windows, count, kind, seed=0)
    program = build(PatternFeatures(windows.X, patterns), windows.y, 1e-3)
    one, two = CvxpySolver().solve(program), OsqpSolver().solve(program)
    assert one.primal == pytest.approx(two.primal, rel=1e-4)
    for solution in (one, two):
        assert solution.gap < 1e-4
        assert solution.violation < 1e-10
        network = network_of(program, solution.u)
        assert np.abs(network.predict(windows.X) - program.predict(solution.u)).max() < 1e-9


@pytest.mark.parametrize("network", ["gated", "relu"])
def test_never_worse_than_the_penalised_linear_predictor(minute, network):
    """Held by the patterns that fit_patterns puts first, so by the optimum: min_w loss + k beta ||w||, k = 1 or 2."""
    found = fit(minute, FitOptions(network=network, patterns=6, beta=1e-3, solver="fista"), silent)
    X, y = found.split.train.X[:], found.split.train.y
    w = np.linalg.lstsq(X, y)[0]
    price = 1 if network == "gated" else 2
    linear = np.mean((X @ w - y) ** 2) / 2 + price * 1e-3 * np.linalg.norm(w)
    assert found.trained.primal <= linear


def test_same_seed_same_bytes_and_another_seed_another_network(minute):
    one, two, other = (fit(minute, FitOptions(**GATED, seed=seed), silent) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.forecaster.network.W1, two.forecaster.network.W1)
    assert [s.test_rmse_mv for s in one.scores] == [s.test_rmse_mv for s in two.scores]
    assert one.scores[-1].objective != other.scores[-1].objective


def test_scores_are_those_of_the_forecasts(minute):
    found = fit(minute, FitOptions(**GATED, horizon=3), silent)
    forecast = found.forecaster.predict(minute)
    for part, name in ((found.split.train, "train_rmse_mv"), (found.split.test, "test_rmse_mv")):
        residual = (minute.signal - forecast)[part.targets]
        assert getattr(found.scores[-1], name) == pytest.approx(np.sqrt(np.mean(residual**2)), rel=1e-9)
    last = minute.signal[found.split.test.targets - 3]
    persistence = np.sqrt(np.mean((minute.signal[found.split.test.targets] - last) ** 2))
    assert found.scores[0].test_rmse_mv == pytest.approx(persistence, rel=1e-9)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"beta": 0.0}, "beta = 0"),
        ({"beta": float("nan")}, "beta = nan"),
        ({"patterns": 2}, "patterns = 2"),
        ({"network": "deep"}, "network = 'deep'"),
        ({"solver": "magic"}, "solver = 'magic'"),
        ({"seed": -1}, "seed = -1"),
        ({"patterns": 5}, "leave the number of patterns out"),
        ({"solver": "fista"}, "give the number of patterns"),
        ({"solver": "osqp"}, "beta: osqp trains one beta"),
        ({"patterns": 5, "solver": "osqp", "check": True}, "leave the patterns out"),
        ({"max_neurons": 0}, "max_neurons = 0"),
        ({"tolerance": -0.1}, "tolerance = -0.1"),
        ({"network": "gated"}, "network = 'gated'"),
        ({"time_limit": 0.0}, "time_limit = 0"),
        ({"network": "polynomial"}, "solver = 'active-set': choose one of semidefinite, cvxpy"),
        ({"network": "quadratic", "solver": "semidefinite", "patterns": 5}, "patterns = 5"),
        ({"solver": "semidefinite"}, "solver = 'semidefinite'"),
        ({"network": "stack", "beta": 1e-3}, "beta = 0.001: a stack takes none"),
        ({"network": "stack", "check": True}, "check = True: a stack takes none"),
        ({"network": "stack", "stages": 0}, "stages = 0"),
        ({"average": 2}, "for a stack"),
    ],
)
def test_bad_options_are_named(options, named):
    with pytest.raises(InputError, match=named):
        FitOptions(**options)


def test_all_patterns_beat_any_sample_and_carry_a_confirmed_gap(minute):
    """A sample of patterns restricts the program, so its optimum is an upper bound of the one over all patterns."""
    found = fit(minute, FitOptions(beta=1e-3, gap=1e-3, rounds=30, confirm_starts=300), silent)
    sampled = fit(minute, FitOptions(beta=1e-3, patterns=12, solver="fista"), silent)
    convex = found.scores[-1]
    assert found.trained.status == "optimal"
    assert convex.gap <= 1e-3
    assert convex.gap_kind == "searched"
    assert convex.objective < sampled.scores[-1].objective
    assert found.path is None
    X, y, network = found.split.train.X[:], found.split.train.y, found.forecaster.network
    f = np.maximum(X @ network.W1, 0) @ network.W2
    decay = 1e-3 / 2 * (np.sum(network.W1**2) + np.sum(network.W2**2))
    assert convex.objective == pytest.approx(np.mean((f - y) ** 2) / 2 + decay, rel=1e-10)


def test_without_beta_the_validation_part_chooses_it(minute):
    found = fit(minute, FitOptions(rounds=1, confirm_starts=10), silent)
    assert found.path is not None
    errors = [point.validation_rmse_mv for point in found.path.points]
    assert found.forecaster.beta == found.path.points[int(np.argmin(errors))].beta


@pytest.mark.parametrize(
    ("options", "rounds"),
    [({}, 8), ({"rounds": 3}, 3), ({"gap": 1e-3}, 1000), ({"time_limit": 9.0}, 1000), ({"gap": 1e-3, "rounds": 2}, 2)],
)
def test_rounds_end_a_fit_only_where_nothing_else_was_asked_for(options, rounds):
    assert FitOptions(**options).active_set().rounds == rounds
