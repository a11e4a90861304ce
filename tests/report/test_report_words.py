"""Words and numbers of a report: bounds rounded up, kinds of gap never mixed."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from readings import case

from ecgcvx.errors import ModelError
from ecgcvx.evidence import Evidence
from ecgcvx.models import ReluNetwork
from ecgcvx.models.three_layer import ThreeLayerNetwork
from ecgcvx.report.training import Proof, read_training, training_of
from ecgcvx.report.words import at_most, beside, certificate, error_without, roughly, share, size, tiny, where


@given(st.floats(0, 1))
def test_a_bound_is_never_understated(value):
    words = at_most(value)
    assert words.endswith("\u00a0%")
    told = float(words[:-2]) / 100
    assert told >= value - 1e-10
    assert told <= max(1.1 * value + 1e-10, 1e-6)
    assert len(words[:-2].lstrip("0.").replace(".", "")) <= 3  # two digits, 100 % as well


@pytest.mark.parametrize(
    ("function", "value", "words"),
    [
        (share, 0.6742, "67 %"), (share, 0.99874, "99.87 %"), (share, 0.999996, "99.99 %"),
        (share, -0.0035, "−0.35 %"), (share, float("nan"), "–"),
        (roughly, 0.004, "< 1 %"), (roughly, 0.996, "> 99 %"), (roughly, 1.0, "100 %"), (roughly, 0.0, "0 %"),
        (size, 0.016328, "0.0163"), (size, -1234.5, "−1234"), (size, 0.0, "0.00"), (size, float("nan"), "–"),
        (tiny, 1.8662e-6, "1.866 × 10⁻⁶"),
    ],
)  # fmt: skip
def test_numbers(function, value, words):
    assert function(value).replace("\u00a0", " ") == words


def gap_of(training, kind, gap=0.25, proof=None):
    convex = replace(training.convex, evidence=None if kind is None else Evidence(kind), gap=gap)
    return certificate(replace(training, contenders=(*training.contenders[:-1], convex), proof=proof))


def test_every_kind_of_gap_is_named_as_what_it_is():
    training = case("gated").training
    name, words = gap_of(training, "searched")
    assert "not proved" in name
    assert "not a proof" in words
    name, words = gap_of(training, "given patterns")
    assert "given patterns" in name
    assert "nothing of networks with other patterns" in words
    name, words = gap_of(training, "proved by eigenvalues")
    assert "eigenvalues" in name
    assert "any width" in words
    name, words = gap_of(training, "proved by enumeration")
    assert name == "proved by enumeration"
    name, words = gap_of(training, "searched", proof=Proof(1e-3, 9e-4, 0.1))
    assert name == "proved by bound"
    assert "9.000 × 10⁻⁴" in words
    assert gap_of(training, None, None)[0] == "none"


def test_only_a_stack_is_spoken_of_as_stages():
    """A pruned network is compared at the beta of its training, but is one program."""
    training = case("gated").training
    convex = replace(training.convex, evidence=Evidence.SEARCHED, gap=0.05, gap_of="at beta = 1e-05")
    name, words = certificate(replace(training, contenders=(*training.contenders[:-1], convex)))
    assert name == "searched, not proved"
    assert "at beta = 1e-05" in words
    assert "stage" not in words
    name, words = certificate(case("stack").training)
    assert "last stage" in name


def test_the_error_without_a_pattern_is_the_one_of_its_definition():
    reading = replace(case("gated").reading, explained_variance=0.99)
    assert "2.0 times" in error_without(reading, 0.03)
    assert "hardly" in error_without(reading, 1e-5)


def test_where_a_pattern_is_on():
    row = case("gated").reading.table.iloc[0].copy()
    row[["coverage", "on_p", "on_qrs", "on_t", "on_baseline"]] = [0.2, 0.1, 0.9, 0.15, 0.1]
    assert where(row) == "on mostly in the QRS, least in the P wave, T wave and baseline"
    row[["on_p", "on_qrs", "on_t", "on_baseline"]] = [0.2, 0.21, 0.22, 0.2]
    assert where(row) == "on in every part of the beat alike"
    row[["on_p", "on_qrs", "on_t", "on_baseline"]] = [0.0, 0.1, 0.0, 0.0]
    assert where(row) == "on mostly in the QRS, least in the P wave, T wave and baseline"
    row[["on_p", "on_qrs", "on_t", "on_baseline"]] = float("nan")
    assert where(row) == "on in 20\u00a0% of the windows"
    row["coverage"] = 0.999
    assert where(row) == "on nearly all the time"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"options": 3}', "\udc00", "[" * 10000])
def test_damaged_metrics_are_refused_in_one_line(text, tmp_path):
    (tmp_path / "metrics.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ModelError, match=r"metrics\.json.*fit again") as refusal:
        read_training(tmp_path / "model.safetensors")
    assert "\n" not in str(refusal.value)


def test_a_model_alone_has_no_training(tmp_path):
    assert read_training(tmp_path) is None


@settings(max_examples=200, deadline=None)
@given(st.floats() | st.integers(300, 500).map(lambda power: 10**power), st.booleans())
def test_any_number_as_a_gap_is_refused_or_told(number, proved):
    found = json.loads(json.dumps(case("relu").metrics))
    if proved:
        found["proof"] = {"primal": 1e-3, "dual_proved": 9e-4, "proved_gap": number}
    else:
        found["models"][-1]["gap"] = number
    if abs(number) <= 1e100:
        assert certificate(training_of(found, "metrics.json"))
        return
    with pytest.raises(ModelError, match="damaged"):
        training_of(found, "metrics.json")


def test_metrics_without_models_are_damaged():
    with pytest.raises(ModelError, match="damaged"):
        training_of({"models": []}, "metrics.json")


def test_only_a_free_linear_part_is_told_of():
    W1, W2, ones = np.ones((3, 2)), np.ones(2), np.ones(2)
    assert beside(ReluNetwork(W1, W2, linear=np.zeros(3))) == " and a free linear part"
    assert not beside(ReluNetwork(W1, W2))
    for linear in (False, True):  # of its inner neurons, which are penalised
        assert not beside(ThreeLayerNetwork(np.ones((2, 2, 3)), np.ones((2, 2)), ones, linear))
