"""Pages from templates: each is complete in itself, and shows text of records without being steered by it."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ecgcvx import __version__
from ecgcvx.report.markup import shown

TEMPLATES = Path(__file__).parent / "templates"


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, finalize=shown,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def render(template: str, style: str = "style.css", **values: Any) -> str:
    """Return the page of a template; style : the file of its style sheet, which it holds."""
    sheet = Markup((TEMPLATES / style).read_text(encoding="utf-8"))
    return _environment().get_template(template).render(version=__version__, style=sheet, **values)
