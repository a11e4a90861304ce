"""Stacks of two-layer networks, each the solution of a convex program on the features of those below.

network   the weights: predict, contributions of the stages, spread of the members
features  principal components of windows and activations
joint     descent on all stages at once
training  stage by stage, choices by validation
"""
