"""Tables for notebooks: what `_repr_html_` of a fit, a forecaster and an interpretation returns."""

from collections.abc import Iterable, Sequence
from html import escape

CELL = "padding:.2em .8em .2em 0"


def facts(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """A title over a table of names and values; text is escaped."""
    lines = [f'<tr><td style="{CELL};text-align:left;opacity:.7">{escape(name)}</td>'
             f'<td style="{CELL};text-align:left">{escape(value)}</td></tr>' for name, value in rows]  # fmt: skip
    return f"<div><strong>{escape(title)}</strong><table><tbody>{''.join(lines)}</tbody></table></div>"


def grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a header; the first column is text, the others are numbers."""

    def line(cells: Sequence[str], kind: str) -> str:
        sides = ("left", *("right",) * (len(cells) - 1))
        parts = (f'<{kind} style="{CELL};text-align:{side}">{escape(cell)}</{kind}>' for side, cell in zip(sides, cells,
                 strict=True))  # fmt: skip
        return f"<tr>{''.join(parts)}</tr>"

    return (
        f"<table><thead>{line(header, 'th')}</thead><tbody>{''.join(line(row, 'td') for row in rows)}</tbody></table>"
    )


def number(value: float | None, digits: int) -> str:
    """A number with so many decimals; nothing for None."""
    return "" if value is None else f"{value:.{digits}f}"
