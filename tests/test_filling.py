"""Gaps are filled by what least squares says, marked, and never trained on; the ledger tells of every gap."""

import csv
import json

import numpy as np
import pytest

from ecgcvx.cli import main
from ecgcvx.errors import InputError
from ecgcvx.filling import (
    CONTEXT,
    FEWEST,
    Gap,
    fill_gaps,
    gap_estimator,
    least_squares_to,
    side_levels,
)
from ecgcvx.records import Recording, read_recording


def noise(n=30_000, seed=0):
    """An autoregression of order one, rho = .9: Gaussian, with a known conditional mean."""
    rng, x = np.random.default_rng(seed), np.zeros(n)
    steps = rng.standard_normal(n)
    for t in range(1, n):
        x[t] = 0.9 * x[t - 1] + steps[t]
    return x


def recording(signal):
    return Recording(signal, 250.0, "II", "made")


def with_gaps(signal, *gaps):
    out = signal.copy()
    for a, b in gaps:
        out[a:b] = np.nan
    return out


def test_weights_are_those_of_numpy_in_every_group():
    estimator = gap_estimator(noise(), 4)
    edges, weights = estimator.weights(20, 4, 9)
    view = np.lib.stride_tricks.sliding_window_view(estimator.signal, 33)[estimator.train + CONTEXT - 20]
    sides, inside = np.ascontiguousarray(np.delete(view, np.arange(20, 24), axis=1)), view[:, 20:24]
    place = np.searchsorted(edges, side_levels(sides, 20), side="right")
    assert len(weights) == len(edges) + 1 == 8
    for g in (0, 7):
        expected = np.linalg.lstsq(sides[place == g], inside[place == g])[0]
        np.testing.assert_allclose(weights[g], expected, atol=1e-6)


def test_an_autoregression_is_filled_with_its_conditional_mean():
    """E[x_j | ends] = (rho^j (1 - rho^(2k)) left + rho^k (1 - rho^(2j)) right) / (1 - rho^(2L + 2)), k = L + 1 - j."""
    estimator, L, rho = gap_estimator(noise(200_000), 5), 5, 0.9
    rng = np.random.default_rng(1)
    before, after = rng.standard_normal((2, 50, CONTEXT))
    j = np.arange(1, L + 1)
    k = L + 1 - j
    expected = (
        rho**j * (1 - rho ** (2 * k)) * before[:, -1:] + rho**k * (1 - rho ** (2 * j)) * after[:, :1]
    ) / (1 - rho ** (2 * L + 2))  # fmt: skip
    found = estimator.estimate(before, L, after)
    assert np.abs(found - expected).std() < 0.15  # the inside has a standard deviation above 1


def test_sums_of_sines_are_filled_exactly():
    t = np.arange(30_000)
    signal = np.sin(0.21 * t) + 0.5 * np.cos(0.53 * t + 1)
    gaps = ((1000, 1030), (5000, 5001), (5006, 5010), (29_000, 29_012))
    found = fill_gaps(recording(with_gaps(signal, *gaps)), 30)
    assert found.filled.sum() == 30 + 1 + 4 + 12
    assert np.abs(found.signal - signal).max() < 1e-4
    assert [gap.status for gap in found.gaps] == ["filled"] * 4


def test_least_squares_stays_at_its_origin_without_information():
    origin = np.arange(6.0).reshape(3, 2)
    np.testing.assert_allclose(least_squares_to(np.zeros((5, 3)), np.ones((5, 2)), origin), origin)


def test_intervals_hold_their_share_of_what_was_removed():
    signal, rng = noise(120_000), np.random.default_rng(2)
    starts = np.sort(rng.choice(np.arange(200, 119_800, 100), 400, replace=False))
    found = fill_gaps(recording(with_gaps(signal, *((a, a + 3) for a in starts))), 3, 0.8)
    inside = (signal >= found.lower) & (signal <= found.upper)
    assert found.filled.sum() == 1200
    # Three samples of a gap are nearly one draw: five standard deviations of 400 and of the calibration.
    assert abs(inside[found.filled].mean() - 0.8) < 5 * 0.4 / np.sqrt(400)
    assert np.isnan(found.lower[~found.filled]).all()


def test_the_ledger_tells_of_every_gap_and_measured_samples_stay():
    signal = with_gaps(noise(), (0, 4), (500, 505), (2000, 2050), (29_990, 30_000))
    found = fill_gaps(recording(signal), 10)
    assert found.gaps == (
        Gap(0, 4, "at the edge"), Gap(500, 505, "filled"), Gap(2000, 2050, "too long"),
        Gap(29_990, 30_000, "at the edge"),
    )  # fmt: skip
    valid = np.isfinite(signal)
    np.testing.assert_array_equal(found.signal[valid], signal[valid])
    np.testing.assert_array_equal(np.flatnonzero(found.filled), np.arange(500, 505))


def test_no_stretch_that_trains_touches_a_gap():
    estimator, span = gap_estimator(with_gaps(noise(), (500, 505)), 5), 2 * CONTEXT + 5
    assert np.isfinite(np.lib.stride_tricks.sliding_window_view(estimator.signal, span)[estimator.train]).all()
    for starts in (estimator.train, estimator.held):
        assert not ((starts <= 504) & (starts + span > 500)).any()


@pytest.mark.parametrize(
    ("signal", "options", "named"),
    [
        (noise(3000), {}, "has no gap"),
        (with_gaps(noise(3000), (50, 52)), {"longest": 0}, "longest = 0"),
        (with_gaps(noise(3000), (50, 52)), {"coverage": 1.2}, "coverage = 1.2"),
        (with_gaps(noise(10 * FEWEST * 66), (50, 52)), {}, "have no gap, and filling takes"),
    ],
)
def test_what_cannot_be_filled_is_refused(signal, options, named):
    with pytest.raises(InputError, match=named):
        fill_gaps(recording(signal[:3000]), **options)


def test_the_command_writes_leads_that_are_read_again_and_not_trained_on(record_208, tmp_path, capsys):
    source = read_recording(record_208, end=120)
    gaps = ((3000, 3006), (9000, 9100), (20_000, 20_020))
    signal = with_gaps(source.signal, *gaps)
    table = tmp_path / "holes.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["II (mV)"])
        writer.writerows([["" if np.isnan(value) else f"{value:.6f}"] for value in signal])
    read = [str(table), "--sampling-frequency", "360"]
    for name in ("filled.csv", "filled"):
        assert main(["fill", *read, "--output", str(tmp_path / name), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["counts"] == {"filled": 2, "too long": 1, "at the edge": 0}
        assert [gap["start"] for gap in told["gaps"]] == [3000, 9000, 20_000]
        was = read_recording(told["output"].removesuffix(".hea"))
        np.testing.assert_array_equal(was.gaps, gaps)  # what is read by default has its gaps
        now = read_recording(told["output"].removesuffix(".hea"), "filled II")
        np.testing.assert_array_equal(now.gaps, [gaps[1]])
        lower, upper = (read_recording(told["output"].removesuffix(".hea"), f"{end} II") for end in ("lower", "upper"))
        inside = np.isfinite(lower.signal)
        assert inside.sum() == 26
        assert (lower.signal[inside] <= now.signal[inside]).all()
        assert (now.signal[inside] <= upper.signal[inside]).all()
        command = ["fit", told["output"].removesuffix(".hea"), "--lead", "filled II", "--output", str(tmp_path / "out")]
        assert main(command) == 2
        assert "filled samples train nothing" in capsys.readouterr().err
    assert main(["fill", str(record_208), "--output", str(tmp_path / "none")]) == 2
    assert "no gap" in capsys.readouterr().err
