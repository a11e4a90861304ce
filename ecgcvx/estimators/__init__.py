"""Convex networks as scikit-learn estimators, for pipelines and searches over hyperparameters.

    ConvexReLURegressor, ConvexReLUClassifier     over all activation patterns, with a searched gap
    GatedReLURegressor, GatedReLUClassifier       over sampled gates, with an exact gap over them
    PolynomialNetworkRegressor                    a polynomial activation, with a proved gap
    StackedReLURegressor                          two-layer networks on top of each other
    WindowTransformer                             a signal as its sliding windows

They train on X and y as they are, with a column of ones added for the bias: standardise both before, e.g. with
`StandardScaler` and `TransformedTargetRegressor`, for beta and the penalty of the bias to mean the same everywhere.
Classifiers take two classes; `sklearn.multiclass.OneVsRestClassifier` makes more of them. Needs the extra
`ecgcvx[sklearn]`.
"""

try:
    from ecgcvx.estimators.gated import GatedReLUClassifier, GatedReLURegressor
    from ecgcvx.estimators.polynomial import PolynomialNetworkRegressor
    from ecgcvx.estimators.relu import ConvexReLUClassifier, ConvexReLURegressor
    from ecgcvx.estimators.stack import StackedReLURegressor
    from ecgcvx.estimators.windows import WindowTransformer
except ImportError as error:  # pragma: no cover - seen by scripts/check_packaging.py
    if (error.name or "").partition(".")[0] != "sklearn":
        raise
    raise ImportError(
        f"ecgcvx.estimators needs scikit-learn 1.6 or newer: pip install 'ecgcvx[sklearn]' ({error})"
    ) from None

__all__ = [
    "ConvexReLUClassifier",
    "ConvexReLURegressor",
    "GatedReLUClassifier",
    "GatedReLURegressor",
    "PolynomialNetworkRegressor",
    "StackedReLURegressor",
    "WindowTransformer",
]
