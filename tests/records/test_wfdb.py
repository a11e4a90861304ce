"""WFDB headers and files as the standard allows them, and damage that would pass for a signal."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecgcvx.errors import RecordError
from ecgcvx.records import read_recording

RAMP = np.arange(-500, 500)
MITDB = Path(__file__).parents[2] / "data" / "mitdb208"


def record(folder, lines, name="rec", **files):
    """Write a header and int16 signal files."""
    (folder / f"{name}.hea").write_text(lines, encoding="utf-8")
    for file, samples in files.items():
        (folder / f"{file}.dat").write_bytes(np.asarray(samples, dtype="<i2").tobytes())
    return folder / name


def refused(match, *arguments, **options):
    with pytest.raises(RecordError, match=match) as caught:
        read_recording(*arguments, **options)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "first",
    ["rec 1 250 1000", "rec 1 250 0", "rec 1 250", "rec.dat 1 250 1000", "rec.mat 1 250 1000 05-May-2020 09:49:17",
     "rec 1 250 1000 10:00:00 2006", "rec 1 250 1000 99:99:99", "rec 1 250 1000 noon", "rec\t1 \t250  1000",
     "rec 1 250/250(0) 1000", "rec 1 250.0 1000"],
)  # fmt: skip
@pytest.mark.parametrize(
    "line",
    ["rec.dat 16 200/mV 16 0 0 0 0 II", "rec.dat 16x1:0+0 2e2(0)/mV 16 0 -500 0 0 II", "rec.dat\t16\t0\t16 0 0 0 0 II"],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n# comment\n", "\nrec.dat 16 100/mV 16 0 0 0 0 V1\n", "\nmore\n"])
def test_headers_that_the_standard_allows(tmp_path, first, line, end):
    recording = read_recording(record(tmp_path, f"{first}\n{line}{end}", rec=RAMP))
    np.testing.assert_array_equal(recording.signal, RAMP / 200)
    assert (recording.sampling_frequency, recording.lead, recording.warnings) == (250, "II", ())


GOOD = "rec 1 250 1000\nrec.dat 16 {}/mV 16 0 -500 0 0 II\n"


@pytest.mark.parametrize("gain", ["1e400", "1e-320", "1e-400", "nan", "inf", "2_00", "２００", "1e16", "--2", "0x10"])
def test_gain_that_is_none_is_refused(tmp_path, gain):
    refused(r"rec\.hea: ", record(tmp_path, GOOD.format(gain), rec=RAMP))


@pytest.mark.parametrize("blank", ["\x0b", "\x0c", "\x1c", "\x85", "\u00a0", "\u2003", "\u2028"])
def test_fields_are_parted_by_blanks_and_tabs_alone(tmp_path, blank):
    refused(r"rec\.hea: not a WFDB header", record(tmp_path, GOOD.format(200).replace(" ", blank), rec=RAMP))


@pytest.mark.parametrize("kept", range(20, 48))
def test_header_cut_inside_a_signal_line_is_refused_or_told(tmp_path, kept):
    text = "rec 1 250 1000\nrec.dat 16 200(5)/mV 16 0 -500 0 0 MLII\n"
    path = record(tmp_path, text[:kept], rec=RAMP)
    if text[:kept].endswith((" M", " ML", " MLI")):
        assert "may be cut short" in read_recording(path, 0).warnings[0]
    else:
        refused("cut short, it ends within|malformed|signal format 1 is none", path)


def test_complete_header_without_a_last_line_break_is_read(tmp_path):
    path = record(tmp_path, GOOD.format(200).rstrip("\n"), rec=RAMP)
    assert "ends without a line break" in read_recording(path).warnings[0]
    assert read_recording(record(tmp_path, GOOD.format(200) + "# end", rec=RAMP)).warnings == ()


@pytest.mark.parametrize("name", ["208.hea", "208.dat", "208"])
def test_a_record_by_the_name_of_any_of_its_files(name):
    assert read_recording(MITDB / name).name == "208"


# ---- checksums ----


def test_each_bit_of_a_signal_file_is_covered_by_the_checksum(tmp_path):
    total = int(RAMP[:200].sum()) % 65536
    path = record(tmp_path, f"rec 1 250 200\nrec.dat 16 200/mV 16 0 -500 {total} 0 II\n", rec=RAMP[:200])
    np.testing.assert_array_equal(read_recording(path).signal, RAMP[:200] / 200)
    content = (tmp_path / "rec.dat").read_bytes()
    for bit in np.random.default_rng(0).integers(0, 8 * len(content), 60):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        (tmp_path / "rec.dat").write_bytes(bytes(changed))
        refused("damaged, the checksum of lead II is not that of", path)
    assert len(read_recording(path, end=0.4).signal) == 100  # of a part there is none


@pytest.mark.parametrize("form", ["16", "24", "32", "80", "212", "508", "516", "524"])
def test_checksums_of_wfdb_itself_are_right(tmp_path, form):
    digital = np.random.default_rng(1).integers(-100, 100, (301, 2))
    missing = {"80": -(2**7), "508": -(2**7), "212": -(2**11), "16": -(2**15), "516": -(2**15)}
    digital[7, 1] = missing.get(form, -(2**23))
    if form == "32":
        digital[7, 1] = -(2**31)
    wfdb.wrsamp("r", 250, ["mV"] * 2, ["I", "II"], d_signal=digital, fmt=[form] * 2, adc_gain=[200] * 2,
                baseline=[3] * 2, write_dir=str(tmp_path))  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = wfdb.rdrecord(str(tmp_path / "r")).p_signal
    for lead in range(2):
        np.testing.assert_array_equal(read_recording(tmp_path / "r", lead).signal, theirs[:, lead])


def test_web_page_in_place_of_a_signal_is_refused(tmp_path):
    page = b"<!DOCTYPE html><html><head><title>404</title></head>" * 50
    path = record(tmp_path, "rec 1 250 1000\nrec.dat 16 200/mV 16 0 -500 64036 0 II\n")
    (tmp_path / "rec.dat").write_bytes(page)
    refused("damaged, the checksum", path)


def test_missing_samples_count_in_the_checksum(tmp_path):
    samples = RAMP[:100].copy()
    samples[[3, 50]] = -32768
    total = int(samples.sum()) % 65536
    path = record(tmp_path, f"rec 1 250 100\nrec.dat 16 200/mV 16 0 -500 {total} 0 II\n", rec=samples)
    assert read_recording(path).gaps.tolist() == [[3, 4], [50, 51]]


# ---- segments ----


@pytest.fixture
def segments(tmp_path):
    """Two segments whose leads stand in another order, with other gains."""
    record(tmp_path, "a 2 250 500\na.dat 16 200/mV 16 0 0 0 0 II\na.dat 16 100/mV 16 0 0 0 0 V1\n", "a",
           a=np.stack([RAMP[:500], RAMP[:500] * 0 + 7], 1))  # fmt: skip
    record(tmp_path, "b 2 250 500\nb.dat 16 100/mV 16 0 0 0 0 V1\nb.dat 16 400/mV 16 0 0 0 0 II\n", "b",
           b=np.stack([RAMP[500:] * 0 + 9, RAMP[500:]], 1))  # fmt: skip
    return record(tmp_path, "m/2 2 250 1000\na 500\nb 500\n", "m")


def test_leads_of_segments_are_found_by_name(segments):
    np.testing.assert_array_equal(
        read_recording(segments, "II").signal, np.concatenate([RAMP[:500] / 200, RAMP[500:] / 400])
    )
    np.testing.assert_array_equal(
        read_recording(segments, "V1").signal, np.concatenate([np.full(500, 0.07), np.full(500, 0.09)])
    )


def test_segment_without_the_lead_is_refused_in_a_fixed_layout(segments):
    text = segments.with_name("b.hea").read_text()
    segments.with_name("b.hea").write_text(text.replace("II", "aVF"))
    refused(r"b\.hea: its leads are not those of", segments, "II")


def test_layout_that_asks_for_gigabytes_is_refused(segments):
    for huge in (600_000_000, 10**14):
        segments.with_suffix(".hea").write_text(f"m/3 2 250\na 500\n~ {huge}\nb 500\n")
        refused("of its .* samples are in no file; read less with start, end", segments, "II")
        assert len(read_recording(segments, "II", end=2).signal) == 500
    segments.with_suffix(".hea").write_text("m/3 2 250\na 500\n~ 5000\nb 500\n")
    assert read_recording(segments, "II").gaps.tolist() == [[500, 5500]]


@pytest.mark.parametrize(("frequency", "what"), [("0.001", "0.001 Hz"), ("0", "0 Hz"), ("9999999", "Hz")])
def test_sampling_frequency_that_no_ecg_has_is_refused(tmp_path, frequency, what):
    path = record(tmp_path, f"rec 1 {frequency} 1000\nrec.dat 16 200/mV 16 0 0 0 0 II\n", rec=RAMP)
    refused(f"sampled at .*{what}, which no ECG is; correct the header", path)


def test_implausible_amplitudes_are_told(tmp_path):
    path = record(tmp_path, "rec 1 250 1000\nrec.dat 16 1/mV 16 0 0 0 0 II\n", rec=RAMP)
    assert "lead II spans 979 mV, which is no ECG; is its unit right?" in read_recording(path).warnings[0]


def test_counts_of_a_header_in_adu(tmp_path):
    path = record(tmp_path, "rec 1 250 1000\nrec.dat 16 1/adu 16 0 0 0 0 II\n", rec=RAMP)
    recording = read_recording(path)
    np.testing.assert_array_equal(recording.signal, RAMP)
    assert recording.unit == "adu"
    np.testing.assert_array_equal(read_recording(path, unit="200/mV").signal, RAMP / 200)
