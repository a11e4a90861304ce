"""The measure of recurring patterns against sets written out."""

import numpy as np
import pytest

from ecgcvx.recurrence import jaccard
from recurrence import cosines, main, recurring


def test_the_jaccard_index_is_that_of_the_sets():
    random = np.random.default_rng(0)
    X = np.column_stack([random.standard_normal((500, 3)), np.ones(500)])
    first, second = random.standard_normal((5, 4)), random.standard_normal((3, 4))
    first[0], second[0] = [0, 0, 0, -1], [0, 0, 0, -2]  # on nowhere
    found = jaccard((X, first), (2 * X, second))  # twice the windows are on where they are
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            one, two = (set(np.flatnonzero(X @ gate >= 0)) for gate in (a, b))
            assert found[i, j] == pytest.approx(len(one & two) / len(one | two) if one | two else 1.0)
    assert cosines(first, second)[0, 0] == pytest.approx(1.0)


def test_a_network_recurs_in_itself_scaled_and_not_in_its_opposite():
    random = np.random.default_rng(1)
    X, gates = random.standard_normal((400, 4)), random.standard_normal((6, 4))
    assert recurring(X, gates, 3 * gates[::-1], 0.9) == (1.0, 1.0, 1.0)
    assert recurring(X, gates[:1], -gates[:1], 0.9) == (0.0, 0.0, 0.0)


def test_the_script_fits_every_seed_and_prints_the_mean(record_208, capsys, monkeypatch):
    words = [
        "recurrence.py",
        str(record_208),
        "--end",
        "20",
        "--network",
        "gated",
        "--seeds",
        "0",
        "1",
        "--beta",
        "1e-4",
    ]
    monkeypatch.setattr("sys.argv", words)
    main()
    told = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in told] == ["seed 0", "seed 1", "seed 0 in seed 1", "seed 1 in seed 0", "mean"]
