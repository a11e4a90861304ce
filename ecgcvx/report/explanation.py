"""An explained forecast as a figure: the window with the smallest change that switches a pattern, and the waterfall."""

from typing import Any

import numpy as np
from markupsafe import Markup

from ecgcvx.interpretation import Interpretation
from ecgcvx.interpretation.explanation import Explanation, explain_sample, explanation_words, waterfall
from ecgcvx.report.drawing import Panel, limits, picture
from ecgcvx.report.markup import coordinate as at
from ecgcvx.report.markup import tag
from ecgcvx.types import Array

WIDTH, LEFT, RIGHT, ROW = 520, 170, 64, 17
WORST, APART, SHOWN = 3, 0.5, 6  # worst forecasts in a report, seconds between them, patterns of each
TOP, LEAD = 150, 110  # where the waterfall begins, and how far down each further lead moves it
STYLE = (
    "svg{font-family:system-ui,sans-serif;background:#fff}text{font-size:11px;fill:#444}.line{fill:none;stroke-width:1.6}"
    ".first{stroke:#0b5fb0}.second,.trace{stroke:#1b2026}.dashed{stroke:#a84a00;stroke-dasharray:4 3}"
    ".axis{fill:none;stroke:#777}.rule{fill:none;stroke:#ddd}.plus,.on{fill:#0b5fb0}.minus{fill:#a84a00}.total{fill:#555}"
)


def explanation_figure(found: Explanation, top: int = 10, style: bool = False) -> Markup:
    """Return the figure; style : with its own colours, for a file that stands alone."""
    steps = waterfall(found, top)
    top_of = TOP + LEAD * (len(found.windows) - 1)
    height = top_of + ROW * (len(steps) + 3) + 44
    pieces = [tag("style", Markup(STYLE))] if style else []
    pieces += _window(found)
    ends = np.cumsum([found.mean_mv, *(value for _, value in steps)])
    low, high = limits(np.array([*ends, found.forecast_mv, found.measured_mv]))
    panel = Panel((low, high), (0.0, 1.0), LEFT, top_of, WIDTH - LEFT - RIGHT, ROW * (len(steps) + 3))
    rows = [("mean of the signal", 0.0, found.mean_mv, "total")]
    rows += [
        (name, a, b, "plus" if b >= a else "minus") for (name, _), a, b in zip(steps, ends, ends[1:], strict=False)
    ]
    rows += [("forecast", 0.0, found.forecast_mv, "total"), ("measured", 0.0, found.measured_mv, "total")]
    for k, (name, a, b, class_) in enumerate(rows):
        y = top_of + ROW * k
        left, right = sorted(float(v) for v in panel.across([a, b]))
        pieces.append(tag("text", name, x=at(LEFT - 6), y=at(y + 12), text_anchor="end"))
        pieces.append(
            tag("rect", x=at(left), y=at(y + 2), width=at(max(right - left, 0.8)), height=at(ROW - 4), class_=class_)
        )
        shown = f"{b - a:+.4f}".replace("-", "−")
        pieces.append(tag("text", shown, x=at(WIDTH - RIGHT + 6), y=at(y + 12)))
    pieces.append(panel.below("mV"))
    return picture(
        WIDTH, height, explanation_words(found), *pieces, **({"class_": "chart", "unit": "px"} if style else {})
    )


def worst_forecasts(reading: Interpretation, count: int = WORST) -> list[dict[str, Any]]:
    """Return figure and words of the largest errors on the windows of a reading, `APART` s from each other at least."""
    forecaster, targets = reading.forecaster, reading.part_windows.targets
    errors = np.abs(reading.residuals)
    apart = APART * forecaster.sampling_frequency
    worst: list[int] = []
    for i in np.argsort(-errors, kind="stable"):
        if all(abs(int(targets[i]) - other) >= apart for other in worst):
            worst.append(int(targets[i]))
        if len(worst) == count:
            break
    found = [explain_sample(forecaster, reading.recording, sample) for sample in worst]
    return [{"figure": explanation_figure(one, SHOWN), "words": explanation_words(one)} for one in found]


def _window(found: Explanation) -> list[Markup]:
    """The samples of the window, the forecast and what was measured, and the window that would switch a pattern."""
    windows, nearest = found.windows, found.nearest
    n, last = windows.shape[1], len(windows) - 1
    ms: Array = np.arange(1.0 - n, 1.0) * (1e3 / found.sampling_frequency)
    due = 1e3 * found.horizon / found.sampling_frequency
    changed = windows if nearest is None else windows + nearest.change_mv.reshape(windows.shape)
    pieces = []
    for k, (window, other) in enumerate(zip(windows, changed, strict=True)):
        ahead = [found.forecast_mv, found.measured_mv] if k == last else []
        low, high = limits(np.r_[window, other, ahead], zero=False)
        panel = Panel((float(ms[0]), due), (low, high), 60, 22 + LEAD * k, WIDTH - 60 - RIGHT, 80)
        name = f"{found.leads[k]}: " if last else ""
        pieces += [panel.beside(f"{name}window, mV"), panel.line(ms, window, "trace")]
        pieces.append(panel.below("ms from its last sample" if k == last else ""))
        if nearest is not None:
            pieces.append(panel.line(ms, other, "second dashed"))
        for value, class_ in zip(ahead, ("on", "minus"), strict=False):
            x, y = at(panel.across(due)), at(panel.down(value))
            pieces.append(tag("circle", cx=x, cy=y, r="3", class_=class_))
    return pieces


def explanation_svg(found: Explanation, top: int = 10) -> str:
    """Return the figure as an SVG file."""
    drawn = str(explanation_figure(found, top, style=True))
    return drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"
