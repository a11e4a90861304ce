"""A signal as its sliding windows."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from ecgcvx.errors import InputError
from ecgcvx.types import Array


class WindowTransformer(TransformerMixin, BaseEstimator):
    """A signal as its sliding windows: every row becomes the last `length` samples up to it, oldest first.

    X (samples, channels) are samples in the order of time, and row t of the result (samples, length x channels) holds
    the rows t - length + 1, ..., t of every channel in turn. Rows keep their number, so that it stands in a `Pipeline`
    with y[t] the value to predict, e.g. `signal[t + horizon]`. Before the first sample it repeats that sample.

    Parameters
    ----------
    length : int
        Samples in a window.

    Attributes
    ----------
    n_features_in_ : int
        Number of channels.
    feature_names_in_ : (n_features_in_,) array
        Where X had names.
    """

    def __init__(self, length: int = 15) -> None:
        self.length = length

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Look at the number of channels of X (samples, channels), or (samples,) for one."""
        if self.length < 1:
            raise InputError(f"length = {self.length}: it must be at least 1 sample")
        validate_data(self, X, dtype=np.float64)
        return self

    def transform(self, X: ArrayLike) -> Array:
        """Return the windows (samples, length x channels) of X (samples, channels)."""
        check_is_fitted(self)
        signal = validate_data(self, X, reset=False, dtype=np.float64)
        before = np.repeat(signal[:1], self.length - 1, axis=0)
        view = np.lib.stride_tricks.sliding_window_view(np.concatenate([before, signal]), self.length, axis=0)
        return view.reshape(len(signal), -1).copy()

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]:
        """Return names such as 'MLII[t-14]', ..., 'MLII[t]'."""
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", None) if input_features is None else np.asarray(input_features)
        names = [f"x{k}" for k in range(self.n_features_in_)] if names is None else names
        lags = [f"[t-{lag}]" if lag else "[t]" for lag in range(self.length - 1, -1, -1)]
        return np.array([f"{name}{lag}" for name in names for lag in lags], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = True
        return tags
