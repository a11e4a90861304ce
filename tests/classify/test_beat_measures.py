"""Measures, calibration, novelty, program and proof against scikit-learn, SciPy, brute force and formulas."""

import numpy as np
import pytest
from beat_records import synthetic_recording
from scipy.spatial.distance import mahalanobis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, cohen_kappa_score, f1_score, roc_auc_score

from ecgcvx.classify.context import SCALE
from ecgcvx.classify.machine import (
    Setting,
    beat_program,
    best_threshold,
    calibration,
    joint_thresholds,
    prove_machine,
    train_machine,
)
from ecgcvx.classify.measures import average_precision, bootstrap, confusion, jk_index, measures_of, roc_area
from ecgcvx.classify.novelty import RANK, Novelty
from ecgcvx.classify.training import TrainOptions, patient_folds
from ecgcvx.classify.windows import beat_windows, joined
from ecgcvx.solvers.active_set.loop import ActiveSetSolver


@pytest.fixture(scope="module")
def scored():
    random = np.random.default_rng(0)
    positive = random.random(300) < 0.2
    return np.round(positive + random.standard_normal(300), 1), positive  # rounded: with ties


def test_areas_are_those_of_scikit_learn(scored):
    scores, positive = scored
    assert roc_area(scores, positive) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
    assert average_precision(scores, positive) == pytest.approx(average_precision_score(positive, scores), abs=1e-12)


def test_the_best_threshold_is_that_of_trying_all(scored):
    scores, positive = scored
    threshold, f1 = best_threshold(scores, positive)
    assert f1 == pytest.approx(f1_score(positive, scores > threshold))
    assert f1 == pytest.approx(max(f1_score(positive, scores >= one) for one in np.unique(scores)))


def test_thresholds_of_one_decision_are_best_each_given_the_other():
    random = np.random.default_rng(5)
    kind = random.choice(3, 400, p=[0.7, 0.15, 0.15])
    positive = kind[:, None] == [1, 2]
    odds = 2.0 * positive + 1.2 * positive[:, ::-1] + random.standard_normal((400, 2))

    def f1(thresholds, j):
        above = odds - thresholds
        called = np.where(above.max(axis=1) > 0, above.argmax(axis=1) + 1, 0)
        return f1_score(positive[:, j], called == j + 1)

    found = joint_thresholds(odds, positive)
    alone = np.array([best_threshold(odds[:, j], positive[:, j])[0] for j in (0, 1)])
    assert sum(f1(found, j) for j in (0, 1)) >= sum(f1(alone, j) for j in (0, 1))
    for j in (0, 1):
        for one in np.linspace(-3, 5, 60):
            other = found.copy()
            other[j] = one
            assert f1(other, j) <= f1(found, j) + 1e-12
    np.testing.assert_array_equal(joint_thresholds(odds[:, :1], positive[:, :1]), alone[:1])


def test_calibration_is_logistic_regression_on_the_targets_of_platt(scored):
    scores, positive = scored
    slope, shift = calibration(scores, positive)
    k = int(positive.sum())
    high, low = (k + 1) / (k + 2), 1 / (300 - k + 2)
    share = np.where(positive, high, low)
    X, y = np.tile(scores, 2)[:, None], np.repeat([1, 0], 300)
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(X, y, np.r_[share, 1 - share])
    assert slope == pytest.approx(theirs.coef_[0, 0], rel=1e-3)
    assert shift == pytest.approx(theirs.intercept_[0], rel=1e-3)
    assert calibration(-scores, positive)[0] == 0.0  # a score that says the opposite is not turned round


def test_jk_and_kappa_and_confusion():
    random = np.random.default_rng(1)
    truth = random.choice(list("NSV"), 200, p=[0.7, 0.1, 0.2])
    found = np.where(random.random(200) < 0.8, truth, random.choice(list("NSV"), 200))
    matrix = confusion(truth, found, list("NSV"), list("NSV"))
    kinds = [measures_of(truth, found, name) for name in "SV"]
    j = sum(one.sensitivity + one.precision for one in kinds)
    assert jk_index(matrix) == pytest.approx(cohen_kappa_score(truth, found) / 2 + j / 8)
    assert jk_index(np.diag([50, 5, 9])) == pytest.approx(1.0)
    assert kinds[1].f1 == pytest.approx(f1_score(truth == "V", found == "V"))


def test_the_bootstrap_draws_patients_not_beats():
    patients = np.repeat(np.arange(4), 1000)
    values = np.repeat([0.0, 0.0, 1.0, 1.0], 1000)
    low, high = bootstrap(patients, lambda i: float(values[i].mean()))
    assert low <= 0.25
    assert high >= 0.75


def test_novelty_is_the_distance_of_the_gaussian_model():
    random = np.random.default_rng(2)
    windows = random.standard_normal((400, 30)) * np.linspace(3, 0.5, 30) @ np.linalg.qr(random.random((30, 30)))[0]
    model = Novelty.fit(windows)
    covariance = model.rest * np.eye(30) + (model.axes.T * (model.variances - model.rest)) @ model.axes
    assert len(model.axes) == RANK
    inverse = np.linalg.inv(covariance)
    theirs = [mahalanobis(one, model.mean, inverse) / np.sqrt(30) for one in windows[:5]]
    np.testing.assert_allclose(model.distances(windows[:5]), theirs, rtol=1e-9)
    assert np.mean(model.distances(windows) ** 2) == pytest.approx(1.0)


@pytest.fixture(scope="module")
def beats():
    return joined([beat_windows(synthetic_recording(seed, beats=24, share=0.3)) for seed in range(3)])


@pytest.mark.parametrize("weights", ["none", "balanced", "patients"])
def test_the_objective_is_the_formula_and_the_gap_is_proved(beats, weights):
    setting = Setting(5, 0.05, weights)
    y = np.where(np.array(beats.symbols) == "V", 1.0, -1.0)
    program = beat_program(beats.X, y, beats.record, setting)
    machine = train_machine("V", program, ActiveSetSolver(gap=1e-4, confirm_starts=50))
    network = machine.network
    w = np.ones(len(y))
    for i in range(len(y)):
        same = y == y[i]
        if weights == "balanced":
            w[i] = 0.5 / np.mean(same)
        elif weights == "patients":
            w[i] = np.sum(same & (beats.record == beats.record[i])) ** -0.5
    w /= w.mean()
    f = np.zeros(len(y))
    for j in range(network.neurons):
        for k in range(0, 125 - 4, 3):
            patch = np.concatenate([beats.signal[:, k : k + 5], beats.context * SCALE, np.ones((len(y), 1))], axis=1)
            f += network.W2[j] * np.maximum(patch @ network.W1[:, j], 0) / 41
    penalty = np.sum(np.linalg.norm(network.W1, axis=0) * np.abs(network.W2))
    P = np.mean(w * np.log1p(np.exp(-y * (f + machine.offset)))) + 0.05 * penalty
    assert machine.gap.primal == pytest.approx(P, rel=1e-9)
    proved, bound = prove_machine(program, machine.atoms, 20.0)
    assert bound.price >= 0.05 * (1 - 1e-3)  # at an optimum the active filters have the price beta
    assert proved.dual <= machine.gap.dual * (1 + 1e-6)
    assert 0 <= proved.relative < 0.05


def test_folds_keep_patients_together_and_spread_the_rare_class(beats):
    truth = np.where(np.array(beats.symbols) == "V", "V", "N")
    folds, held = patient_folds(beats, truth, TrainOptions(folds=3))
    assert held == "patients"
    assert all(len(np.unique(folds[beats.record == r])) == 1 for r in range(3))
    assert len(np.unique(folds)) == 3
