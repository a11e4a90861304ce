"""The table of all networks: order, words, and results that are kept."""

import json
from dataclasses import asdict, replace

import pytest

from bench_families import BASE, ROWS, Result, adds, bars_table, network_table, read_results

TWO = Result(
    BASE, "networks", "relu", "208", 5, 15, 3e-5, 2.4e-2, 0.02, "searched", 1000, 0.1, 0.104, 70.0, 80.0, "a machine"
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"test_rmse_mv": 0.0936}, "10% less error"),
        ({"test_rmse_mv": 0.1049}, "no accuracy: the same error"),
        ({"test_rmse_mv": 0.1196}, "nothing: 15% more error"),
        ({"test_rmse_mv": 0.26}, "nothing: 2.5 times the error"),
        ({"test_rmse_mv": 0.104, "neurons": 100}, "no accuracy: the same error, 10 times fewer neurons"),
        ({"test_rmse_mv": 0.104, "neurons": 600}, "no accuracy: the same error, fewer neurons"),
        ({"test_rmse_mv": 0.1196, "basis": "proved by eigenvalues"}, "nothing: 15% more error, a proved gap"),
    ],
)
def test_words_over_two_layers(change, words):
    assert adds(replace(TWO, name="another", **change), TWO) == words


def test_the_table_is_in_the_order_of_errors_and_knows_its_horizon(tmp_path):
    stack = replace(TWO, name="stack", P=None, test_rmse_mv=0.1, basis="searched for its last stage")
    results = [TWO, stack, replace(TWO, horizon=1), replace(TWO, name="a bar", group="bars")]
    header, rows = network_table(results, 5)
    assert [row[0] for row in rows] == ["stack", BASE]
    assert header[-1] == "over two layers"
    assert rows[0][header.index("P")] == ""
    assert rows[0][header.index("gap, its kind")] == "2.0e-02, searched for its last stage"
    assert rows[0][-1] == "4% less error"
    assert rows[1][-1] == "the reference"
    assert [row[0] for row in bars_table(results)[1]] == ["a bar"]
    path = tmp_path / "results.json"
    assert read_results(path) == []
    path.write_text(json.dumps([asdict(one) for one in results]))
    assert read_results(path) == results


def test_rows_have_names_of_their_own():
    assert len({row.name for row in ROWS}) == len(ROWS)
