"""Networks against the formulas written out, and against the convex programs they come from."""

import numpy as np
import pytest
from two_layers import two_layers

from ecgcvx.activations import Polynomial
from ecgcvx.arrangements.sampling import sample_patterns
from ecgcvx.errors import InputError
from ecgcvx.kinds.registry import model_class
from ecgcvx.models import GatedNetwork, PolynomialNetwork, ReluNetwork, network_of
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import gated_relu_program, relu_program
from ecgcvx.solvers.cvxpy_solver import CvxpySolver


@pytest.fixture
def data():
    rng = np.random.default_rng(3)
    X = np.c_[rng.standard_normal((60, 3)), np.ones(60)]
    return X, np.maximum(X @ rng.standard_normal(4), 0) - np.maximum(X @ rng.standard_normal(4), 0)


def test_a_polynomial_network_is_the_formula():
    rng = np.random.default_rng(0)
    X, W1, W2 = rng.standard_normal((20, 4)), rng.standard_normal((4, 3)), rng.standard_normal(3)
    network = PolynomialNetwork(W1, W2, Polynomial(2.0, 3.0, 5.0))
    expected = [sum(W2[j] * (2 * (x @ W1[:, j]) ** 2 + 3 * (x @ W1[:, j]) + 5) for j in range(3)) for x in X]
    np.testing.assert_allclose(network.predict(X), expected, rtol=1e-12)


def by_hand(network, x):
    """f(x) neuron by neuron."""
    total = 0.0
    for j in range(network.neurons):
        z = float(x @ network.W1[:, j])
        on = z > 0 if not isinstance(network, GatedNetwork) else float(x @ network.gates[:, j]) >= 0
        total += network.W2[j] * z * on
    return total


@pytest.mark.parametrize("gated", [False, True])
def test_predict_is_the_formula(gated):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 4))
    network = two_layers(
        rng.standard_normal((4, 7)), rng.standard_normal(7), rng.standard_normal((4, 7)) if gated else None
    )
    np.testing.assert_allclose(network.predict(X), [by_hand(network, x) for x in X], atol=1e-12)


@pytest.mark.parametrize("build", [relu_program, gated_relu_program])
def test_a_program_and_its_network_agree(data, build):
    X, y = data
    program = build(PatternFeatures(X, sample_patterns(X, 20, 0)), y, 1e-2)
    solution = CvxpySolver().solve(program)
    network = network_of(program, solution.u)
    np.testing.assert_allclose(network.predict(X), program.predict(solution.u), atol=1e-9)
    decay = (np.sum(network.W1**2) + np.sum(network.W2**2)) / 2
    loss = np.sum((network.predict(X) - y) ** 2) / (2 * len(y))
    assert loss + program.beta * decay == pytest.approx(solution.primal, rel=1e-9)


def test_an_empty_network_predicts_zero():
    network = ReluNetwork(np.empty((3, 0)), np.empty(0))
    np.testing.assert_array_equal(network.predict(np.ones((5, 3))), np.zeros(5))


def test_unusable_weights_are_refused():
    with pytest.raises(InputError, match="do not fit"):
        ReluNetwork(np.ones((3, 2)), np.ones(3))
    with pytest.raises(InputError, match="gates"):
        GatedNetwork(np.ones((3, 2)), np.ones(2), np.ones((2, 2)))
    with pytest.raises(InputError, match="W1 holds"):
        ReluNetwork(np.full((3, 2), np.nan), np.ones(2))
    with pytest.raises(InputError, match="takes 3 inputs"):
        ReluNetwork(np.ones((3, 2)), np.ones(2)).predict(np.ones((5, 4)))


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("polynomial", {"polynomial": [1.0, "nan", 0.0]}),
        ("polynomial", {"polynomial": [True, 1.0, 0.0]}),
        ("conv", {"taps": 2.0}),
        ("conv", {"stride": 1.5}),
        ("conv", {"context": True}),
        ("conv", {"columns": 4.0}),
        ("batchnorm", {"order": "between"}),
        ("three-layer", {"linear": "no"}),
        ("stack", {"betas": [["1e-3"]]}),
    ],
)
def test_attributes_of_another_type_are_refused(kind, attributes):
    W1, W2 = np.ones((4, 1)), np.ones(1)
    tensors = {
        "conv": {"W1": np.ones((3, 1)), "W2": W2},
        "three-layer": {"Z": np.ones((1, 2, 4)), "signs": np.ones((1, 2)), "W2": W2},
        "stack": {"0.0.projection": np.eye(4), "0.0.linear": np.ones(4), "0.0.W1": W1, "0.0.W2": W2},
    }.get(kind, {"W1": W1, "W2": W2})
    whole = (
        {"taps": 2, "stride": 1, "pooling": "sum", "context": 1, "segments": 1, "columns": 4} if kind == "conv" else {}
    )
    right = {"polynomial": [1.0, 0.0, 0.0], "order": "after", "linear": False, "betas": [[1e-3]]}
    known = {name: right[name] for name in attributes if name in right} | whole
    assert model_class(kind).from_tensors(tensors, known).inputs == 4
    with pytest.raises((TypeError, ValueError)):
        model_class(kind).from_tensors(tensors, known | attributes)
