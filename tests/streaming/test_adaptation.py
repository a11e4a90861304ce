"""Sizes solved from what is remembered are those of CVXPY on the windows themselves; the stream uses certified ones."""

import time
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from two_layers import two_layers

from ecgcvx.activations import Polynomial
from ecgcvx.errors import InputError
from ecgcvx.forecaster import Forecaster
from ecgcvx.streaming import StreamPredictor
from ecgcvx.streaming.adaptation import GAP, AdaptiveStream, SizeStatistics
from ecgcvx.windows import Scaler, all_windows

RATE = 20.0


def forecaster(kind="relu", neurons=6, beta=1e-3):
    rng = np.random.default_rng(2)
    W1, gates = rng.standard_normal((2, 5, neurons))
    if kind == "polynomial":
        W1 /= np.linalg.norm(W1, axis=0)
    extra = {"relu": {}, "gated": {"gates": gates}, "polynomial": {"polynomial": Polynomial(0.09, 0.5, 0.47)}}[kind]
    network = two_layers(W1, rng.standard_normal(neurons), **extra)
    return Forecaster(network, Scaler(0.1, 0.5), "MLII", RATE, 4, 1, beta)


def signal(n=600):
    rng = np.random.default_rng(5)
    out = 0.5 * np.sin(np.arange(n) / 3) + 0.1 * rng.standard_normal(n)
    out[100:103] = np.nan
    return out


@pytest.mark.parametrize("kind", ["relu", "gated", "polynomial"])
def test_sizes_are_those_of_cvxpy_on_the_forgotten_windows(kind):
    model, samples, memory = forecaster(kind), signal(), 8.0
    statistics = SizeStatistics(model, memory)
    for piece in np.split(samples, [7, 8, 101, 300]):
        statistics.absorb(piece)
    adapted = statistics.solve()
    windows = all_windows(samples, model.scaler, 4, 1)
    weights = np.exp(-(len(samples) - 1 - windows.targets) / (memory * RATE))
    network = model.network
    norms = 1.0 if kind == "polynomial" else np.linalg.norm(network.W1, axis=0)
    features = network.activations(windows.X[:]) / norms * np.sign(network.W2)
    c = cp.Variable(network.neurons, nonneg=True)
    loss = cp.sum_squares(cp.multiply(np.sqrt(weights / weights.sum() / 2), features @ c - windows.y))
    problem = cp.Problem(cp.Minimize(loss + model.beta * cp.sum(c)))
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
    assert adapted.after == pytest.approx(problem.value, rel=1e-7)
    assert adapted.after <= adapted.before
    assert adapted.certified
    assert adapted.samples == pytest.approx(weights.sum(), rel=1e-12)
    f = adapted.network.predict(windows.X)
    penalty = np.sum(np.abs(adapted.network.W2) * norms)
    primal = weights @ (f - windows.y) ** 2 / (2 * weights.sum()) + model.beta * penalty
    assert primal == pytest.approx(adapted.after, rel=1e-9)
    moved = (f - network.predict(windows.X)) * model.scaler.scale
    assert adapted.drift == pytest.approx(np.sqrt(weights @ moved**2 / weights.sum()), rel=1e-6)


def test_the_gap_bounds_the_distance_to_the_optimum():
    statistics = SizeStatistics(forecaster(), 8.0)
    statistics.absorb(signal())
    best = statistics.solve().after
    from ecgcvx.solvers.active_set.amplitudes import AmplitudeSystem

    system = AmplitudeSystem(statistics._Q / statistics._n, statistics._b / statistics._n)
    for seed in range(20):
        c = np.random.default_rng(seed).uniform(0, 2, 6)
        assert statistics._bound(system, c) <= best * (1 + 1e-9) <= statistics._objective(system, c) * (1 + 1e-8)


def test_too_little_is_no_ground_to_change():
    statistics = SizeStatistics(forecaster(), 8.0)
    statistics.absorb(signal(40))
    assert statistics.solve() is None


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.slow
def test_an_adaptive_stream_uses_the_certified_network_and_a_plain_one_never_changes():
    model, samples, found = forecaster(), signal(), []
    plain, stream = StreamPredictor(model), StreamPredictor(model)
    adaptive = AdaptiveStream(stream, memory=8.0, every=10.0, report=found.append)
    for sample in samples[:200]:
        assert adaptive.push(sample)[:5] == pytest.approx(plain.push(sample)[:5], abs=0, nan_ok=True)
    wait_for(lambda: found)
    assert stream.network is model.network
    step = adaptive.push(samples[200])
    assert stream.network is found[0].network
    assert found[0].gap <= GAP
    plain.push_chunk(samples[200:201])
    assert plain.network is model.network
    x = np.append(model.scaler.standardise(samples[197:201]), 1.0)
    assert step.prediction == model.scaler.restore(found[0].network.predict(x[None]))[0]
    adaptive.close()


def test_the_stream_does_not_wait_for_a_slow_solve():
    model, samples = forecaster(), signal()
    started, release = [], []

    def slow(adapted):
        started.append(adapted)
        wait_for(lambda: release)

    adaptive = AdaptiveStream(StreamPredictor(model), memory=8.0, every=5.0, report=slow)
    for sample in samples[:100]:
        adaptive.push(sample)
    wait_for(lambda: started)
    for sample in samples[100:]:
        adaptive.push(sample)
    assert adaptive.skipped == 4  # of five intervals more one waits
    release.append(True)
    adaptive.close()


def test_a_checkpoint_keeps_what_was_adapted(tmp_path):
    model = forecaster()
    statistics = SizeStatistics(model, 8.0)
    statistics.absorb(signal())
    stream = StreamPredictor(model)
    stream.replace(statistics.solve().network)
    stream.push_chunk(signal()[:50])
    stream.save(tmp_path / "state")
    again = StreamPredictor.resume(model, tmp_path / "state")
    np.testing.assert_array_equal(
        again.push_chunk(signal()[50:99]).predictions, stream.push_chunk(signal()[50:99]).predictions
    )


def test_unusable_options_are_refused():
    model = forecaster()
    with pytest.raises(InputError, match="memory = 0"):
        SizeStatistics(model, 0)
    with pytest.raises(InputError, match="beta = 0"):
        SizeStatistics(replace(model, beta=0.0), 8.0)
    with pytest.raises(InputError, match="2 channels"):
        AdaptiveStream(StreamPredictor(model, 2), 8.0)
    with pytest.raises(InputError, match="every = -1"):
        AdaptiveStream(StreamPredictor(model), 8.0, -1)
