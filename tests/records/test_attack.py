"""A short run of the fuzzers in scripts/attack; the scripts run for as long as they are told."""

import numpy as np
import pytest

from attack import checkpoints, classifiers, headers, metrics, models, streams, tables
from attack.common import attack


@pytest.mark.parametrize(
    ("target", "inputs"),
    [
        (tables, 150),
        (headers, 150),
        (models, 400),
        (classifiers, 200),
        (checkpoints, 200),
        (streams, 600),
        (metrics, 600),
    ],
    ids=["tables", "headers", "models", "classifiers", "checkpoints", "streams", "metrics"],
)
def test_no_input_does_harm(target, inputs):
    found = attack(target.try_one, inputs=inputs, seed=1)
    assert found["faults"] == []
    assert found["outcomes"]["read"] > 20
    assert found["outcomes"]["refused"] > 20


def test_a_fault_is_seen_and_can_be_made_again():
    def target(random: np.random.Generator, folder) -> str:
        value = random.integers(10)
        left = list(folder.iterdir())
        (folder / "left").mkdir()
        (folder / "left" / "file").write_text("")
        assert value != 3, f"{value} in an empty folder: {left}"
        return "read"

    found = attack(target, inputs=50, seed=5)
    assert found["inputs"] == 50
    assert len(found["faults"]) == found["outcomes"]["fault"] > 0
    first = found["faults"][0]
    assert "3 in an empty folder: []" in first["error"]
    assert np.random.default_rng([5, first["input"]]).integers(10) == 3


def test_time_ends_a_run():
    found = attack(lambda random, folder: "read", seconds=0.05)
    assert found["inputs"] % 16 == 0 < found["inputs"]
