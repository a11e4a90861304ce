"""Consensus ADMM against the optimum of the whole program by an interior-point method."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from ecgcvx.arrangements import Patterns, sample_patterns
from ecgcvx.errors import InputError, SolverError
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.losses import LogisticLoss
from ecgcvx.programs.program import gated_relu_program, relu_program
from ecgcvx.programs.shards import JoinedFeatures, split_program
from ecgcvx.records import read_recording
from ecgcvx.solvers.consensus import ConsensusSolver
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.windows import split_windows

RING, PATH = ((0, 1), (1, 2), (2, 3), (3, 0)), ((0, 1), (1, 2), (2, 3))
networks = pytest.mark.parametrize("network", [gated_relu_program, relu_program], ids=lambda f: f.__name__)
graphs = pytest.mark.parametrize("neighbours", [None, RING, PATH], ids=["hub", "ring", "path"])


def small(network, seed=0, n=43, d=4, p=6):
    rng = np.random.default_rng(seed)
    X = np.c_[rng.standard_normal((n, d - 1)), np.ones(n)]
    y = np.maximum(X @ rng.standard_normal(d), 0) + 0.1 * rng.standard_normal(n)
    return network(PatternFeatures(X, sample_patterns(X, p, seed)), y, 0.02)


@networks
@graphs
def test_shards_agree_on_the_centralised_optimum(network, neighbours):
    program = small(network)
    optimum = CvxpySolver(gap=1e-9).solve(program).primal
    found = ConsensusSolver(gap=1e-5, neighbours=neighbours).solve(split_program(program, 4))
    assert found.status == "optimal"
    assert found.gap <= 1e-5
    assert found.primal == pytest.approx(optimum, rel=1e-5)
    assert found.dual <= optimum * (1 + 1e-9)
    assert found.primal == pytest.approx(program.objective(found.u), rel=1e-12)
    assert program.violation(found.u) <= 1e-12
    assert found.disagreement <= 1e-2


@graphs
def test_the_gated_network_of_a_record(neighbours, record_208):
    train = split_windows(read_recording(str(record_208)).signal).train
    X = train.X[0:1000]
    program = gated_relu_program(PatternFeatures(X, sample_patterns(X, 8, 0)), train.y[:1000], 1e-3)
    optimum = CvxpySolver(gap=1e-8).solve(program).primal
    found = ConsensusSolver(gap=1e-3, neighbours=neighbours).solve(split_program(program, 4))
    assert found.status == "optimal"
    assert found.primal == pytest.approx(optimum, rel=1e-3)


def test_one_shard_is_the_program_itself():
    program = small(gated_relu_program)
    found = ConsensusSolver(gap=1e-7).solve([program])
    assert found.primal == pytest.approx(CvxpySolver(gap=1e-9).solve(program).primal, rel=1e-7)


def test_the_order_of_shards_does_not_matter():
    shards = split_program(small(relu_program), 3)
    first, second = (ConsensusSolver(gap=1e-6).solve(several) for several in (shards, shards[::-1]))
    assert first.primal == pytest.approx(second.primal, rel=1e-6)


@pytest.mark.parametrize("neighbours", [None, RING])
def test_bytes_grow_by_what_an_iteration_sends(neighbours):
    """Up and down with a hub, both ways along each link of a ring: 8 copies of 24 numbers of 8 bytes."""
    shards = split_program(small(gated_relu_program), 4)
    rounds = [ConsensusSolver(gap=1e-15, rounds=2, iterations=k, neighbours=neighbours).solve(shards) for k in (5, 9)]
    (short, long) = (found.traffic[1] - found.traffic[0] for found in rounds)
    assert long - short == 4 * 8 * 24 * 8
    for found in rounds:
        assert all(b > a for a, b in pairwise(found.traffic))
        assert found.exchanged > found.traffic[-1]


def test_a_shard_keeps_its_rows_of_every_pattern():
    program = small(relu_program)
    shards = split_program(program, 4)
    masks = [np.stack([shard.features.patterns.mask(i) for i in range(6)]) for shard in shards]
    whole = np.stack([program.features.patterns.mask(i) for i in range(6)])
    np.testing.assert_array_equal(np.concatenate(masks, axis=1), whole)
    np.testing.assert_array_equal(np.concatenate([shard.y for shard in shards]), program.y)


def test_joined_features_are_the_whole_ones():
    random = np.random.default_rng(0)
    program = small(relu_program)
    whole, joined = program.features, JoinedFeatures(tuple(s.features for s in split_program(program, 4)))
    z, r, blocks, rows = random.standard_normal((6, 4)), random.standard_normal(43), np.array([0, 3]), np.array([41, 2])
    np.testing.assert_allclose(joined.apply(z), whole.apply(z))
    np.testing.assert_allclose(joined.correlate(r), whole.correlate(r))
    np.testing.assert_allclose(joined.cone_values(blocks, z[:2]), whole.cone_values(blocks, z[:2]))
    np.testing.assert_allclose(joined.cone_rows(3, rows), whole.cone_rows(3, rows))
    np.testing.assert_allclose(joined.gram(r).H, whole.gram(r).H)
    np.testing.assert_allclose(joined.products(blocks, blocks[:1]), whole.products(blocks, blocks[:1]))
    np.testing.assert_allclose(joined.curvature, whole.curvature)


def other_gates(shard):
    patterns = shard.features.patterns
    return replace(
        shard, features=replace(shard.features, patterns=Patterns(patterns.packed, patterns.n, -patterns.gates))
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda shards: [], "shards: there are none"),
        (lambda shards: [shards[0], replace(shards[1], beta=1.0)], "shard 1: its variables, signs, cones or beta"),
        (lambda shards: [shards[0], other_gates(shards[1])], "shard 1: its gates are not those of shard 0"),
    ],
)
def test_refuses_shards_of_different_programs(change, message):
    with pytest.raises(InputError, match=message):
        ConsensusSolver().solve(change(split_program(small(gated_relu_program), 2)))


@pytest.mark.parametrize(
    ("neighbours", "message"),
    [(((0, 1),), "shard 2 has no path to shard 0"), (((0, 4),), "two different shards of 0 to 3"), (((1, 1),), "two")],
)
def test_refuses_graphs_that_do_not_connect(neighbours, message):
    with pytest.raises(InputError, match=message):
        ConsensusSolver(neighbours=neighbours).solve(split_program(small(gated_relu_program), 4))


def test_refuses_more_shards_than_eights_of_rows():
    with pytest.raises(InputError, match="43 rows make 1 to 5 shards"):
        split_program(small(gated_relu_program), 6)


def test_refuses_a_logistic_loss():
    program = small(gated_relu_program)
    program = replace(program, y=np.sign(program.y), loss=LogisticLoss())
    with pytest.raises(SolverError, match="LogisticLoss"):
        ConsensusSolver().solve(split_program(program, 2))
