"""OSQP handles Ctrl-C itself while it solves; the signal must not be lost."""

from types import SimpleNamespace

import numpy as np
import osqp

from ecgcvx.arrangements import sample_patterns
from ecgcvx.interruption import keeping, wanted
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import gated_relu_program
from ecgcvx.solvers import OsqpSolver


def test_ctrl_c_inside_osqp_stops_the_work(monkeypatch):
    random = np.random.default_rng(0)
    X = np.concatenate([random.standard_normal((30, 2)), np.ones((30, 1))], axis=1)
    program = gated_relu_program(PatternFeatures(X, sample_patterns(X, 6, seed=0)), random.standard_normal(30), 1e-3)
    calls: list[int] = []
    solve = osqp.OSQP.solve

    def interrupted(problem, **options):
        found = solve(problem, **options)
        calls.append(1)
        if len(calls) < 2:
            return found
        return SimpleNamespace(x=found.x, info=SimpleNamespace(status="interrupted"))

    monkeypatch.setattr(osqp.OSQP, "solve", interrupted)
    with keeping():
        found = OsqpSolver(gap=1e-12).solve(program)
        assert wanted()
    assert len(calls) == 2
    assert found.status == "interrupted"
    assert found.dual <= found.primal
