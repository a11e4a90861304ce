"""Solvers of polynomial networks against CVXPY written out, on every kind of data."""

import numpy as np
import pytest
from polynomial_cases import ACTIVATIONS, random_data, semidefinite_optimum

from ecgcvx.activations import RELU_LIKE, Polynomial
from ecgcvx.errors import InputError, SolverError
from ecgcvx.programs.losses import LogisticLoss
from ecgcvx.programs.polynomial import PolynomialProgram
from ecgcvx.records import read_recording
from ecgcvx.solvers.polynomial import PolynomialCvxpySolver, PolynomialSolver
from ecgcvx.windows import split_windows

SOLVERS = [PolynomialSolver(), PolynomialCvxpySolver(), PolynomialCvxpySolver("SCS", 1e-5)]
NAMES = list(ACTIVATIONS)


def check_feasible(program, Z):
    assert np.linalg.eigvalsh(Z).min() >= -1e-12 * max(1.0, np.abs(Z).max())
    if program.balance is not None:
        np.testing.assert_allclose(np.einsum("skk,k->s", Z, program.balance), 0, atol=1e-12 * max(1.0, np.abs(Z).max()))


@pytest.mark.parametrize("solver", SOLVERS, ids=["own", "clarabel", "scs"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(40, 4), (6, 5), (5, 1)])  # more columns of monomials than rows, and a single input
def test_equals_the_program_written_out(solver, name, shape):
    n, d = shape
    X, y = random_data(n, n, d, ones=d > 1)
    program = PolynomialProgram(X, y, 0.02, ACTIVATIONS[name])
    found = solver.solve(program)
    assert found.status == "optimal"
    assert found.primal == pytest.approx(semidefinite_optimum(X, y, 0.02, ACTIVATIONS[name]), rel=1e-6)
    assert found.primal == pytest.approx(program.objective(found.u), rel=1e-12)
    assert found.dual <= found.primal * (1 + 1e-12)
    check_feasible(program, found.u)


@pytest.mark.parametrize(
    "activation", [Polynomial(-0.3, 0.2, 0.0), Polynomial(0.0, 1.0, 0.0), Polynomial(0.0, 1.0, 2.0)]
)
def test_any_polynomial_will_do(activation):
    X, y = random_data(4, ones=False)
    found = PolynomialSolver().solve(PolynomialProgram(X, y, 0.05, activation))
    assert found.primal == pytest.approx(semidefinite_optimum(X, y, 0.05, activation), rel=1e-6)
    assert found.gap <= 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_the_logistic_loss_equals_the_program_written_out(name):
    X, y = random_data(9, logistic=True)
    program = PolynomialProgram(X, y, 0.01, ACTIVATIONS[name], LogisticLoss())
    optimum = semidefinite_optimum(X, y, 0.01, ACTIVATIONS[name], "logistic")
    for solver in (PolynomialSolver(), PolynomialCvxpySolver(gap=1e-4)):
        found = solver.solve(program)
        assert found.status == "optimal"
        assert found.primal == pytest.approx(optimum, rel=1e-5)
        check_feasible(program, found.u)


def test_labels_that_a_network_separates_end_as_well():
    X, _ = random_data(3)
    y = np.where((X @ [1.0, 2.0, 0.3]) ** 2 > 1, 1.0, -1.0)
    found = PolynomialSolver().solve(PolynomialProgram(X, y, 1e-5, RELU_LIKE, LogisticLoss()))
    assert found.gap <= 1e-5
    assert found.primal < 0.05


def test_duplicated_rows_and_scaled_targets():
    """Means over samples: repeating the data changes nothing; y and beta scaled by t scale the optimum by t^2."""
    X, y = random_data(6)
    one = PolynomialSolver().solve(PolynomialProgram(X, y, 0.05)).primal
    twice = PolynomialSolver().solve(PolynomialProgram(np.r_[X, X], np.r_[y, y], 0.05)).primal
    scaled = PolynomialSolver().solve(PolynomialProgram(X, 100 * y, 5.0)).primal
    assert twice == pytest.approx(one, rel=1e-10)
    assert scaled == pytest.approx(1e4 * one, rel=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_fit_is_no_trouble(name):
    X, y = random_data(7)
    for data in ((X, 0 * y), (0 * X, y - y.mean())):
        found = PolynomialSolver().solve(PolynomialProgram(*data, 0.05, ACTIVATIONS[name]))
        assert found.status == "optimal"
        assert not found.u.any()


def test_equal_columns_are_no_trouble():
    X, y = random_data(7)
    X = np.c_[X, X[:, 0], np.zeros(len(y))]
    found = PolynomialSolver().solve(PolynomialProgram(X, y, 0.05))
    assert found.primal == pytest.approx(semidefinite_optimum(X, y, 0.05, RELU_LIKE), rel=1e-6)
    assert found.gap <= 1e-8


@pytest.mark.parametrize("name", NAMES)
def test_the_whole_record_to_a_gap_of_1e_6_at_any_beta(record_208, name):
    """And CVXPY's own objective, before anything of ours completes it, is the same."""
    windows = split_windows(read_recording(record_208).signal).train
    program = PolynomialProgram(windows.X, windows.y, 1e-4, ACTIVATIONS[name])
    for beta in (1e-2, 1e-6, 1e-8):
        found = PolynomialSolver().solve(program.at(beta))
        assert found.gap <= 1e-6
    oracle = PolynomialCvxpySolver().solve(program).history[0].primal
    assert PolynomialSolver().solve(program).primal == pytest.approx(oracle, rel=1e-6)


def test_limits_and_refusals():
    X, y = random_data(2)
    program = PolynomialProgram(X, y, 0.05)
    stopped = PolynomialSolver().solve(program, time_limit=1e-9)
    assert stopped.status == "time limit"
    assert not stopped.u.any()
    warm = PolynomialSolver().solve(program).u
    assert PolynomialSolver().solve(program, warm_start=warm, time_limit=1e-9).status == "optimal"

    def interrupt(_line):
        raise KeyboardInterrupt

    labels = PolynomialProgram(X, np.sign(y), 0.01, RELU_LIKE, LogisticLoss())
    assert PolynomialSolver().solve(labels, callback=interrupt).status == "interrupted"
    assert PolynomialSolver(rounds=1).solve(labels).status == "round limit"
    with pytest.raises(InputError, match="gap = "):
        PolynomialSolver(gap=0.0)
    with pytest.raises(SolverError, match="NOTHING"):
        PolynomialCvxpySolver("NOTHING").solve(program)
