"""Prediction intervals in the report: how many samples they hold, and the band of the strip."""

from dataclasses import dataclass

from ecgcvx.interpretation import Interpretation
from ecgcvx.intervals import Interval
from ecgcvx.report.words import share, size
from ecgcvx.windows import Windows


@dataclass(frozen=True, eq=False)
class Band:
    """Ends (samples,) in mV of the widest interval of a model, as they followed the record, and what to say of all."""

    ends: Interval
    words: str


def interval_band(reading: Interpretation, windows: Windows) -> Band | None:
    """Return the intervals of a reading, judged on its windows; None where the model has none."""
    calibration = reading.forecaster.calibration
    if calibration is None:
        return None
    made, signal, said = reading.forecaster.forecasts(reading.recording), reading.recording.signal[windows.targets], []
    for coverage in sorted(calibration.coverages):
        ends = made.interval(coverage, adapt=True)
        lower, upper = (end[windows.targets] for end in ends)
        inside = float(((signal >= lower) & (signal <= upper)).mean())
        width = size(float((upper - lower).mean()))
        said.append(f"{share(inside)} lie in the {share(coverage)} interval, {width} mV wide")
    words = (
        f"Of the samples forecast, {' and '.join(said)} on average. The intervals started from the errors on the "
        "validation part and followed the record, each knowing only the samples before it. That is a share in the long "
        "run, not a statement on a single sample."
    )
    return Band(ends, words)
