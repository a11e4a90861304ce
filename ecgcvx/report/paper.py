"""ECG paper: a millimetre is 40 ms across and 0.1 mV up, every fifth line is strong; drawn in mm, true to scale."""

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from ecgcvx.report.drawing import Panel
from ecgcvx.report.markup import coordinate as at
from ecgcvx.report.markup import join, number, tag
from ecgcvx.types import Array

SECONDS_PER_MM, MV_PER_MM = 0.04, 0.1  # 25 mm/s and 10 mm/mV
TALLEST_MV = 12.0  # of a sheet; a signal that leaves it is cut off at its edge


@dataclass(frozen=True)
class Paper:
    """A sheet for times (s) and amplitudes (mV), its corner at left, top (mm), enlarged `times`-fold."""

    seconds: tuple[float, float]
    mv: tuple[float, float]
    left: float = 0.0
    top: float = 0.0
    enlarged: float = 1.0

    @property
    def width(self) -> float:
        """Width in mm."""
        return self.enlarged * (self.seconds[1] - self.seconds[0]) / SECONDS_PER_MM

    @property
    def height(self) -> float:
        """Height in mm."""
        return self.enlarged * (self.mv[1] - self.mv[0]) / MV_PER_MM

    @property
    def panel(self) -> Panel:
        """The panel to draw on, in s and mV."""
        return Panel(self.seconds, self.mv, self.left, self.top, self.width, self.height)

    def grid(self) -> Markup:
        """Paper and lines."""
        panel = self.panel
        sheet = tag(
            "rect", x=at(self.left), y=at(self.top), width=at(self.width), height=at(self.height), class_="paper"
        )
        pieces = [sheet]
        for every, class_ in ((1, "minor"), (5, "major")):
            across = panel.across(_multiples(*self.seconds, every * SECONDS_PER_MM))
            down = panel.down(_multiples(*self.mv, every * MV_PER_MM))
            d = "".join(f"M{at(x)} {at(self.top)}v{at(self.height)}" for x in across)
            d += "".join(f"M{at(self.left)} {at(y)}h{at(self.width)}" for y in down)
            pieces.append(tag("path", d=d, class_=class_))
        return join(pieces)

    def mv_axis(self) -> Markup:
        """Amplitudes in whole mV, or halves where there are few, left of the sheet."""
        step = 1.0 if self.mv[1] - self.mv[0] > 2.2 else 0.5
        pieces = []
        for value in _multiples(*self.mv, step):
            y = float(self.panel.down(value))
            pieces.append(
                tag("text", number(value), x=at(self.left - 1.2), y=at(y + 1), text_anchor="end", class_="mm")
            )
        pieces.append(tag("text", "mV", x=at(self.left - 1.2), y=at(self.top - 3), text_anchor="end", class_="mm"))
        return join(pieces)

    def time_axis(self, step: float, unit: str) -> Markup:
        """Times under the sheet, every `step` seconds, in 's' or 'ms'."""
        factor = 1e3 if unit == "ms" else 1.0
        y = self.top + self.height + 4
        pieces = []
        for value in _multiples(*self.seconds, step):
            x = float(self.panel.across(value))
            pieces.append(tag("text", number(factor * value), x=at(x), y=at(y), text_anchor="middle", class_="mm"))
        return join(pieces)


def half_mv(*values: Array) -> tuple[float, float]:
    """Return limits at half mV that hold all finite values with a little room, at most TALLEST_MV apart."""
    every = np.concatenate([np.ravel(part) for part in values])
    every = every[np.isfinite(every)]
    if not len(every):
        return -0.5, 0.5
    low, high = float(np.floor(2 * every.min() - 0.2) / 2), float(np.ceil(2 * every.max() + 0.2) / 2)
    if high - low <= TALLEST_MV:
        return low, high
    middle = float(np.round(np.median(every)))
    return middle - TALLEST_MV / 2, middle + TALLEST_MV / 2


def _multiples(low: float, high: float, step: float) -> Array:
    return np.arange(np.ceil(low / step - 1e-6), np.floor(high / step + 1e-6) + 1) * step
