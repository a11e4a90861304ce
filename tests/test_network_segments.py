"""Filters with output weights of their own in segments: an exact price on tiny problems, and the whole way of a fit."""

import numpy as np
import pytest
from family_oracles import patches_of, restarts

import ecgcvx
from ecgcvx.atoms.segmented import SegmentedFamily
from ecgcvx.evidence import Evidence
from ecgcvx.models.convolutional import ConvolutionalNetwork
from ecgcvx.patches import Convolution
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.solvers.active_set.loop import ActiveSetSolver

N, COLUMNS, BETA = 14, 5, 0.02
CONVOLUTION = Convolution(2, 1, context=0, segments=2)  # K = 4 patches of 2 samples


def problem(seed):
    random = np.random.default_rng([seed, 7])
    return random.standard_normal((N, COLUMNS)), random.standard_normal(N)


def largest_price(X, v):
    """max_w ||(v'F_1(w), v'F_2(w))||/n over ||w|| = 1: between two kinks v'F_g is linear, so a quadratic form."""
    patches = patches_of(X, 2, 1, 0)
    flat = patches.reshape(-1, 2)
    angle = np.arctan2(flat[:, 1], flat[:, 0])
    kinks = np.sort(np.mod(np.concatenate([angle + np.pi / 2, angle - np.pi / 2]), 2 * np.pi))
    best = 0.0
    for a, b in zip(kinks, np.append(kinks[1:], kinks[0] + 2 * np.pi), strict=True):
        middle = np.array([np.cos((a + b) / 2), np.sin((a + b) / 2)])
        on = patches @ middle > 0
        A = np.stack([((on * v[:, None])[:, g, None] * patches[:, g]).sum(axis=(0, 1)) / 2 for g in ([0, 1], [2, 3])])
        top = np.linalg.eigh(A.T @ A)[1][:, -1]
        angles = [a, b, *(t for t in np.arctan2(top[1], top[0]) + np.pi * np.arange(-2, 5) if a <= t <= b)]
        best = max(best, *(float(np.linalg.norm(A @ [np.cos(t), np.sin(t)])) for t in angles))
    return best / N


def objective(x, X, y, neurons):
    """1/(2n) ||f - y||^2 + beta/2 (||W||^2 + ||a||^2) of networks x (R, N), and the gradients."""
    W, a = (part.reshape(-1, 2, neurons) for part in (x[:, : 2 * neurons], x[:, 2 * neurons :]))
    patches = patches_of(X, 2, 1, 0)
    Z = np.einsum("nkw,rwm->rnkm", patches, W)
    F = np.maximum(Z, 0).reshape(len(x), N, 2, 2, neurons).mean(axis=3)
    r = (np.einsum("rngm,rgm->rn", F, a) - y) / N
    back = (Z > 0) * r[:, :, None, None] * np.repeat(a, 2, axis=1)[:, None] / 2
    G = np.einsum("nkw,rnkm->rwm", patches, back)
    value = N * (r * r).sum(axis=1) / 2 + BETA / 2 * (x * x).sum(axis=1)
    return value, np.c_[G.reshape(len(x), -1), np.einsum("rn,rngm->rgm", r, F).reshape(len(x), -1)] + BETA * x


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_active_set_reaches_the_optimum_that_the_exact_price_proves(seed):
    X, y = problem(seed)
    program = AllPatterns(X, y, BETA, family=SegmentedFamily(CONVOLUTION, COLUMNS))
    found = ActiveSetSolver(gap=1e-7, starts=2000, rounds=40, confirm_starts=2000).solve(program)
    network = program.family.network(found.atoms)
    weights = np.r_[network.W1.ravel(), network.W2.ravel()]
    assert objective(weights[None], X, y, network.neurons)[0] == pytest.approx(found.primal, rel=1e-9)
    v = y - network.predict(X)
    dual = program.dual_value(v, largest_price(X, v))
    assert found.primal - dual <= 1e-5 * found.primal  # on so few rows the price has its maxima at kinks
    trained = restarts(lambda x, _: objective(x, X, y, 8), 32, 8, seed)
    assert trained.min() >= found.primal * (1 - 1e-6)


def test_one_segment_of_each_patch_and_of_all_patches():
    """K segments have an output weight for every patch; equal ones are the pooling over the whole window."""
    random = np.random.default_rng(0)
    X, W1 = random.standard_normal((9, 7)), random.standard_normal((3, 4))
    whole = ConvolutionalNetwork(W1, np.ones(4), Convolution(2), 7)
    split = ConvolutionalNetwork(W1, np.full((5, 4), 1 / 5), Convolution(2, segments=5), 7)
    np.testing.assert_allclose(split.predict(X), whole.predict(X), atol=1e-12)
    one = ConvolutionalNetwork(W1, np.repeat(np.eye(5)[:, 2:3], 4, axis=1), Convolution(2, segments=5), 7)
    patch = np.c_[X[:, 2:4], X[:, 6:]]
    np.testing.assert_allclose(one.predict(X), np.maximum(patch @ W1, 0).sum(axis=1), atol=1e-12)


def test_a_fit_in_segments_goes_the_whole_way(record_208, tmp_path):
    recording = ecgcvx.read_recording(record_208, end=8)
    found = ecgcvx.fit(recording, "conv", segments=2, beta=1e-3, rounds=2, confirm_starts=20)
    network = found.forecaster.network
    assert network.W2.shape == (2, network.neurons)
    (certificate,) = ecgcvx.certify(found, recording, seconds=0.5)
    assert certificate.evidence is Evidence.SEARCHED
    assert certificate.primal == pytest.approx(found.trained.objective, rel=1e-9)
    X = found.split.test.X[:50]
    np.testing.assert_allclose(network.on_window().predict(X), network.predict(X), atol=1e-9)
    found.forecaster.save(tmp_path / "model.safetensors")
    again = ecgcvx.load(tmp_path)
    stream = again.stream()
    made = [stream.push(sample).prediction for sample in recording.signal[:60]]
    np.testing.assert_array_equal(made[:-1], found.forecaster.predict(recording)[1:60])
    assert len(ecgcvx.interpret(again, recording, refitting=None).table)
