"""The script that streams: whatever the lines, whole lines out, an end that loses nothing, a start where it ended."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgcvx.errors import InputError
from ecgcvx.forecaster import Forecaster
from ecgcvx.model_file import save
from ecgcvx.models import ReluNetwork
from ecgcvx.streaming import StreamPredictor, source
from ecgcvx.streaming.line import Columns, LineError, named, parse
from ecgcvx.windows import Scaler

ROOT = Path(__file__).resolve().parent.parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
RNG = np.random.default_rng(0)
MODEL = Forecaster(
    ReluNetwork(RNG.standard_normal((5, 9)), RNG.standard_normal(9)), Scaler(0.1, 0.5), "MLII", 360.0, 4, 2, 1e-4
)
JOINED = Forecaster(
    ReluNetwork(RNG.standard_normal((9, 9)), RNG.standard_normal(9)), Scaler(0.1, 0.5, (Scaler(-0.2, 2.0),)), "MLII",
    360.0, 4, 2, 1e-4, joined=("V1",),
)  # fmt: skip
LINES = b"""time,MLII
0.1
0.2
what
0.3,4,5
{"sample": 0.3, "sequence": 7}
{"sample": 0.4, "sequence": 8, "time": 9.5}
{"sample": 0.5, "sequence": 10}
{"sample": null, "sequence": 11}
{"sample": "0.5"}
{"sample": true}
[0.1]
{"time": 3}

\xff\xfe
"""
HOSTILE = b"".join(
    line + b"\n"
    for line in (b"9" * 400, b"1e400", b"[" * 100_000, b"0." + b"1" * 70_000, b'{"sample": ' + b"9" * 400 + b"}")
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    save(MODEL, path / "model.safetensors")
    return str(path)


def start(*arguments, **pipes):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | pipes
    return subprocess.Popen([sys.executable, "-m", "ecgcvx", "stream", *arguments], env=ENVIRONMENT, **pipes)


def told(out):
    assert out == b"" or out.endswith(b"\n")
    return [json.loads(line) for line in out.splitlines()]


def test_lines_of_every_kind(model):
    process = start(model)
    out, err = process.communicate(LINES + HOSTILE + b"0.6\n0.7", timeout=60)
    found, errors = told(out), err.decode().splitlines()
    assert process.returncode == 0
    assert [line["sample"] for line in found] == [0.1, 0.2, 0.3, 0.4, 0.5, None, 0.6]
    assert [line.get("emptied") for line in found] == [None, None, None, None, "jump", "missing", None]
    assert found[3]["time"] == 9.5
    assert found[3]["prediction"] is not None
    assert found[3]["patterns"]
    numbers = [int(line.split(":")[0].split()[1]) for line in errors[:-1]]
    assert numbers == [4, 5, 10, 11, 12, 13, 15, 16, 17, 18, 19, 20, 22]
    assert "'what'" in errors[0]
    summary = json.loads(errors[-1])
    assert [summary[name] for name in ("samples", "missing", "jumps", "malformed")] == [7, 1, 1, 13]


@given(st.binary(max_size=60))
def test_no_line_is_worse_than_malformed(text):
    try:
        sample = parse(text.strip() or b"0", 360.0)
    except (ValueError, TypeError, KeyError, RecursionError):
        return
    assert isinstance(sample.value, float)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"0,5", "a decimal comma"),
        (b"0.1;0.5", "without a comma"),
        (b"0.1\t-0.5", "without a comma"),
        (b"0.5 mV", "with a unit"),
        (b"500\xc2\xb5V", "with a unit"),
        (b"0.1,0.5,0.7", "more than two fields"),
        (b"1e11", "a sample of 1e\\+11 mV is none"),
        (b"0\x00.\x005\x00", "UTF-8"),
        (b'{"value": 0.5}', "without a sample"),
        (b'{"sample": "0.5"}', "sample is no number"),
        (b'{"sample": 0.5, "time": "12:00"}', "time is no number"),
        (b'{"sample": 0.5, "time": 1e400}', "time is not finite"),
        (b'{"sample": 0.5, "sequence": 7.5}', "sequence is no whole number"),
    ],
)
def test_a_usual_mistake_is_named(line, words):
    with pytest.raises(LineError, match=words):
        parse(line, 360.0)


@pytest.mark.parametrize("field", ["", "nan", "NA", "N/A", "#N/A", "-", "--", "?", "null", "None", "inf", "-Inf"])
def test_every_spelling_of_a_gap_is_one(field):
    found = parse(b"0.25," + field.encode(), 360.0)
    assert math.isnan(found.value)
    assert found.position == 90.0
    lines = source.Lines(0, 360.0, None)
    assert [lines._sample(line) for line in (b"0.1", field.encode() + b",0.5", b"1e400", b"0,-1e400")][1:] == [None] * 3
    assert lines.malformed == 3


TWO = Columns(("V1", "MLII"))


@pytest.mark.parametrize(
    ("names", "line", "wanted"),
    [
        (b"", b"0.5,-0.25", (-0.25, None, None, (0.5,))),
        (b"", b"9.5, 0.5,-0.25", (-0.25, 9.5, 3420.0, (0.5,))),
        (b"MLII,V1", b"-0.25,0.5", (-0.25, None, None, (0.5,))),
        (b'"time (s)","mlii (mV)","V5 (uV)","v1"', b"9.5,-0.25,what,0.5", (-0.25, 9.5, 3420.0, (0.5,))),
        (b"V1,V5,MLII", b"0.5,what,-0.25", (-0.25, None, None, (0.5,))),
        (b"MLII,V1", b'{"sample": {"mlii": -0.25, "V1": 0.5, "V5": 3}}', (-0.25, None, None, (0.5,))),
        (b"", b'{"sample": [0.5, -0.25], "sequence": 7}', (-0.25, None, 7.0, (0.5,))),
    ],
)
def test_a_line_of_joined_leads_has_a_sample_of_each(names, line, wanted):
    assert parse(line, 360.0, None, (named(names, TWO) or TWO) if names else TWO) == wanted


def test_a_gap_of_one_lead_is_taken_as_it_is():
    for line in (b"0.5,", b'{"sample": [0.5, null]}', b'{"sample": {"V1": 0.5, "MLII": null}}'):
        sample = parse(line, 360.0, None, TWO)
        assert math.isnan(sample.value)
        assert sample.taken[0] == 0.5


@pytest.mark.parametrize(
    ("names", "line", "words"),
    [
        (b"", b"0.5", "not 2 or 3 fields but 1; give time,V1,MLII"),
        (b"", b"0.1,0.5,0.7,0.9", "not 2 or 3 fields but 4; give time,V1,MLII"),
        (b"", b"0.1;0.5;0.7", "numbers without a comma between them; write time,V1,MLII"),
        (b"MLII,V1", b"0.1,0.5,0.7", "not 2 fields as in the line of names but 3"),
        (b"", b"1,2,3", "or seconds and a sample without points"),
        (b"", b'{"sample": 0.5}', "no list of 2 numbers; give those of V1, MLII"),
        (b"", b'{"sample": {"V1": 0.5}}', "lacks a lead; give V1, MLII"),
        (b"", b'{"sample": [0.5, "0.5"]}', "sample is no number"),
    ],
)
def test_a_usual_mistake_with_joined_leads_is_named(names, line, words):
    with pytest.raises(LineError, match=words):
        parse(line, 360.0, None, named(names, TWO) if names else TWO)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (b"time,MLII", "no columns for lead V1; give one for each of V1, MLII"),
        (b"V1,v1,MLII", "2 columns for lead V1"),
        (b"V1 (uV),MLII", "lead V1 is in uV; give mV"),
        (b"time (ms),V1,MLII", "is in ms; give seconds"),
    ],
)
def test_names_that_do_not_go_with_the_leads_are_refused(names, words):
    with pytest.raises(InputError, match=words):
        named(names, TWO)


def test_names_are_looked_for_until_the_first_sample(capsys):
    lines = source.Lines(0, 360.0, None, TWO)
    found = [lines._sample(line) for line in (b"what", b"1e400x,;", b"MLII,V1", b"0.1,0.2", b"V1,MLII", b"0.3,0.4")]
    assert [sample.taken for sample in found if sample] == [(0.2, 0.1), (0.4, 0.3)]
    assert lines.malformed == 3
    assert "line 2: no sample; give time,V1,MLII or an object with a sample" in capsys.readouterr().err


@given(st.lists(st.one_of(st.binary(max_size=40), st.text(max_size=30).map(str.encode)), max_size=5))
def test_any_bytes_are_two_samples_or_a_refusal(lines):
    reader = source.Lines(0, 360.0, None, TWO)
    for line in lines:
        found = reader._sample(line.replace(b"\n", b""))
        assert found is None or len(found.taken) == 2


def test_a_byte_order_mark_is_no_part_of_the_first_sample(capsys):
    lines = source.Lines(0, 360.0, None)
    assert [lines._sample(b"\xef\xbb\xbf0.5"), lines._sample(b"0.6")] == [(0.5, None, None, ()), (0.6, None, None, ())]
    assert lines._sample(b"\xef\xbb\xbf0.5") is None
    assert "line 3" in capsys.readouterr().err


def test_a_replay_is_the_stream_and_goes_on_from_its_checkpoint(model, tmp_path):
    record = tmp_path / "ecg.csv"
    samples = np.round(RNG.standard_normal(1500), 3)
    record.write_text("MLII\n" + "\n".join(f"{s}" for s in samples) + "\n")
    import wfdb

    wfdb.wrsamp("ecg", 360, ["mV"], ["MLII"], samples[:, None], fmt=["16"], adc_gain=[1000], baseline=[0],
                write_dir=str(tmp_path))  # fmt: skip
    state, path = str(tmp_path / "state"), str(tmp_path / "ecg")
    whole = start(model, "--record", path, "--speed", "0").communicate(timeout=60)[0]
    parts = [
        start(model, "--record", path, "--speed", "0", "--checkpoint", state, *more).communicate(timeout=60)[0]
        for more in (["--end", "2.5"], ["--resume"])
    ]
    assert parts[0] + parts[1] == whole
    assert len(told(parts[0])) == 900
    steps = StreamPredictor(MODEL).push_chunk(samples)
    predictions = [line["prediction"] for line in told(whole)]
    np.testing.assert_array_equal(np.array(predictions, dtype=float), steps.predictions)
    scores = np.array([line["score"] for line in told(whole)], dtype=float)
    np.testing.assert_array_equal(scores, steps.scores)


@pytest.mark.slow
def test_a_replay_at_its_own_speed_takes_its_time(model, tmp_path):
    (tmp_path / "x.csv").write_text("t,MLII\n" + "".join(f"{i / 360},{i % 7}\n" for i in range(360)))
    process = start(model, "--record", str(tmp_path / "x.csv"), "--speed", "2")
    first = process.stdout.readline()
    begun = time.perf_counter()
    rest = process.communicate(timeout=60)[0]
    assert len(told(first + rest)) == 360
    assert time.perf_counter() - begun > 0.3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_all_complete_lines(model, tmp_path, number):
    state = tmp_path / "state"
    process = start(model, "--checkpoint", str(state))
    process.stdin.write(b"0.1\n0.2\n")
    process.stdin.flush()
    first = [process.stdout.readline() for _ in range(2)]
    process.stdin.write(b"0.3\n0.")
    process.stdin.flush()
    process.send_signal(number)
    rest = process.stdout.read()
    assert process.wait(20) == 130
    assert [line["sample"] for line in told(b"".join(first) + rest)] == [0.1, 0.2, 0.3]
    assert StreamPredictor.resume(MODEL, state).samples == 3


def test_a_checkpoint_on_request(model, tmp_path):
    state = tmp_path / "state"
    process = start(model, "--checkpoint", str(state))
    process.stdin.write(b"0.1\n0.2\n0.3\n")
    process.stdin.flush()
    for _ in range(3):
        process.stdout.readline()
    process.send_signal(signal.SIGUSR1)
    deadline = time.monotonic() + 20
    while not state.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert StreamPredictor.resume(MODEL, state).samples == 3
    assert process.poll() is None
    process.communicate(timeout=60)


def test_a_reader_that_does_not_read_holds_it_up_and_loses_nothing(model):
    process = start(model)
    lines = b"0.1\n" * 20_000
    writer = threading.Thread(target=lambda: (process.stdin.write(lines), process.stdin.close()))
    writer.start()
    time.sleep(1.0)
    assert process.poll() is None
    out = process.stdout.read()
    writer.join()
    assert process.wait(20) == 0
    assert len(told(out)) == 20_000


def test_a_stuck_reader_does_not_keep_it_from_ending(model):
    process = start(model)
    writer = threading.Thread(target=lambda: process.stdin.write(b"0.1\n" * 20_000), daemon=True)
    writer.start()
    process.stdout.readline()
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 130


def test_a_reader_that_goes_ends_it(model):
    process = start(model)
    process.stdout.close()
    process.stdin.write(b"0.1\n")
    process.stdin.flush()
    assert process.wait(60) == 0
    assert json.loads(process.stderr.read().splitlines()[-1])["samples"] == 1


def test_refusals_are_one_line(model, tmp_path):
    for arguments, words in (
        ([str(tmp_path / "missing")], "no such file"),
        ([model, "--resume"], "give --checkpoint"),
        ([model, "--record", str(tmp_path / "none")], "no such file"),
    ):
        process = start(*arguments)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (2, b"")
        assert words in err.decode()
        assert len(err.splitlines()) == 1


@pytest.mark.parametrize("leads", [1, 2])
def test_a_lab_streaming_layer(leads, tmp_path):
    pytest.importorskip("pylsl", exc_type=ImportError)
    configuration = tmp_path / "lsl_api.cfg"
    configuration.write_text("[multicast]\nResolveScope = machine\nListenAddress = 127.0.0.1\n")
    known = MODEL if leads == 1 else JOINED
    save(known, tmp_path / "model.safetensors")
    other, samples = np.round(RNG.standard_normal((2, 400)), 3)
    source = f"""
import pylsl
outlet = pylsl.StreamOutlet(pylsl.StreamInfo("ecgcvx-test", "ECG", 3, 360.0, "double64", "ecgcvx-test-{os.getpid()}"))
outlet.wait_for_consumers(30)
for i, (sample, other) in enumerate(zip({samples.tolist()}, {other.tolist()})):
    outlet.push_sample([-1.0, sample, other], 100.0 + i / 360)
input()
"""
    environment = ENVIRONMENT | {"LSLAPICFG": str(configuration)}
    outlet = subprocess.Popen([sys.executable, "-c", source], env=environment, stdin=subprocess.PIPE, text=True,
                              stderr=subprocess.DEVNULL)  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "ecgcvx", "stream", str(tmp_path), "--lsl", "ecgcvx-test", "--channel",
         "1" if leads == 1 else "2,1"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    found = [json.loads(process.stdout.readline()) for _ in range(len(samples))]
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 130
    outlet.communicate("\n", timeout=20)
    np.testing.assert_array_equal([line["sample"] for line in found], samples)
    assert [line.get("emptied") for line in found] == [None] * len(samples)
    predictions = np.array([line["prediction"] for line in found], dtype=float)
    taken = samples if leads == 1 else np.stack([other, samples])
    np.testing.assert_array_equal(predictions, StreamPredictor(known).push_chunk(taken).predictions)


@pytest.mark.parametrize("rate", [241.0, 250.0, 300.0, 350.0, 357.0, 363.0, 400.0, 500.0, 719.0])
def test_another_sampling_frequency_is_a_jump_and_a_hint(rate):
    stream, clock = StreamPredictor(MODEL), source.ClockCheck(360.0)
    for k in range(400):
        stream.push(0.1, k / rate * 360.0)
        clock.see(k / rate)
    jumps = sum(bool(stream.push(0.1, k / rate * 360.0).emptied) for k in range(400, 800))
    assert jumps >= 2
    assert (clock.hint is not None) == (abs(rate - 360) > 0.02 * 360)


@given(st.floats(-0.002, 0.002), st.integers(0, 99))
def test_jitter_and_drift_of_a_clock_are_no_jumps(drift, seed):
    stream, random = StreamPredictor(MODEL), np.random.default_rng(seed)
    for k in range(300):
        step = stream.push(0.1, k * (1 + drift) + random.uniform(-0.2, 0.2))
        assert not step.emptied or k == 0


def test_times_in_milliseconds_are_hinted_at_once(model):
    lines = b"time,ecg\n" + b"".join(b"%d,0.%d\n" % (1_700_000_000_000 + 1000 * k // 360, k % 7) for k in range(120))
    process = start(model)
    _, told = process.communicate(lines)
    assert told.count(b"are they in ms? give seconds") == 1


BAD = [
    b"9" * 400, b"1e400x", b"[" * 100_000, b'{"sample": ' + b"9" * 400 + b"}", b'{"sample": ' + b"9" * 5000 + b"}",
    b"1_000", "\u0661\u0662".encode(), b"0,1234", b"-0,0066", b"1e300", b'{"sample": true}', b"x" * 200_000, b"nan,0.1",
    b"\x00\xff",
]  # fmt: skip


def test_no_line_ends_the_reader(model):
    """Each bad line stands between good ones; the reader goes on after every one of them."""
    process = start(model)
    good = [round(0.1 + k / 100, 2) for k in range(len(BAD) + 1)]
    parts = [b"%.2f\n" % good[0]]
    for bad, sample in zip(BAD, good[1:], strict=True):
        parts += [bad, b"\n", b"%.2f\n" % sample]
    out, told = process.communicate(b"".join(parts))
    assert process.returncode == 0
    assert [json.loads(line)["sample"] for line in out.splitlines()] == good
    summary = json.loads(told.splitlines()[-1])
    assert (summary["samples"], summary["malformed"]) == (len(good), len(BAD))


@given(
    st.lists(st.one_of(st.binary(max_size=40), st.text(max_size=30).map(str.encode), st.sampled_from(BAD)), max_size=5)
)
def test_parsing_any_bytes_gives_a_sample_or_a_refusal(lines):
    for line in lines:
        try:
            sample = parse(line.strip(), 360.0)
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            continue
        assert not abs(sample.value) > 1e10
