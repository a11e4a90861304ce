"""Convex programs: data of an optimisation problem, no algorithm.

program, features, cone        over given patterns: ReLU (with cones), gated, group lasso of any design
all_patterns                   over all patterns of a family of atoms
polynomial                     networks with a polynomial activation
vector                         several outputs
convolutional, circular, batch_norm, three_layer   over given patterns of these networks
losses                         squared and logistic
"""

from typing import TYPE_CHECKING

from ecgcvx._lazy import lazy

if TYPE_CHECKING:
    from ecgcvx.programs.all_patterns import AllPatterns
    from ecgcvx.programs.batch_norm import BatchNormFeatures, batch_norm_program
    from ecgcvx.programs.circular import circular_program
    from ecgcvx.programs.convolutional import ConvolutionalFeatures
    from ecgcvx.programs.dense import DenseFeatures
    from ecgcvx.programs.features import PatternFeatures
    from ecgcvx.programs.linear_part import LinearPart
    from ecgcvx.programs.losses import LogisticLoss, SquaredLoss
    from ecgcvx.programs.polynomial import PolynomialProgram
    from ecgcvx.programs.program import ConvexProgram, gated_relu_program, group_lasso_program, relu_program
    from ecgcvx.programs.three_layer import TupleFeatures
    from ecgcvx.programs.vector import VectorProgram

__all__ = [
    "AllPatterns",
    "BatchNormFeatures",
    "ConvexProgram",
    "ConvolutionalFeatures",
    "DenseFeatures",
    "LinearPart",
    "LogisticLoss",
    "PatternFeatures",
    "PolynomialProgram",
    "SquaredLoss",
    "TupleFeatures",
    "VectorProgram",
    "batch_norm_program",
    "circular_program",
    "gated_relu_program",
    "group_lasso_program",
    "relu_program",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "AllPatterns": "all_patterns",
        "BatchNormFeatures": "batch_norm",
        "ConvexProgram": "program",
        "ConvolutionalFeatures": "convolutional",
        "DenseFeatures": "dense",
        "LinearPart": "linear_part",
        "LogisticLoss": "losses",
        "PatternFeatures": "features",
        "PolynomialProgram": "polynomial",
        "SquaredLoss": "losses",
        "TupleFeatures": "three_layer",
        "VectorProgram": "vector",
        "batch_norm_program": "batch_norm",
        "circular_program": "circular",
        "gated_relu_program": "program",
        "group_lasso_program": "program",
        "relu_program": "program",
    },
    globals(),
)
