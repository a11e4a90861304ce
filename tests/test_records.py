"""Reading records: what was written comes back in mV, and whatever cannot is refused in one line."""

import contextlib
import hashlib
import subprocess
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecgcvx.errors import RecordError
from ecgcvx.formats import physionet as physionet_files
from ecgcvx.records import read_recording

# Smallest and largest valid sample of each format; the value below the smallest means "no sample".
RANGES = {
    "16": 2**15, "24": 2**23, "32": 2**31, "61": 2**15, "80": 2**7, "160": 2**15, "212": 2**11, "310": 2**9,
    "311": 2**9, "508": 2**7, "516": 2**15, "524": 2**23,
}  # fmt: skip


def pack_10_bits(samples, fmt):
    """Samples in threes into 4 bytes: format 310 in two words with the third split over their ends, 311 in a row."""
    a, b, c = (np.pad(samples, (0, -len(samples) % 3)) & 0x3FF).reshape(-1, 3).T
    words = (a << 1 | (c & 0x1F) << 11) | (b << 1 | (c >> 5) << 11) << 16 if fmt == "310" else a | b << 10 | c << 20
    return words.astype("<u4").tobytes()


# Formats that wfdb reads but does not write.
PACK = {
    "61": lambda samples: samples.astype(">i2").tobytes(),
    "160": lambda samples: (samples + 2**15).astype("<u2").tobytes(),
    "310": lambda samples: pack_10_bits(samples, "310"),
    "311": lambda samples: pack_10_bits(samples, "311"),
}


def write(folder, digital, name="rec", fs=250, fmt="16", gain=200.0, baseline=0, units="mV", leads=("II",)):
    """Write digital samples (n,) or (n, leads) as a record; return its path."""
    digital = np.asarray(digital).reshape(len(digital), -1)
    k = digital.shape[1]
    units = [units] * k if isinstance(units, str) else units
    if fmt in PACK:
        (folder / f"{name}.dat").write_bytes(PACK[fmt](digital.astype(np.int64).ravel()))
        lines = [f"{name}.dat {fmt} {gain}({baseline})/{units[i]} 0 0 0 0 0 {leads[i]}\n" for i in range(k)]
        return by_hand(folder, f"{name} {k} {fs} {len(digital)}\n" + "".join(lines), name)
    wfdb.wrsamp(
        name, fs=fs, units=list(units), sig_name=list(leads), d_signal=digital.astype(np.int64), fmt=[fmt] * k,
        adc_gain=[gain] * k, baseline=[baseline] * k, write_dir=str(folder),
    )  # fmt: skip
    return folder / name


def by_hand(folder, header, name="rec", **signal_files):
    """Write a header and, of int16 samples, signal files; return the record's path."""
    (folder / f"{name}.hea").write_text(header, encoding="utf-8")
    for file, samples in signal_files.items():
        (folder / f"{file}.dat").write_bytes(np.asarray(samples, dtype="<i2").tobytes())
    return folder / name


def refused(match, *arguments, **options):
    with pytest.raises(RecordError, match=match) as caught:
        read_recording(*arguments, **options)
    assert "\n" not in str(caught.value)


@pytest.fixture
def ramp():
    return np.arange(-500, 500)


# ---- the record that ships with the project ----


def test_shipped_record_is_exactly_the_published_array(record_208):
    samples = wfdb.rdrecord(str(record_208), physical=False).d_signal[:, 0].astype("<i2")
    assert samples.shape == (108000,)
    assert samples[:8].tolist() == [975, 981, 987, 989, 990, 990, 987, 990]
    digest = hashlib.sha256(samples.tobytes()).hexdigest()
    assert digest == "45cbec844577d9c7e2117b2011a5d524ab6dd49d93c29f5f5aea690772681b8f"
    recording = read_recording(record_208)
    np.testing.assert_array_equal(recording.signal, (samples - 1024.0) / 200)
    assert (recording.sampling_frequency, recording.lead, recording.name) == (360, "MLII", "208")
    assert recording.annotation is None
    assert recording.gaps.shape == (0, 2)
    assert recording.duration == 300


@pytest.mark.parametrize("extension", ["", ".hea", ".dat"])
def test_extension_does_not_matter(record_208, extension):
    recording = read_recording(f"{record_208}{extension}", end=1)
    assert (recording.name, len(recording.signal)) == ("208", 360)


def test_import_is_cheap():
    code = "import sys, ecgcvx.records; print(*({'wfdb', 'pandas', 'platformdirs', 'requests'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


# ---- what was written comes back ----


@pytest.mark.parametrize("fmt", RANGES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_format_returns_integer_signals(tmp_path_factory, fmt, data):
    bound = RANGES[fmt]
    n, leads = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 3))
    value = st.integers(-bound + 1, bound - 1)
    digital = np.array(data.draw(st.lists(value, min_size=n * leads, max_size=n * leads))).reshape(n, leads)
    path = write(tmp_path_factory.mktemp("fmt"), digital, fmt=fmt, gain=128.0, leads=("V1", "V2", "V3")[:leads])
    first = data.draw(st.integers(0, n - 1))
    last = data.draw(st.integers(first + 1, n))
    for lead in range(leads):
        recording = read_recording(path, lead=lead, start=first / 250, end=last / 250)
        np.testing.assert_array_equal(recording.signal, digital[first:last, lead] / 128)


def test_format_8_of_differences_reads_rightly_from_the_middle(tmp_path, ramp):
    (tmp_path / "rec.dat").write_bytes(np.diff(ramp, prepend=-500).astype("i1").tobytes())
    path = by_hand(tmp_path, "rec 1 250 1000\nrec.dat 8 200 12 0 -500 0 0 II\n")
    np.testing.assert_array_equal(read_recording(path, start=1, end=2).signal, ramp[250:500] / 200)


def test_invalid_samples_are_gaps(tmp_path, ramp):
    ramp[[0, 1, 500, 999]] = -32768
    recording = read_recording(write(tmp_path, ramp))
    assert recording.gaps.tolist() == [[0, 2], [500, 501], [999, 1000]]
    assert np.isnan(recording.signal).sum() == 4


@pytest.mark.parametrize(
    ("unit", "factor"), [("mV", 1), ("MV", 1), ("uV", 1e3), ("µV", 1e3), ("μV", 1e3), ("V", 1e-3), ("nV", 1e6)]
)
def test_voltages_become_millivolts(tmp_path, ramp, unit, factor):
    path = by_hand(tmp_path, f"rec 1 250 1000\nrec.dat 16 2(10)/{unit} 16 0 0 0 0 II\n", rec=ramp)
    np.testing.assert_allclose(read_recording(path).signal, (ramp - 10) / 2 / factor, rtol=1e-14)


def test_latin_1_micro_sign_is_not_lost(tmp_path, ramp):
    path = by_hand(tmp_path, "", rec=ramp)
    (tmp_path / "rec.hea").write_bytes("rec 1 250 1000\nrec.dat 16 2/µV 16 0 0 0 0 II\n".encode("latin-1"))
    np.testing.assert_allclose(read_recording(path).signal, ramp / 2000, rtol=1e-14)


def test_defaults_of_the_standard(tmp_path, ramp):
    """No frequency is 250 Hz, no gain is 200 a mV, a single lead without a name is the lead."""
    recording = read_recording(by_hand(tmp_path, "# comment\n\nrec 1\nrec.dat 16\n", rec=ramp))
    np.testing.assert_array_equal(recording.signal, ramp / 200)
    assert (recording.sampling_frequency, recording.lead) == (250, "0")


def test_length_is_inferred_where_the_header_has_none(tmp_path, ramp):
    path = by_hand(tmp_path, "rec 2 250\n" + "rec.dat 16 200 16 0 0 0 0 II\n" * 2, rec=ramp)
    np.testing.assert_array_equal(read_recording(path, lead=1, start=0.4).signal, ramp[201::2] / 200)


def test_lead_with_several_samples_a_frame_keeps_its_own_frequency(tmp_path):
    frames = np.arange(100 * 5).reshape(100, 5)
    header = "rec 3 100 100\nrec.dat 16 10/mmHg 16 0 0 0 0 ABP\n"
    header += "rec.dat 16x3 10/mV 16 0 0 0 0 II\nrec.dat 16 10/mV 16 0 0 0 0 V\n"
    path = by_hand(tmp_path, header, rec=frames)
    wfdb.wrann("rec", "atr", np.array([10, 50, 90]), symbol=["N", "V", "N"], write_dir=str(tmp_path))
    whole = read_recording(path)
    assert (whole.sampling_frequency, whole.lead, whole.duration) == (300, "II", 1)
    np.testing.assert_array_equal(whole.signal, frames[:, 1:4].ravel() / 10)
    part = read_recording(path, start=100 / 300, end=200 / 300)
    np.testing.assert_array_equal(part.signal, whole.signal[100:200])
    assert part.annotation.samples.tolist() == [50]
    assert read_recording(path, lead="v").sampling_frequency == 100


# ---- several segments ----


@pytest.fixture
def fixed(tmp_path, ramp):
    write(tmp_path, ramp[:400], "s1")
    write(tmp_path, ramp[400:], "s2", gain=100.0)
    return by_hand(tmp_path, "rec/2 1 250 1000\ns1 400\ns2 600\n")


@pytest.fixture
def variable(tmp_path, ramp):
    """II is absent from the second of four segments, in uV in the third, and the first is nothing."""
    layout = "lay 2 250 0\n~ 0 200/mmHg 0 0 0 0 0 ABP\n~ 0 200/mV 0 0 0 0 0 II\n"
    by_hand(tmp_path, layout, "lay")
    write(tmp_path, ramp[:100], "s1", units="mmHg", leads=("ABP",))
    write(tmp_path, np.stack([ramp[:200], -ramp[:200]], 1), "s2", units=("uV", "mmHg"), leads=("II", "ABP"))
    write(tmp_path, ramp[:300], "s3")
    return by_hand(tmp_path, "rec/5 2 250 650\nlay 0\n~ 50\ns1 100\ns2 200\ns3 300\n")


def test_fixed_layout_joins_segments(fixed, ramp):
    expected = np.concatenate([ramp[:400] / 200, ramp[400:] / 100])
    np.testing.assert_array_equal(read_recording(fixed).signal, expected)
    np.testing.assert_array_equal(read_recording(fixed, start=1.2, end=2.8).signal, expected[300:700])
    np.testing.assert_array_equal(read_recording(fixed, start=2).signal, expected[500:])


def test_variable_layout_has_gaps_where_the_lead_is_absent(variable, ramp):
    recording = read_recording(variable)
    assert recording.lead == "II"
    assert recording.gaps.tolist() == [[0, 150]]
    np.testing.assert_array_equal(recording.signal[150:350], ramp[:200] / 200 / 1000)
    np.testing.assert_array_equal(recording.signal[350:], ramp[:300] / 200)


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ("rec/2 1 250 1000\ns1 400\ns2 500\n", "add up to 1000"),
        ("rec/2 1 250 900\ns1 400\ns2 500\n", r"s2\.hea: 600 samples at 250 Hz, but .*500 at 250 Hz"),
        ("rec/2 1 360 1000\ns1 400\ns2 600\n", "at 250 Hz, but .*at 360 Hz"),
        ("rec/3 1 250 1000\ns1 400\ns2 600\n", "3 lines should follow"),
        (
            "rec/3 1 250\ns1 400\n~ 900000000000000\ns2 600\n",
            "900,000,000,000,000 of its 900,000,000,001,000 samples are in no file",
        ),
        ("rec/2 1 250 1000\ns1 400\ns3 600\n", r"s3\.hea: cannot be read"),
    ],
)
def test_contradictory_segments_are_refused(fixed, header, match):
    fixed.with_suffix(".hea").write_text(header)
    refused(match, fixed)


# ---- choice of the lead ----


@pytest.mark.parametrize(
    "name",
    ["I", "II", "III", "aVR", "AVL", "avf", "V", "V1", "v6", "V4R", "vx", "MLI", "MLII", "MLIII", "ML2", "MCL1", "MV2",
     "D3", "CM5", "A-S", "mod.V1", "V1-V2", "ECG", "ECG1", "ekg", "ECG lead II", "Lead II", "II,", "V,"],
)  # fmt: skip
def test_default_is_the_first_ecg_lead_in_volts(tmp_path, ramp, name):
    others = ["RESP", "PLETH", "ABP", "EEG C4-A1", "EMG", "EOG(left)", "CVP", "ART", "PAP", "noise1", "x"]
    lines = [f"rec.dat 16 200/mV 16 0 0 0 0 {other}\n" for other in others]
    lines += ["rec.dat 16 200/mmHg 16 0 0 0 0 II\n", f"rec.dat 16 200/mV 16 0 0 0 0 {name}\n"]
    k = len(lines)
    header = f"rec {k} 250 10\n" + "".join(lines)
    recording = read_recording(by_hand(tmp_path, header, rec=np.tile(np.arange(k), 10)))
    assert recording.lead == name.strip(",")
    assert (recording.signal == (k - 1) / 200).all()


def test_lead_by_name_in_any_case_or_number(tmp_path, ramp):
    path = write(tmp_path, np.stack([ramp, -ramp], 1), leads=("II", "V5"))
    for lead in ("v5", "V5", 1, "1"):
        np.testing.assert_array_equal(read_recording(path, lead=lead).signal, -ramp / 200)


@pytest.mark.parametrize("lead", ["V9", 2, -1, "", "-1"])
def test_unknown_lead_is_refused_with_a_list(tmp_path, ramp, lead):
    path = write(tmp_path, np.stack([ramp, -ramp], 1), leads=("II", "V5"))
    refused(r"no lead .*0: II \(mV\), 1: V5 \(mV\)", path, lead=lead)


def test_lead_that_is_no_voltage_is_refused(tmp_path, ramp):
    path = write(tmp_path, np.stack([ramp, -ramp], 1), units=("mV", "mmHg"), leads=("EEG", "ABP"))
    refused(r"no ECG lead among 0: EEG \(mV\), 1: ABP \(mmHg\); .*lead", path)
    refused("ABP is in mmHg, which is not a voltage", path, lead="ABP")
    assert read_recording(path, lead="eeg").lead == "EEG"


# ---- time and annotation ----


def test_annotation_is_shifted_by_the_start(tmp_path, ramp):
    path = write(tmp_path, ramp)
    wfdb.wrann("rec", "atr", np.array([10, 250, 400, 500]), symbol=["N", "V", "A", "N"], write_dir=str(tmp_path))
    whole, part = read_recording(path).annotation, read_recording(path, start=1, end=2).annotation
    assert (whole.samples.tolist(), whole.symbols) == ([10, 250, 400, 500], ("N", "V", "A", "N"))
    assert (part.samples.tolist(), part.symbols) == ([0, 150], ("V", "A"))
    assert part.samples.dtype == np.int64


def test_annotation_with_a_clock_of_its_own(tmp_path, ramp):
    path = write(tmp_path, ramp)
    wfdb.wrann("rec", "atr", np.array([20, 500]), symbol=["N", "N"], fs=500, write_dir=str(tmp_path))
    assert read_recording(path).annotation.samples.tolist() == [10, 250]


def test_damaged_annotation_is_refused(tmp_path, ramp):
    path = write(tmp_path, ramp)
    (tmp_path / "rec.atr").write_bytes(b"abc")
    refused(r"rec\.atr: no WFDB annotation", path)


@pytest.mark.parametrize(
    ("start", "end"),
    [(2, 1), (1, 1), (-1, 2), (0, 5), (4, None), (float("nan"), 2), (0, float("inf")), (1.001, 1.0011)],
)
def test_stretch_outside_the_record_is_refused(tmp_path, ramp, start, end):
    refused("start=", write(tmp_path, ramp), start=start, end=end)


# ---- damaged and missing files ----


@pytest.mark.parametrize("fmt", RANGES)
@pytest.mark.parametrize("keep", [0, 3, 0.5, -1])
def test_signal_file_cut_short_is_refused(tmp_path, fmt, keep):
    path = write(tmp_path, np.arange(-300, 300) % 100, fmt=fmt)
    file = next(
        tmp_path / f"rec.{extension}" for extension in ("dat", "flac") if (tmp_path / f"rec.{extension}").exists()
    )
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * keep) if keep == 0.5 else keep])
    refused("cut short|cannot read", path)


def test_cut_off_file_is_refused_where_the_stretch_is_intact(tmp_path, ramp):
    path = write(tmp_path, ramp)
    file = path.with_suffix(".dat")
    file.write_bytes(file.read_bytes()[:1500])
    refused(r"rec\.dat: cut short, 1500 bytes where .*rec\.hea needs 2000", path, start=0, end=1)


GOOD_LINE = "rec.dat 16 200(0)/mV 16 0 0 0 0 II"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "# only a comment\n",
        "\x00\x01\x02\x03",
        "rec 1 25x0 1000\n" + GOOD_LINE,
        "rec 1 250 1o00\n" + GOOD_LINE,
        "rec one 250 1000\n" + GOOD_LINE,
        "rec 1 0 1000\n" + GOOD_LINE,
        "rec 2 250 1000\n" + GOOD_LINE,
        "rec 1 250 1000\nrec.dat 17 200(0)/mV 16 0 0 0 0 II",
        "rec 1 250 1000\nrec.dat",
        "rec 1 250 1000\nrec.dat 16 2oo(0)/mV 16 0 0 0 0 II",
        "rec 1 250 1000\nrec.dat 16 200/mV 16 O 0 0 0 II",
        "rec 1 250 1000\n../rec.dat 16 200/mV 16 0 0 0 0 II",
        "rec/x 1 250 1000\n" + GOOD_LINE,
        "rec 0 250 1000\n",
        "rec 1 250 " + "9" * 5000 + "\n" + GOOD_LINE,
        "rec 1 250 99999999999\n" + GOOD_LINE,
    ],
)
def test_damaged_header_is_refused(tmp_path, ramp, header):
    refused(r"rec\.(hea|dat): ", by_hand(tmp_path, header, rec=ramp))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 80), byte=st.binary(min_size=0, max_size=3))
def test_no_other_exception_escapes_a_damaged_header(tmp_path_factory, place, byte):
    folder = tmp_path_factory.mktemp("damage")
    path = by_hand(folder, "", rec=np.arange(30))
    good = b"rec 1 250 30 12:00:00 01/01/2000\nrec.dat 16x1:0+0 200(0)/mV 16 0 0 0 0 II\n"
    (folder / "rec.hea").write_bytes(good[:place] + byte + good[place + 1 :])
    with contextlib.suppress(RecordError):
        read_recording(path)


def test_missing_files_are_refused(tmp_path, ramp):
    refused(r"nothing\.hea: no such file", tmp_path / "nothing")
    refused(r"nothing\.hea: no such file", tmp_path / "nothing.dat")
    refused(r"nothing\.csv: cannot be read", tmp_path / "nothing.csv")
    refused("is a folder; name a record in it", tmp_path)
    refused("no such file", "a\0b")
    refused("no such file", "x" * 5000)
    refused(r"rec\.dat: cannot be read", by_hand(tmp_path, "rec 1 250 1000\n" + GOOD_LINE))


def test_record_without_a_valid_sample_is_refused(tmp_path):
    refused("lead II has no valid sample", write(tmp_path, np.full(100, -32768)))
    refused("the record is empty", by_hand(tmp_path, "rec 1 250\n" + GOOD_LINE, rec=[]))


def test_frequency_that_contradicts_the_header_is_refused(tmp_path, ramp):
    path = write(tmp_path, ramp)
    refused("sampling_frequency=360 Hz contradicts", path, sampling_frequency=360)
    assert read_recording(path, sampling_frequency=250).sampling_frequency == 250


# ---- CSV ----


def table(folder, text, encoding="utf-8"):
    path = folder / "table.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("fs", [360, 250, 128, 257.5, 1000 / 3])
@pytest.mark.parametrize("digits", [3, 17])
def test_csv_frequency_comes_from_the_times(tmp_path, fs, digits):
    rows = [f"{i / fs:.{digits}f},{i * 0.1!r}" for i in range(3000)]
    recording = read_recording(table(tmp_path, "\n".join(["Time (s),II", *rows, "", ""])))
    assert recording.sampling_frequency == pytest.approx(fs, rel=1e-12 if digits == 17 or fs == int(fs) else 1e-4)
    assert (recording.lead, recording.name, recording.annotation) == ("II", "table", None)
    np.testing.assert_array_equal(recording.signal, [i * 0.1 for i in range(3000)])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.floats(-1e6, 1e6) | st.none(), min_size=1, max_size=30).filter(any))
def test_csv_returns_floats_and_gaps_exactly(tmp_path_factory, values):
    text = "index,ECG\n" + "".join(f"{i},{'' if value is None else repr(value)}\n" for i, value in enumerate(values))
    recording = read_recording(table(tmp_path_factory.mktemp("csv"), text), sampling_frequency=100)
    np.testing.assert_array_equal(recording.signal, [np.nan if value is None else value for value in values])


@pytest.mark.parametrize(
    ("text", "lead", "expected"),
    [
        ("1\n2\n3\n", None, [1, 2, 3]),
        ("1\n\n3\n", None, [1, np.nan, 3]),
        ("mV\n1\n2\n", None, [1, 2]),
        ("uV\r\n1\r\n2\r\n", None, [0.001, 0.002]),
        ("1,4\n2,5\n", 1, [4, 5]),
        ("ABP (mmHg),V5 [uV],II\n1,4000,7\n2,,8\n", "V5", [4, np.nan]),
        ("ABP (mmHg), ECG (V)\n1, 4\n2, 5\n", "ecg", [4000, 5000]),
        ('"sample #","MLII"\n0,1\n1,NaN\n', None, [1, np.nan]),
        ("\ufeffII\n1e0\n-2.5\n", None, [1, -2.5]),
        ("t,II\n0,1\n0.5,2\n1,3\n", 0, [1, 2, 3]),
    ],
)
def test_csv_variants(tmp_path, text, lead, expected):
    recording = read_recording(table(tmp_path, text), lead=lead, sampling_frequency=2)
    np.testing.assert_array_equal(recording.signal, expected)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_csv_micro_volts(tmp_path, encoding):
    path = table(tmp_path, "ECG (µV)\n1000\n", encoding)
    assert read_recording(path, sampling_frequency=100).signal.tolist() == [1]


def test_csv_stretch(tmp_path):
    path = table(tmp_path, "\n".join(map(str, range(100))))
    assert read_recording(path, start=1, end=1.5, sampling_frequency=10).signal.tolist() == [10, 11, 12, 13, 14]


@pytest.mark.parametrize(
    ("text", "match", "fs"),
    [
        ("", "empty", 2),
        ("II\n", "the record is empty", 2),
        ("II\n1\n", "give sampling_frequency", None),
        ("II\n1\n", "sampling_frequency=0 is not", 0),
        ("II\n1\n", "sampling_frequency=nan is not", float("nan")),
        ("II\n1\nabc\n3\n", "line 3: abc is not a number", 2),
        ("1\n2\ninf\n", "line 3: inf is not a number", 2),
        ("II,V\n1,2\n1,2,3\n", "line 3 has 3 fields where the others have 2", 2),
        ("II,V\n1,2\n1\n", "line 3 has 1 field where the others have 2", 2),
        ("II,V\n1,2\n\n1,2\n", "line 3 is blank", 2),
        ("II\nTrue\n", "True is not a number", 2),
        ("1,2\n1,2\n", "no ECG lead", 2),
        ("ABP (mmHg)\n1\n", "no ECG lead", 2),
        ("II\n\nNaN\n", "no valid sample", 2),
        ("time\n1\n2\n", "no column beside the times", 2),
        ("time,II\n0,1\n.1,2\n.3,4\n.4,5\n", r"its times, read in s, say 10 Hz.*name their column", None),
        ("time (s),II\n0,1\n.1,2\n.3,4\n.4,5\n", r"not uniform, see 0.1 to 0.3 \(line 3, line 4\)", None),
        ("time,II\n1,1\n0,2\n", "its times go back, see line 2 and line 3", None),
        ("time,II\n0,1\n,2\n2,2\n", "not a time in every line", None),
        ("time,II\n0,1\n", "not a time in every line", None),
        ('II\n"1\n2\n', 'line 2: "1 is not a number', 2),
        ("\0\1\2\n\0", "table.csv: ", 2),
    ],
)
def test_csv_that_cannot_be_read_is_refused(tmp_path, text, match, fs):
    refused(match, table(tmp_path, text), sampling_frequency=fs)


# ---- PhysioNet, played by a server on this machine ----


class Handler(BaseHTTPRequestHandler):
    """Serves `files` (path: bytes); half of the one named `cut`, announcing its length if `honest`.

    replace: {end of a path: (bytes, headers)} served in place of it; stall: the end of one that never comes.
    """

    def __init__(self, server_state, *arguments):
        self.state = server_state
        super().__init__(*arguments)

    def do_GET(self):
        self.state["requests"].append(self.path)
        if self.path.endswith(self.state["stall"]):
            self.state["released"].wait(20)
            return
        for end, (body, headers) in self.state["replace"].items():
            if self.path.endswith(end):
                self.send_response(200)
                for header, value in headers.items():
                    self.send_header(header, value)
                self.end_headers()
                with contextlib.suppress(OSError):  # the client leaves when it has seen enough
                    for part in body if not isinstance(body, bytes) else [body]:
                        self.wfile.write(part)
                return
        content = self.state["files"].get(self.path)
        self.send_response(200 if content is not None else self.state["missing"])
        cut = self.path.endswith(self.state["cut"])
        if not cut or self.state["honest"]:
            self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write((content or b"")[: len(content or b"") // 2 if cut else None])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def physionet(tmp_path, ramp, monkeypatch):
    """State of a server with testdb/sub/rec and, of several segments, testdb/multi; the cache is a new folder."""
    source = tmp_path / "source"
    source.mkdir()
    write(source, ramp)
    wfdb.wrann("rec", "atr", np.array([10, 400]), symbol=["N", "V"], write_dir=str(source))
    write(source, ramp[:400], "s1")
    write(source, ramp[400:], "s2")
    by_hand(source, "multi/3 1 250 1050\ns1 400\n~ 50\ns2 600\n", "multi")
    files = {
        f"/files/testdb/1.2.0/{'sub/' * (path.stem == 'rec')}{path.name}": path.read_bytes()
        for path in source.iterdir()
    }
    files["/content/testdb/"] = b"<html>\n<p>Version: 1.2.0</p>\n</html>"
    state = {"files": files, "requests": [], "cut": "(none)", "honest": True, "missing": 404}
    state |= {"replace": {}, "stall": "(none)", "released": threading.Event()}
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, state))
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
    thread.start()

    def stop():
        state["released"].set()
        if thread.is_alive():
            server.shutdown()
            thread.join()
            server.server_close()

    root = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(physionet_files, "PAGES", f"{root}/content/")
    monkeypatch.setattr(physionet_files, "FILES", f"{root}/files/")
    monkeypatch.chdir(tmp_path)
    state["stop"], state["cache"] = stop, tmp_path / "cache"
    yield state
    stop()


def cached(physionet):
    return sorted(path.name for path in physionet["cache"].rglob("*") if path.is_file())


def test_second_reading_needs_no_network(physionet, ramp, capfd):
    first = read_recording("testdb/sub/rec")
    asked = len(physionet["requests"])
    physionet["stop"]()
    second = read_recording("testdb/sub/rec", start=1)
    assert len(physionet["requests"]) == asked
    np.testing.assert_array_equal(first.signal, ramp / 200)
    np.testing.assert_array_equal(second.signal, ramp[250:] / 200)
    assert (second.name, second.annotation.symbols) == ("testdb/sub/rec", ("V",))
    assert capfd.readouterr().out == ""


def test_version_may_be_given(physionet):
    read_recording("testdb/1.2.0/sub/rec")
    assert "/content/testdb/" not in physionet["requests"]


def test_segments_are_downloaded_and_an_absent_annotation_is_fine(physionet, ramp):
    recording = read_recording("testdb/multi")
    assert recording.gaps.tolist() == [[400, 450]]
    assert recording.annotation is None
    assert cached(physionet) == ["multi.hea", "s1.dat", "s1.hea", "s2.dat", "s2.hea"]


def test_local_record_comes_before_physionet(physionet, tmp_path, ramp):
    (tmp_path / "testdb" / "sub").mkdir(parents=True)
    write(tmp_path / "testdb" / "sub", -ramp)
    np.testing.assert_array_equal(read_recording("testdb/sub/rec").signal, -ramp / 200)
    assert physionet["requests"] == []


@pytest.mark.parametrize("name", ["testdb/none", "nodb/rec", "testdb/9.9/sub/rec"])
def test_name_that_physionet_lacks_is_refused(physionet, name):
    refused(f"{name}: neither a local file nor a record of PhysioNet", name)
    assert cached(physionet) == []


def test_server_down_is_refused(physionet):
    physionet["stop"]()
    refused(
        "testdb/sub/rec: .*cannot be downloaded from PhysioNet .no connection.; check the name and", "testdb/sub/rec"
    )
    assert cached(physionet) == []


@pytest.mark.parametrize("status", [403, 500])
def test_error_of_the_server_is_refused(physionet, status):
    physionet["missing"] = status
    refused(f"cannot be downloaded from PhysioNet.*{status}", "testdb/none")
    assert cached(physionet) == []


def test_page_without_a_version_is_refused(physionet):
    physionet["files"]["/content/testdb/"] = b"<html></html>"
    refused("cannot be downloaded", "testdb/sub/rec")


@pytest.mark.parametrize(
    ("file", "honest"), [("rec.hea", True), ("rec.dat", True), ("rec.dat", False), ("rec.atr", True)]
)
def test_download_cut_off_leaves_no_half_record(physionet, ramp, file, honest):
    physionet.update(cut=file, honest=honest)
    refused("testdb/sub/rec: ", "testdb/sub/rec")
    assert cached(physionet) == []
    physionet["cut"] = "(none)"
    np.testing.assert_array_equal(read_recording("testdb/sub/rec").signal, ramp / 200)


def test_header_that_leads_out_of_the_folder_is_refused(physionet):
    physionet["files"]["/files/testdb/1.2.0/sub/rec.hea"] = b"rec 1 250 10\n../../x.dat 16 200 16 0 0 0 0 II\n"
    refused("damaged record", "testdb/sub/rec")


PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"


@pytest.mark.parametrize("file", ["rec.hea", "rec.dat", "rec.atr"])
@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/html; charset=utf-8"}])
def test_web_page_in_place_of_a_file_is_refused(physionet, file, headers):
    physionet["replace"] = {file: (PAGE, headers)}
    refused(f"PhysioNet sent a damaged record .*{file}: a web page in place of the file", "testdb/sub/rec")
    assert cached(physionet) == []


@pytest.mark.parametrize(("file", "most"), [("rec.hea", 2**20), ("rec.dat", 2000 + 2**16)])
def test_download_ends_where_the_header_says(physionet, file, most):
    """A server that does not stop sends little more than what the header allows."""
    sent = []

    def forever():
        for _ in range(1000):
            sent.append(1)
            yield bytes(2**16)

    physionet["replace"] = {file: (forever(), {})}
    refused(f"{file}: longer than {most:,} bytes", "testdb/sub/rec")
    assert cached(physionet) == []
    assert len(sent) < 900


def test_compressed_answer_is_not_unfolded(physionet):
    physionet["replace"] = {"rec.dat": (b"\x1f\x8b", {"Content-Encoding": "gzip"})}
    refused("rec.dat: compressed, though that was not asked for", "testdb/sub/rec")
    assert cached(physionet) == []


def test_silent_server_is_left(physionet, monkeypatch):
    monkeypatch.setattr(physionet_files, "READ", 0.2)
    physionet["stall"] = "rec.dat"
    refused("cannot be downloaded from PhysioNet .no answer.", "testdb/sub/rec")
    assert cached(physionet) == []


def test_slow_server_is_left(physionet, monkeypatch):
    monkeypatch.setattr(physionet_files, "PATIENCE", -1.0)
    refused("cannot be downloaded from PhysioNet .no answer.", "testdb/sub/rec")
    assert cached(physionet) == []


@pytest.mark.parametrize(
    "name", ["a" * 5000 + "/rec", "db/" + "x/" * 300 + "rec", "db/" + "9." * 200 + "1/rec", "db/../rec"]
)
def test_names_of_any_length_are_refused_in_a_line(physionet, name):
    refused("no such file", name)
    assert physionet["requests"] == []


def test_dat_whose_samples_changed_is_refused(physionet):
    path = "/files/testdb/1.2.0/sub/rec.dat"
    content = bytearray(physionet["files"][path])
    content[77] ^= 1
    physionet["files"][path] = bytes(content)
    refused("PhysioNet sent a damaged record .*the checksum of lead II is not that of", "testdb/sub/rec")
    assert cached(physionet) == []
