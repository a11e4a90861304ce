"""Denoising and imputation against the joint normal density, and the measures on samples whose answer is known."""

import sys

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from ecgcvx.errors import InputError
from ecgcvx.gan.conditional import BeatFilter, noise_level
from ecgcvx.gan.denoise import denoise_recording
from ecgcvx.gan.measures import compare_beats, mmd, nearest_distance, two_sample_auc
from ecgcvx.records import Annotation, Recording


def beats(seed=0, n=500, p=30):
    random = np.random.default_rng(seed)
    t = np.linspace(0, 1, p)
    modes = np.stack([np.exp(-(((t - c) / 0.1) ** 2)) for c in (0.2, 0.45, 0.7)])
    return 1.0 + random.standard_normal((n, 3)) * [1.0, 0.6, 0.3] @ modes


def test_the_denoised_beat_is_the_most_probable_one():
    X = beats(p=6)
    noise = 0.3
    found = BeatFilter.fit(X)
    noisy = X[:1] + noise * np.random.default_rng(1).standard_normal((1, 6))
    best = found.denoise(noisy, noise)[0]
    C = np.cov(X.T, bias=True) + 1e-9 * np.eye(6)

    def log_posterior(x):
        prior = multivariate_normal.logpdf(x, X.mean(axis=0), C, allow_singular=True)
        return prior + multivariate_normal.logpdf(noisy[0], x, noise**2)

    top = log_posterior(best)
    random = np.random.default_rng(2)
    for _ in range(100):
        step = 0.05 * random.standard_normal(3) @ found.target.V[:3]
        assert log_posterior(best + step) < top


def test_denoising_gains_on_the_noisy_beats_themselves():
    clean = beats()
    noisy = clean + 0.2 * np.random.default_rng(1).standard_normal(clean.shape)
    assert noise_level(noisy) == pytest.approx(0.2, rel=0.1)
    cleaned = BeatFilter.fit(noisy, 0.2).denoise(noisy, 0.2)
    assert np.mean((cleaned - clean) ** 2) < 0.2 * np.mean((noisy - clean) ** 2)


def test_imputation_is_the_conditional_mean():
    X = beats(n=2000)
    noisy = X + 0.05 * np.random.default_rng(1).standard_normal(X.shape)
    found = BeatFilter.fit(noisy)
    holes = noisy[:5].copy()
    holes[:, 10:18] = np.nan
    holes[0, 3] = np.nan
    filled = found.impute(holes)
    seen = np.isfinite(holes)
    np.testing.assert_array_equal(filled[seen], holes[seen])
    a = np.r_[0:10, 18:30]
    mean = noisy.mean(axis=0)
    centred = noisy - mean
    ridge = np.sqrt(0.1 * (centred**2).sum() / 2000) * np.eye(len(a))  # rows that stand for the ridge
    regression = np.linalg.lstsq(np.r_[centred[:, a], ridge], np.r_[centred[:, 10:18], np.zeros((len(a), 8))])[0]
    np.testing.assert_allclose(filled[1:, 10:18], mean[10:18] + (holes[1:, a] - mean[a]) @ regression, atol=1e-10)
    errors = [np.mean((filled[:, 10:18] - X[:5, 10:18]) ** 2), np.mean((X[:5, 10:18] - mean[10:18]) ** 2)]
    assert errors[0] < errors[1] / 4


def test_filters_refuse():
    found = BeatFilter.fit(beats())
    with pytest.raises(InputError, match="holds no number"):
        found.impute(np.full((1, 30), np.nan))
    with pytest.raises(InputError, match="rows of 30 numbers"):
        found.impute(np.zeros((1, 29)))
    for noise in (0.0, -1.0, np.nan):
        with pytest.raises(InputError, match="noise"):
            found.denoise(beats(), noise)
    with pytest.raises(InputError, match="noise"):
        BeatFilter.fit(beats(), -0.1)


def made(noise, n=60_000, rate=250.0):
    random = np.random.default_rng(0)
    peaks = np.cumsum(random.integers(180, 220, n // 200 - 5)) + 50
    t = np.arange(n)
    clean = np.zeros(n)
    for p in peaks:
        near = slice(max(p - 90, 0), p + 110)
        clean[near] += np.exp(-(((t[near] - p) / 5.0) ** 2)) + 0.3 * np.exp(-(((t[near] - p - 60) / 15.0) ** 2))
    symbols = tuple("V" if i % 40 == 7 else "N" for i in range(len(peaks)))
    return clean, Recording(clean + noise * random.standard_normal(n), rate, "II", "made", Annotation(peaks, symbols))


def test_a_recording_is_denoised_where_its_beats_are():
    clean, noisy = made(0.1)
    found = denoise_recording(noisy)
    assert found.noise == pytest.approx(0.1, rel=0.15)
    assert found.covered > 0.95
    assert np.mean((found.signal - clean) ** 2) < 0.25 * np.mean((noisy.signal - clean) ** 2)
    gap = noisy.signal.copy()
    gap[10_000:10_400] = np.nan
    kept = denoise_recording(Recording(gap, 250.0, "II", "made", noisy.annotation), 0.1).signal
    np.testing.assert_array_equal(np.isnan(kept), np.isnan(gap))


def test_denoising_refuses():
    _, noisy = made(0.1)
    with pytest.raises(InputError, match="positive number"):
        denoise_recording(noisy, 0.0)
    assert noisy.annotation is not None
    few = Annotation(noisy.annotation.samples[:10], noisy.annotation.symbols[:10])
    with pytest.raises(InputError, match="10 beats in lead II, at least 40"):
        denoise_recording(Recording(noisy.signal, 250.0, "II", "made", few))


def test_measures_know_equal_and_different_samples():
    A, B, C = beats(0, 300), beats(1, 300), beats(2, 300) + 2.0
    assert two_sample_auc(A, B) == pytest.approx(0.5, abs=0.12)
    assert two_sample_auc(A, C) > 0.98
    assert abs(mmd(A, B)) < 0.01
    assert mmd(A, C) > 0.1
    brute = np.median([min(np.linalg.norm(a - b) for b in B) for a in A[:20]])
    assert nearest_distance(A[:20], B) == pytest.approx(brute)


def test_a_comparison_has_its_references_and_does_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    found = compare_beats(beats(0), beats(1), beats(2), beats(3, 2000))
    assert set(found) == {"generated", "reference"}
    assert set(found["generated"]) == set(found["reference"])
    assert found["generated"]["two_sample_auc"] is None
    assert found["reference"]["moment_error"] < 0.3
    monkeypatch.undo()
    with pytest.raises(InputError, match="too few"):
        two_sample_auc(beats(n=4), beats(n=4))
