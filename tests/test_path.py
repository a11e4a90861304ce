"""The path against cold solves and closed forms; the test part chooses nothing."""

import csv
import dataclasses
import json
import time
from io import StringIO

import numpy as np
import pytest

from ecgcvx.arrangements import enumerate_patterns, sample_patterns
from ecgcvx.cli import main
from ecgcvx.errors import InputError
from ecgcvx.fit_options import fit_options
from ecgcvx.fitting import fit
from ecgcvx.kinds import all_patterns
from ecgcvx.kinds.given_patterns import GivenPatternsProblem
from ecgcvx.kinds.kind import Limits
from ecgcvx.output import choice_note
from ecgcvx.path import path_betas, path_csv, regularisation_path
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import gated_relu_program, relu_program
from ecgcvx.records import read_recording
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.types import silent

OPTIONS = fit_options(network="gated", patterns=8, solver="fista")
BUILDERS = [relu_program, gated_relu_program]


@pytest.fixture
def program_data():
    rng = np.random.default_rng(7)
    X = np.c_[rng.standard_normal((80, 2)), np.ones(80)]
    return PatternFeatures(X, sample_patterns(X, 12, 0)), rng.standard_normal(80)


@pytest.mark.parametrize(("build", "expected"), [(relu_program, 0.16385406), (gated_relu_program, 0.25146509)])
def test_largest_beta_is_the_one_of_the_theory(build, expected):
    X = np.array(
        [
            [0.35, 0.82],
            [0.33, -1.3],
            [0.91, 0.45],
            [-0.54, 0.58],
            [0.36, 0.29],
            [0.03, 0.55],
            [-0.74, -0.16],
            [-0.48, 0.6],
        ]
    )
    y = np.array([0.04, -0.29, -0.78, -0.26, 0.01, -0.28, 1.29, 1.01])
    program = build(PatternFeatures(X, enumerate_patterns(X)), y, 1.0)
    assert program.largest_beta() == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("build", BUILDERS)
def test_the_solution_is_zero_from_the_largest_beta_up_and_only_there(program_data, build):
    program = build(*program_data, 1.0)
    largest = program.largest_beta()
    above, below = (CvxpySolver().solve(program.at(factor * largest)) for factor in (1.001, 0.98))
    assert not above.u.any()
    assert below.u.any()


@pytest.mark.slow
@pytest.mark.parametrize("build", BUILDERS)
def test_a_warm_path_equals_cold_solves(program_data, build):
    program = build(*program_data, 1.0)
    betas = path_betas(program.largest_beta(), 6, 1e-3)
    values = []
    solution = None
    problem = GivenPatternsProblem(program, CvxpySolver(), "any")
    for beta in betas:
        solution = problem.train(float(beta), warm=solution, limits=Limits(), progress=silent)
        cold = CvxpySolver().solve(build(*program_data, beta))
        assert solution.gap.primal == pytest.approx(cold.primal, rel=1e-5)
        assert solution.gap.relative < 1e-4
        values.append(solution.gap.primal)
    # The optimal value falls with beta, and is concave in it: a minimum of linear functions.
    assert np.all(np.diff(values) < 0)
    slopes = np.diff(values) / np.diff(betas)
    assert np.all(np.diff(slopes) > -1e-6)


@pytest.fixture(scope="module")
def minute(record_208):
    return read_recording(record_208, end=60)


@pytest.fixture(scope="module")
def found(minute):
    return regularisation_path(minute, OPTIONS, 5, 1e-4, silent)


def test_the_chosen_beta_has_the_smallest_validation_error(found):
    path, trained = found
    assert path.chosen == min(path.points, key=lambda point: point.validation_rmse_mv)
    assert trained.network.neurons == path.chosen.neurons
    assert path.points[0].neurons <= 1  # at the largest beta zero is optimal, and so is a speck
    assert path.points[0].beta == path.largest_beta


def test_the_test_part_chooses_nothing(minute, found):
    changed = minute.signal.copy()
    changed[int(0.8 * len(changed)) :] *= -3
    other, trained = regularisation_path(dataclasses.replace(minute, signal=changed), OPTIONS, 5, 1e-4, silent)
    np.testing.assert_array_equal(trained.network.W1, found[1].network.W1)
    assert other.chosen.beta == found[0].chosen.beta
    assert other.chosen.test_rmse_mv != found[0].chosen.test_rmse_mv


def test_csv_holds_every_point(found):
    rows = list(csv.DictReader(StringIO(path_csv(found[0]))))
    assert [float(row["beta"]) for row in rows] == [point.beta for point in found[0].points]
    assert [float(row["test_rmse_mv"]) for row in rows] == [point.test_rmse_mv for point in found[0].points]


@pytest.mark.slow
def test_the_command_leaves_table_csv_and_figure(record_208, tmp_path, capsys):
    arguments = ["path", str(record_208), "--end", "30", "--network", "gated", "--betas", "3"]
    arguments += ["--patterns", "5", "--output", str(tmp_path)]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert f"ecgcvx fit {record_208} --end 30.0 --network gated --patterns 5 --beta " in out
    assert out.count("e-") > 6
    assert sorted(file.name for file in tmp_path.iterdir()) == ["path.csv", "path.png"]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["points"]) == 3
    assert found["chosen_beta"] in [point["beta"] for point in found["points"]]
    assert set(found["windows"]) == {"train", "validation", "test"}


@pytest.mark.parametrize(("count", "ratio", "named"), [(1, 0.1, "betas = 1"), (3, 0.0, "ratio = 0"), (3, 1.0, "ratio")])
def test_bad_grids_are_named(count, ratio, named):
    with pytest.raises(InputError, match=named):
        path_betas(1.0, count, ratio)


def test_over_all_patterns_the_path_starts_where_zero_ends(minute):
    path, _ = regularisation_path(minute, fit_options(), 4, 1e-3, silent)
    assert path.points[0].beta == path.largest_beta
    assert path.points[0].neurons <= 1
    assert path.points[-1].train_rmse_mv < path.points[1].train_rmse_mv
    objectives = [point.objective for point in path.points]
    assert objectives == sorted(objectives, reverse=True)


def objective_by_hand(network, X, y, beta):
    """P of a two-layer ReLU network on some rows, by NumPy alone."""
    f = np.maximum(X @ network.W1, 0) @ network.W2 + (0 if network.linear is None else X @ network.linear)
    norms = np.linalg.norm(network.W1, axis=0)
    return np.mean((f - y) ** 2) / 2 + beta * np.sum(norms * np.abs(network.W2))


def test_many_windows_are_ranked_by_every_kth_and_trained_on_all(minute, monkeypatch):
    monkeypatch.setattr(all_patterns, "RANKING_ROWS", 3000)
    path, trained = regularisation_path(minute, fit_options(), 3, 1e-3, silent)
    inner = path.inner.train
    assert path.step == trained.step == len(inner) // 3000 > 2
    X, y = np.asarray(inner.X)[:: path.step], inner.y[:: path.step]
    assert path.chosen.objective == pytest.approx(objective_by_hand(trained.network, X, y, trained.beta), rel=1e-6)
    assert trained.gap.dual <= path.chosen.objective
    whole = fit(minute, fit_options(choose="within:5%"), silent)
    assert whole.path.step == path.step
    assert 0 < whole.trained.network.neurons <= whole.choice.neurons
    assert whole.trained.step == 1
    X, y = np.asarray(whole.split.train.X), whole.split.train.y
    by_hand = objective_by_hand(whole.trained.network, X, y, whole.trained.beta)
    assert whole.trained.objective == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize("network", ["conv", "batchnorm", "three-layer"])
def test_every_family_is_ranked_by_every_kth_window(minute, monkeypatch, network):
    monkeypatch.setattr(all_patterns, "RANKING_ROWS", 3000)
    path, trained = regularisation_path(minute, fit_options(network=network), 2, 1e-1, silent)
    assert path.step > 2
    assert 0 <= trained.gap.dual <= path.chosen.objective
    assert path.chosen.neurons > 0


def test_the_command_says_that_windows_were_drawn(record_208, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(all_patterns, "RANKING_ROWS", 3000)
    arguments = ["path", str(record_208), "--end", "60", "--betas", "2", "--ratio", "0.1", "--output", str(tmp_path)]
    assert main(arguments) == 0
    assert "\none training window in 4 was trained on, objective and gap are of these\n" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["step"] == 4


def test_without_time_to_prune_the_chosen_network_is_carried_over(minute, monkeypatch):
    """Pruned in one step, without a descent, the network of record 234 was 6.6 times as wrong as the linear one."""
    readable = all_patterns.AllPatternsProblem.readable

    def late(self, trained, neurons, chosen, limits, progress):
        return readable(self, trained, neurons, chosen, Limits(end=time.perf_counter()), progress)

    monkeypatch.setattr(all_patterns.AllPatternsProblem, "readable", late)
    found = fit(minute, fit_options(rounds=2, confirm_starts=20, linear="penalised"), silent)
    assert found.choice.carried
    assert found.recurrence is None
    convex, network = found.scores[-1], found.trained.network
    assert convex.neurons == network.neurons <= found.choice.chosen.neurons
    assert convex.test_rmse_mv < 1.1 * found.split.rmse_mv(found.choice.network.predict)
    X, y, beta = np.asarray(found.split.train.X), found.split.train.y, found.trained.beta
    assert convex.objective == pytest.approx(objective_by_hand(network, X, y, beta), rel=1e-6)
    low = all_patterns.RELAXED * beta
    assert objective_by_hand(network, X, y, low) <= objective_by_hand(found.choice.network, X, y, low)
    note = choice_note(found.choice, network.neurons)
    chosen = found.choice.chosen.neurons
    assert note.startswith(f"{network.neurons} neurons, of the {chosen} chosen by within:1% on the first part of the ")
