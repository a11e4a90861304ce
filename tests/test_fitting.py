"""The main job on the record that ships with the project: both solvers agree, and the network is what it claims."""

import math
import time
from dataclasses import fields, replace

import numpy as np
import pytest

from ecgcvx import scores
from ecgcvx.cautions import gap_cautions
from ecgcvx.cli.arguments import fit_options_of, given_options
from ecgcvx.cli.commands import build_parser
from ecgcvx.errors import InputError
from ecgcvx.evidence import Evidence, searched
from ecgcvx.fit_options import fit_options
from ecgcvx.fitting import fit
from ecgcvx.kinds.all_patterns import LONG, active_set
from ecgcvx.kinds.given_patterns import fit_patterns
from ecgcvx.kinds.registry import REGISTRY, kind_class
from ecgcvx.models import network_of
from ecgcvx.options import options_of
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import gated_relu_program, relu_program
from ecgcvx.records import read_recording
from ecgcvx.solvers.admm import AdmmSolver
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.solvers.fista import FistaSolver
from ecgcvx.solvers.group_lasso import GroupLassoSolver
from ecgcvx.solvers.osqp_solver import OsqpSolver
from ecgcvx.types import silent
from ecgcvx.windows import split_windows

GATED = {"network": "gated", "patterns": 8, "solver": "fista", "beta": 1e-5}


@pytest.fixture(scope="module")
def minute(record_208):
    return read_recording(record_208, end=60)


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("network", ["gated", "relu"])
def test_never_worse_than_the_penalised_linear_predictor(minute, network):
    """Held by the patterns that fit_patterns puts first, so by the optimum: min_w loss + k beta ||w||, k = 1 or 2."""
    found = fit(minute, fit_options(network=network, patterns=6, beta=1e-3, solver="fista"), silent)
    X, y = found.split.train.X[:], found.split.train.y
    w = np.linalg.lstsq(X, y)[0]
    price = 1 if network == "gated" else 2
    linear = np.mean((X @ w - y) ** 2) / 2 + price * 1e-3 * np.linalg.norm(w)
    assert found.trained.gap.primal <= linear


@pytest.mark.slow
def test_same_seed_same_bytes_and_another_seed_another_network(minute):
    one, two, other = (fit(minute, fit_options(**GATED, seed=seed), silent) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.forecaster.network.W1, two.forecaster.network.W1)
    assert [s.test_rmse_mv for s in one.scores] == [s.test_rmse_mv for s in two.scores]
    assert one.scores[-1].objective != other.scores[-1].objective


@pytest.mark.slow
def test_scores_are_those_of_the_forecasts(minute):
    found = fit(minute, fit_options(**GATED, horizon=3), silent)
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
        ({"seed": 1.5}, "seed = 1.5: give a whole number"),
        ({"patterns": 5, "solver": "active-set"}, "leave one of them out"),
        ({"solver": "fista"}, "pass patterns=N"),
        ({"solver": "osqp"}, "solver='osqp' over all patterns needs beta; pass beta, or patterns=N"),
        ({"max_neurons": 0}, "max_neurons = 0"),
        ({"tolerance": -0.1}, "tolerance = -0.1"),
        ({"time_limit": 0.0}, "time_limit = 0"),
        ({"gap": -1.0}, "gap = -1"),
        ({"window": 0}, "window = 0"),
        ({"horizon": True}, "horizon = True"),
        ({"train_fraction": 1.0}, "train_fraction = 1"),
        ({"network": "stack", "stages": 0}, "stages = 0"),
        ({"flavour": 1}, "flavour = 1: not an option of any network"),
    ],
)
def test_bad_options_are_named(options, named):
    with pytest.raises(InputError, match=named):
        fit_options(**options)


VALUES = {"solver": None, "patterns": 5, "rounds": 3, "confirm_starts": 7, "max_neurons": 4, "tolerance": 0.1,
          "check": True, "choose": "one-se", "stages": 2, "average": 2, "joint": 3, "gap": 1e-3}  # fmt: skip
SOLVER_CLASSES = {
    "group-lasso": GroupLassoSolver,
    "fista": FistaSolver,
    "admm": AdmmSolver,
    "cvxpy": CvxpySolver,
    "osqp": OsqpSolver,
}


@pytest.mark.parametrize("network", list(REGISTRY))
@pytest.mark.parametrize("name", list(VALUES))
def test_an_option_works_or_is_refused_by_name(network, name):
    """Every option of any network, given to every network: it is the network's own, or an error names both."""
    own = options_of(kind_class(network))
    if name in own:
        if name != "solver":
            assert getattr(fit_options(network, **{name: VALUES[name]}).network, name) == VALUES[name]
        return
    with pytest.raises(InputError, match=rf"{name} = .*network='{network}'"):
        fit_options(network, **{name: VALUES[name]})


@pytest.mark.parametrize("solver", list(SOLVER_CLASSES))
@pytest.mark.parametrize("name", ["gap", "rounds", "confirm_starts", "max_neurons", "tolerance", "check"])
@pytest.mark.parametrize(("network", "patterns"), [("gated", 5), ("relu", 5)])
def test_a_solver_over_given_patterns_owns_exactly_the_options_that_it_has(network, patterns, solver, name):
    if solver == "group-lasso" and network == "relu":
        pytest.skip("it takes no cones, and the ReLU network does not offer it")
    has = name in {one.name for one in fields(SOLVER_CLASSES[solver])}
    options = {"patterns": patterns, "solver": solver, name: VALUES[name]}
    if has:
        assert getattr(fit_options(network, **options).network, name) == VALUES[name]
        return
    with pytest.raises(InputError, match=rf"{name} = .*network='{network}'"):
        fit_options(network, **options)


def test_options_of_every_fit_are_refused_where_they_do_nothing():
    for network, name, value in (
        ("stack", "beta", 1e-3), ("stack", "prove", 5.0), ("gated", "prove", 5.0),
        ("polynomial", "prove", 5.0),
    ):  # fmt: skip
        with pytest.raises(InputError, match=rf"{name} = .*not an option of network='{network}'"):
            fit_options(network, **{name: value})
    for network in ("gated", "polynomial", "stack"):
        with pytest.raises(InputError, match=rf"resume: not an option of network='{network}'"):
            fit_options(network).limits(resume=True)


def test_python_and_the_command_line_have_the_same_defaults():
    for network in REGISTRY:
        parsed = build_parser().parse_args(["fit", "record", "--network", network])
        assert fit_options_of(parsed) == fit_options(network)
        assert given_options(parsed) == {}


@pytest.mark.slow
def test_all_patterns_beat_any_sample_and_carry_a_confirmed_gap(minute):
    """A sample of patterns restricts the program, so its optimum is an upper bound of the one over all patterns."""
    found = fit(minute, fit_options(beta=1e-3, gap=1e-3, rounds=30, confirm_starts=300), silent)
    sampled = fit(minute, fit_options(beta=1e-3, patterns=12, solver="fista"), silent)
    convex = found.scores[-1]
    assert found.trained.status == "optimal"
    assert convex.gap.relative <= 1e-3
    assert convex.gap.evidence is Evidence.SEARCHED
    assert convex.objective < sampled.scores[-1].objective
    assert found.path is None
    X, y, network = found.split.train.X[:], found.split.train.y, found.forecaster.network
    f = np.maximum(X @ network.W1, 0) @ network.W2
    decay = 1e-3 / 2 * (np.sum(network.W1**2) + np.sum(network.W2**2))
    assert convex.objective == pytest.approx(np.mean((f - y) ** 2) / 2 + decay, rel=1e-10)


@pytest.mark.slow
def test_without_beta_the_validation_part_chooses_it(minute):
    found = fit(minute, fit_options(rounds=1, confirm_starts=10), silent)
    assert found.path is not None
    errors = [point.validation_rmse_mv for point in found.path.points]
    assert found.forecaster.beta == found.path.points[int(np.argmin(errors))].beta


def test_the_default_keeps_few_neurons_and_states_both_networks(minute):
    """The chosen network and that of all neurons: P at one beta, above one lower bound, chosen by validation alone."""
    found = fit(minute, fit_options(rounds=2, confirm_starts=20, linear="penalised"), silent)
    assert [score.name for score in found.scores[-2:]] == ["convex_best", "convex"]
    best, convex = found.scores[-2:]
    windows = len(found.split.train) / len(found.path.inner.train)  # as many neurons for each of them
    assert found.choice.neurons == math.ceil(windows * found.choice.chosen.neurons)
    assert convex.neurons == found.forecaster.network.neurons <= min(found.choice.neurons, best.neurons)
    assert convex.gap.dual == best.gap.dual <= best.gap.primal
    assert convex.gap.whose == f"at beta = {found.forecaster.beta:.3g}"
    errors = {line.neurons: line.validation_rmse_mv for line in found.choice.lines}
    limit = 1.01 * min(errors.values())
    assert errors[found.choice.chosen.neurons] <= limit
    assert all(error > limit for neurons, error in errors.items() if neurons < found.choice.chosen.neurons)
    X, y, network = found.split.train.X[:], found.split.train.y, found.forecaster.network
    inner, other = found.path.inner, found.choice.network  # which windows a pattern is on in does not depend on units
    raw = (found.split.scaler.restore(found.split.test.X[:][:, :-1]) - inner.scaler.mean) / inner.scaler.scale
    sets = [found.split.test.X[:] @ network.W1 >= 0, np.c_[raw, np.ones(len(raw))] @ other.W1 >= 0]
    index = [[(a & b).sum() / (a | b).sum() for b in sets[1].T] for a in sets[0].T]
    assert found.recurrence.recurring == (np.max(index, axis=1) >= 0.9).sum()
    assert (found.recurrence.patterns, found.recurrence.others) == (network.neurons, other.neurons)
    f = np.maximum(X @ network.W1, 0) @ network.W2
    decay = found.forecaster.beta * np.linalg.norm(network.W1, axis=0) @ np.abs(network.W2)
    assert convex.objective == pytest.approx(np.mean((f - y) ** 2) / 2 + decay, rel=1e-9)


def test_the_test_part_takes_no_part_in_the_choice(minute):
    changed = minute.signal.copy()
    changed[int(0.8 * len(changed)) :] *= -2
    options = fit_options(rounds=1, confirm_starts=0, choose="within:5%", beta=1e-4)
    one, two = (fit(recording, options, silent) for recording in (minute, replace(minute, signal=changed)))
    np.testing.assert_array_equal(one.forecaster.network.W1, two.forecaster.network.W1)
    assert one.choice.lines == two.choice.lines


@pytest.mark.parametrize(
    ("options", "rounds"), [({}, 8), ({"rounds": 3}, 3), ({"gap": 1e-3}, 1000), ({"gap": 1e-3, "rounds": 2}, 2)]
)
def test_rounds_end_a_fit_only_where_nothing_else_was_asked_for(minute, options, rounds):
    windows = split_windows(minute.signal).train
    assert fit_options(**options).network.problem(windows, 0, silent).solver.rounds == rounds
    assert fit_options().network.problem(windows, 0, silent, rounds=5).solver.rounds == 5


def test_what_many_windows_change_of_the_defaults(minute, monkeypatch):
    """As many Adam steps as fewer windows take, and a third of the fresh starts, unless a gap is asked for."""
    starts = [active_set(gap, None, None, 0, None, n).confirm_starts for gap in (None, 1e-2) for n in (LONG, LONG + 1)]
    assert starts == [3000, 1000, 3000, 3000]
    assert active_set(None, None, 50, 0, None, LONG + 1).confirm_starts == 50
    n = len(split_windows(minute.signals, 15, 1, 0.8).train)
    for rows, epochs in ((n, 60), (n // 4 + 1, 15), (1, 1)):
        monkeypatch.setattr(scores, "EPOCHS_ROWS", rows)
        lines: list[str] = []
        fit(minute, fit_options("gated", patterns=3, beta=1e-2), lambda line, _, lines=lines: lines.append(line))
        assert sum(line.startswith("backprop (Adam)") for line in lines) == epochs


def test_the_time_limit_bounds_the_path_pruning_and_checks_too(minute):
    started = time.perf_counter()
    found = fit(minute, fit_options(time_limit=0.5, tolerance=0.1, check=True, confirm_starts=0), silent)
    assert found.forecaster.network.neurons >= 0
    assert found.overrun >= 0.0
    spent = time.perf_counter() - started
    assert found.overrun <= spent
    assert len(found.path.points) < 7


@pytest.mark.parametrize("whose", ["", "at beta = 0.0001", "for its last stage"])
def test_a_large_gap_is_said_with_its_beta_once(whose):
    gap = replace(searched(1.0, 0.7, 100), whose=whose)
    (caution,) = gap_cautions(gap, 1e-4)
    assert caution.startswith(f"the gap {whose or 'at beta = 0.0001'} is 30 %: ")
    assert caution.count("beta = ") == (0 if "stage" in whose else 1)
    assert caution.endswith(" is open")


@pytest.mark.parametrize(
    ("network", "options", "advice"),
    [
        ("relu", {"beta": 1e-4, "rounds": 1}, "open; a larger beta or more --rounds would close it"),
        ("relu", {"beta": 1e-4, "time_limit": 0.3}, "open; a larger beta would close it"),
        ("stack", {}, "open"),  # it ends by its rounds, and has options for neither
    ],
)
def test_what_closes_a_large_gap_is_advised_where_the_network_has_an_option_for_it(minute, network, options, advice):
    found = fit(minute, fit_options(network, confirm_starts=50, **options), silent)
    assert found.trained.gap.relative > 0.1
    assert sum(caution.endswith(f"with this penalty is {advice}") for caution in found.cautions) == 1
