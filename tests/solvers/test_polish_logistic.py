"""Proximal Newton steps on the logistic loss, from poor starts, on records, and stopped from outside."""

import numpy as np
import pytest
from test_every_solver import logistic_optimum, networks, small

from ecgcvx.arrangements import sample_patterns
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.losses import LogisticLoss
from ecgcvx.programs.program import gated_relu_program
from ecgcvx.records import read_recording
from ecgcvx.solvers.fista import FistaSolver
from ecgcvx.solvers.polish import polish_logistic
from ecgcvx.solvers.solution import Clock, feasible
from ecgcvx.windows import split_windows


@networks
@pytest.mark.parametrize("size", [0.0, 0.1, 10.0, 1e3])
def test_descends_to_the_optimum_from_any_feasible_point(network, size):
    """From 1,000 most samples are saturated: their weights in the model vanish."""
    program = small(network, loss=LogisticLoss())
    start = feasible(program, size * np.random.default_rng(5).standard_normal(program.shape), 1e-8)
    clock = Clock(None, 30.0)
    u, stopped = polish_logistic(program, start, 1e-8, clock)
    primals = np.array([program.objective(start)] + [line.primal for line in clock.history])
    assert stopped == ""
    assert (np.diff(primals) < 0).all()
    assert program.violation(u) <= 1e-12
    assert program.objective(u) == pytest.approx(logistic_optimum(program), rel=1e-7)
    assert program.objective(u) - program.dual_bound(program.residual(u)).value <= 1e-8 * program.objective(u)


@pytest.mark.slow
@networks
def test_closes_the_gap_on_the_ecg(network, record_208):
    """Is the next sample above the median? One round of FISTA alone ends at a gap of 0.08 (gated) and 0.7 (ReLU)."""
    train = split_windows(read_recording(str(record_208)).signal).train
    features = PatternFeatures(train.X[0:2000], sample_patterns(train.X[0:2000], 25, 0))
    labels = train.y[:2000] > np.median(train.y[:2000])
    solution = FistaSolver(gap=1e-6, rounds=1).solve(network(features, labels, 1e-3, LogisticLoss()))
    optimum = 0.115035776018 if network is gated_relu_program else 0.148348658345
    assert solution.status == "optimal"
    assert solution.gap <= 1e-6
    assert solution.primal == pytest.approx(optimum, rel=1e-6)
    assert solution.violation <= 1e-12


@networks
def test_stops_on_time_and_on_ctrl_c(network):
    def stop(_):
        raise KeyboardInterrupt

    program = small(network, loss=LogisticLoss())
    start = np.zeros(program.shape)
    _, late = polish_logistic(program, start, 1e-9, Clock(None, 1e-9))
    u, stopped = polish_logistic(program, start, 1e-9, Clock(stop, 30.0))
    assert (late, stopped) == ("time limit", "interrupted")
    assert program.objective(u) < program.objective(start)
