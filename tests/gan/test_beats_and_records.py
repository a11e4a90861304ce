"""Beats cut from records, strips put together from beats, and records of what was generated."""

import numpy as np
import pytest
import wfdb

from ecgcvx.errors import InputError
from ecgcvx.gan.aligned import aligned_beats
from ecgcvx.gan.records import write_record
from ecgcvx.gan.strip import draw_intervals, running_strip
from ecgcvx.records import Annotation, Recording, read_recording

RATE = 250.0


def recording(peaks, symbols, n=5000, lead="II", scale=1.0, gap=None, rate=RATE):
    t = np.arange(n)
    signal = sum(scale * np.exp(-(((t - p) / 4.0) ** 2)) for p in peaks)
    if gap is not None:
        signal[gap] = np.nan
    return Recording(signal, rate, lead, "made", Annotation(np.array(peaks), tuple(symbols)))


PEAKS = list(range(200, 4900, 200))
SYMBOLS = ["V" if i % 5 == 2 else "N" for i in range(len(PEAKS))]


def test_beats_are_cut_round_their_peaks():
    beats = aligned_beats([recording(PEAKS, SYMBOLS)], 0.2, 0.4)
    assert beats.X.shape == (len(PEAKS), 1, 150)
    assert beats.before == 50
    assert (beats.X[:, 0].argmax(axis=1) == 50).all()
    np.testing.assert_array_equal(beats.peaks, PEAKS)
    np.testing.assert_allclose(beats.rr[1:], 0.8)
    assert np.isnan(beats.rr[0])
    assert beats.counts == {"N": SYMBOLS.count("N"), "V": SYMBOLS.count("V")}
    assert set(beats.of_class("V").symbols) == {"V"}
    assert beats.matrix.shape == (len(PEAKS), 150)


def test_a_slow_baseline_is_taken_off():
    plain = recording(PEAKS, SYMBOLS)
    moved = Recording(
        plain.signal + 2 * np.sin(np.arange(5000) / RATE * 2 * np.pi * 0.05), RATE, "II", "made", plain.annotation
    )
    X, Y = (aligned_beats([r]).X[3:-3] for r in (plain, moved))
    assert np.abs(X - Y).max() < 0.05


def test_beats_over_gaps_and_ends_are_left_out():
    beats = aligned_beats([recording([20, *PEAKS, 4990], ["N", *SYMBOLS, "N"], gap=slice(2230, 2240))], 0.2, 0.4)
    assert not {20, 2200, 4990} & set(beats.peaks.tolist())
    assert len(beats) == len(PEAKS) - 1
    after = beats.rr[beats.peaks == 2400]
    assert np.isnan(after).all()
    everywhere = recording(PEAKS, SYMBOLS, gap=np.isin(np.arange(5000), [p + 20 for p in PEAKS]))
    with pytest.raises(InputError, match="reach over a gap"):
        aligned_beats([everywhere])


def test_several_leads_are_cut_at_the_same_samples():
    beats = aligned_beats([recording(PEAKS, SYMBOLS), recording(PEAKS, SYMBOLS, lead="V1", scale=-0.5)])
    assert beats.leads == ("II", "V1")
    np.testing.assert_allclose(beats.X[:, 1], -0.5 * beats.X[:, 0], atol=1e-9)


def test_what_is_refused():
    made = recording(PEAKS, SYMBOLS)
    with pytest.raises(InputError, match="no beats of class A; there are N"):
        aligned_beats([made]).of_class("A")
    with pytest.raises(InputError, match="same length, rate and unit"):
        aligned_beats([made, recording(PEAKS, SYMBOLS, lead="V1", rate=360.0)])
    with pytest.raises(InputError, match="named twice"):
        aligned_beats([made, made])
    with pytest.raises(InputError, match="at least a sample"):
        aligned_beats([made], 0.0, 0.3)
    with pytest.raises(InputError, match="there are none"):
        aligned_beats([])
    with pytest.raises(InputError, match="no beats in lead"):
        aligned_beats([Recording(np.zeros(3000), RATE, "II", "flat")])


def test_a_strip_has_its_peaks_at_the_intervals():
    beats = aligned_beats([recording(PEAKS, SYMBOLS)], 0.2, 0.4)
    rr = np.array([0.8, 0.5, 1.2, 0.7])
    strip, peaks = running_strip(beats.X[5:9], beats.before, rr, RATE)
    np.testing.assert_array_equal(np.diff(peaks), np.rint(rr[1:] * RATE))
    assert np.isfinite(strip).all()
    assert all(abs(int(strip[p - 10 : p + 10, 0].argmax()) - 10) <= 1 for p in peaks)
    assert len(strip) == peaks[-1] - beats.before + beats.X.shape[2]


def test_intervals_are_those_of_the_record_in_runs():
    rr = np.concatenate([[np.nan], 0.6 + 0.01 * np.arange(40)])
    drawn = draw_intervals(rr, 200, seed=1)
    assert set(np.round(drawn, 6)) <= set(np.round(rr[1:], 6))
    assert np.mean(np.isclose(np.diff(drawn), 0.01)) > 0.8
    with pytest.raises(InputError, match="no interval"):
        draw_intervals(np.full(3, np.nan), 5)


def test_a_record_reads_back(tmp_path):
    random = np.random.default_rng(0)
    signal = random.standard_normal((1000, 2))
    files = write_record(
        tmp_path, "made_N_synthetic", signal, 360.0, ("II", "V1"), "mV", ["synthetic: generated"], np.array([100, 400]),
        ["N", "V"],
    )  # fmt: skip
    assert files[-1].suffix == ".hea"
    read = read_recording(tmp_path / "made_N_synthetic", "V1")
    np.testing.assert_allclose(read.signal, signal[:, 1], atol=6e-4)
    assert read.annotation is not None
    np.testing.assert_array_equal(read.annotation.samples, [100, 400])
    assert read.annotation.symbols == ("N", "V")
    assert wfdb.rdheader(str(tmp_path / "made_N_synthetic")).comments == ["synthetic: generated"]
    signal[200:300, 0] = np.nan
    write_record(tmp_path, "gap", signal, 360.0, ("II", "V1"), "mV", [])
    np.testing.assert_array_equal(np.isnan(read_recording(tmp_path / "gap", "II").signal), np.isnan(signal[:, 0]))
    with pytest.raises(InputError, match="beyond 32"):
        write_record(tmp_path, "x", 40 + signal, 360.0, ("II", "V1"), "mV", [])
    assert not list(tmp_path.glob("x.*"))
