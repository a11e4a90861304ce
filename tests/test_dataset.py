"""Several records: which they are, one fit each or one for all, the tables, what is skipped and what is kept."""

import csv
import json
import os
import signal
import threading
import time
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_tables import write_record

import ecgcvx
from ecgcvx.cli import main
from ecgcvx.dataset import DatasetOptions, Reading, expand_sources, fit_records, read_rows, write_dataset
from ecgcvx.dataset.patience import in_time
from ecgcvx.dataset.pooled import pooled_windows
from ecgcvx.errors import InputError
from ecgcvx.fit_options import fit_options
from ecgcvx.types import silent
from ecgcvx.windows import split_windows
from ecgcvx.workers import side_by_side


@pytest.fixture
def folder(tmp_path):
    for k in range(3):
        write_record(tmp_path / f"r{k}.csv", k, gap=k == 1)
    return tmp_path


def options(evaluate="within", **more):
    return DatasetOptions(fit_options("polynomial", beta=1e-4), evaluate=evaluate, jobs=1, **more)


def test_folders_patterns_and_lists_stand_for_their_records(folder):
    (folder / "notes.txt").write_text("no record")
    names = [str(folder / f"r{k}.csv") for k in range(3)]
    assert expand_sources([str(folder)]) == names
    assert expand_sources([str(folder / "r[02].csv")]) == [names[0], names[2]]
    (folder / "RECORDS").write_text("# a list\nr2.csv\n\nr0.csv\n")
    assert expand_sources([str(folder / "RECORDS")]) == [names[2], names[0]]
    assert expand_sources(["mitdb/100", names[0]]) == ["mitdb/100", names[0]]


def test_segments_of_a_record_are_no_records(tmp_path):
    (tmp_path / "whole.hea").write_text("whole/2 1 360 20\npart1 10\npart2 10\n")
    for part in ("part1", "part2"):
        (tmp_path / f"{part}.hea").write_text(f"{part} 1 360 10\n{part}.dat 16 200 16 0 0 0 0 II\n")
    assert expand_sources([str(tmp_path)]) == [str(tmp_path / "whole")]


@pytest.mark.parametrize(
    ("sources", "words"),
    [([], "the list is empty"), (["*.nothing"], "matches no record"), (["empty"], "a folder without records"),
     (["RECORDS"], "a list without records"), (["a.csv", "a.csv"], "given twice")],
)  # fmt: skip
def test_lists_that_name_nothing_or_twice_are_refused(sources, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "RECORDS").write_text("# nothing\n")
    write_record(tmp_path / "a.csv", 0)
    with pytest.raises(InputError, match=words):
        expand_sources(sources)


def test_each_record_gets_the_fit_that_it_gets_alone(folder, tmp_path):
    records = expand_sources([str(folder)])
    rows = list(fit_records(records, options(), tmp_path / "out", silent))
    for row, record in zip(rows, records, strict=True):
        alone = ecgcvx.fit(ecgcvx.read_recording(record), "polynomial", beta=1e-4)
        assert row.rmse_mv == {score.name: score.test_rmse_mv for score in alone.scores}
        assert row.gap == alone.trained.gap.relative
        model = ecgcvx.load(tmp_path / "out" / record.rsplit("/", 1)[1] / "model.safetensors")
        assert np.array_equal(model.network.W1, alone.forecaster.network.W1)
    assert rows[1].windows["missing"] > 0


def test_a_bad_record_is_skipped_with_its_reason_or_ends_the_run(folder, tmp_path):
    (folder / "r3.csv").write_text("time (s),II\n0,zero\n")
    records = expand_sources([str(folder)])
    rows = list(fit_records(records, options(), tmp_path / "out", silent))
    assert [bool(row.skipped) for row in rows] == [False, False, False, True]
    assert "r3.csv" in rows[3].skipped
    with pytest.raises(InputError, match="strict"):
        list(fit_records(records, options(strict=True), tmp_path / "strict", silent))


def test_resume_keeps_what_was_finished_with_the_same_options(folder, tmp_path):
    records = expand_sources([str(folder)])
    out = tmp_path / "out"
    first = list(fit_records(records[:2], options(), out, silent))
    again = {row.name: row for row in fit_records(records, options(resume=True), out, silent)}
    assert [again[row.name].kept for row in first] == [True, True]
    assert [again[row.name].rmse_mv for row in first] == [row.rmse_mv for row in first]
    assert sum(row.kept for row in again.values()) == 2
    other = DatasetOptions(fit_options("polynomial", beta=1e-3), jobs=1, resume=True)
    assert not any(row.kept for row in fit_records(records, other, out, silent))
    part = replace(options(resume=True), reading=Reading(end=15.0))
    assert not any(row.kept for row in fit_records(records, part, out, silent))


@given(st.lists(st.integers(25, 60), min_size=1, max_size=4), st.integers(1, 5), st.integers(1, 3), st.integers(0, 10))
def test_pooled_windows_are_those_of_the_records_one_after_another(lengths, length, horizon, seed):
    random = np.random.default_rng(seed)
    parts = []
    for samples in lengths:
        signal = random.standard_normal(samples)
        signal[random.integers(samples)] = np.nan
        try:
            parts.append(split_windows(signal, length, horizon).train)
        except InputError:
            continue
    if not parts:
        return
    pooled = pooled_windows(parts)
    assert np.array_equal(np.asarray(pooled.X), np.vstack([np.asarray(part.X) for part in parts]))
    assert np.array_equal(pooled.y, np.concatenate([part.y for part in parts]))


def test_ctrl_c_in_a_pooled_training_is_said(folder, tmp_path, monkeypatch, capsys):
    from ecgcvx.dataset import pooled

    train = pooled._train

    def cut(*arguments):
        trained, known = train(*arguments)
        return replace(trained, status="interrupted"), known

    monkeypatch.setattr(pooled, "_train", cut)
    arguments = ["fit", str(folder), "--evaluate", "pooled", "--network", "polynomial", "--beta", "1e-3"]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0  # no signal came here: that makes it 130
    assert "interrupted: the training of 3 of 3 was cut short" in capsys.readouterr().out


def test_pooled_is_one_program_of_all_training_windows(folder, tmp_path):
    records = expand_sources([str(folder)])
    rows = list(fit_records(records, options("pooled"), tmp_path / "out", silent))
    splits = [split_windows(ecgcvx.read_recording(record).signal) for record in records]
    X = np.vstack([np.asarray(split.train.X) for split in splits])
    y = np.concatenate([split.train.y for split in splits])
    solution = ecgcvx.solve(ecgcvx.programs.PolynomialProgram(X, y, 1e-4))
    from ecgcvx.models import polynomial_network_of

    network = polynomial_network_of(ecgcvx.programs.PolynomialProgram(X, y, 1e-4), solution.u)
    for row, split in zip(rows, splits, strict=True):
        error = split.scaler.scale * (split.test.y - network.predict(split.test.X))
        assert row.rmse_mv["convex"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-6)
    assert len({row.neurons for row in rows}) == 1
    model = ecgcvx.load(tmp_path / "out" / "r0.csv" / "model.safetensors")
    assert model.scaler.mean == pytest.approx(splits[0].scaler.mean)
    known = model.training_range  # of all their training windows: none of them is outside
    assert not known.outside(X).any()
    assert (known.low, known.high) == (X[:, :-1].min(), X[:, :-1].max())


def test_the_record_that_is_left_out_is_not_trained_on(folder, tmp_path):
    """Another third record leaves its own row's network as it was, and changes those of the others."""
    records = expand_sources([str(folder)])
    before = list(fit_records(records, options("leave-one-record-out"), tmp_path / "a", silent))
    write_record(folder / "r2.csv", 9)
    after = list(fit_records(records, options("leave-one-record-out"), tmp_path / "b", silent))
    W1 = [
        [ecgcvx.load(tmp_path / run / f"r{k}.csv" / "model.safetensors").network.W1 for k in range(3)] for run in "ab"
    ]
    assert np.array_equal(W1[0][2], W1[1][2])
    assert not np.array_equal(W1[0][0], W1[1][0])
    assert before[0].windows["train"] == sum(row.windows["test"] for row in before[1:])
    assert after[2].rmse_mv != before[2].rmse_mv


def test_records_of_several_rates_are_refused_together(folder, tmp_path):
    write_record(folder / "r3.csv", 3, rate=250.0)
    with pytest.raises(InputError, match="100, 250 Hz; pass resample"):
        list(fit_records(expand_sources([str(folder)]), options("pooled"), tmp_path / "out", silent))


def test_the_tables_hold_every_row(folder, tmp_path):
    (folder / "r3.csv").write_text("time (s),II\n0,zero\n")
    out = tmp_path / "out"
    rows = list(fit_records(expand_sources([str(folder)]), options(), out, silent))
    write_dataset(rows, out, {"network": "polynomial"})
    assert [asdict(row) for row in read_rows(out)] == [asdict(row) for row in rows]
    lines = list(csv.DictReader((out / "dataset.csv").open()))
    assert [float(line["rmse_mv_convex"]) for line in lines[:3]] == [row.rmse_mv["convex"] for row in rows[:3]]
    page = (out / "dataset.html").read_text()
    assert 'href="r0.csv/report.html"' in page
    assert "skipped: " in page


def test_the_command_line_fits_a_folder(folder, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["fit", str(folder), "--network", "polynomial", "--beta", "1e-4", "--jobs", "1", "--output", str(out)]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "3 signals, median test error" in told
    assert "dataset.csv" in told
    assert main([*arguments, "--resume", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["kept"] for row in found["rows"]] == [True] * 3
    assert (out / "r1.csv" / "report.html").exists()


def _begins(place):
    """A task that says that it has begun, and would last."""
    folder, number = place
    (folder / f"begun{number}").touch()
    time.sleep(60)


def test_ctrl_c_begins_no_task_that_waits(tmp_path):
    def interrupt():
        while len(list(tmp_path.glob("begun*"))) < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(side_by_side(_begins, [(tmp_path, number) for number in range(6)], 2))
    assert len(list(tmp_path.glob("begun*"))) == 2
    assert time.monotonic() - started < 50  # no task came to its end


def test_processes_give_what_one_gives(folder, tmp_path):
    records = expand_sources([str(folder)])
    two = DatasetOptions(fit_options("polynomial", beta=1e-4), jobs=2)
    rows = {row.name: row.rmse_mv for row in fit_records(records, two, tmp_path / "two", silent)}
    assert rows == {row.name: row.rmse_mv for row in fit_records(records, options(), tmp_path / "one", silent)}


def test_evaluations_over_records_need_records(folder, capsys):
    assert main(["fit", str(folder / "r0.csv"), "--evaluate", "pooled"]) == 2
    assert "takes at least 2 records" in capsys.readouterr().err


def test_several_rates_each_with_a_network_of_its_own_are_told(folder, tmp_path, capsys):
    write_record(folder / "r3.csv", 3, rate=250.0)
    words = ["fit", str(folder), "--network", "polynomial", "--beta", "1e-4", "--jobs", "1"]
    assert main([*words, "--output", str(tmp_path / "out")]) == 0
    assert "sampled at 100, 250 Hz" in capsys.readouterr().out


def test_patterns_match_records_named_without_extension(tmp_path):
    for name in ("100.hea", "101.hea", "200.hea", "100.dat", "notes"):
        (tmp_path / name).touch()
    assert expand_sources([str(tmp_path / "10[01]")]) == [str(tmp_path / "100"), str(tmp_path / "101")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_record_that_cannot_be_read_in_time_is_skipped(folder, tmp_path):
    """A named pipe that nobody writes to: opening it waits, as on a file system that stalls."""
    os.mkfifo(folder / "stalled.csv")
    found = options(reading=Reading(limit=1.0))
    rows = list(fit_records([str(folder / "stalled.csv"), str(folder / "r0.csv")], found, tmp_path / "out", silent))
    assert "not read after 1 s; the file system may have stalled" in rows[0].skipped
    assert not rows[1].skipped


def test_errors_of_a_reading_are_its_own():
    def fail():
        raise TimeoutError("of the reading")

    with pytest.raises(TimeoutError, match="of the reading"):
        in_time(fail, "x", 5.0)
    with pytest.raises(InputError, match="read-limit = 0"):
        Reading(limit=0.0)
