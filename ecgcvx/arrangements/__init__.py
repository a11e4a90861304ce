"""Hyperplane arrangements of data: activation patterns D_i = diag(1[X w >= 0]), sampled or enumerated."""

from ecgcvx.arrangements.convolutional import patch_masks, patch_matrix
from ecgcvx.arrangements.counting import matrix_rank, pattern_bound, principal_axes
from ecgcvx.arrangements.enumeration import enumerate_patterns
from ecgcvx.arrangements.patterns import Patterns, patterns_of_gates
from ecgcvx.arrangements.sampling import sample_patterns
from ecgcvx.rows import Matrix

__all__ = [
    "Matrix",
    "Patterns",
    "enumerate_patterns",
    "matrix_rank",
    "patch_masks",
    "patch_matrix",
    "pattern_bound",
    "patterns_of_gates",
    "principal_axes",
    "sample_patterns",
]
