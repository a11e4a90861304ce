"""Patches of windows, whose stacked rows carry the patterns of a convolutional network with shared filters."""

import numpy as np
from numpy.typing import NDArray

from ecgcvx.arrangements.patterns import Patterns
from ecgcvx.errors import InputError
from ecgcvx.rows import Matrix, check_matrix


def patch_matrix(X: Matrix, width: int, stride: int = 1, circular: bool = False) -> NDArray[np.float64]:
    """Stack the patches X_k (n, h) of every sample: row i K + k of the (n K, h) result is patch k of sample i.

    Its patterns are those of a convolutional layer: at most `pattern_bound(n K, h)` of them, polynomial in n for a
    fixed filter width however long the windows are.

    Parameters
    ----------
    X : (n, d) matrix
        Windows; leave a column of ones out here and append it to the result if filters shall have a bias.
    width : int
        Filter width h in samples.
    stride : int
        Samples from one patch to the next.
    circular : bool
        Let patches wrap around the end, K = ceil(d / stride); otherwise K = 1 + (d - h) // stride.

    Raises
    ------
    InputError
        If 1 <= width <= d or 1 <= stride does not hold.

    Source: Ergen & Pilanci 2021 (convolutional networks).
    """
    n, d = check_matrix(X)
    if not 1 <= width <= d:
        raise InputError(f"width = {width}; a filter on windows of {d} samples has a width from 1 to {d}")
    if stride < 1:
        raise InputError(f"stride = {stride}; give 1 or more samples")
    samples = np.asarray(X[0:n], dtype=np.float64)
    if circular:
        samples = np.concatenate([samples, samples[:, : width - 1]], axis=1)
    patches = np.lib.stride_tricks.sliding_window_view(samples, width, axis=1)[:, ::stride]
    return np.ascontiguousarray(patches).reshape(-1, width)


def patch_masks(patterns: Patterns, patches: int, start: int = 0, stop: int | None = None) -> NDArray[np.bool_]:
    """Diagonals of D_{i,k} for samples start:stop, (p, stop - start, K), from the patterns of a patch matrix.

    Parameters
    ----------
    patterns : Patterns
        Patterns of `patch_matrix`, n K bits each.
    patches : int
        Patches K of one sample.
    start, stop : int
        Samples; start is a multiple of 8, stop defaults to n.

    Raises
    ------
    InputError
        If K does not divide the number of rows, or the samples are not in range.
    """
    if patches < 1 or patterns.n % patches:
        raise InputError(f"patches = {patches} does not divide the {patterns.n} rows of the patch matrix")
    end = patterns.n // patches if stop is None else stop
    return patterns.masks(start * patches, end * patches).reshape(len(patterns), end - start, patches)
