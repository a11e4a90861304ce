"""The generators: moments, the flow of the mixture against quantiles, planted data, and what is refused."""

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import kstest

from ecgcvx.errors import InputError
from ecgcvx.gan.aligned import AlignedBeats
from ecgcvx.gan.generator import BeatGenerator, even_normals
from ecgcvx.gan.mixture import Mixture, fit_mixture
from ecgcvx.gan.target import moment_error, moment_target

FAST = {"scores": 4, "stage": 2, "latents": 600, "beta": 1e-3}


def planted(seed=0, n=400, length=24):
    """Beats on a curve: a bump whose place depends on a uniform variable, of two sizes, and noise."""
    random = np.random.default_rng(seed)
    t = np.linspace(-1, 1, length)
    place, size = random.uniform(-0.3, 0.3, n), random.choice([0.6, 1.4], n)
    return size[:, None] * np.exp(-20 * (t - place[:, None]) ** 2) + 0.02 * random.standard_normal((n, length))


@pytest.fixture(scope="module")
def generators():
    return {kind: BeatGenerator.fit(planted(), kind, **FAST) for kind in ("relu", "progressive")}


@pytest.mark.parametrize("kind", ["linear", "relu", "progressive"])
@pytest.mark.parametrize("options", [{}, {"beta_d": 1e-3}, {"rank": 7}])
def test_the_columns_have_the_moments_of_the_target(kind, options):
    X = planted()
    generator = BeatGenerator.fit(X, kind, **{**FAST, "latents": 100, "beta": 0.05}, **options)
    target = moment_target(X, **options)
    np.testing.assert_allclose(generator.L @ generator.L.T, target.covariance(), atol=1e-10 * target.moments[0])
    assert generator.L.shape[1] == target.rank


@pytest.mark.parametrize("kind", ["relu", "progressive"])
def test_drawn_moments(generators, kind):
    drawn = generators[kind].sample(20_000, seed=1)
    assert moment_error(planted(), drawn) < 0.005
    np.testing.assert_allclose(drawn.mean(axis=0), planted().mean(axis=0), atol=0.005)


def test_latents_are_normal_and_more_even_than_independent_ones():
    Z = even_normals(1000, 5, np.random.default_rng(0))
    for column in Z.T:
        assert kstest(column, "norm").statistic < 0.003  # of independent ones: 0.027 in the median
    np.testing.assert_allclose(np.corrcoef(Z.T), np.eye(5), atol=0.03)
    assert abs(np.corrcoef(Z[1:, 0], Z[:-1, 0])[0, 1]) < 0.1  # in random order
    assert even_normals(1, 3, np.random.default_rng(0)).shape == (1, 3)


def test_beats_of_one_class_are_taken_as_they_are_and_mixed_ones_refused():
    X = planted(n=80).reshape(80, 2, 12)
    peaks = np.arange(80)
    beats = AlignedBeats(X, 4, 250.0, ("II", "V1"), ("N",) * 60 + ("V",) * 20, np.ones(80), peaks, "made/1")
    normal = beats.of_class("N")
    whole, matrix = BeatGenerator.fit(normal, **FAST), BeatGenerator.fit(normal.matrix, signals=2, **FAST)
    np.testing.assert_array_equal(whole.sample(9), matrix.sample(9))
    with pytest.raises(InputError, match="made/1: beats of classes N, V in one generator"):
        BeatGenerator.fit(beats, "linear")
    assert BeatGenerator.fit(beats, "linear", mixed=True).target.rank == 24
    with pytest.raises(InputError, match="beats of leads II, V1 are given"):
        BeatGenerator.fit(normal, "linear", signals=1)
    with pytest.raises(InputError, match="have no classes"):
        BeatGenerator.fit(normal.matrix, "linear", mixed=True)


def test_the_linear_generator_is_the_closed_form():
    X = planted()
    generator = BeatGenerator.fit(X, "linear")
    assert generator.stages == ()
    assert moment_error(X, generator.sample(20_000)) < 0.03
    W = generator.target.W
    assert np.abs(W @ W.T - np.diag(np.diag(W @ W.T))).max() < 1e-12


@pytest.mark.parametrize(("kind", "share"), [("relu", 0.7), ("progressive", 0.5)])
def test_two_sizes_stay_two_sizes(generators, kind, share):
    """A Gaussian puts 44 % of the beats between the sizes, where the data have none."""

    def between(X):
        return float(np.mean(np.abs(X.max(axis=1) - 1.0) < 0.2))

    linear = BeatGenerator.fit(planted(), "linear").sample(4000)
    assert between(planted()) < 0.01
    assert between(generators[kind].sample(4000)) < share * between(linear)


def test_a_stage_meets_its_program_and_takes_fresh_latents(generators):
    stages = generators["progressive"].stages
    assert [stage.inputs for stage in stages] == [0, *np.cumsum([stage.width for stage in stages])[:-1]]
    assert sum(stage.width for stage in stages) == FAST["scores"]
    assert [stage.resolution for stage in stages] == sorted((s.resolution for s in stages), reverse=True)
    random = np.random.default_rng(0)
    for stage in stages:
        assert stage.gap <= 0.1 or stage.status != "optimal"
        assert stage.residual < 0.6
        before = random.standard_normal((500, stage.inputs))
        drawn = stage.outputs(before, random.standard_normal((500, stage.width)))
        assert np.linalg.matrix_rank(drawn) == stage.width


def test_the_same_for_a_seed_and_another_for_another():
    first, second = (BeatGenerator.fit(planted(), "relu", **FAST) for _ in range(2))
    np.testing.assert_array_equal(first.sample(20, 3), second.sample(20, 3))
    assert np.abs(first.sample(20, 3) - first.sample(20, 4)).max() > 0.1


def test_leads_and_context_keep_their_correlation():
    random = np.random.default_rng(0)
    X = planted(length=12)
    rr = X.max(axis=1) + 0.1 * random.standard_normal(len(X))
    joint = np.hstack([X, -0.5 * X, rr[:, None]])
    generator = BeatGenerator.fit(joint, "progressive", signals=2, context=1, **FAST)
    drawn = generator.sample(20_000)
    assert moment_error(joint, drawn) < 0.03
    np.testing.assert_allclose(drawn[:, 12:24], -0.5 * drawn[:, :12], atol=1e-4)
    assert np.corrcoef(drawn[:, :12].max(axis=1), drawn[:, -1])[0, 1] > 0.7


def test_in_one_dimension_the_flow_maps_quantiles_to_quantiles():
    mixture = Mixture(np.array([0.3, 0.7]), np.array([[-2.0], [1.0]]), np.array([[[0.2]], [[0.5]]]))
    z = np.linspace(-2.5, 2.5, 41)[:, None]
    x = mixture.flow(z, np.zeros((41, 0)))
    cdf = sum(w * ndtr((x - m) / np.sqrt(v)) for w, m, v in ((0.3, -2.0, 0.2), (0.7, 1.0, 0.5)))
    np.testing.assert_allclose(ndtri(cdf), z, atol=0.05)


def test_the_conditional_flow_of_one_gaussian_is_linear_regression():
    random = np.random.default_rng(0)
    A = random.standard_normal((4, 4))
    C = A @ A.T + 0.5 * np.eye(4)
    C /= np.sqrt(np.outer(np.diag(C), np.diag(C)))  # as the scores are: of unit variance
    mixture = Mixture(np.ones(1), np.array([[0.3, -0.2, 0.4, 0]]), C[None])
    given, z = random.standard_normal((300, 2)), random.standard_normal((300, 2))
    x = mixture.flow(z, given)
    B = C[2:, :2] @ np.linalg.inv(C[:2, :2])
    mean = mixture.means[0, 2:] + (given - mixture.means[0, :2]) @ B.T
    S = C[2:, 2:] - B @ C[:2, 2:]
    values, Q = np.linalg.eigh(S)
    np.testing.assert_allclose(x, mean + z @ (Q * np.sqrt(values)) @ Q.T, atol=0.03 * np.sqrt(values[-1]))


def test_em_finds_planted_clusters():
    random = np.random.default_rng(1)
    labels = random.integers(0, 3, 900)
    centres = np.array([[0.0, 0], [6, 0], [0, 8]])
    mixture = fit_mixture(centres[labels] + random.standard_normal((900, 2)), 3)
    order = [int(np.argmin(np.linalg.norm(mixture.means - c, axis=1))) for c in centres]
    assert sorted(order) == [0, 1, 2]
    np.testing.assert_allclose(mixture.means[order], centres, atol=0.2)
    np.testing.assert_allclose(mixture.weights[order], np.bincount(labels) / 900, atol=0.01)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "gan"}, "kind = 'gan'"),
        ({"rank": 99}, "rank of 1 to 24"),
        ({"signals": 5}, "signals = 5"),
        ({"context": 24}, "context = 24"),
        ({"scores": 0}, "scores = 0"),
        ({"stage": 0}, "stage = 0"),
        ({"latents": 0}, "latents = 0"),
        ({"beta": -1.0, "latents": 50}, "beta = -1"),
    ],
)
def test_what_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        BeatGenerator.fit(planted(), **options)


def test_few_beats_and_no_draws_are_refused():
    with pytest.raises(InputError, match="too few for a ReLU generator"):
        BeatGenerator.fit(planted(n=10))
    with pytest.raises(InputError, match="count = 0"):
        BeatGenerator.fit(planted(n=10), "linear").sample(0)
