"""A few of the problems of scripts/attack/oracles.py, and that its judge sees what is wrong."""

import numpy as np
import pytest

from attack.oracles import Answer, attack, attempts, judge
from attack.problems import DEGENERACIES, KINDS, case


def test_no_solver_is_wrong_or_crashes_on_any_kind_and_degeneracy():
    lines = []
    verdicts = attack(0, len(KINDS), lines.append)  # general rows
    for seed in range(len(KINDS), len(KINDS) * len(DEGENERACIES), 9):  # the others, one kind each
        for name, found in attack(seed, 1, lines.append).items():
            verdicts.setdefault(name, found).update(found)
    assert len(verdicts) == 12
    faults = [line for line in lines if line.startswith(("wrong", "crashed"))]
    assert not faults
    unfinished = {line.split(",")[0] for line in lines if line.startswith("unfinished")}
    assert unfinished <= {"unfinished: SgdSolver", "unfinished: ActiveSetSolver"}


def test_seeds_run_through_all_kinds_and_degeneracies():
    names = [case(seed).name for seed in (*range(0, 63, 8), 52)]
    assert {name.split(", ")[1] for name in names} == set(DEGENERACIES)
    assert {name.split(": ")[1].split(",")[0] for name in names} == set(KINDS)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "solved"),
        ({"status": "time limit"}, "unfinished"),
        ({"dual": 0.9, "status": "time limit"}, "unfinished"),
        ({"primal": 1 - 1e-5}, "wrong"),
        ({"dual": 1 + 1e-5, "primal": 1 + 2e-5}, "wrong"),
        ({"primal": 1.1, "dual": 1.0}, "wrong"),
        ({"dual": 0.99}, "wrong"),
        ({"primal": np.nan}, "wrong"),
    ],
)
def test_a_false_answer_is_called_wrong(change, verdict):
    problem = case(0)
    right = {"primal": 1.0, "dual": 1.0 - 1e-7, "status": "optimal"} | change
    answer = Answer(right["primal"] * problem.optimum, right["dual"] * problem.optimum, right["status"], 1e-6)
    assert judge(answer, problem) == verdict


def test_a_solver_that_raises_is_counted(monkeypatch):
    from ecgcvx.solvers.fista import FistaSolver

    def fail(self, program, **_):
        raise ZeroDivisionError("no")

    monkeypatch.setattr(FistaSolver, "solve", fail)
    lines = []
    assert attack(1, 1, lines.append)["FistaSolver"] == {"crashed": 1}
    assert "ZeroDivisionError: no" in lines[0]
    assert "FistaSolver" in {name for name, _ in attempts(case(1))}


def test_a_large_beta_overflows_nowhere_and_no_solver_prints(capfd):
    """Zero rows, a zero iterate, beta = 1e5: the ratio of beta to a norm that is zero is not formed."""
    faults = []
    verdicts = attack(92, 1, faults.append)
    assert all(not found["crashed"] and not found["wrong"] for found in verdicts.values()), faults
    assert verdicts["AdmmSolver"] == verdicts["OsqpSolver"] == {"solved": 1}
    assert capfd.readouterr().out == ""
