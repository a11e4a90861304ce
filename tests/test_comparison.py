"""The comparison as a user meets it: equal terms, honest bookkeeping, interruption, refusals."""

import json

import numpy as np
import pytest
from PIL import Image

from ecgcvx.baselines.backprop import Layers
from ecgcvx.baselines.problem import Problem
from ecgcvx.cli import main
from ecgcvx.comparison import study
from ecgcvx.comparison.contenders import CONTENDERS
from ecgcvx.comparison.race import TUNING, RunContext, Task, complete, run
from ecgcvx.comparison.report import compare_json, compare_table, fairness, lines
from ecgcvx.comparison.study import CompareOptions, compare, linear_family
from ecgcvx.errors import InputError
from ecgcvx.records import read_recording
from ecgcvx.types import silent
from ecgcvx.windows import split_windows

FEW = CompareOptions(
    beta=1e-3, neurons=8, runs=2, seconds=0.05, gap=0.2, contenders=("momentum", "lbfgs", "gn-uniform"), jobs=1
)


@pytest.fixture(scope="module")
def minute(record_208):
    return read_recording(record_208, end=60)


@pytest.fixture(scope="module")
def found(minute):
    return compare(minute, FEW, silent)


@pytest.fixture(scope="module")
def context(minute):
    split = split_windows(minute.signal)
    layers = Layers((16, 8, 1))
    problem = Problem(layers, split.train.X, split.train.y, 1e-3).single()
    test = Problem(layers, split.test.X, split.test.y, 1e-3).single()
    return RunContext(problem, test.X, test.y, split.scaler.scale, 0.05)


def test_every_contender_falls_within_its_time(context):
    start = context.problem.objective(context.problem.layers.initial(np.random.default_rng(3)))
    for name, contender in CONTENDERS.items():
        grid = contender.grid
        done = run(context, Task(name, 3, "cosine" if grid else None, grid[1] if grid else None))
        assert done.objective < start, name
        assert done.trace[0] == (0.0, pytest.approx(start))
        assert done.trace[-1] == (done.seconds, done.objective)
        assert 0.05 <= done.seconds < 0.25, name
        assert done.status == "time limit"


def test_a_run_that_diverges_is_told_as_such(context):
    done = run(context, Task("sgd", 0, "constant", 1e6))
    assert (done.objective, done.status) == (np.inf, "diverged")


def test_equal_terms(found):
    assert found.complete
    assert len(found.tuning) == 2 * len(CONTENDERS["momentum"].grid)
    assert {task.task.seed for task in found.tuning} == {TUNING}
    for name in FEW.contenders:
        own = [done for done in found.runs if done.task.contender == name]
        assert [done.task.seed for done in own] == [0, 1]
        starts = [done.trace[0][1] for done in own]
        assert starts == [done.trace[0][1] for done in found.runs if done.task.contender == "lbfgs"]
    best = min(found.tuning, key=lambda done: done.objective).task
    assert (found.chosen["momentum"].schedule, found.chosen["momentum"].step_size) == (best.schedule, best.step_size)


def test_no_run_is_below_the_lower_bound(found):
    trained = found.reference.trained
    assert trained.gap.evidence == "searched"
    assert 0 < trained.gap.dual <= min(done.objective for done in found.runs)
    values = [value for _, value in found.reference.trace]
    assert values[-1] == trained.gap.primal == min(values)
    assert found.reference.by(0.0) is None
    assert found.reference.by(np.inf) == trained.gap.primal


def test_lines_count_what_the_runs_say(found):
    told = lines(found)
    assert [line.median for line in told] == sorted(line.median for line in told)
    for line in told:
        own = [done.objective for done in found.runs if done.task.contender == line.optimiser]
        assert (line.runs, line.best, line.worst) == (2, min(own), max(own))
        assert line.median == pytest.approx(np.mean(own))
        assert line.median_gap == pytest.approx(line.median / found.reference.trained.gap.dual - 1)
        assert line.within == sum(value <= 1.01 * found.reference.trained.gap.primal for value in own)
    assert compare_table(found).row_count in (4, 5)
    text = fairness(found)
    assert "0.001, 0.003, 0.01, 0.03, 0.1" in text
    assert "searched" in text


def test_the_linear_family_is_what_it_says(minute):
    split = split_windows(minute.signal)
    scores = {score.name: score for score in linear_family(minute, split)}
    X, y = split.train.X[:], split.train.y
    w = np.linalg.lstsq(X, y)[0]
    residual = split.test.y - split.test.X[:] @ w
    squares = scores["least squares, AR"]
    assert squares.test_rmse_mv == pytest.approx(split.scaler.scale * np.sqrt(np.mean(residual**2)), rel=1e-9)
    penalised = [scores[name] for name in ("ridge", "lasso", "group lasso")]
    assert all(score.train_rmse_mv >= squares.train_rmse_mv for score in penalised)
    assert all(score.test_rmse_mv < scores["persistence"].test_rmse_mv for score in penalised)
    assert scores["lasso"].coefficients <= 16 == scores["ridge"].coefficients


@pytest.mark.slow
def test_interruption_keeps_what_is_done(minute, monkeypatch, context):
    tasks = [Task("lbfgs", seed) for seed in range(5)]
    seen = []

    def stop(done):
        seen.append(done)
        if len(seen) == 2:
            raise KeyboardInterrupt

    made = complete(context, tasks, 1, stop)
    assert made == seen
    assert [done.task.seed for done in made] == [0, 1]

    def stop_in_the_race(what, _share):
        if what.startswith("race: run 1 "):
            raise KeyboardInterrupt

    found = compare(minute, FEW, stop_in_the_race)
    assert not found.complete
    assert len(found.runs) == 1
    assert [line.runs for line in lines(found)] == [1]

    monkeypatch.setattr(study, "linear_family", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    early = compare(minute, FEW, silent)
    assert (early.linear, early.runs, early.complete) == ((), [], False)
    assert compare_table(early).row_count >= 1


@pytest.mark.slow
def test_the_command_leaves_table_json_and_figures(record_208, tmp_path, capsys):
    """With processes of their own, as by default."""
    arguments = ["compare", str(record_208), "--end", "30", "--beta", "1e-3", "--neurons", "4", "--runs", "2"]
    arguments += ["--seconds", "0.05", "--optimisers", "sgd", "lbfgs", "--jobs", "2", "--output", str(tmp_path)]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    for word in ("convex", "SGD", "L-BFGS", "median P", "within 1 %", "group lasso", "fairness", "step_sizes.png"):
        assert word in out
    told = json.loads((tmp_path / "compare.json").read_text())
    assert told["complete"]
    assert [len(line["each"]) for line in told["optimisers"]] == [2, 2]
    assert told["convex"]["gap_kind"] == "searched"
    for name in ("objective_against_time.png", "step_sizes.png"):
        pixels = np.asarray(Image.open(tmp_path / name).convert("RGB")).astype(int)
        assert (pixels[..., 2] - pixels[..., 0] > 60).any()  # the blue of the runs, however thin and pale a line


def test_json_of_a_comparison_holds_no_infinity(found, minute, tmp_path):
    text = json.dumps(compare_json(found, minute, tmp_path), allow_nan=False)
    assert json.loads(text)["options"]["neurons"] == 8


@pytest.mark.parametrize(
    ("name", "value"),
    [("neurons", 0), ("runs", 0), ("jobs", 0), ("beta", 0.0), ("seconds", np.nan), ("seed", -1), ("seed", TUNING)],
)
def test_refuses_options(name, value):
    with pytest.raises(InputError, match=f"{name} = "):
        CompareOptions(**{name: value})


def test_refuses_an_unknown_optimiser(record_208, capsys):
    assert main(["compare", str(record_208), "--optimisers", "adam", "newton"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
