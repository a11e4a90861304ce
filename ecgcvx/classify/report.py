"""The page of a training: how good it is, every filter on ECG paper with where it fires, and the beats in doubt."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from ecgcvx.classify import context
from ecgcvx.classify.classes import NAMES
from ecgcvx.classify.machine import STRIDE
from ecgcvx.classify.measures import measures_of
from ecgcvx.classify.output import filters_words
from ecgcvx.classify.reading import FilterReading, read_filters
from ecgcvx.classify.training import Training
from ecgcvx.classify.windows import AFTER, BEFORE, RATE, BeatWindows
from ecgcvx.evidence import at_most, percent
from ecgcvx.report.drawing import Panel, limits, picture
from ecgcvx.report.markup import coordinate as at
from ecgcvx.report.markup import tag
from ecgcvx.report.paper import Paper, half_mv
from ecgcvx.report.template import render

DOUBTS = 8
ENLARGED, ENLARGED_TEMPLATE = 2.0, 16.0  # so many times the size of ECG paper, a template at most
WIDEST_TEMPLATE = 3.2  # s of enlarged paper: 80 mm
HALF_TEMPLATE = 1.6  # mV of enlarged paper that the largest value of a template is drawn as
SHAPELESS = 20.0  # times the length of the shape: a weight of the context beside which the shape hardly counts
SAID, FAINT = 3, 0.05  # measures of the context that are said, at most and from which weight on


def report_html(training: Training) -> str:
    """Return the report on a training: an HTML page that needs no other file."""
    classifier = training.classifier
    decided = classifier.decide(training.held_out)
    facts = classifier.training
    first = classifier.classes[0]
    return render(
        "beats.html",
        title=f"Telling {' and '.join(NAMES[name] for name in classifier.classes[1:])} beats from {NAMES[first]} ones",
        summary=_summary(training),
        held_out=facts["held_out"],
        tiles=_tiles(training, decided),
        trials=[
            trial | {"chosen": (trial["taps"], trial["beta"], trial["weights"]) == _setting(training)}
            for trial in facts["trials"]
        ],
        measures=[_row(name, training.truth, decided, name) for name in classifier.classes],
        records=[
            _row(record, training.truth[here], decided[here], classifier.classes[1])
            for number, record in enumerate(training.windows.records)
            for here in [training.windows.record == number]
        ],
        first=classifier.classes[1],
        machines=[_machine(training, decided, k) for k in range(len(classifier.machines))],
        doubts=_doubts(training, decided),
        parameters=classifier.parameters,
    )  # fmt: skip


def _setting(training: Training) -> tuple[int, float, str]:
    setting = training.classifier.setting
    return setting.taps, setting.beta, setting.weights


def _summary(training: Training) -> str:
    classifier, facts = training.classifier, training.classifier.training
    counts = ", ".join(f"{count:,} {NAMES[name]}" for name, count in facts["beats"].items())
    crowded = facts.get("crowded", {"records": ()})["records"]
    copies = f", and from {len(crowded)} copies of some with more early beats" if crowded else ""
    return (
        f"A convolutional network of {filters_words(classifier.filters)} of {classifier.setting.taps} samples "
        f"({1e3 * classifier.setting.taps / RATE:.0f} ms) learned from {counts} beats of {len(facts['records'])} "
        f"recordings in lead {classifier.lead}{copies}. It is the solution of a convex program: another start of the "
        f"training ends at the same network, up to the gap below. All figures of how good it is are of "
        f"{facts['held_out']} that the networks behind them did not see."
    )


def _tiles(training: Training, decided: NDArray[np.str_]) -> list[dict[str, str]]:
    classifier = training.classifier
    tiles = []
    for machine in classifier.machines:
        found = measures_of(training.truth, decided, machine.name)
        note = f"sensitivity {percent(found.sensitivity)}, precision {percent(found.precision)}"
        tiles.append({"name": f"F1 of {NAMES[machine.name]} beats", "value": f"{found.f1:.3f}", "note": note})
        note = f"{machine.gap.evidence}, {machine.gap.detail}"
        name = "gap to the best network of any width"
        tiles.append({"name": name, "value": at_most(machine.gap.relative), "note": note})
    note = f"{classifier.parameters:,} weights"
    return [
        *tiles,
        {"name": "filters" if classifier.filters != 1 else "filter", "value": str(classifier.filters), "note": note},
    ]


def _row(label: str, truth: NDArray[np.str_], decided: NDArray[np.str_], name: str) -> dict[str, Any]:
    found = measures_of(truth, decided, name)
    called = int(np.sum(decided == name))
    return {
        "label": label, "beats": f"{found.beats:,}", "called": f"{called:,}",
        "sensitivity": percent(found.sensitivity) if found.beats else "",
        "precision": percent(found.precision) if called else "", "f1": f"{found.f1:.3f}" if found.beats else "",
    }  # fmt: skip


def _machine(training: Training, decided: NDArray[np.str_], k: int) -> dict[str, Any]:
    machine = training.classifier.machines[k]
    positive = training.truth == machine.name
    filters = read_filters(machine, training.windows, positive, decided == training.truth)
    return {
        "name": machine.name,
        "words": NAMES[machine.name],
        "gap": machine.gap.words,
        "proof": training.classifier.training["proofs"].get(machine.name, {}).get("words"),
        "threshold": f"{1 / (1 + np.exp(-machine.threshold)):.3f}",
        "filters": [_filter(training, machine.name, number, one) for number, one in enumerate(filters, 1)],
    }


def _filter(training: Training, name: str, number: int, one: FilterReading) -> dict[str, Any]:
    windows, i = training.windows, one.example
    truth = training.truth[i]
    usual = training.classifier.classes[0]
    return {
        "number": number,
        "speaks": f"speaks {'for' if one.sign > 0 else 'against'} {name}",
        "adds": f"adds on average {one.adds[1]:+.2f} to the log-odds of {name} in {name} beats and {one.adds[0]:+.2f} "
        "in the others",
        "context": _context_words(one),
        "template": _template_figure(one),
        "enlarged": f"{_enlargement(one):g}",
        "firing": _firing_figure(one, name) if len(one.times) > 1 else None,  # a filter of the whole beat has one place
        "example": _beat_figure(
            windows, i, one, f"A {NAMES.get(str(truth), str(truth))} beat that filter {number} reads."
        ),
        "example_words": f"{truth} beat of {windows.records[windows.record[i]]}, {_time(windows, i)}: the filter adds "
        f"{one.example_adds:+.2f}; marked: where it fires most, and what it sees of the stretch",
        "usual": usual,
    }


def _context_words(one: FilterReading) -> str:
    """The largest weights of the context in words."""
    largest = float(np.abs(one.context).max())
    shapeless = largest > SHAPELESS
    all_weights = one.context / largest if shapeless else one.context
    weights = all_weights[:-1]
    chosen = [i for i in np.argsort(-np.abs(weights), kind="stable")[:SAID] if abs(weights[i]) > FAINT]
    said = ", ".join(f"{context.NAMES[i]} {weights[i]:+.2f}" for i in chosen) or "nothing of the context"
    begin = "Its shape hardly counts: it" if shapeless else "Beside a shape of length 1 it"
    return f"{begin} weighs {said}, and a constant {all_weights[-1]:+.2f}."


def _enlargement(one: FilterReading) -> float:
    """How many times the size of ECG paper a template is drawn: a power of two."""
    fits = WIDEST_TEMPLATE * RATE / len(one.template)
    return float(min(ENLARGED_TEMPLATE, 2.0 ** np.floor(np.log2(fits))))


def _template_figure(one: FilterReading) -> Markup:
    """The shape that a filter looks for, on enlarged paper; its height means nothing."""
    enlarged = _enlargement(one)
    half = HALF_TEMPLATE / enlarged
    values = one.template * (half / np.abs(one.template).max())
    seconds = np.arange(len(values)) / RATE
    paper = Paper((0.0, float(seconds[-1])), (-1.2 * half, 1.2 * half), 2, 2, enlarged)
    words = f"Template of {len(values)} samples, {1e3 * seconds[-1]:.0f} ms long."
    zero = at(paper.panel.down(0.0))
    return picture(
        paper.left + paper.width + 2, paper.top + paper.height + 2, words, paper.grid(),
        tag("path", d=f"M{at(paper.left)} {zero}h{at(paper.width)}", class_="moment"),
        paper.panel.line(seconds, values, "first"), unit="mm", class_="sheet",
    )  # fmt: skip


def _firing_figure(one: FilterReading, name: str) -> Markup:
    """What a filter adds to the log-odds along the beat: the class against the others."""
    panel = Panel((float(1e3 * one.times[0]), float(1e3 * one.times[-1])), limits(one.fires), 42, 22, 270, 96)
    zero = at(panel.across(0.0))
    return picture(
        330, 158, f"Where the filter fires in {name} beats and in the others, against the time from the R peak.",
        panel.beside("adds to the log-odds"), panel.below("ms from the R peak"),
        tag("path", d=f"M{zero} 22v96", class_="moment"),
        panel.line(1e3 * one.times, one.fires[0], "behind"), panel.line(1e3 * one.times, one.fires[1], "second"),
        tag("path", d="M214 10h18", class_="line second"), tag("text", name, x="236", y="14", class_="label"),
        tag("path", d="M254 10h18", class_="line behind"), tag("text", "others", x="276", y="14", class_="label"),
    )  # fmt: skip


def _beat_figure(windows: BeatWindows, i: int, one: FilterReading | None, words: str) -> Markup:
    """A beat on enlarged ECG paper; of a filter, what it sees of the patch where it fires most."""
    mv = windows.signal[i] * windows.scale[i]
    seconds = np.arange(-BEFORE, AFTER) / RATE
    paper = Paper((float(seconds[0]), float(seconds[-1])), half_mv(mv), 9, 5, ENLARGED)
    pieces = [paper.grid(), paper.mv_axis()]
    if one is not None:
        first = one.peak * STRIDE
        there = slice(first, first + len(one.template))
        left, right = paper.panel.across(seconds[there][[0, -1]])
        pieces.append(
            tag("rect", x=at(left), y=at(paper.top), width=at(right - left), height=at(paper.height), class_="hold")
        )
        seen = one.template * float(one.template @ mv[there])
        pieces.append(paper.panel.line(seconds[there], seen, "second"))
    pieces += [paper.panel.line(seconds, mv, "trace"), paper.time_axis(0.2, "ms")]
    return picture(
        paper.left + paper.width + 3, paper.top + paper.height + 6, words, *pieces, unit="mm", class_="sheet"
    )  # fmt: skip


@dataclass(frozen=True)
class _Doubt:
    beat: int
    why: str


def _doubts(training: Training, decided: NDArray[np.str_]) -> list[dict[str, Any]]:
    """The beats nearest to a threshold, and those that were called wrongly with most confidence."""
    classifier = training.classifier
    above = training.held_out - np.array([machine.threshold for machine in classifier.machines])
    margin = np.abs(above.max(axis=1))
    wrong = np.flatnonzero(decided != training.truth)
    chosen = [_Doubt(int(i), "near the threshold") for i in _apart(np.argsort(margin, kind="stable"), training.windows)]
    surest = _apart(wrong[np.argsort(-margin[wrong], kind="stable")], training.windows)
    chosen += [_Doubt(int(i), "called otherwise than annotated, and surely") for i in surest]
    p = classifier.probabilities(training.held_out)
    out = []
    for one in chosen:
        i = one.beat
        odds = ", ".join(f"{name} {value:.2f}" for name, value in zip(classifier.classes, p[i], strict=True))
        out.append({
            "why": one.why,
            "words": f"annotated {training.truth[i]}, called {decided[i]} ({odds}); "
            f"{training.windows.records[training.windows.record[i]]}, {_time(training.windows, i)}; RR before "
            f"{training.windows.context[i, 0]:+.0%}, after {training.windows.context[i, 1]:+.0%} of the usual one",
            "figure": _beat_figure(training.windows, i, None, f"A beat {one.why}."),
        })  # fmt: skip
    return out


def _apart(order: NDArray[np.intp], windows: BeatWindows) -> list[int]:
    """The first of an order, at most one of each recording where there are enough recordings."""
    chosen: list[int] = []
    seen: set[int] = set()
    for i in order:
        if int(windows.record[i]) not in seen:
            chosen.append(int(i))
            seen.add(int(windows.record[i]))
        if len(chosen) == DOUBTS // 2:
            break
    return chosen


def _time(windows: BeatWindows, i: int) -> str:
    return f"sample {windows.samples[i]:,}"
