"""Polynomial networks on the record: fit, path and predict as for ReLU, with a proved gap."""

import json

import numpy as np
import pytest
from polynomial_cases import ACTIVATIONS

from ecgcvx.certificates import certify_polynomial
from ecgcvx.cli import main
from ecgcvx.errors import InputError
from ecgcvx.evidence import Evidence
from ecgcvx.fit_options import fit_options
from ecgcvx.fitting import fit
from ecgcvx.model_file import load
from ecgcvx.path import regularisation_path
from ecgcvx.records import read_recording
from ecgcvx.types import silent


@pytest.fixture(scope="module")
def minute(record_208):
    return read_recording(record_208, end=60)


@pytest.mark.parametrize("linear", [None, "free"])
def test_more_products_than_memory_holds_are_refused_before_they_are_formed(minute, linear):
    options = fit_options(network="polynomial", window=181, beta=1e-3, linear=linear)
    with pytest.raises(InputError, match=r"windows of 181 columns have 16,653 products of two, more than 16,384"):
        fit(minute, options, silent)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_the_result_is_scored_and_certified(minute, name):
    found = fit(minute, fit_options(network=name, solver="semidefinite", beta=1e-4), silent)
    score = found.scores[-1]
    assert score.gap.evidence is Evidence.EIGENVALUES
    assert score.gap.relative <= 1e-6
    network, train = found.forecaster.network, found.split.train
    assert network.polynomial == ACTIVATIONS[name]
    certificate = certify_polynomial(network, train.X, train.y, 1e-4)
    assert certificate.proved
    assert certificate.gap <= 1e-6
    assert certificate.primal == pytest.approx(score.objective, rel=1e-12)
    assert certificate.dual == pytest.approx(found.trained.gap.dual, rel=1e-9)
    other = fit(minute, fit_options(network=name, solver="cvxpy", beta=1e-4), silent)
    assert other.scores[-1].objective == pytest.approx(score.objective, rel=1e-9)


def test_the_path_is_that_of_cold_fits(minute):
    options = fit_options(network="quadratic", solver="semidefinite")
    path, chosen = regularisation_path(minute, options, 5, 1e-5, silent)
    assert path.points[0].train_rmse_mv > path.points[-1].train_rmse_mv
    errors = [point.validation_rmse_mv for point in path.points]
    assert path.chosen == path.points[int(np.argmin(errors))]
    assert all(point.gap <= 1e-6 for point in path.points)
    assert chosen.gap.primal == path.chosen.objective


@pytest.mark.slow
def test_the_command_line_fits_without_beta_and_predicts(record_208, tmp_path, capsys):
    record = [str(record_208), "--end", "60"]
    assert main(["fit", *record, "--network", "polynomial", "--json", "--output", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["beta_chosen_by"] == "validation"
    assert found["models"][-1]["gap_kind"] == "proved by eigenvalues"
    assert load(tmp_path).network.polynomial == ACTIVATIONS["polynomial"]
    assert main(["predict", str(tmp_path), *record, "--output", str(tmp_path / "f.csv")]) == 0
    assert (tmp_path / "f.csv").read_text().startswith("sample,")
    assert main(["fit", *record, "--network", "quadratic", "--patterns", "5"]) == 2
    assert "patterns = 5: not an option of network='quadratic'" in capsys.readouterr().err
