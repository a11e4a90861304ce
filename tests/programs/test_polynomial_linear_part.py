"""A free linear part beside a polynomial network: CVXPY with the part written out, and duality."""

import cvxpy as cp
import numpy as np
import pytest
from polynomial_cases import ACTIVATIONS, TIGHT, random_data

from ecgcvx.errors import InputError
from ecgcvx.programs.linear_part import LinearPart
from ecgcvx.programs.losses import LogisticLoss
from ecgcvx.programs.polynomial import PolynomialProgram
from ecgcvx.solvers.polynomial import PolynomialCvxpySolver, PolynomialSolver

activations = pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS.keys())
ridges = pytest.mark.parametrize("ridge", [0.0, 1e-3, 0.3])


def make(activation, ridge, seed=0, beta=0.02, ones=True):
    X, y = random_data(seed, n=40, d=4, ones=ones)
    y = y + 5 * X @ np.arange(1.0, 5.0)
    return PolynomialProgram(X, y, beta, activation, linear=LinearPart(X, ridge))


def written_out(program):
    X, y, (a, b, c) = program.X, program.y, program.activation
    n, d = X.shape
    w, penalty, constraints = cp.Variable(d), 0.0, []
    f = X @ w
    for sign in (1, -1):
        Z = cp.Variable((d + 1, d + 1), PSD=True)
        squares = cp.sum(cp.multiply(X @ Z[:d, :d], X), axis=1)
        f = f + sign * (a * squares + b * X @ Z[:d, d] + c * Z[d, d])
        penalty = penalty + Z[d, d]
        constraints.append(cp.trace(Z[:d, :d]) == Z[d, d])
    value = cp.sum_squares(f - y) / (2 * n) + program.linear.ridge / 2 * cp.sum_squares(w)
    problem = cp.Problem(cp.Minimize(value + program.beta * penalty), constraints)
    problem.solve(solver="CLARABEL", **TIGHT)
    return float(problem.value)


@activations
@ridges
@pytest.mark.parametrize("ones", [True, False])
def test_has_the_optimum_with_the_part_written_out(activation, ridge, ones):
    program = make(activation, ridge, ones=ones)
    value = written_out(program)
    for solver in (PolynomialSolver(gap=1e-7), PolynomialCvxpySolver(gap=1e-5)):
        solution = solver.solve(program)
        assert solution.primal == pytest.approx(value, rel=1e-6)
        assert solution.gap <= solver.gap
        assert solution.dual <= value * (1 + 1e-8)


@activations
@ridges
def test_objective_bound_and_quadratic_agree_at_any_point(activation, ridge):
    program, rng = make(activation, ridge), np.random.default_rng(1)
    value = written_out(program)
    k = program.order
    for scale in (0.0, 0.1, 1.0):
        P = scale * rng.standard_normal((2, k, k))
        Z = P @ P.transpose(0, 2, 1)
        quadratic = program.quadratic.value(program.upper.vector(Z[0] - Z[1]))
        assert program.objective(Z) == pytest.approx(quadratic + program.penalty(Z), rel=1e-10)
        assert program.dual_bound(program.residual(Z)).value <= value * (1 + 1e-8)
        f, a, _ = program.fit(Z)
        np.testing.assert_allclose(program.linear.correlate(program.y - f), ridge * a, atol=1e-11)


@activations
def test_adding_a_linear_function_to_the_targets_changes_no_neuron(activation):
    program = make(activation, 0.0)
    shift = 100 * program.X @ np.array([1.0, -2.0, 3.0, 4.0])
    moved = PolynomialProgram(program.X, program.y + shift, program.beta, activation, linear=program.linear)
    a, b = (PolynomialSolver(gap=1e-8).solve(each) for each in (program, moved))
    assert b.primal == pytest.approx(a.primal, rel=1e-6)
    np.testing.assert_allclose(moved.predict(b.u), program.predict(a.u) + shift, atol=1e-3)


def test_above_the_largest_beta_least_squares_remains():
    program = make(ACTIVATIONS["polynomial"], 0.0)
    solution = PolynomialSolver().solve(program.at(1.001 * program.largest_beta()))
    best = np.linalg.lstsq(program.X, program.y)[0]
    assert solution.primal == pytest.approx(np.mean((program.y - program.X @ best) ** 2) / 2, rel=1e-9)


def test_the_logistic_loss_refuses_it():
    X, y = random_data(0, logistic=True)
    with pytest.raises(InputError, match="not LogisticLoss"):
        PolynomialProgram(X, y, 0.1, loss=LogisticLoss(), linear=LinearPart(X))
