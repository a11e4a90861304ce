"""The form that all scripts of this folder share: claims, pictures, and the pages made of them.

A script has a function `reproduce(reduced) -> Entry` and ends with `main(reproduce)`. Running it writes its pictures
and a file of its claims (JSON) to an output folder, prints the claims, and exits with status 1 if one does not hold.
`all.py` runs the scripts and makes the pages from these files.
"""

import argparse
import inspect
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from threadpoolctl import threadpool_limits

from ecgcvx.figures import save_figure
from ecgcvx.files import atomic_write

INK, BLUE, ORANGE, GREEN, RED, GREY, FAINT = (
    "#1a1a1a", "#4a8df0", "#e0913d", "#3f9b6c", "#c8473d", "#8a8a8a", "#e4e4e4"
)  # fmt: skip
WIDTH = 7.2  # inches of a picture; at 150 dots an inch it is shown at its own size or a little smaller
DEFAULT_OUTPUT = Path("out/lecture")


@dataclass(frozen=True)
class Claim:
    """What a slide says, what was found in numbers, whether it holds, and what has to be corrected so that it does."""

    text: str
    found: str
    holds: bool
    correction: str = ""

    @property
    def verdict(self) -> str:
        """'holds', 'holds with this correction' or 'does not hold'."""
        if not self.holds:
            return "does not hold"
        return "holds with this correction" if self.correction else "holds"


@dataclass(frozen=True)
class Picture:
    """A figure, the name of its file (without ending), and a sentence that says what is seen."""

    name: str
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Table:
    """Rows of cells under a header, the first column of words and the others of numbers, and a sentence above."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Entry:
    """What a script found. slide : subject of the slides. note : what else a reader should know, e.g. data used."""

    title: str
    slide: str
    claims: tuple[Claim, ...]
    pictures: tuple[Picture, ...]
    note: str = ""
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True)
class Record:
    """An entry as it is kept in a file. pictures : (file name, caption). seconds : of processor time, all threads."""

    script: str
    title: str
    slide: str
    claims: tuple[Claim, ...]
    pictures: tuple[tuple[str, str], ...]
    note: str
    command: str
    seconds: float
    tables: tuple[Table, ...] = ()

    @property
    def took(self) -> str:
        """The seconds as they are written."""
        return f"{max(self.seconds, 1):.0f} s"

    @property
    def verdict(self) -> str:
        """The verdict of all claims together."""
        verdicts = {claim.verdict for claim in self.claims}
        if "does not hold" in verdicts:
            return "does not hold"
        return "holds with this correction" if "holds with this correction" in verdicts else "holds"


Reproduce = Callable[..., Entry]


def main(reproduce: Reproduce, add_options: Callable[[argparse.ArgumentParser], None] | None = None) -> None:
    """Run one script: write its pictures and claims, print the claims, exit with status 1 if one does not hold.

    reproduce is called with `reduced` and with the options that add_options has added, by name.
    """
    source = Path(inspect.getfile(reproduce))
    module = sys.modules[reproduce.__module__]
    parser = argparse.ArgumentParser(description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help=f"folder (default {DEFAULT_OUTPUT})")
    parser.add_argument("--reduced", action="store_true", help="a smaller problem, for tests")
    if add_options is not None:
        add_options(parser)
    options = vars(parser.parse_args())
    output = options.pop("output")
    record = keep(source.stem, reproduce, output, **options)
    for claim in record.claims:
        print(
            f"{claim.verdict}: {claim.text}\n    {claim.found}" + (f"\n    {claim.correction}" * bool(claim.correction))
        )
    print(f"{source.stem}: {record.seconds:.1f} s of processor time, {output}")
    sys.exit(record.verdict == "does not hold")


def keep(script: str, reproduce: Reproduce, output: Path, **options: Any) -> Record:
    """Run a script's function and write `<script>.json` and its pictures to the output folder."""
    started = time.process_time()
    with threadpool_limits(1):  # so that seconds mean the same everywhere
        entry = reproduce(**options)
    given = [f"--{name} FOLDER" for name, value in options.items() if isinstance(value, Path)]
    record = Record(
        script=script,
        title=entry.title,
        slide=entry.slide,
        claims=entry.claims,
        pictures=tuple((f"{picture.name}.png", picture.caption) for picture in entry.pictures),
        note=entry.note,
        command=" ".join([f"python scripts/reproduce/{script}.py", *given]),
        seconds=time.process_time() - started,
        tables=entry.tables,
    )
    output.mkdir(parents=True, exist_ok=True)
    for picture in entry.pictures:
        save_figure(picture.figure, output / f"{picture.name}.png")
    text = json.dumps(asdict(record), indent=1, ensure_ascii=False, default=bool)  # NumPy's Booleans
    atomic_write(output / f"{script}.json", lambda file: file.write(text.encode()))
    return record


def read_record(path: Path) -> Record:
    """Read what `keep` wrote."""
    held = json.loads(path.read_text())
    held["claims"] = tuple(Claim(**claim) for claim in held["claims"])
    held["pictures"] = tuple((name, caption) for name, caption in held["pictures"])
    held["tables"] = tuple(
        Table(table["caption"], tuple(table["header"]), tuple(tuple(row) for row in table["rows"]))
        for table in held["tables"]
    )
    return Record(**held)


def style(axes: Axes, **settings: Any) -> None:
    """Set labels, limits and scales of axes, with a faint grid and without the upper and right lines.

    Of a logarithmic axis only the powers of ten are labelled; `plain_log` is for one of few decades.
    """
    axes.set(**settings)
    for axis, scale in ((axes.xaxis, axes.get_xscale()), (axes.yaxis, axes.get_yscale())):
        if scale == "log":
            axis.set_minor_formatter(NullFormatter())
    axes.grid(color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.xaxis.label.set_fontsize(9)
    axes.yaxis.label.set_fontsize(9)
    axes.title.set_fontsize(9)


def plain_log(axis: Axis) -> None:
    """Label a logarithmic axis of few decades at 1, 2, 5 times powers of ten, in plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def new_figure(title: str, height: float, width: float = WIDTH) -> Figure:
    """Return a figure of the given size in inches with a title at its upper left."""
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    figure.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
    return figure


PAGE_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --line: #ddd; --quiet: #666; --good: #2c7a50;
  --warn: #8a5a10; --bad: #b3261e }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #161616; --line: #3a3a3a; --quiet: #a0a0a0;
  --good: #7ecb9f; --warn: #e0b060; --bad: #ff8a80 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 60rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, sans-serif }
img { max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line); border-radius: 4px }
figure { margin: 1rem 0 } figcaption, .quiet { color: var(--quiet); font-size: .9rem }
section { border-top: 1px solid var(--line); margin-top: 2.5rem }
li { margin: .6rem 0 } ul.claims { list-style: none; padding: 0 }
.holds { color: var(--good) } .correction { color: var(--warn) } .fails { color: var(--bad) }
div.table { overflow-x: auto } table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums }
caption { text-align: left; color: var(--quiet); padding-bottom: .3rem }
th, td { padding: .2rem .8rem .2rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
th:first-child, td:first-child { text-align: left } th { font-weight: 600 }
b.verdict { font-weight: 600 } code { font-size: .9em; overflow-wrap: anywhere }
"""
CLASSES = {"holds": "holds", "holds with this correction": "correction", "does not hold": "fails"}


def index_html(records: list[Record]) -> str:
    """Return a page: a list of all entries with their verdicts, then each with pictures first."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>The lecture, reproduced</title><style>{PAGE_STYLE}</style><h1>The lecture, reproduced</h1><ol>"
    ]
    for record in records:
        where = f"{escape(record.slide)} · <code>{record.script}.py</code>"
        parts.append(
            f"<li><a href='#{record.script}'>{escape(record.title)}</a>: {_badge(record.verdict)}<br>"
            f"<span class=quiet>{where}</span></li>"
        )
    parts.append("</ol>")
    for number, record in enumerate(records, 1):
        parts.append(f"<section id='{record.script}'><h2>{number}. {escape(record.title)}</h2>")
        for name, caption in record.pictures:
            shown = escape(caption)
            image = f"<a href='{escape(name)}'><img src='{escape(name)}' alt='{shown}'></a>"
            parts.append(f"<figure>{image}<figcaption>{shown}</figcaption></figure>")
        parts += [_table_html(table) for table in record.tables]
        parts.append("<ul class=claims>")
        for claim in record.claims:
            correction = f" <i>{escape(claim.correction)}</i>" if claim.correction else ""
            parts.append(
                f"<li>{_badge(claim.verdict)}: {escape(claim.text)}{correction}<br>"
                f"<span class=quiet>Found: {escape(claim.found)}</span></li>"
            )
        note = f"{escape(record.note)} " if record.note else ""
        parts.append(
            f"</ul><p class=quiet>Slides: {escape(record.slide)}. {note}<code>{escape(record.command)}</code>, "
            f"{record.took} of processor time.</p></section>"
        )
    return "\n".join(parts) + "</html>\n"


def _table_html(table: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table.header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    return (
        f"<div class=table><table><caption>{escape(table.caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _badge(verdict: str) -> str:
    return f"<b class='verdict {CLASSES[verdict]}'>{verdict}</b>"


def docs_pages(records: list[Record], introduction: str) -> dict[str, str]:
    """Return the same as Markdown: `lecture.md`, which lists the slides, and `lecture/SCRIPT.md` for each script.

    Pictures are beside the latter.
    """
    lines = ["# The lecture, slide by slide", "", introduction, "", "## Where is the slide on ...?", ""]
    lines += ["| slide | page | verdict |", "|---|---|---|"]
    for number, record in enumerate(records, 1):
        page = f"[{number}. {record.title}](lecture/{record.script}.md)"
        lines += [f"| {slide} | {page} | {record.verdict} |" for slide in record.slide.split("; ")]
    lines += ["", "```{toctree}", ":hidden:", "", *(f"lecture/{record.script}" for record in records), "```"]
    pages = {"lecture.md": "\n".join(lines) + "\n"}
    for number, record in enumerate(records, 1):
        pages[f"lecture/{record.script}.md"] = "\n".join(_docs_lines(number, record)) + "\n"
    return pages


def _docs_lines(number: int, record: Record) -> list[str]:
    lines = [f"# {number}. {record.title}", "", f"Slides: {record.slide}."]
    for name, caption in record.pictures:
        lines += ["", f"![{caption}]({name})", "", caption]
    for table in record.tables:
        lines += ["", table.caption, "", *_table_lines(table)]
    lines += ["", "| claim | found | verdict |", "|---|---|---|"]
    for claim in record.claims:
        correction = f": {claim.correction}" if claim.correction else ""
        cells = (claim.text, claim.found, f"**{claim.verdict}**{correction}")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    note = f"{record.note} " if record.note else ""
    return [*lines, "", f"{note}`{record.command}`, {record.took} of processor time."]


def _table_lines(table: Table) -> list[str]:
    ruler = ["---", *["---:"] * (len(table.header) - 1)]
    rows = [table.header, tuple(ruler), *table.rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
