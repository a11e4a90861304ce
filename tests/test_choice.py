"""The rule that chooses a network by its validation errors, against the rule written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgcvx.choice import Rule, smallest_good
from ecgcvx.errors import InputError


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0.01, 10)), min_size=1, max_size=8), st.floats(0, 50))
def test_within_is_the_fewest_neurons_of_the_networks_whose_error_is_within(networks, percent):
    neurons = [k for k, _ in networks]
    errors = [np.full(6, error**2) for _, error in networks]
    chosen = smallest_good(Rule.of(f"within:{percent:.4f}%"), neurons, errors, 2)
    rmse = [np.sqrt(e.mean()) for e in errors]
    limit = min(rmse) * (1 + round(percent, 4) / 100)
    assert rmse[chosen] <= limit * (1 + 1e-12)
    assert all(neurons[chosen] <= k for k, error in zip(neurons, rmse, strict=True) if error <= limit * (1 - 1e-12))


def test_best_is_the_smallest_error_and_one_se_the_fewest_within_a_standard_error():
    random = np.random.default_rng(0)
    noise = random.random(360)
    errors = [noise, noise + 0.001, noise + 10.0]
    assert smallest_good(Rule.of("best"), [9, 5, 1], errors, 36) == 0
    assert smallest_good(Rule.of("one-se"), [9, 5, 1], errors, 36) == 1


@pytest.mark.parametrize("text", ["within:1", "within:-1%", "worst", "within:x%", ""])
def test_unknown_rules_are_refused(text):
    with pytest.raises(InputError, match="choose = "):
        Rule.of(text)
