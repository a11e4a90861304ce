# ruff: noqa: E501 - a table of layouts is read best with one a line
"""Text tables as people and programs write them: each is the same second of signal, or refused with line and cure."""

import datetime

import numpy as np
import pytest

from ecgcvx.errors import RecordError
from ecgcvx.records import read_recording

N, RATE = 300, 250.0
SIGNAL = np.round(0.6 * np.sin(np.arange(N) / 5) + 0.1 * np.random.default_rng(0).standard_normal(N), 3)
Y = [f"{value:.3f}" for value in SIGNAL]
T = [f"{i / RATE:.3f}" for i in range(N)]
UV = [f"{1000 * value:.0f}" for value in SIGNAL]
V = [f"{value / 1000:.6f}" for value in SIGNAL]
NUMBERS = [str(i) for i in range(N)]
BEGIN = datetime.datetime(2024, 2, 29, 23, 59, 59, 500000)  # midnight is passed
MOMENTS = [BEGIN + datetime.timedelta(seconds=i / RATE) for i in range(N)]


def rows(*columns, separator=","):
    return "".join(separator.join(row) + "\n" for row in zip(*columns, strict=True))


def commas(column):
    return [cell.replace(".", ",") for cell in column]


def quoted(column):
    return [f'"{cell}"' for cell in column]


def times(factor, digits=0):
    return [f"{i / RATE * factor:.{digits}f}" for i in range(N)]


def moments(form):
    return [moment.strftime(form) for moment in MOMENTS]


def millis(form):
    return [moment.strftime(form)[:-3] for moment in MOMENTS]


def read(folder, text, encoding="utf-8", name="table.csv", **options):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return read_recording(path, **options)


LAYOUTS = {
    "semicolon, decimal comma": "time;ECG\n" + rows(commas(T), commas(Y), separator=";"),
    "tab": "time\tECG\n" + rows(T, Y, separator="\t"),
    "tab, decimal comma": "time\tECG\n" + rows(commas(T), commas(Y), separator="\t"),
    "bar": "time|ECG\n" + rows(T, Y, separator="|"),
    "blanks": "  time   ECG\n" + rows(T, Y, separator="   "),
    "blanks, decimal comma": "time ECG\n" + rows(commas(T), commas(Y), separator=" "),
    "comma and blank": "time, ECG\n" + rows(T, Y, separator=", "),
    "all quoted": '"time","ECG"\n' + rows(quoted(T), quoted(Y)),
    "quoted decimal commas": '"time","ECG"\n' + rows(quoted(commas(T)), quoted(commas(Y))),
    "Excel's sep=": "sep=;\ntime;ECG\n" + rows(T, Y, separator=";"),
    "comma at the end of each line": "time,ECG,\n" + rows(T, Y, [""] * N),
    "comma at the end of each row": "time,ECG\n" + rows(T, Y, [""] * N),
    "line ends of old Macs": ("time,ECG\n" + rows(T, Y)).replace("\n", "\r"),
    "line ends of Windows": ("time,ECG\n" + rows(T, Y)).replace("\n", "\r\n"),
    "every second line blank": ("time,ECG\n" + rows(T, Y)).replace("\n", "\n\n"),
    "every second line blank, Windows": ("time,ECG\n" + rows(T, Y)).replace("\n", "\r\n\r\n"),
    "blank lines at both ends": "\n\ntime,ECG\n" + rows(T, Y) + "\n\n",
    "comments": "# device: demo\n// x\n% y\ntime,ECG\n" + rows(T, Y),
    "numpy.savetxt": "# time ECG\n" + rows([f"{float(t):.18e}" for t in T], [f"{float(y):.18e}" for y in Y], separator=" "),
    "key and value": "Device: Foo\nSampling Rate (Hz): 250\nUnit: uV\n\nECG\n" + rows(UV),
    "watch": 'Name,"J"\nRecorded Date,2020-01-01 10:00:00 +0100\nClassification,Sinus Rhythm\nSymptoms,\nSoftware Version,'
    '1.90\nDevice,"Watch4,1"\nSample Rate,250 hertz\n\n\nLead,Lead I\nUnit,µV\n\n' + rows(UV),
    "units in a second row": "time,ECG\ns,uV\n" + rows(T, UV),
    "units in brackets in a second row": "time\tII\n[s]\t[mV]\n" + rows(T, Y, separator="\t"),
    "PhysioNet export": "'Elapsed time','MLII'\n'hh:mm:ss.mmm','mV'\n" + rows([f"'0:{float(t):06.3f}'" for t in T], Y),
    "PhysioNet export with dates": "'Time and date','MLII'\n'hh:mm:ss.mmm dd/mm/yyyy','mV'\n"
    + rows([f"'[{m} 29/02/2024]'" for m in millis("%H:%M:%S.%f")], Y),
    "names of rows, as R": '"time","ECG"\n' + rows(quoted([str(i + 1) for i in range(N)]), T, Y),
    "no names": rows(T, Y),
    "numbers as names": "0,1\n" + rows(T, Y),
    "what predict writes": "sample,time_s,signal_mv,forecast_mv,residual_mv\n" + rows(NUMBERS, T, Y, Y[:9] + [""] * (N - 9), Y),
    "date and time": "Date,Time,ECG\n" + rows(moments("%Y-%m-%d"), moments("%H:%M:%S.%f"), Y),
    "clock": "time,ECG\n" + rows(millis("%H:%M:%S.%f"), Y),
    "clock, colon before ms": "time,ECG\n" + rows(millis("%H:%M:%S:%f"), Y),
    "clock, comma before ms": "time;ECG\n" + rows(millis("%H:%M:%S,%f"), commas(Y), separator=";"),
    "clock, 12 hours": "time,ECG\n" + rows(moments("%I:%M:%S.%f %p"), Y),
    "day first": "time,ECG\n" + rows(millis("%d/%m/%Y %H:%M:%S.%f"), Y),
    "ISO": "timestamp,ECG\n" + rows([m.isoformat(timespec="microseconds") for m in MOMENTS], Y),
    "ISO with zone": "timestamp,ECG\n" + rows([m.isoformat(timespec="microseconds") + "Z" for m in MOMENTS], Y),
    "ISO with a blank": "datetime,ECG\n" + rows(moments("%Y-%m-%d %H:%M:%S.%f"), Y),
    "since 1970": "time,ECG\n" + rows([f"{1709337599.5 + i / RATE:.3f}" for i in range(N)], Y),
    "ms since 1970": "timestamp,ECG\n" + rows([str(1709337599500 + 4 * i) for i in range(N)], Y),
    "us since 1970": "timestamp,ECG\n" + rows([str(1709337599500000 + 4000 * i) for i in range(N)], Y),
    "ns since 1970": "timestamp,ECG\n" + rows([str(1709337599500000000 + 4000000 * i) for i in range(N)], Y),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path, layout):
    recording = read(tmp_path, LAYOUTS[layout])
    np.testing.assert_allclose(recording.signal, SIGNAL, atol=1e-9)
    assert recording.sampling_frequency == RATE


UNTIMED = {
    "decimal commas": rows(commas(Y)),
    "decimal commas under a name": "ECG\n" + rows(commas(Y)),
    "quoted decimal commas": '"ECG"\n' + rows(quoted(commas(Y))),
    "number as name": "0\n" + rows(Y),
    "index without a name": ",ECG\n" + rows(NUMBERS, Y),
    "index and number as name": ",0\n" + rows(NUMBERS, Y),
    "sample numbers": "sample #,MLII\n" + rows(NUMBERS, Y),
    "sample numbers as times": "time,ECG\n" + rows(NUMBERS, Y),
    "ms as times": "time,ECG\n" + rows(times(1e3), Y),
    "a name that says little": "value\n" + rows(Y),
    "comments that name nothing": "# exported by a program\n# of some device\n" + rows(Y),
    "comments of Matlab that name nothing": "% exported by a program\n% of some device\n" + rows(Y),
    "a comment that names the lead": "% device 7\n% MLII\n" + rows(Y),
    "a rate after a blank": "# device 7\n# fs 250\n" + rows(Y),
    "a rate with its unit after a blank": "% sampling rate 0.25 kHz\n% device 7\n" + rows(Y),
    "sampling rate and frequency agree": "# Sampling rate: 250\nECG\n" + rows(Y),
}


@pytest.mark.parametrize("layout", UNTIMED)
def test_layouts_with_a_sampling_frequency(tmp_path, layout):
    recording = read(tmp_path, UNTIMED[layout], sampling_frequency=250)
    np.testing.assert_allclose(recording.signal, SIGNAL, atol=1e-9)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_encodings(tmp_path, encoding):
    recording = read(tmp_path, "time\tECG (µV)\n" + rows(T, UV, separator="\t"), encoding, "table.txt")
    np.testing.assert_allclose(recording.signal, SIGNAL, atol=1e-9)


@pytest.mark.parametrize(
    "column", ["{}_{}", "{} {}", "{}/{}", '"{}, {}"', "{} ({})", "{} [{}]", "{}-{}", "{}.{}", "{} (in {})"]
)
@pytest.mark.parametrize(
    ("unit", "cells"),
    [("uV", UV), ("µV", UV), ("UV", UV), ("microvolts", UV), ("Microvolt", UV), ("mV", Y), ("millivolts", Y), ("Volts", V)],
)  # fmt: skip
@pytest.mark.parametrize("name", ["ECG", "ii"])
def test_units_in_names(tmp_path, column, unit, cells, name):
    recording = read(tmp_path, f"time,{column.format(name, unit)}\n" + rows(T, cells))
    np.testing.assert_allclose(recording.signal, SIGNAL, atol=1e-9)
    assert (recording.lead, recording.unit) == (name, "mV")


@pytest.mark.parametrize("column", ["V", "ECG (V)", "ECG/V", '"ECG, V"', "volt"])
def test_volts_and_the_lead_of_that_name(tmp_path, column):
    recording = read(tmp_path, f"time,{column}\n" + rows(T, V))
    if column == "V":  # the chest lead of monitors; in mV it would be too small
        assert "V is likely" in recording.warnings[0]
    else:
        np.testing.assert_allclose(recording.signal, SIGNAL, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "cells"),
    [("time", T), ("TIME", T), ("t", T), ("timestamp(s)", T), ("Elapsed time", T), ("time_s", T), ("elapsed_time_s", T),
     ("Time [sec]", T), ("seconds", T), ("time/s", T), ("time_ms", times(1e3)), ("Time (ms)", times(1e3)), ("ms", times(1e3)),
     ("TimeMs", times(1e3)), ("timestamp_us", times(1e6)), ("t [ns]", times(1e9)), ("time (min)", times(1 / 60, 9))],
)  # fmt: skip
def test_names_and_units_of_times(tmp_path, name, cells):
    recording = read(tmp_path, f"{name},ECG\n" + rows(cells, Y))
    assert (recording.sampling_frequency, recording.lead) == (RATE, "ECG")
    np.testing.assert_allclose(recording.signal, SIGNAL, atol=1e-9)


KEPT = [*range(100), *range(150, N)]


@pytest.mark.parametrize("given", [None, 250])
@pytest.mark.parametrize(
    ("name", "cells"),
    [("time", T), ("time_ms", times(1e3)), ("timestamp", [m.isoformat(timespec="milliseconds") for m in MOMENTS]),
     ("timestamp", [str(1709337599500 + 4 * i) for i in range(N)]), ("time", [f"{float(t) + 17.0004:.6f}" for t in T])],
)  # fmt: skip
def test_jumps_in_the_times_are_gaps(tmp_path, given, name, cells):
    text = f"{name},ECG\n" + rows([cells[i] for i in KEPT], [Y[i] for i in KEPT])
    recording = read(tmp_path, text, sampling_frequency=given)
    assert recording.gaps.tolist() == [[100, 150]]
    np.testing.assert_allclose(np.delete(recording.signal, range(100, 150)), SIGNAL[KEPT])
    assert "1 jump in its times, the first after line 101: 50 missing samples are gaps" in recording.warnings[-1]


def test_jumps_in_sample_numbers_are_gaps(tmp_path):
    text = "sample,ECG\n" + rows([NUMBERS[i] for i in KEPT], [Y[i] for i in KEPT])
    assert read(tmp_path, text, sampling_frequency=250).gaps.tolist() == [[100, 150]]


@pytest.mark.parametrize(("rate", "digits"), [(360, 3), (400, 3), (257.5, 3), (128, 6), (1000 / 3, 4), (1000, 3)])
def test_rounded_times_with_jumps(tmp_path, rate, digits):
    text = "time (s),II\n" + rows([f"{5 + i / rate:.{digits}f}" for i in KEPT], [Y[i] for i in KEPT])
    recording = read(tmp_path, text)
    assert recording.sampling_frequency == pytest.approx(rate, rel=2e-3)
    assert recording.gaps.tolist() == [[100, 150]]


@pytest.mark.parametrize(
    ("text", "match", "options"),
    [
        ("time,ECG\n" + rows(commas(T), commas(Y)), "commas seem both to separate and to mark decimals .*semicolons", {}),
        (rows([f"{i % 3},{(i * 37) % 90 + 10}" for i in range(N)]), "the comma may separate two columns or mark decimals", {}),
        ("time,ECG (kV)\n" + rows(T, Y), "lead ECG is in kV, which is not a voltage; give its unit", {}),
        ("time (furlongs),ECG\n" + rows(T, Y), "its times are in furlongs, which is no unit of time", {}),
        ("time,ECG (uV)\ns,mV\n" + rows(T, Y), "column ECG is in uV by name, in mV by the line of units", {}),
        ("Demo device v1\ntime,ECG\n" + rows(T, Y), "line 1: 'Demo device v1' is no row of the table", {}),
        ("time,ECG,V1\n" + rows(T, Y), "line 1: 3 names for 2 columns", {}),
        (",".join(Y), "300 numbers in a line and 1 line: .* transpose it", {"sampling_frequency": 250}),
        ("II," + ",".join(Y), "301 numbers in a line and 1 line: .* transpose it", {"sampling_frequency": 250}),
        (";".join(Y) + "\n", "transpose it", {"sampling_frequency": 250}),
        ("\n".join([",".join(Y)] * 12), "300 numbers in a line and 12 lines", {"sampling_frequency": 250}),
        ("1709337599.5\n250.0\n" + rows(Y), "do a start time and a sampling frequency precede", {"sampling_frequency": 250}),
        ("time,ECG\n" + rows(times(1e3), Y), r"say 0\.25 Hz, .*are the times in ms\?", {}),
        ("time,ECG\n" + rows(times(1e6), Y), r"are the times in us\?", {}),
        ("time,ECG\n" + rows(NUMBERS, Y), r"say 1 Hz, .*are the times in ms\?", {}),
        ("time,ECG\n" + rows(times(1e3), Y), "step by 4, which is no step at sampling_frequency=360", {"sampling_frequency": 360}),
        ("time_s,ECG\n" + rows(T, Y), "sampling_frequency=360 Hz contradicts its times, which say 250 Hz", {"sampling_frequency": 360}),
        ("# fs: 360\nECG\n" + rows(Y), "sampling_frequency=250 Hz contradicts the file, which says 360", {"sampling_frequency": 250}),
        ("ECG\n" + rows(Y), r"sampled at 0\.1 Hz, which no ECG is", {"sampling_frequency": 0.1}),
        ("time,ECG\n" + rows([T[i] for i in [*range(100), *range(50, 250)]], Y), "not uniform, see .*line 101, line 102", {}),
        ("time,ECG\n" + rows([T[0]] * N, Y), "its times stand still", {}),
        ("time,ECG\n" + rows(T, Y).replace("0.100,", ","), "not a time in every line, see line 27", {}),
        ("time,ECG\n" + rows([*T[:-1], "1e9"], Y), "its times jump too far, see .*line 300, line 301", {}),
        ("time,ECG\n" + rows(T, Y)[:-9], "line 301 has 1 field where the others have 2", {}),
        ("time,ECG\n" + rows(T, Y) + "Total: 300\n", "line 302 has 1 field", {}),
        ("time,ECG\n" + rows(T[:150], Y[:150]) + "time,ECG\n" + rows(T[150:], Y[150:]), "line 152: .* is not a number", {}),
        (b"PK\x03\x04rest", "Excel workbook; save it as CSV", {}),
        (b"\x1f\x8brest", "compressed with gzip", {}),
        ("<!DOCTYPE html><html></html>", "a page of HTML or XML", {}),
        ("time,\x1b[31mECG\n" + rows(T, Y), "not a text table, line 1 has the byte 0x1b", {}),
        ("time,\u202eECG\n" + rows(T, Y), "no ECG lead among 0: \ufffdECG", {}),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_with_line_and_cure(tmp_path, text, match, options):
    with pytest.raises(RecordError, match=match) as caught:
        read(tmp_path, text, **options)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("cell", ["#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#CALC!"])
@pytest.mark.parametrize("line", [2, 3, 150, 301])
def test_an_error_of_a_spreadsheet_is_no_comment(tmp_path, cell, line):
    """In a single column, and in the first of two, such a line looked like a comment and was left out."""
    cells, stamps = list(Y), list(T)
    cells[line - 2] = stamps[line - 2] = cell
    for text in ("ECG\n" + rows(cells), "ECG,time\n" + rows(cells, T), "time,ECG\n" + rows(stamps, Y)):
        with pytest.raises(RecordError, match=f"line {line}"):
            read(tmp_path, text)


@pytest.mark.parametrize("line", [2, 150, 301])
def test_what_a_spreadsheet_does_not_have_is_a_gap(tmp_path, line):
    cells = list(Y)
    cells[line - 2] = "#N/A"
    expected = SIGNAL.copy()
    expected[line - 2] = np.nan
    np.testing.assert_allclose(read(tmp_path, "time,ECG\n" + rows(T, cells)).signal, expected, atol=1e-9)


@pytest.mark.parametrize(
    "cell", ["1_000", "١٢", "inf", "-Infinity", "1e999", "True", "0x1F", "1 000", "1.2.3", "--1", "abc", "1,5"]
)
@pytest.mark.parametrize("line", [2, 9, 300])
def test_cell_that_is_no_number_is_refused_with_its_line(tmp_path, cell, line):
    cells = list(Y)
    cells[line - 2] = cell
    if cell == "True" and line == 2:
        cells = ["True", *Y[1:]]
    with pytest.raises(RecordError, match=f"line {line}: {cell} is not a number; correct or empty it|line 2: .*{cell}"):
        read(tmp_path, "time;ECG\n" + rows(T, cells, separator=";"))


def test_lines_are_counted_where_every_second_is_blank(tmp_path):
    text = ("ECG\n" + rows([*Y[:20], "abc", *Y[21:]])).replace("\n", "\n\n")
    with pytest.raises(RecordError, match="line 43: abc"):
        read(tmp_path, text, sampling_frequency=250)


@pytest.mark.parametrize("missing", ["", "-", "NaN", "nan", "NA", "N/A", "null", "None"])
def test_missing_values_are_gaps(tmp_path, missing):
    cells = [*Y[:20], missing, *Y[21:]]
    assert read(tmp_path, "time,ECG\n" + rows(T, cells)).gaps.tolist() == [[20, 21]]


def test_a_lead_is_asked_for_by_name_where_only_a_signal_is_there(tmp_path):
    text = "sample,time_s,signal_mv,forecast_mv,residual_mv\n" + rows(NUMBERS, T, Y, Y, Y)
    recording = read(tmp_path, text, lead="MLII")
    np.testing.assert_allclose(recording.signal, SIGNAL)
    assert "no lead is named MLII; the only signal" in recording.warnings[0]
    with pytest.raises(RecordError, match="no lead 'residue'"):
        read(tmp_path, text, lead="residue")


def test_long_lists_of_leads_are_cut(tmp_path):
    text = ",".join(f"x{i}" for i in range(60)) + "\n" + "\n".join(",".join(["1"] * 60) for _ in range(90))
    with pytest.raises(RecordError, match="and 48 more"):
        read(tmp_path, text, sampling_frequency=250)


# ---- units that are given, and values that are no ECG ----


@pytest.mark.parametrize(
    ("cells", "likely"),
    [(UV, "uV is likely"), (V, "V is likely: give unit V"), ([f"{200 * s + 1024:.0f}" for s in SIGNAL], "ADC counts are likely")],
)  # fmt: skip
def test_values_that_are_no_ecg_in_mv_are_told(tmp_path, cells, likely):
    assert likely in read(tmp_path, "time,ECG\n" + rows(T, cells)).warnings[0]


@pytest.mark.parametrize(
    ("cells", "unit"), [(UV, "uV"), (UV, "1000/mV"), (UV, "1000 adu/mV"), (V, "V"), (Y, "mV"), (UV, "1/uV")]
)
def test_unit_may_be_given(tmp_path, cells, unit):
    recording = read(tmp_path, "time,ECG\n" + rows(T, cells), unit=unit)
    np.testing.assert_allclose(recording.signal, SIGNAL, atol=1e-9)
    assert (recording.given_unit, recording.unit, recording.warnings) == (unit, "mV", ())


def test_counts_stay_counts(tmp_path):
    recording = read(tmp_path, "time,ECG\n" + rows(T, UV), unit="adu")
    np.testing.assert_allclose(recording.signal, 1000 * SIGNAL, atol=1e-6)
    assert recording.unit == "adu"
    assert "ADC counts" in recording.warnings[0]


def test_unit_must_not_contradict_the_file(tmp_path):
    text = "time,ECG (mV)\n" + rows(T, Y)
    with pytest.raises(RecordError, match="unit=uV contradicts the file, whose lead ECG is in mV"):
        read(tmp_path, text, unit="uV")
    assert read(tmp_path, text, default_unit="uV").given_unit is None
    np.testing.assert_allclose(read(tmp_path, text, default_unit="uV").signal, SIGNAL)
    with pytest.raises(RecordError, match="unit='stone' is no unit of an ECG; give uV, mV, V, adu, or a gain"):
        read(tmp_path, text, unit="stone")


def test_default_unit_is_said(tmp_path):
    recording = read(tmp_path, "time,ECG\n" + rows(T, UV), default_unit="uV")
    np.testing.assert_allclose(recording.signal, SIGNAL, atol=1e-9)
    assert "it was taken for uV" in recording.warnings[0]


def test_one_huge_sample_is_told_or_refused(tmp_path):
    text = "time,ECG (mV)\n" + rows(T, [*Y[:70], "900", *Y[71:]])
    assert "the largest 900 mV at 0.280 s" in read(tmp_path, text).warnings[0]
    with pytest.raises(RecordError, match=r"sample 70 \(0\.280 s\) of lead ECG is 1e\+300 mV, which is no ECG"):
        read(tmp_path, text.replace(",900", ",1e300"))


# ---- the lead that says most ----


def test_lead_with_most_valid_varying_samples_is_taken_and_told(tmp_path):
    half = ["" if i < 200 else y for i, y in enumerate(Y)]
    still = ["0.5" if i < 280 else y for i, y in enumerate(Y)]
    recording = read(tmp_path, "time,I,II,III,RESP\n" + rows(T, half, still, Y, Y))
    assert recording.lead == "III"
    assert recording.warnings[-1] == "lead III was taken: 100% of it is valid and varies, of I 33%"
    assert read(tmp_path, "time,I,II\n" + rows(T, half, still), lead="II").lead == "II"


def test_a_good_first_lead_stays(tmp_path):
    nearly = ["" if i < 20 else y for i, y in enumerate(Y)]
    recording = read(tmp_path, "time,I,II\n" + rows(T, nearly, Y))
    assert (recording.lead, recording.warnings) == ("I", ())


def test_large_files_are_read_in_blocks(tmp_path, monkeypatch):
    """Every cut of a block, within lines and between \\r and \\n, leaves the same signal and the same lines."""
    from ecgcvx.formats import csv_lines

    text = ("time;ECG (µV)\n" + rows(commas(T), commas(UV), separator=";")).replace("\n", "\r\n")
    for encoding in ("utf-8", "utf-16"):
        for size in (37, 64, 1001):
            monkeypatch.setattr(csv_lines, "BLOCK", size)
            np.testing.assert_allclose(read(tmp_path, text, encoding).signal, SIGNAL, atol=1e-9)
            with pytest.raises(RecordError, match="line 202: x is not a number"):
                read(
                    tmp_path,
                    text.replace(f"\r\n{T[200].replace('.', ',')};{UV[200]}", f"\r\n{T[200].replace('.', ',')};x"),
                    encoding,
                )


def test_a_second_that_whole_seconds_leave_out_is_named(tmp_path):
    """Times too coarse to place a gap: a second without samples is no tick like the others."""
    kept = [i for i in range(2500) if not 1000 <= i < 1250]
    text = "time,ECG\n" + rows([str(i // 250) for i in kept], [f"{np.sin(i / 9):.3f}" for i in kept])
    with pytest.raises(RecordError, match="its times jump at line 1002, too coarse to place a gap"):
        read(tmp_path, text, sampling_frequency=RATE)
