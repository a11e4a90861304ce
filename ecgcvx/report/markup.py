"""HTML and SVG elements that are escaped by construction; text of a record shows what it holds and steers nothing."""

import re
import unicodedata
from typing import Any, SupportsFloat

from markupsafe import Markup, escape

HIDDEN = frozenset(
    {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
)  # Unicode categories without a glyph, bidi marks among them
LONGEST = 2000  # characters of one text of a page


def printable(text: str) -> str:
    """Return a text on one line with every character that has no glyph as U+FFFD."""
    if text.isascii() and text.isprintable():
        return text
    line = re.sub(r"[\t\n\v\f\r]+", " ", text)
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in HIDDEN else c for c in line)


def shown(value: Any) -> Any:
    """What a page shows of a value: of text that is not markup yet what is printable, and not without end."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return printable(value if len(value) <= LONGEST else f"{value[:LONGEST]}…")


def tag(name: str, *children: str, **attributes: Any) -> Markup:
    """Return an element; `class_` stands for class, other underscores for hyphens, None leaves an attribute out."""
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(printable(str(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(child if isinstance(child, Markup) else printable(child) for child in children)
    return Markup(f"<{name}{words}>{inner}</{name}>")


def join(pieces: "list[Markup]") -> Markup:
    """Return the pieces one after another."""
    return Markup("").join(pieces)


def coordinate(value: SupportsFloat) -> str:
    """A coordinate, to a hundredth of a unit."""
    return f"{round(float(value), 2):g}"


def number(value: float) -> str:
    """A number of an axis, with a true minus."""
    return f"{float(value) + 0.0:.6g}".replace("-", "−")
