"""Small files that are read wrongly with ease; the README of each says what is right."""

from pathlib import Path

import numpy as np
import pytest

from ecgcvx.errors import RecordError
from ecgcvx.records import read_recording

CASES = Path(__file__).parent / "cases"

# What comes out in mV: samples, Hz, smallest and largest value to 3 digits, gaps.
READ = {
    "blank-line-between-rows/ecg.csv": (250, 1500, -0.176, 1.102),
    "decimal-comma/ecg.csv": (250, 1500, -0.176, 1.102),
    "decimal-comma-header/ecg.csv": (250, 1500, -0.176, 1.102),
    "flat-test-part-warnings/ecg.csv": (250, 1500, -0.176, 1.102),
    "gap-in-times-glued/ecg.csv": (None, 1500, -0.176, 1.096),
    "low-frequency-traceback/ecg.csv": (25, 750, -0.171, 1.094),
    "mat-record-by-file-name/A1.mat": (None, 1500, -0.175, 1.1),
    "numeric-header/ecg.csv": (250, 1500, -0.176, 1.102),
    "outlier-hangs-figure/ecg.csv": (250, 1500, -0.176, 900.0),
    "preamble/ecg.csv": (None, 1500, -0.176, 1.102),
    "segments-other-order/m": (None, 1000, -0.175, 1.1),
    "semicolon/ecg.csv": (None, 1500, -0.176, 1.102),
    "unit-in-name/ecg.csv": (250, 1500, -0.176, 1.102),
    "unit-row/ecg.csv": (None, 1500, -0.176, 1.102),
    "unit-spelt-out/ecg.csv": (250, 1500, -0.176, 1.102),
    "utf16/ecg.csv": (None, 600, -0.169, 1.096),
    "wfdb-bad-date/r": (None, 1500, -0.175, 1.1),
    "wfdb-extra-signal-line/r": (None, 1500, -0.175, 1.1),
    "wfdb-length-zero/r": (None, 1500, -0.175, 1.1),
    "wfdb-record-name/E1.mat": (None, 1500, -0.175, 1.1),
}

REFUSED = {
    "binary-named-csv/ecg.csv": (250, "not a text table, line 1"),
    "other-format/x.edf": (None, r"x\.edf: not an EDF file"),
    "other-format/x.npy": (250, r"x\.npy: NumPy cannot read it"),
    "python-number/ecg.csv": (None, "line 102: 1_000 is not a number; correct or empty it"),
    "samples-in-a-row/ecg.csv": (250, "1,500 numbers in a line and 1 line: .*transpose it"),
    "time-in-ms-unlabelled/ecg.csv": (None, r"say 0\.25 Hz, which no ECG has; are the times in ms\?"),
    "time-in-ns-unlabelled/ecg.csv": (None, r"say 2\.5e-07 Hz, which no ECG has; are the times in ns\?"),
    "two-number-preamble/ecg.csv": (64, "do a start time and a sampling frequency precede the samples"),
}


@pytest.mark.parametrize("name", READ)
def test_case_is_read(name):
    frequency, samples, low, high = READ[name]
    recording = read_recording(CASES / name, "II" if "segments" in name else None, sampling_frequency=frequency)
    assert len(recording.signal) == samples
    assert recording.sampling_frequency == (frequency or 250)
    assert round(np.nanmin(recording.signal), 3) == low
    assert round(np.nanmax(recording.signal), 3) == high


@pytest.mark.parametrize("name", REFUSED)
def test_case_is_refused_in_a_printable_line(name):
    frequency, match = REFUSED[name]
    with pytest.raises(RecordError, match=match) as caught:
        read_recording(CASES / name, sampling_frequency=frequency)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("frequency", [None, 250])
def test_gap_in_the_times_is_a_gap(frequency):
    recording = read_recording(CASES / "gap-in-times-glued/ecg.csv", sampling_frequency=frequency)
    assert recording.gaps.tolist() == [[700, 760]]
    assert "60 missing samples are gaps" in recording.warnings[0]


def test_microvolts_without_a_unit_are_told():
    recording = read_recording(CASES / "microvolts-unlabelled/ecg.csv", sampling_frequency=250)
    assert "uV is likely" in recording.warnings[0]
    told = read_recording(CASES / "microvolts-unlabelled/ecg.csv", sampling_frequency=250, unit="uV")
    assert told.warnings == ()
    np.testing.assert_allclose(told.signal, recording.signal / 1000)


def test_electrode_pop_is_told():
    recording = read_recording(CASES / "outlier-hangs-figure/ecg.csv", sampling_frequency=250)
    assert "1 sample of lead ECG beyond" in recording.warnings[0]
    assert "900 mV at 5.440 s" in recording.warnings[0]
