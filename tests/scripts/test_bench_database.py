"""The benchmark over a database: its coder round trip, what its forecasters know, and what it stores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bench_database
from database_models import LONGEST, Forecaster, Rows, Series, linear, perceptron, polynomial, relu
from lossless import adapted, code_lengths, first_state, mixed_below, take_in

SIZE = 256
WHOLE, HALF, QUARTER = 1 << 32, 1 << 31, 1 << 30
STEPS = 1 << 24  # of a frequency table


def _walk(n, seed=0, size=SIZE):
    random = np.random.default_rng(seed)
    smooth = 30 * np.sin(np.arange(n) / 9) + 40 * (np.arange(n) % 90 < 5) + 2 * random.standard_normal(n)
    return np.clip(np.round(smooth + size / 2), 0, size - 1).astype(np.int64)


def _frequencies(edge, forecast, state):
    """An integer P(x < edge) that never gives a symbol nothing."""
    return round(mixed_below(edge, forecast, state, SIZE) * (STEPS - SIZE)) + edge


class _Encoder:
    """The arithmetic coder of Witten, Neal and Cleary (1987)."""

    def __init__(self):
        self.low, self.high, self.pending, self.bits = 0, WHOLE - 1, 0, []

    def put(self, start, stop):
        width = self.high - self.low + 1
        self.low, self.high = self.low + width * start // STEPS, self.low + width * stop // STEPS - 1
        while True:
            if self.high < HALF:
                self._bit(0)
            elif self.low >= HALF:
                self._bit(1)
                self.low, self.high = self.low - HALF, self.high - HALF
            elif self.low >= QUARTER and self.high < 3 * QUARTER:
                self.pending += 1
                self.low, self.high = self.low - QUARTER, self.high - QUARTER
            else:
                return
            self.low, self.high = 2 * self.low, 2 * self.high + 1

    def _bit(self, bit):
        self.bits += [bit, *[1 - bit] * self.pending]
        self.pending = 0

    def end(self):
        self.pending += 1
        self._bit(int(self.low >= QUARTER))
        return self.bits


class _Decoder:
    def __init__(self, bits):
        self.bits = iter([*bits, *[0] * 64])
        self.low, self.high, self.value = 0, WHOLE - 1, 0
        for _ in range(32):
            self.value = 2 * self.value + next(self.bits)

    def get(self, frequency):
        width = self.high - self.low + 1
        held = ((self.value - self.low + 1) * STEPS - 1) // width
        a, b = 0, SIZE
        while b - a > 1:
            middle = (a + b) // 2
            a, b = (middle, b) if frequency(middle) <= held else (a, middle)
        start, stop = frequency(a), frequency(a + 1)
        self.low, self.high = self.low + width * start // STEPS, self.low + width * stop // STEPS - 1
        while True:
            if self.high < HALF:
                shift = 0
            elif self.low >= HALF:
                shift = HALF
            elif self.low >= QUARTER and self.high < 3 * QUARTER:
                shift = QUARTER
            else:
                return a
            self.low, self.high = 2 * (self.low - shift), 2 * (self.high - shift) + 1
            self.value = 2 * (self.value - shift) + next(self.bits)


def _forecast(known):
    """The decoder has nothing but the samples before."""
    return 2.0 * known[-1] - known[-2] if len(known) > 1 else SIZE / 2


def test_an_arithmetic_coder_gives_the_samples_back_in_the_bits_that_are_counted():
    samples = _walk(1500)
    forecasts = np.array([_forecast(samples[:t]) for t in range(len(samples))])
    lengths = code_lengths(samples, forecasts, first_state(), SIZE)
    encoder, state = _Encoder(), first_state()
    for x, forecast in zip(samples, forecasts, strict=True):
        encoder.put(_frequencies(x, forecast, state), _frequencies(x + 1, forecast, state))
        take_in(x, forecast, state, SIZE)
    bits = encoder.end()
    decoder, state, found = _Decoder(bits), first_state(), []
    for _ in samples:
        forecast = _forecast(found)
        x = decoder.get(lambda edge, forecast=forecast: _frequencies(edge, forecast, state))
        take_in(x, forecast, state, SIZE)
        found.append(x)
    assert found == samples.tolist()
    assert len(bits) == pytest.approx(lengths.sum(), rel=2e-3, abs=3)


@given(st.integers(0, 2**32 - 1), st.floats(-3 * SIZE, 3 * SIZE))
@settings(max_examples=30, deadline=None)
def test_the_probabilities_of_the_alphabet_sum_to_one_whatever_the_state(seed, forecast):
    state = first_state()
    code_lengths(_walk(50, seed), np.full(50, SIZE / 2), state, SIZE)
    edges = np.array([mixed_below(edge, forecast, state, SIZE) for edge in range(SIZE + 1)])
    assert edges[0] == 0
    assert edges[-1] == pytest.approx(1, abs=1e-12)
    assert (np.diff(edges) > 0).all()
    probability = edges[8] - edges[7]
    assert take_in(7, forecast, state, SIZE) == pytest.approx(probability, rel=1e-6, abs=1e-12)


def test_bits_of_noise_are_near_its_entropy():
    sigma = 6.0
    samples = np.round(1024 + sigma * np.random.default_rng(0).standard_normal(20_000)).astype(np.int64)
    bits = code_lengths(samples, np.full(len(samples), 1024.0), first_state(), 2048)
    entropy = 0.5 * np.log2(2 * np.pi * np.e * sigma**2)
    assert entropy - 0.02 < bits.mean() < entropy + 0.12


def test_the_adaptive_stage_starts_at_the_forecast_and_finds_what_it_lacks():
    random = np.random.default_rng(0)
    steps = np.zeros(4000)
    for t in range(1, 4000):
        steps[t] = 0.8 * steps[t - 1] + random.standard_normal()
    signal = np.cumsum(steps)
    last = np.r_[signal[0], signal[:-1]]
    found = adapted(signal, last, np.ones(4000))
    assert found[0] == last[0]
    assert np.std((signal - found)[500:]) == pytest.approx(1.0, rel=0.03)
    assert np.std((signal - last)[500:]) > 1.5


def _series(samples):
    return Series("synthetic", "MLII", samples, np.roll(samples, 1), SIZE, 200.0)


CHEAP = {"beta": 1e-3, "step": 1e-2, "epochs": 2.0, "rounds": 1.0}
LEARNERS = {"linear": linear, "MLP": perceptron(4), "polynomial": polynomial, "relu": relu}


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("rows", [Rows(), Rows(window=20, scaled=True)], ids=["plain", "scaled"])
@pytest.mark.parametrize("learner", LEARNERS)
def test_no_forecast_knows_a_later_sample(learner, rows, horizon):
    samples = _walk(1500)
    changed = samples.copy()
    changed[1300:] = SIZE - 1 - changed[1300:]
    model = Forecaster(learner, LEARNERS[learner], rows)
    known = np.arange(1100, 1300 + horizon)
    found = [model.forecasts(_series(one), CHEAP, horizon, 1000, known) for one in (samples, changed)]
    np.testing.assert_array_equal(*found)
    later = np.arange(1300 + horizon, 1400)
    assert (model.forecasts(_series(changed), CHEAP, horizon, 1000, later) != samples[later]).any()


def test_the_second_lead_is_known_to_the_sample_that_is_forecast():
    samples = _walk(1500)
    series, other = _series(samples), _series(samples)
    shifted = series.other.copy()
    shifted[1301:] = 0
    object.__setattr__(other, "other", shifted)
    model = Forecaster("both", linear, Rows(window=20, scaled=True, leads=2))
    targets = np.arange(1100, 1302)
    first, second = (model.forecasts(one, {}, 1, 1000, targets) for one in (series, other))
    np.testing.assert_array_equal(first[:-1], second[:-1])
    assert first[-1] != second[-1]


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Runs the benchmark on two made-up records."""
    made = []
    for name in ("100", "101"):
        (tmp_path / f"{name}.hea").touch()

    def series(path):
        made.append(path.name)
        return _series(_walk(2000, int(path.name)))

    monkeypatch.setattr(bench_database, "read_series", series)

    def run(*words):
        made.clear()
        arguments = bench_database._parser().parse_args([*words, "--output", str(tmp_path / "out")])
        arguments.run(arguments)
        return list(made)

    run.folder, run.results = str(tmp_path), tmp_path / "out" / bench_database.STORED
    return run


def test_what_is_stored_is_not_run_again_and_the_tables_hold_it(bench, capsys, tmp_path):
    words = ["run", bench.folder, "--model", "linear AR", "persistence", "ecgcvx, polynomial", "--horizon", "1", "2"]
    assert len(bench(*words)) > 12
    assert bench(*words) == []
    lines = bench.results.read_text().splitlines(keepends=True)
    bench.results.write_text("".join(lines[:-1]))
    assert bench(*words) == ["101"]
    bench("table")
    told = capsys.readouterr().out
    assert "| linear AR | 2 |" in told
    assert "+0.0 %" in told
    bench("figure", str(tmp_path / "f.png"))
    assert (tmp_path / "f.png").stat().st_size > 1000


def test_errors_are_those_of_the_samples_after_the_boundary(bench):
    bench("run", bench.folder, "--model", "persistence", "--record", "101")
    samples = _walk(2000, 101)
    targets = np.arange(1600 + LONGEST, 2000)
    wanted = np.sqrt(np.mean((samples[targets] - samples[targets - 1]) ** 2.0)) / 200
    (line,) = bench_database.stored_lines(bench.results)
    assert line["rmse_mv"] == pytest.approx(wanted)
