"""Types that every module shares."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

Progress: TypeAlias = Callable[[str, float | None], None]
"""Called with what is being done and the share of it that is done, 0 to 1, None where that is unknown."""


def silent(what: str, share: float | None) -> None:
    """A `Progress` that says nothing."""
