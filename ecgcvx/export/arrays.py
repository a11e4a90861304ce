"""Plain NumPy: one .npz file that `numpy.load` reads without pickles."""

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ecgcvx.files import atomic_write

if TYPE_CHECKING:
    from ecgcvx.forecaster import Forecaster


def write(forecaster: "Forecaster", path: Path) -> list[Path]:
    """Write PATH.npz: the network's arrays by name, `mean` and `scale` of the scaler in mV, and `about` as JSON.

    With z = (window - mean)/scale, oldest sample first, and x = (z, 1), the forecast is scale f(x) + mean. Of joined
    leads `mean` and `scale` are (leads * window,) and the last of each is that of the forecast; `about` names `leads`
    in their order.
    """
    mean, scale = forecaster.scaler.columns(forecaster.window)
    about = {
        "network": forecaster.network.activation,
        **forecaster.network.attributes(),
        "window": forecaster.window,
        "horizon": forecaster.horizon,
        "sampling_frequency_hz": forecaster.sampling_frequency,
        "lead": forecaster.lead,
        **({"leads": forecaster.leads} if forecaster.joined else {}),
        "beta": forecaster.beta,
    }
    arrays: dict[str, Any] = {
        "mean": mean, "scale": scale, "about": json.dumps(about), **forecaster.network.tensors()
    }  # fmt: skip
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    file = path.with_name(path.name + ".npz")
    atomic_write(file, lambda out: out.write(buffer.getvalue()))
    return [file]
