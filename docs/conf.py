"""The documentation as a site: `make docs` builds it with warnings as errors."""

import re
from html import escape
from importlib.metadata import version as version_of
from typing import Any

project = "ecgcvx"
author = "The ecgcvx maintainers"
release = version = version_of("ecgcvx")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples"]
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",  # made anew, not kept
    "filename_pattern": r"/plot_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "within_subsection_order": "FileNameSortKey",
    "min_reported_time": 5,
    "capture_repr": (),
    "write_computation_times": False,
}
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}  # those with a docstring
napoleon_google_docstring = False
napoleon_use_ivar = True

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = "ecgcvx"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "show_prev_next": False,
    "navbar_align": "left",
    "header_links_before_dropdown": 4,
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {"**": []}  # the pages are few enough for the bar at the top
html_show_sourcelink = False
suppress_warnings = [
    "myst.header",  # pages that begin a part at the fourth level
    "ref.python",  # fields of several classes with one name
]

ARRAY = re.compile(r"~?numpy\.ndarray\[~?tuple\[~?typing\.Any, \.\.\.\], ~?numpy\.dtype\[~?[\w.]+\]\]")
OF_SCIKIT_LEARN = {
    "fit_transform", "get_metadata_routing", "get_params", "set_fit_request", "set_output", "set_params",
    "set_score_request",
}  # fmt: skip


def plain(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Take the bars and the final underscores of formulas in docstrings as they are."""
    for number, line in enumerate(lines):
        line = re.sub(r"(?<!\\)\|", r"\\|", line)
        lines[number] = re.sub(r"(?<=\w)_(?=\W|$)", r"\\_", line)


def skip(app: Any, what: str, name: str, obj: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out what scikit-learn documents."""
    return True if name in OF_SCIKIT_LEARN else None


def short(app: Any, what: str, name: str, obj: Any, options: Any, signature: str, result: str) -> tuple[str, str]:
    """Leave the number type out of the types of arrays, which docstrings give with the shape."""
    found = tuple(ARRAY.sub("~numpy.ndarray", text) if text else text for text in (signature, result))
    return found[0], found[1]


def formula(writer: Any, node: Any) -> None:
    """Write a formula as MathML, which browsers draw themselves: no script, no network."""
    from docutils.nodes import SkipNode
    from latex2mathml.converter import convert

    display = node.tagname == "math_block"
    found = convert(node.astext(), display="block" if display else "inline")
    tex = escape(node.astext(), quote=True)
    writer.body.append(f'<div class="formula" title="{tex}">{found}</div>' if display else found)
    raise SkipNode


def setup(app: Any) -> None:
    """Connect all, after the docstrings have been read as NumPy's."""
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
    app.connect("autodoc-process-docstring", plain, priority=900)
    app.connect("autodoc-process-signature", short)
    app.connect("autodoc-skip-member", skip)
