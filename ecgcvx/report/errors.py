"""How the errors of a forecast are distributed: words and a histogram."""

import numpy as np
from markupsafe import Markup

from ecgcvx.report.drawing import Panel, picture
from ecgcvx.report.words import size
from ecgcvx.types import Array

WIDTH, HEIGHT = 520.0, 210.0
BINS = 61
SHOWN = 4.0  # standard deviations to either side


def error_words(residuals: Array) -> str:
    """Median, 95th percentile and maximum of the absolute errors (n,) in mV, and what heavy tails mean here."""
    middle, high = np.quantile(np.abs(residuals), [0.5, 0.95])
    return (
        f"Half of all errors are below {size(float(middle), 2)} mV, 95 % below {size(float(high), 2)} mV; the largest "
        f"is {size(float(np.abs(residuals).max()), 2)} mV."
    )


def errors_figure(residuals: Array) -> Markup:
    """Histogram of residuals (n,) in mV over a normal density of the same standard deviation."""
    spread = float(residuals.std()) or 1.0
    edges = np.linspace(-SHOWN * spread, SHOWN * spread, BINS + 1)
    wide = edges[1] - edges[0]
    counts = np.histogram(residuals, edges)[0] / (len(residuals) * wide) if len(residuals) else np.zeros(BINS)
    centres = edges[:-1] + wide / 2
    normal = np.exp(-((centres / spread) ** 2) / 2) / (spread * np.sqrt(2 * np.pi))
    top = float(max(counts.max(), normal.max()))
    panel = Panel((edges[0], edges[-1]), (0.0, 1.08 * top), 52.0, 22.0, WIDTH - 66.0, HEIGHT - 60.0)
    outside = float(np.mean(np.abs(residuals) > SHOWN * spread)) if len(residuals) else 0.0
    words = (
        f"Histogram of the errors from {edges[0]:.3g} to {edges[-1]:.3g} mV, {100 * outside:.2g} % lie outside; the "
        f"line is a normal density of the same standard deviation, {spread:.3g} mV."
    )
    return picture(
        WIDTH, HEIGHT, words,
        panel.beside("errors (share per mV)"), panel.band(centres, np.zeros(BINS), counts, "band"),
        panel.line(centres, counts, "first"), panel.line(centres, normal, "second dashed"),
        panel.below("error of the forecast (mV)"),
    )  # fmt: skip
