"""The lecture's scripts in a reduced size, and the pages made of what they found."""

import ast
import importlib
import json
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest

import _page
import images
from _page import Claim, Record, Table, docs_pages, index_html, keep, read_record
from all import SCRIPTS as LISTED

FOLDER = Path(_page.__file__).parent
QUICK = ["linear_penalties", "group_lasso", "duality", "quadratic_network"]
LONGER = [
    "all_networks", "arrangement_counts", "arrangements", "batch_norm", "beat_generator", "consensus_admm",
    "convolution", "ecg_forecasts", "ecg_interpretation", "polynomial_network", "progressive_generator",
    "regularisation_path", "scaling_and_bidual", "three_layer", "toy_race",
]  # fmt: skip
WHOLE = ("ecg_interpretation",)  # a claim on beats, of which a reduced size has too few
TOO_LONG = {"images", "ecg_prediction", "optimisers"}  # races against backprop, run by `make reproduce` alone
APART = {"all", "faces"}  # faces has a command line of its own
SCRIPTS = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in LONGER)]
MADE = Record(
    "example",
    "An example",
    "a slide",
    (Claim("x < 1", "x = 0.5", True),),
    (("example.png", "a & b"),),
    "",
    "command",
    1.0,
    (Table("In mV.", ("network", "RMSE"), (("a | b", "0.1"),)),),
)


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_claim_of_the_slide_holds(script, tmp_path):
    module = importlib.import_module(script)
    record = keep(script, module.reproduce, tmp_path, reduced=script not in WHOLE)
    assert [claim.text for claim in record.claims if not claim.holds] == []
    for name, _ in record.pictures:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert read_record(tmp_path / f"{script}.json") == record


def test_a_record_with_a_table_is_read_as_it_was_kept(tmp_path):
    def reproduce(reduced):
        return _page.Entry("t", "s", (Claim("one", "1", True),), (), tables=MADE.tables)

    kept = keep("example", reproduce, tmp_path, reduced=True)
    assert read_record(tmp_path / "example.json") == kept
    assert kept.tables == MADE.tables


def scripts():
    return {path.stem for path in FOLDER.glob("[!_]*.py")} - APART


def test_every_script_is_run_and_tested():
    assert set(LISTED) == scripts()
    assert {*QUICK, *LONGER} | TOO_LONG == scripts()


@pytest.mark.parametrize("script", sorted(LISTED))
def test_every_script_says_slide_claim_and_finding_and_decides_each_claim_by_a_number(script):
    tree = ast.parse((FOLDER / f"{script}.py").read_text())
    words = ast.get_docstring(tree)
    assert [words.count(f"\n{word}: ") for word in ("Slides", "Claims", "Found")] == [1, 1, 1]
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    made = [call for call in calls if call.func.id == "Claim"]
    assert made
    assert not any(isinstance(call.args[2], ast.Constant) for call in made)
    assert sum(call.func.id == "Picture" for call in calls) == 1


def test_a_claim_that_does_not_hold_ends_with_status_1(tmp_path, monkeypatch, capsys):
    def reproduce(reduced):
        return _page.Entry("t", "s", (Claim("one", "1", True), Claim("two", "3", False, "three")), ())

    monkeypatch.setattr("sys.argv", ["script", "--output", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        _page.main(reproduce)
    assert ended.value.code == 1
    assert "does not hold: two" in capsys.readouterr().out
    (path,) = tmp_path.glob("*.json")
    assert json.loads(path.read_text())["claims"][1]["holds"] is False


@pytest.mark.parametrize(
    ("claims", "verdict"),
    [
        (((True, ""),), "holds"),
        (((True, ""), (True, "factor 2")), "holds with this correction"),
        (((True, "factor 2"), (False, "")), "does not hold"),
    ],
)
def test_the_verdict_of_an_entry_is_that_of_its_weakest_claim(claims, verdict):
    several = tuple(Claim("text", "found", holds, correction) for holds, correction in claims)
    record = Record("a", "b", "c", several, (), "", "", 0.0)
    assert record.verdict == verdict


def test_the_page_shows_pictures_before_claims_and_escapes_text():
    page = index_html([MADE])
    assert page.index("example.png") < page.index("<td>a | b</td>") < page.index("x = 0.5")
    assert "x &lt; 1" in page
    assert "a &amp; b" in page


def test_the_documentation_has_a_link_to_each_entry():
    pages = docs_pages([MADE], "Introduction.")
    assert set(pages) == {"lecture.md", "lecture/example.md"}
    assert "| a slide | [1. An example](lecture/example.md) | holds |" in pages["lecture.md"]
    page = pages["lecture/example.md"]
    assert page.startswith("# 1. An example\n")
    assert "| a \\| b | 0.1 |" in page
    assert "![a & b](example.png)" in page


@pytest.mark.parametrize(
    ("names", "labels"), [(("data_batch_1.bin", "test_batch.bin"), 1), (("train.bin", "test.bin"), 2)]
)
def test_reads_the_binary_files_of_cifar(names, labels, tmp_path):
    random = np.random.default_rng(0)
    rows = [random.integers(0, 10, (n, labels + images.PIXELS), dtype=np.uint8) for n in (5, 2)]
    for name, raw in zip(names, rows, strict=True):
        raw.tofile(tmp_path / name)
    read = images.read_cifar(tmp_path)
    np.testing.assert_array_equal(read.labels, rows[0][:, labels - 1])
    np.testing.assert_allclose(read.test_X[:, :-1], rows[1][:, labels:] / 255 - 0.5, atol=1e-6)
    assert read.X.shape == (5, images.PIXELS + 1)
    assert (read.X[:, -1] == 1).all()


def test_data_of_the_shape_of_cifar_have_ten_classes_and_a_column_of_ones():
    made = images.made_up(60)
    assert made.X.shape == (60, images.PIXELS + 1)
    assert made.test_X.shape == (6, images.PIXELS + 1)
    assert (made.X[:, -1] == 1).all()
    assert set(made.labels) <= set(range(10))
    assert made.targets.shape == (60, 10)
    assert (made.targets.sum(axis=1) == -8).all()


def test_convex_sgd_arrives_at_the_optimum_of_the_hinge_form():
    random = np.random.default_rng(0)
    X = np.c_[random.standard_normal((60, 3)), np.ones(60)].astype(np.float32)
    labels = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(np.int64)
    data = images.Images(X, labels, X, labels)
    gates = random.standard_normal((4, 3)).astype(np.float32)
    *_, (_, U) = images.convex_sgd(data, gates, 0.05, 60, 4000, 0)

    def value(u, k, positive, norm, square):
        """The hinge form of class k at u (2, 3, 4): a list of two lists of vectors of length 4."""
        f, hinge, penalty = 0, 0, 0
        for sign, several in zip((1, -1), u, strict=True):
            for gate, w in zip(gates.T, several, strict=True):
                mask = X @ gate >= 0
                f = f + sign * (mask[:, None] * X) @ w
                hinge = hinge + positive((-(2.0 * mask - 1)[:, None] * X) @ w) / 60
                penalty = penalty + norm(w)
        return square(f - data.targets[:, k]) / 120 + images.HINGE * hinge + 0.05 * penalty

    found = U.astype(np.float64).reshape(4, 2, 3, 2)
    for k in range(2):
        w = [[cp.Variable(4) for _ in range(3)] for _ in range(2)]
        form = value(w, k, lambda v: cp.sum(cp.pos(v)), cp.norm, cp.sum_squares)
        optimum = cp.Problem(cp.Minimize(form)).solve(solver=cp.CLARABEL)
        reached = value(
            found[:, :, :, k].transpose(1, 2, 0), k, lambda v: np.maximum(v, 0).sum(), np.linalg.norm, lambda r: r @ r
        )
        assert optimum * (1 - 1e-6) <= reached <= optimum * (1 + 1e-2)
