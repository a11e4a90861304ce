"""Beats: rhythm marks are read, other annotators too, and a signal too slow for the detector has none."""

import numpy as np
import pytest
import wfdb

from ecgcvx.beats import find_beats, why_no_beats
from ecgcvx.errors import RecordError
from ecgcvx.records import read_recording


@pytest.fixture
def record(tmp_path, record_208):
    """A minute of record 208; its annotation is up to the test."""
    signal = wfdb.rdrecord(str(record_208), sampto=21600, physical=False)
    wfdb.wrsamp(
        "rec", fs=360, units=["mV"], sig_name=["MLII"], d_signal=signal.d_signal[:, :1], fmt=["212"], adc_gain=[200],
        baseline=[1024], write_dir=str(tmp_path),
    )  # fmt: skip
    return tmp_path / "rec"


def annotate(record, extension, marks):
    """marks: (sample, symbol, note)."""
    samples, symbols, notes = zip(*marks, strict=True)
    wfdb.wrann(
        "rec", extension, np.array(samples), symbol=list(symbols), aux_note=list(notes), write_dir=str(record.parent)
    )


def test_beats_in_fibrillation_are_none(record):
    marks = [
        (10, "+", "(N"),
        (300, "N", ""),
        (7200, "+", "(VFIB"),
        (7500, "N", ""),
        (14400, "+", "(N"),
        (15000, "V", ""),
    ]
    annotate(record, "atr", marks)
    beats = find_beats(read_recording(record))
    assert (beats.samples.tolist(), beats.symbols) == ([300, 15000], ("N", "V"))


def test_detector_finds_no_beat_in_fibrillation(record):
    everywhere = find_beats(read_recording(record))
    annotate(record, "atr", [(7200, "+", "(VF"), (14400, "+", "(N")])
    beats = find_beats(read_recording(record))
    assert beats.source == everywhere.source == "detector"
    expected = [sample for sample in everywhere.samples if not 7200 <= sample < 14400]
    assert beats.samples.tolist() == expected
    assert len(expected) < len(everywhere)


def test_rhythm_goes_on_into_a_stretch(record):
    annotate(record, "atr", [(100, "[", ""), (20000, "]", "")])
    recording = read_recording(record, start=10, end=20)
    assert recording.annotation.rhythms == ((0, 3600, "VF"),)
    assert find_beats(recording) is None
    assert "its rhythm, as annotated, has none" in why_no_beats(recording)


def test_another_annotator(record):
    annotate(record, "qrs", [(300, "N", "")])
    assert read_recording(record).annotation is None
    assert read_recording(record, annotator="qrs").annotation.samples.tolist() == [300]
    assert read_recording(record, annotator=".qrs").annotation.samples.tolist() == [300]
    with pytest.raises(RecordError, match=r"rec\.ecg: no such annotation file; name the extension"):
        read_recording(record, annotator="ecg")
    with pytest.raises(RecordError, match="no such annotation file"):
        read_recording(record, annotator="../rec.qrs")


@pytest.mark.parametrize(
    "content",
    [
        b"<!DOCTYPE html><html><body>404</body></html>",
        b"",
        b"\0",
        b"1,2\n3,4\n",
        bytes(range(256)),
        b"\xff" * 64 + b"\0\0",
        b"\x0a\x04\0\0\0",  # an annotation, a byte too many
    ],
)
def test_what_is_no_annotation_is_refused(record, content):
    record.with_suffix(".atr").write_bytes(content)
    with pytest.raises(RecordError, match=r"rec\.atr: no WFDB annotation of this record .*; replace or remove it"):
        read_recording(record)


def test_an_annotation_file_beyond_any_record_is_not_read(record):
    with record.with_suffix(".atr").open("wb") as file:
        file.truncate(2**27 + 2)  # zeros, which take no room
    with pytest.raises(RecordError, match=r"rec\.atr: no WFDB annotation of this record \(.*134217730 bytes\)"):
        read_recording(record)


def test_annotation_of_a_longer_record_is_refused(record):
    annotate(record, "atr", [(10, "N", ""), (500_000, "N", "")])
    with pytest.raises(RecordError, match="beyond the record"):
        read_recording(record)


def test_slow_signal_has_no_beats_and_says_why(record_208):
    recording = read_recording(record_208, resample=25)
    assert find_beats(recording) is None
    assert why_no_beats(recording) == "25 Hz is too slow for the detector, which needs 50 Hz"
    assert len(find_beats(read_recording(record_208, resample=50))) > 450
