"""How a forecaster does on windows inside and outside its training range."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ecgcvx.evidence import percent
from ecgcvx.forecaster import Forecaster
from ecgcvx.metrics import root_mean_square
from ecgcvx.types import Array
from ecgcvx.windows import Windows


@dataclass(frozen=True)
class OutsideScore:
    """Root-mean-square errors in mV of the forecasts of some windows, by what is done about those outside.

    windows : all of them. outside : those outside the training range. rmse_mv : of all forecasts. inside_rmse_mv : of
    those inside, None where there are none. linear_rmse_mv : of all, the linear forecast in place of those outside.
    leverage : the largest, relative to the largest of the training windows.
    """

    windows: int
    outside: int
    rmse_mv: float
    inside_rmse_mv: float | None
    linear_rmse_mv: float
    leverage: float

    @property
    def words(self) -> str:
        """The score in a sentence; '' where no window is outside."""
        if not self.outside:
            return ""
        inside = "none is inside" if self.inside_rmse_mv is None else f"{self.inside_rmse_mv:.5f} mV without them"
        return (
            f"{self.outside:,} of {self.windows:,} windows ({percent(self.outside / self.windows)}) lie outside the "
            f"training range: RMSE {self.rmse_mv:.5f} mV, {inside}, {self.linear_rmse_mv:.5f} mV with the linear "
            "forecast in their place"
        )


def outside_score(forecaster: Forecaster, windows: Windows, f: Array | None = None) -> OutsideScore | None:
    """Return the score of windows standardised by its scaler; None for a model that keeps no training range.

    f : (n,) the forecasts, standardised, where they are known.
    """
    known = forecaster.training_range
    if known is None:
        return None
    f = forecaster.network.predict(windows.X) if f is None else f
    leverage, scale = known.leverage(windows.X), forecaster.scaler.scale
    outside = known.outside(windows.X, leverage)
    r, linear = windows.y - f, windows.y - known.replaced(f, windows.X, outside, "linear")
    inside = None if outside.all() else scale * root_mean_square(r[~outside])
    return OutsideScore(
        len(windows), int(outside.sum()), scale * root_mean_square(r), inside, scale * root_mean_square(linear),
        float(np.max(leverage, initial=0.0)) / known.limit,
    )  # fmt: skip


def outside_json(score: OutsideScore | None) -> dict[str, Any] | None:
    """Return the score as JSON; None where there is none."""
    return None if score is None else asdict(score)
