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

    With z = (window - mean)/scale, oldest sample first, and x = (z, 1), the forecast is scale f(x) + mean.
    """
    about = {
        "network": forecaster.network.activation,
        **forecaster.network.attributes(),
        "window": forecaster.window,
        "horizon": forecaster.horizon,
        "sampling_frequency_hz": forecaster.sampling_frequency,
        "lead": forecaster.lead,
        "beta": forecaster.beta,
    }
    arrays: dict[str, Any] = {"mean": forecaster.scaler.mean, "scale": forecaster.scaler.scale}
    arrays |= {"about": json.dumps(about), **forecaster.network.tensors()}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    file = path.with_name(path.name + ".npz")
    atomic_write(file, lambda out: out.write(buffer.getvalue()))
    return [file]
