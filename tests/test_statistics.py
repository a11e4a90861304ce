"""Statistics as files: the network of all records, what is refused, and what a file holds."""

import json
from dataclasses import replace

import numpy as np
import pytest
from record_tables import write_record

import ecgcvx
from ecgcvx.cli import main
from ecgcvx.dataset import DatasetOptions
from ecgcvx.dataset.statistics import fit_statistics, merged, read_statistics, record_statistics
from ecgcvx.errors import InputError
from ecgcvx.fit_options import fit_options
from ecgcvx.types import silent
from ecgcvx.windows import Scaler, all_windows


@pytest.fixture
def records(tmp_path):
    return [write_record(tmp_path / f"r{k}.csv", k, samples=1500, gap=k == 1) for k in range(3)]


def statistics(records, network="polynomial", **more):
    own = {"patterns": 6} if network == "gated" else {}
    options = DatasetOptions(fit_options(network, beta=1e-4, **own, **more))
    return record_statistics(records, options, silent)


def windows_of(record):
    signal = ecgcvx.read_recording(record).signal
    scaler = Scaler(float(np.nanmean(signal)), float(np.nanstd(signal)))
    return all_windows(signal, scaler, 15, 1)


@pytest.mark.parametrize("network", ["polynomial", "quadratic", "gated"])
def test_files_of_two_sites_train_the_network_of_all_their_records(records, network, tmp_path):
    files = {}
    for name, some in (("a", records[:2]), ("b", records[2:])):
        statistics(some, network).save(tmp_path / name)
        files[name] = read_statistics(tmp_path / name)
    own = {"patterns": 6} if network == "gated" else {}
    fit = fit_options(network, beta=1e-4, **own)
    every, trained = fit_statistics(files, fit, silent)
    parts = [windows_of(record) for record in records]
    X, y = np.vstack([np.asarray(part.X) for part in parts]), np.concatenate([part.y for part in parts])
    assert every.total.n == len(y)
    assert trained.gap.relative <= 1e-5
    f = trained.network.predict(X)
    loss = float(np.mean((y - f) ** 2)) / 2
    norms = np.linalg.norm(trained.network.W1, axis=0)
    sizes = norms * np.abs(trained.network.W2)
    assert trained.objective == pytest.approx(loss + 1e-4 * float(sizes.sum()), rel=1e-8)
    alone, together = fit_statistics({"all": statistics(records, network)}, fit, silent)
    assert alone.fingerprint == every.fingerprint
    assert together.objective == pytest.approx(trained.objective, rel=1e-9)


def test_the_last_file_validates_without_a_beta(records, tmp_path):
    files = {name: statistics([name]) for name in records}
    _, trained = fit_statistics(files, fit_options("polynomial"), silent)
    last = windows_of(records[2])
    errors = {}
    for beta in (trained.beta, 30 * trained.beta):
        first = {name: files[name] for name in records[:2]}
        _, other = fit_statistics(first, fit_options("polynomial", beta=beta), silent)
        errors[beta] = float(np.mean((last.y - other.network.predict(last.X)) ** 2))
    assert errors[trained.beta] < errors[30 * trained.beta]
    with pytest.raises(InputError, match="beta: give it, or a second file"):
        fit_statistics({"one": files[records[0]]}, fit_options("polynomial"), silent)


@pytest.mark.parametrize(
    ("network", "more", "words"),
    [("polynomial", {"window": 12}, "b: window = 12, a has 15"), ("polynomial", {"horizon": 2}, "b: horizon = 2"),
     ("gated", {"seed": 1}, "b: gates = "), ("gated", {}, "b: network = gated, a has polynomial")],
)  # fmt: skip
def test_files_that_do_not_match_are_refused(records, network, more, words):
    first = statistics(records[:1], "polynomial" if "network" in words else network)
    with pytest.raises(InputError, match=words):
        merged({"a": first, "b": statistics(records[1:], network, **more)})


def test_a_signal_in_two_files_is_refused(records):
    with pytest.raises(InputError, match="b: r0, lead II is in a too"):
        merged({"a": statistics(records[:2]), "b": statistics(records[:1])})


def test_files_of_other_frequencies_are_refused(records):
    first, second = statistics(records[:1]), statistics(records[1:])
    with pytest.raises(InputError, match=r"b: sampling_frequency = 250\.0, a has 100\.0"):
        merged({"a": first, "b": replace(second, sampling_frequency=250.0)})


def test_a_damaged_or_changed_file_is_refused(records, tmp_path):
    path = tmp_path / "a"
    with pytest.raises(InputError, match="a: no such file"):
        read_statistics(path)
    statistics(records[:1]).save(path)
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="digest does not match"):
        read_statistics(path)
    path.write_bytes(data[:500])
    with pytest.raises(InputError, match="not a readable file of statistics"):
        read_statistics(path)
    ecgcvx.fit(ecgcvx.read_recording(records[0]), "polynomial", beta=1e-4).forecaster.save(path)
    with pytest.raises(InputError, match="no statistics of ecgcvx"):
        read_statistics(path)


def test_a_bad_record_is_skipped_or_ends_the_run(records, tmp_path):
    (tmp_path / "bad.csv").write_text("time (s),II\n0,zero\n")
    names = [*records, str(tmp_path / "bad.csv")]
    found = statistics(names)
    assert [name for name, _ in found.skipped] == names[3:]
    with pytest.raises(InputError, match="strict"):
        record_statistics(names, DatasetOptions(fit_options("polynomial"), strict=True), silent)
    with pytest.raises(InputError, match=r"records: none can be used; the first: .*bad\.csv"):
        statistics(names[3:])
    with pytest.raises(InputError, match="no sums could stand for its windows"):
        statistics(records, "relu")


def test_commands_write_merge_and_fit(records, tmp_path, capsys):
    a, b, out = (str(tmp_path / name) for name in ("a.stats", "b.stats", "out"))
    assert main(["stats", *records[:2], "--network", "polynomial", "--output", a]) == 0
    assert main(["stats", records[2], "--network", "polynomial", "--engine", "records", "--output", b, "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["windows"], told["signals"]) == (1485, 1)
    assert main(["fit", "--stats", a, b, "--beta", "1e-4", "--output", out, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    model = ecgcvx.load(tmp_path / "out" / "r2-II" / "model.safetensors")
    assert found["neurons"] == model.network.neurons
    recording = ecgcvx.read_recording(records[2])
    assert np.isfinite(model.predict(recording)[20:]).all()
    for arguments, words in (
        (["fit"], "the list is empty"),
        (["fit", records[0], "--stats", a], "stand for records; leave"),
        (["fit", "--stats", a, a], "given twice"),
        (["fit", "--stats", a, "--beta", "1e-4", "--network", "gated"], "take polynomial or quadratic"),
    ):
        assert main(arguments) == 2
        assert words in capsys.readouterr().err
