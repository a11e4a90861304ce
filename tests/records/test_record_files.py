"""EDF, Parquet, NumPy, MATLAB and pandas: what their own writers wrote comes back in mV, in part and as a whole."""

import struct
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from ecgcvx.errors import RecordError
from ecgcvx.records import read_recording

N, RATE = 1000, 250.0
SIGNAL = np.round(np.sin(np.arange(N) / 7) * 0.6, 3)
TIMES = np.arange(N) / RATE


def refused(match, *arguments, **options):
    with pytest.raises(RecordError, match=match) as caught:
        read_recording(*arguments, **options)
    assert str(caught.value).isprintable()


# ---- EDF ----


@pytest.fixture
def edf(tmp_path):
    edfio = pytest.importorskip("edfio")
    signals = [
        edfio.EdfSignal(
            np.sin(np.arange(4 * 25) / 3), 25, label="Resp", physical_dimension="ohm", physical_range=(-2, 2)
        ),
        edfio.EdfSignal(1000 * SIGNAL, 250, label="ECG I", physical_dimension="uV", physical_range=(-2000, 2000)),
        edfio.EdfSignal(-SIGNAL, 250, label="EKG2", physical_dimension="mV", physical_range=(-2, 2)),
    ]
    path = tmp_path / "night.edf"
    edfio.Edf(signals, annotations=[edfio.EdfAnnotation(1.0, None, "lights off")]).write(path)
    return path


def test_edf(edf):
    recording = read_recording(edf)
    assert (recording.lead, recording.sampling_frequency, recording.name) == ("ECG I", 250, "night")
    np.testing.assert_allclose(recording.signal, SIGNAL, atol=4 / 65535)
    np.testing.assert_allclose(read_recording(edf, "EKG2", start=1, end=2).signal, -SIGNAL[250:500], atol=4 / 65535)
    refused("Resp is in ohm, which is not a voltage", edf, "Resp")
    refused("sampling_frequency=360 Hz contradicts its header", edf, sampling_frequency=360)
    refused("annotator=atr is for WFDB records", edf, annotator="atr")


@pytest.mark.parametrize("keep", [0, 100, 255, 700, -1, -5000])
def test_edf_cut_short_is_refused(edf, keep):
    edf.write_bytes(edf.read_bytes()[:keep])
    refused("cut short|not an EDF file", edf)


def test_edf_damaged_headers_do_no_harm(edf):
    content = edf.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(100):
        at = int(random.integers(1024))
        edf.write_bytes(content[:at] + random.bytes(1) + content[at + 1 :])
        try:
            read_recording(edf)
        except RecordError as error:
            said = str(error)
            assert said.isprintable()


# ---- arrays ----


@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "<i4", ">i2"])
@pytest.mark.parametrize("shape", ["(n,)", "(n, 1)", "(1, n)"])
def test_npy(tmp_path, dtype, shape):
    array = (1000 * SIGNAL).astype(dtype)
    np.save(tmp_path / "x.npy", {"(n,)": array, "(n, 1)": array[:, None], "(1, n)": array[None]}[shape])
    recording = read_recording(tmp_path / "x.npy", sampling_frequency=250, unit="uV")
    np.testing.assert_allclose(recording.signal, SIGNAL, atol=1.1e-3)


def test_npy_of_several_leads_asks_which(tmp_path):
    np.save(tmp_path / "x.npy", np.stack([SIGNAL, -SIGNAL]))
    refused("no ECG lead among 0: unnamed, 1: unnamed; name the one to use", tmp_path / "x.npy", sampling_frequency=250)
    np.testing.assert_array_equal(read_recording(tmp_path / "x.npy", 1, sampling_frequency=250).signal, -SIGNAL)
    refused("give sampling_frequency in Hz", tmp_path / "x.npy", 1)


def test_npz_tells_frequency_unit_and_times(tmp_path):
    np.savez(tmp_path / "x.npz", II=1000 * SIGNAL, V1=SIGNAL * 0, fs=250, unit="uV")
    recording = read_recording(tmp_path / "x.npz")
    assert (recording.lead, recording.sampling_frequency) == ("II", 250)
    np.testing.assert_allclose(recording.signal, SIGNAL)
    np.savez(tmp_path / "y.npz", time=TIMES, ecg=SIGNAL)
    np.testing.assert_array_equal(read_recording(tmp_path / "y.npz").signal, SIGNAL)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("x.npy", b"", "NumPy cannot read it|cannot be read"),
        (
            "x.npy",
            b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (900000000000,), }",
            "NumPy",
        ),
        ("x.npz", b"PK\x03\x04rest", "NumPy cannot read it"),
        ("x.mat", b"MATLAB", "SciPy cannot read it"),
        ("x.parquet", b"PAR1", "pyarrow cannot read it"),
        ("x.edf", b"0       ", "not an EDF file"),
    ],
)
def test_damaged_files_are_refused(tmp_path, name, content, match):
    (tmp_path / name).write_bytes(content)
    refused(match, tmp_path / name, sampling_frequency=250)


def test_arrays_that_are_no_signal_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object))
    refused("NumPy cannot read it", tmp_path / "a.npy", sampling_frequency=250)
    np.save(tmp_path / "b.npy", np.array(["1", "2"]))
    refused("an array of <U1 is no signal", tmp_path / "b.npy", sampling_frequency=250)
    np.save(tmp_path / "c.npy", np.zeros((70, 80, 2)))
    refused("70 x 80 x 2 is no table", tmp_path / "c.npy", sampling_frequency=250)
    np.save(tmp_path / "d.npy", np.array([1.0, np.inf]))
    refused("sample 1 is infinite", tmp_path / "d.npy", sampling_frequency=250)
    np.save(tmp_path / "e.npy", np.empty(0))
    refused("is empty", tmp_path / "e.npy", sampling_frequency=250)


def test_mat_without_a_header(tmp_path):
    savemat(tmp_path / "x.mat", {"val": np.stack([200 * SIGNAL, -200 * SIGNAL]).astype(np.int16)})
    recording = read_recording(tmp_path / "x.mat", 0, sampling_frequency=250, unit="200/mV")
    np.testing.assert_allclose(recording.signal, SIGNAL, atol=5.1e-3)


# ---- Parquet and pandas ----


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    times = pd.Timestamp("2024-03-01T12:00Z") + pd.to_timedelta(TIMES, unit="s")
    table = pd.DataFrame({"when": times, "note": ["x"] * N, "V1": SIGNAL.astype("f4"), "II (uV)": 1000 * SIGNAL})
    table.loc[5, "II (uV)"] = np.nan
    table.to_parquet(tmp_path / "x.parquet")
    recording = read_recording(tmp_path / "x.parquet", "II")
    assert (recording.sampling_frequency, recording.gaps.tolist()) == (250, [[5, 6]])
    np.testing.assert_allclose(np.delete(recording.signal, 5), np.delete(SIGNAL, 5))
    assert read_recording(tmp_path / "x.parquet", start=1, end=2).lead == "V1"


def test_series_with_an_index_of_times():
    for index in (
        pd.date_range("2024-03-01", periods=N, freq="4ms"),
        pd.date_range("2024-03-01", periods=N, freq="4ms", tz="Europe/Vienna"),
        pd.timedelta_range("0s", periods=N, freq="4ms"),
        pd.Index(TIMES, name="time (s)"),
        pd.Index(TIMES),
    ):
        recording = read_recording(pd.Series(SIGNAL, index, name="II"))
        assert (recording.sampling_frequency, recording.lead, recording.name) == (250, "II", "II")
        np.testing.assert_array_equal(recording.signal, SIGNAL)


def test_series_with_a_gap_and_a_frame_of_leads():
    index = pd.date_range("2024-03-01", periods=N, freq="4ms")
    frame = pd.DataFrame({"RESP": SIGNAL, "V5": 2 * SIGNAL}, index).drop(index[10:20])
    recording = read_recording(frame)
    assert (recording.lead, recording.gaps.tolist(), len(recording.signal)) == ("V5", [[10, 20]], N)


def test_series_without_times_needs_a_frequency():
    refused("give sampling_frequency in Hz", pd.Series(SIGNAL))
    np.testing.assert_array_equal(read_recording(pd.Series(SIGNAL), sampling_frequency=250).signal, SIGNAL)
    refused("the record is empty", pd.Series([], dtype=float))
    refused("no column of numbers", pd.Series(["a", "b"]))
    refused("list is no record; give a path", [1, 2, 3])


# ---- files of clinical devices ----


def write_ishne(path, millivolts, nanovolts, frequency):
    """Write leads (samples, 2) as I and V5, written from the specification (Badilini 1998)."""
    header = bytearray(522)
    header[:8] = b"ISHNE1.0"
    struct.pack_into("<iiii", header, 10, 0, len(millivolts), 522, 522)
    struct.pack_into("<h12h12h12h", header, 156, 2, *[5, 15, *[-9] * 10], *[0] * 12, *[nanovolts] * 2, *[0] * 10)
    struct.pack_into("<h", header, 272, frequency)
    path.write_bytes(bytes(header) + np.round(millivolts * 1e6 / nanovolts).astype("<i2").tobytes())


def test_ishne(tmp_path):
    pytest.importorskip("ecgdatakit")
    write_ishne(tmp_path / "holter.ecg", np.stack([SIGNAL, -SIGNAL], axis=1), 500, 250)
    recording = read_recording(tmp_path / "holter.ecg")
    assert (recording.lead, recording.sampling_frequency, recording.unit) == ("I", 250, "mV")
    np.testing.assert_allclose(recording.signal, SIGNAL, atol=2.6e-4)
    np.testing.assert_allclose(
        read_recording(tmp_path / "holter.ecg", "V5", 1, 2).signal, -SIGNAL[250:500], atol=2.6e-4
    )
    refused("sampling_frequency=360 Hz contradicts its header", tmp_path / "holter.ecg", sampling_frequency=360)
    refused("no lead 'II'; there are 0: I", tmp_path / "holter.ecg", "II")
    (tmp_path / "short.ecg").write_bytes((tmp_path / "holter.ecg").read_bytes()[:300])
    refused("ecgdatakit cannot read it", tmp_path / "short.ecg")


def test_what_ecgdatakit_does_not_know_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("ecgdatakit")
    (tmp_path / "x.xml").write_text("<recipe/>")
    refused("no ECG that ecgdatakit knows; convert it", tmp_path / "x.xml")
    refused("no such file; check the path", tmp_path / "y.scp")
    monkeypatch.setitem(sys.modules, "ecgdatakit", None)
    refused(r"\.xml needs ecgdatakit; pip install 'ecgcvx\[ecgdatakit\]'", tmp_path / "x.xml")


# ---- other files ----


@pytest.mark.parametrize(
    ("name", "match"),
    [("x.xlsx", "an Excel workbook; save it as CSV"), ("x.h5", "HDF5"), ("x.csv.gz", "compressed"),
     ("x.raw", r"\.raw is not read; convert it to one of them"), ("x", "a file without extension"),
     ("x.dat", r"no header x\.hea")],
)  # fmt: skip
def test_unknown_file_says_what_is_read(tmp_path, name, match):
    (tmp_path / name).write_bytes(b"something")
    refused(rf"{match}.*what is read: WFDB, EDF, EDF\+ and BDF, text tables", tmp_path / name)


# ---- resampling ----


@pytest.mark.parametrize(("rate", "target"), [(360, 250), (250, 360), (500, 125), (128, 128), (1000, 360)])
def test_a_band_limited_signal_is_resampled_exactly(rate, target):
    n = 20 * rate
    time = np.arange(n) / rate
    wave = np.sin(2 * np.pi * 7 * time) + 0.5 * np.cos(2 * np.pi * 11.3 * time)
    recording = read_recording(pd.Series(wave, name="II"), sampling_frequency=rate, resample=target)
    after = np.arange(len(recording.signal)) / target
    truth = np.sin(2 * np.pi * 7 * after) + 0.5 * np.cos(2 * np.pi * 11.3 * after)
    middle = slice(target, -target)
    np.testing.assert_allclose(recording.signal[middle], truth[middle], atol=2e-3)
    assert len(recording.signal) == 20 * target
    if rate == target:
        assert (recording.original_frequency, recording.warnings) == (None, ())
    else:
        assert recording.original_frequency == rate
        assert recording.warnings == (f"resampled from {rate} Hz to {target} Hz",)


def test_resampling_does_not_bridge_gaps():
    wave = np.sin(np.arange(5000) / 30)
    wave[2000:2100] = np.nan
    recording = read_recording(pd.Series(wave, name="II"), sampling_frequency=250, resample=360)
    [[first, stop]] = recording.gaps
    assert first / 360 <= 2000 / 250 - 9 / 250
    assert stop / 360 >= 2100 / 250 + 9 / 250
    assert stop - first < 1.44 * 125
    whole = read_recording(pd.Series(np.sin(np.arange(5000) / 30), name="II"), sampling_frequency=250, resample=360)
    kept = np.isfinite(recording.signal)
    np.testing.assert_allclose(recording.signal[kept][100:-100], whole.signal[kept][100:-100], atol=1e-9)


def test_resampling_moves_annotations(record_208, tmp_path):
    import wfdb

    wfdb.wrsamp("r", 360, ["mV"], ["II"], d_signal=np.arange(3600)[:, None] % 900, fmt=["16"], adc_gain=[200],
                baseline=[0], write_dir=str(tmp_path))  # fmt: skip
    wfdb.wrann(
        "r", "atr", np.array([0, 360, 720, 1801, 2880, 3599]), symbol=list("NN+V+N"),
        aux_note=["", "", "(VFIB", "", "(N", ""], write_dir=str(tmp_path),
    )  # fmt: skip
    recording = read_recording(tmp_path / "r", resample=250)
    assert recording.annotation.samples.tolist() == [0, 250, 500, 1251, 2000, 2499]
    assert [(one.start, one.stop, one.name) for one in recording.annotation.rhythms] == [
        (500, 2000, "VFIB"), (2000, 2500, "N"),
    ]  # fmt: skip


@pytest.mark.parametrize("target", [0, -5, float("nan"), 1e9, 0.5])
def test_resampling_to_what_no_ecg_has_is_refused(target):
    refused("Hz", pd.Series(SIGNAL, name="II"), sampling_frequency=250, resample=target)


def test_resampling_between_odd_frequencies_is_refused():
    refused("cannot be resampled to 250 Hz", pd.Series(SIGNAL, name="II"), sampling_frequency=np.pi * 100, resample=250)
