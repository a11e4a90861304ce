"""The forecast itself: the signal of the test part and what the convex network says of it, one and five steps ahead.

Slides: ECG prediction (prediction on the test part).
Claims: the network forecasts samples that it has not seen.
Found: holds, with an error far below that of linear prediction five steps ahead and well below it one step ahead.
"""

from dataclasses import dataclass

from matplotlib.figure import Figure

from _ecg import RECORD, Training, linear_error
from _page import BLUE, INK, Claim, Entry, Picture, main, new_figure, style
from ecgcvx.baselines.linear import least_squares
from ecgcvx.models import Model
from ecgcvx.records import read_recording
from ecgcvx.windows import Split, split_windows

BETA, HORIZONS = 3e-4, (1, 5)
STRIP = 2.5  # seconds of the test part that are drawn


@dataclass(frozen=True)
class Study:
    """One horizon: the network, its test RMSE and that of least squares in mV."""

    horizon: int
    split: Split
    network: Model
    error: float
    linear: float


def reproduce(reduced: bool) -> Entry:
    """Train at both horizons."""
    studies = [_study(horizon, reduced) for horizon in HORIZONS]
    claims = (
        Claim(
            "The network forecasts the test part, better than linear prediction.",
            "; ".join(
                f"{s.horizon} step{'s' if s.horizon > 1 else ''} ahead: {s.error:.4f} mV with {s.network.neurons} "
                f"neurons, least squares {s.linear:.4f} mV"
                for s in studies
            ),
            all(s.error < (1.0 if reduced else 0.8) * s.linear for s in studies),
        ),
    )
    return Entry(
        "ECG forecasts",
        "ECG prediction: prediction on the test part",
        claims,
        (
            Picture(
                "ecg_forecasts",
                "Part of the test part of record 208 with the forecasts one and five steps ahead.",
                _figure(studies),
            ),
        ),
        f"Windows of 15 samples, beta = {BETA:g}; the test part is the last fifth of 5 minutes.",
    )


def _study(horizon: int, reduced: bool) -> Study:
    split = split_windows(read_recording(RECORD).signal[: 60_000 if reduced else None], 15, horizon)
    network = Training("relu", split.train, rounds=4, confirm_starts=0).at(BETA).network
    w = least_squares(split.train.X, split.train.y)
    return Study(horizon, split, network, split.rmse_mv(network.predict), linear_error(split, w))


def _figure(studies: list[Study]) -> Figure:
    figure = new_figure("Forecasts of the test part of record 208", 4.8)
    for axes, study in zip(figure.subplots(len(studies), 1, sharex=True), studies, strict=True):
        test = study.split.test
        first = len(test.targets) // 2
        part = slice(first, min(first + int(STRIP * 360), len(test.targets)))
        seconds, restore = test.targets[part] / 360, study.split.scaler.restore
        axes.plot(seconds, restore(test.y[part]), color=INK, linewidth=2.0, label="signal")
        axes.plot(seconds, restore(study.network.predict(test.X)[part]), color=BLUE, linewidth=0.9, label="forecast")
        style(axes, ylabel="mV", xlim=(seconds[0], seconds[-1]))
        title = f"{study.horizon} step{'s' if study.horizon > 1 else ''} ahead: test RMSE {study.error:.4f} mV"
        axes.set_title(title, loc="left", fontsize=9)
        axes.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0, ncols=2)
    axes.set_xlabel("time (s)", fontsize=9)
    return figure


if __name__ == "__main__":
    main(reproduce)
