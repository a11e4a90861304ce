"""Globally optimal two-layer ReLU networks for ECG prediction, trained as convex programs."""

__version__ = "0.1.0"
