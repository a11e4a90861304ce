"""One forecast, taken apart."""

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.forecaster import Forecaster
from ecgcvx.interpretation.results import Decomposition
from ecgcvx.records import Recording


def decompose(forecaster: Forecaster, recording: Recording, sample: int) -> Decomposition:
    """Return the forecast of one sample (from 0) of a recording as the sum of its neurons' contributions.

    Of a stack these are the neurons of the lowest stage, and what the stages above add.

    Raises InputError when no whole window predicts that sample.
    """
    network = forecaster.network
    length, horizon, scaler = forecaster.window, forecaster.horizon, forecaster.scaler
    first = sample - horizon - length + 1
    forecaster.check_leads(recording)
    stretch = recording.signals[..., max(first, 0) : max(sample + 1, 0)]
    # As in `window_runs`, the samples between window and target count as well.
    if first < 0 or sample >= len(recording.signal) or not np.isfinite(stretch).all():
        raise InputError(
            f"sample = {sample}: {recording.name} has no {length + horizon} valid samples up to there; give another"
        )
    row = np.append(scaler.standardise(stretch[..., :length]), 1.0)[None]
    units = network.units()
    on, forecast = units.on(row), network.predict(row)
    outputs = units.outputs(row, on)[0]
    if network.stage_neurons:
        outputs = np.append(outputs, network.contributions(row)[0, 1:].sum())
    return Decomposition(
        sample=sample,
        window=stretch[..., :length],
        measured_mv=float(recording.signal[sample]),
        forecast_mv=float(scaler.restore(forecast)[0]),
        mean_mv=scaler.mean,
        contributions=scaler.scale * outputs,
        on=on[0],
    )
