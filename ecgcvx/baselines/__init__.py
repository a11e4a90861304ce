"""What a person would have used instead of the convex program: linear prediction and backpropagation."""

from ecgcvx.baselines.backprop import BackpropResult, objective_and_gradient, train_adam
from ecgcvx.baselines.linear import least_squares, persistence_weights

__all__ = ["BackpropResult", "least_squares", "objective_and_gradient", "persistence_weights", "train_adam"]
