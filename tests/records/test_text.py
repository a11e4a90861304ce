"""Text from outside: nothing of it steers a terminal, whatever it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgcvx.errors import EcgcvxError, InputError, ModelError, RecordError, SolverError
from ecgcvx.records import read_recording
from ecgcvx.text import LONGEST, clean


@given(st.text(st.characters(codec=None), max_size=2000) | st.binary(max_size=900).map(lambda b: b.decode("latin-1")))
def test_what_is_cleaned_is_one_printable_line(text):
    line = clean(text)
    assert all(character.isprintable() or character in "\u200c\u200d" for character in line)
    assert len(line) <= LONGEST
    assert clean(line) == line


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=500))
def test_printable_text_stays_as_it_is(text):
    assert clean(text) == text


@pytest.mark.parametrize(
    "mark", ["\x1b[31m", "\n", "\r", "\x00", "\x9b", "\u202e", "\u2028", "\u2066", "\ud800", "\x07"]
)
@pytest.mark.parametrize("kind", [EcgcvxError, InputError, ModelError, RecordError, SolverError])
def test_errors_are_clean(kind, mark):
    assert str(kind(f"a{mark}b")).isprintable()


def test_long_text_keeps_its_ends():
    line = clean("begin " + "x" * 10**6 + " end", 100)
    assert len(line) <= 100
    assert line.startswith("begin xxx")
    assert line.endswith("xxx end")


def test_names_of_a_hostile_record_are_clean(tmp_path):
    samples = b"\1\0\2\0" * 50
    (tmp_path / "r.dat").write_bytes(samples)
    (tmp_path / "r.hea").write_bytes("r 1 250 100\nr.dat 16 200/mV 16 0 0 0 0 ECG\x1b[2J\u202eb\x07\n".encode())
    recording = read_recording(tmp_path / "r")
    assert recording.lead.isprintable()
    assert all(line.isprintable() for line in recording.warnings)
    (tmp_path / "r.hea").write_text("r 1 250 100\nr.dat 16 200/m\x1bV 16 0 0 0 0 ECG\n")
    with pytest.raises(RecordError) as caught:
        read_recording(tmp_path / "r")
    assert str(caught.value).isprintable()
