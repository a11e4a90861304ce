"""Small SVG charts: panels with axes, lines, bands, bars. Colours are classes, so that a page can be light or dark."""

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike

from ecgcvx.report.markup import coordinate as at
from ecgcvx.report.markup import join, number, tag
from ecgcvx.types import Array

POINTS = 1200  # of a line; more are thinned to the extremes of as many columns
TICK = 4.0
FEW = 80  # bars or stems; more are drawn as a line


@dataclass(frozen=True)
class Panel:
    """A rectangle (left, top, width, height) of a drawing on which the ranges x and y of the data lie."""

    x: tuple[float, float]
    y: tuple[float, float]
    left: float
    top: float
    width: float
    height: float

    def across(self, x: ArrayLike) -> Array:
        """Return where data x lie from left to right."""
        return self.left + (np.asarray(x, dtype=float) - self.x[0]) * (self.width / (self.x[1] - self.x[0]))

    def down(self, y: ArrayLike) -> Array:
        """Return where data y lie from top to bottom."""
        return self.top + (self.y[1] - np.asarray(y, dtype=float)) * (self.height / (self.y[1] - self.y[0]))

    def line(self, x: Array, y: Array, class_: str) -> Markup:
        """A line through points (k,), interrupted where y is NaN."""
        x, y = thinned(x, np.clip(y, *self.y))
        return tag("path", d=_path(self.across(x), self.down(y)), class_=f"line {class_}")

    def band(self, x: Array, low: Array, high: Array, class_: str) -> Markup:
        """The area between two lines (k,); points where one is NaN are left out."""
        known = np.isfinite(low) & np.isfinite(high)
        x, low, high = x[known], np.clip(low[known], *self.y), np.clip(high[known], *self.y)
        if not len(x):
            return Markup("")
        d = _path(np.r_[self.across(x), self.across(x[::-1])], np.r_[self.down(high), self.down(low[::-1])])
        return tag("path", d=f"{d}Z", class_=class_)

    def bars(self, x: Array, y: Array, wide: float, class_: str) -> Markup:
        """Bars (k,) from 0 to y, `wide` in units of x; a line where there are many."""
        if len(x) > FEW:
            return self.line(x, y, "first")
        half = wide / 2
        pieces = []
        for left, right, a, b in zip(
            self.across(x - half), self.across(x + half), self.down(np.minimum(y, 0)), self.down(np.maximum(y, 0)),
            strict=True,
        ):  # fmt: skip
            pieces.append(f"M{at(left)} {at(b)}H{at(right)}V{at(a)}H{at(left)}Z")
        return tag("path", d="".join(pieces), class_=class_)

    def stems(self, x: Array, y: Array, class_: str) -> Markup:
        """Values (k,) as dots on stems from 0; a line where there are many."""
        if len(x) > FEW:
            return self.line(x, y, class_)
        places = list(zip(self.across(x), self.down(y), strict=True))
        zero = float(self.down(0.0))
        d = "".join(f"M{at(a)} {at(zero)}V{at(b)}" for a, b in places)
        dots = [tag("circle", cx=at(a), cy=at(b), r="2.2", class_=f"dot {class_}") for a, b in places]
        return join([tag("path", d=d, class_=f"line {class_}"), *dots])

    def below(self, label: str, ticks: Array | None = None, numbers: bool = True) -> Markup:
        """The axis of x under the panel."""
        places = round_values(*self.x, 5) if ticks is None else ticks
        bottom = self.top + self.height
        pieces = [tag("path", d=f"M{at(self.left)} {at(bottom)}H{at(self.left + self.width)}", class_="axis")]
        for value, place in zip(places, self.across(places), strict=True):
            pieces.append(tag("path", d=f"M{at(place)} {at(bottom)}v{at(TICK)}", class_="axis"))
            if numbers:
                words = number(value)
                pieces.append(tag("text", words, x=at(place), y=at(bottom + 14), text_anchor="middle"))
        if label:
            middle = self.left + self.width / 2
            pieces.append(tag("text", label, x=at(middle), y=at(bottom + 29), text_anchor="middle", class_="label"))
        return join(pieces)

    def beside(self, label: str, ticks: Array | None = None) -> Markup:
        """The axis of y left of the panel, with light lines across it; the label stands above."""
        places = round_values(*self.y, 3) if ticks is None else ticks
        right = self.left + self.width
        pieces = []
        for value, place in zip(places, self.down(places), strict=True):
            strong = "axis" if value == 0 else "rule"
            pieces.append(tag("path", d=f"M{at(self.left)} {at(place)}H{at(right)}", class_=strong))
            pieces.append(tag("text", number(value), x=at(self.left - 5), y=at(place + 3.8), text_anchor="end"))
        pieces.append(tag("text", label, x=at(self.left), y=at(self.top - 6), class_="label"))
        return join(pieces)


def picture(width: float, height: float, words: str, *pieces: Markup, unit: str = "", class_: str = "chart") -> Markup:
    """Return a drawing of so many units; `words` tell its content to who does not see it; unit: '' for px, or 'mm'."""
    size = {"width": f"{at(width)}{unit}", "height": f"{at(height)}{unit}"} if unit else {}
    box = f"0 0 {at(width)} {at(height)}"
    return tag("svg", *pieces, viewBox=box, role="img", aria_label=words, class_=class_, **size)


def round_values(low: float, high: float, about: int) -> Array:
    """Return some `about` round values between two numbers: steps of 1, 2, 2.5 or 5 times a power of ten."""
    raw = (high - low) / max(about, 1)
    power = 10.0 ** np.floor(np.log10(raw))
    step = power * min((1, 2, 2.5, 5, 10), key=lambda m: abs(np.log(m * power / raw)))
    return np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step


def limits(*values: Array, zero: bool = True, room: float = 0.06) -> tuple[float, float]:
    """Return a range that holds all finite values (and 0) with some room."""
    every = np.concatenate([np.ravel(part) for part in values])
    every = every[np.isfinite(every)]
    low, high = (float(every.min()), float(every.max())) if len(every) else (0.0, 1.0)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low < 1e-12:
        low, high = low - 1.0, high + 1.0
    extra = room * (high - low)
    return low - extra, high + extra


def thinned(x: Array, y: Array) -> tuple[Array, Array]:
    """Return at most 2 POINTS points of a line, the least and the largest y of every column of it."""
    if len(x) <= 2 * POINTS:
        return x, y
    keep = []
    for part in np.array_split(np.arange(len(x)), POINTS):
        if np.isnan(y[part]).all():
            keep.append(part[:1])
        else:
            keep.append(np.unique([part[np.nanargmin(y[part])], part[np.nanargmax(y[part])]]))
    chosen = np.concatenate(keep)
    return x[chosen], y[chosen]


def _path(x: Array, y: Array) -> str:
    pieces, pen = [], "M"
    for a, b in zip(x, y, strict=True):
        if np.isnan(b):
            pen = "M"
            continue
        pieces.append(f"{pen}{at(a)} {at(b)}")
        pen = "L"
    return "".join(pieces)
