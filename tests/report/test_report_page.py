"""The page of a report, read as text: complete, escaped, small, true to its numbers."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from readings import RECORD, case, minute
from two_layers import two_layers

from ecgcvx.activations import RELU_LIKE
from ecgcvx.forecaster import Forecaster
from ecgcvx.interpretation import interpret
from ecgcvx.models import ReluNetwork
from ecgcvx.records import Annotation, Recording, read_recording
from ecgcvx.report import report_html
from ecgcvx.report.sections import example_section
from ecgcvx.report.template import TEMPLATES
from ecgcvx.windows import Scaler, all_windows

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&{{ 7 * 7 }}\u202e\u2066\x07"
KINDS = ("relu", "gated", "polynomial", "stack", "typed")
VOID = {"meta", "link", "img", "br"}


class Tags(HTMLParser):
    """Start tags with their attributes; fails where end tags do not match."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join("".join(self.words).split())


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_whole_and_loads_nothing(kind):
    page = case(kind).page
    found = Tags(page)
    names = {name for name, _ in found.tags}
    assert {"header", "main", "nav", "footer", "h1", "table", "svg"} <= names
    assert not names & {"script", "iframe", "object", "embed", "form", "base", "img"}
    for name, attributes in found.tags:
        assert not [key for key in attributes if key.startswith("on") or key in ("src", "srcset", "action")]
        if name == "a":
            assert attributes["href"].startswith(("#", "https://doi.org/", "https://arxiv.org/"))
    assert "url(" not in page
    assert "@import" not in page
    (policy,) = [a["content"] for n, a in found.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@pytest.mark.parametrize("kind", KINDS)
def test_names_anchors_and_tables_are_sound(kind):
    found = Tags(case(kind).page)
    names = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(names) == len(set(names))
    targets = {
        attributes["href"][1:] for name, attributes in found.tags if name == "a" and attributes["href"][0] == "#"
    }
    targets |= {attributes["aria-labelledby"] for _, attributes in found.tags if "aria-labelledby" in attributes}
    assert targets <= set(names)
    assert all(attributes.get("scope") in ("col", "row") for name, attributes in found.tags if name == "th")
    levels = [int(name[1]) for name, _ in found.tags if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(np.diff(levels)) <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_drawing_is_sound_and_has_words(kind):
    drawings = re.findall(r"<svg.*?</svg>", case(kind).page, re.DOTALL)
    assert len(drawings) > 5
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert root.get("aria-hidden") == "true" or (root.get("role") == "img" and len(root.get("aria-label")) > 20)
        assert "nan" not in drawing.lower()
        assert "inf" not in re.sub(r"aria-label=\"[^\"]*\"", "", drawing)


def test_the_first_screen_tells_network_error_and_patterns():
    found = case("gated")
    reading, text = found.reading, Tags(found.page).text
    for words in (
        f"A network of {reading.forecaster.network.neurons} neurons looks at 15 samples (41.7 ms)",
        "On the last part of the record, from which it did not learn",
        f"{found.training.convex.test_rmse_mv:.4f} mV",
        "The most important patterns",
        "was not tested here",
        "ecgcvx interpret out/208 RECORD",
    ):
        assert words in text
    assert reading.rmse_mv == pytest.approx(found.training.convex.test_rmse_mv, rel=1e-9)
    assert text.index("most important") < text.index("How good it is")


@pytest.mark.parametrize("kind", KINDS)
def test_all_but_the_first_part_is_folded(kind):
    found = Tags(case(kind).page)
    patterns = [a for name, a in found.tags if name == "details" and a.get("class", "").startswith("pattern")]
    assert len(patterns) == len(case(kind).reading.patterns)
    assert ["open" in attributes for attributes in patterns] == [True] + [False] * (len(patterns) - 1)


def test_errors_are_told_in_words_and_drawn():
    reading = case("gated").reading
    windows = reading.part_windows
    r = np.abs(reading.forecaster.scaler.scale * (windows.y - reading.forecaster.network.predict(windows.X)))
    text = Tags(case("gated").page).text
    assert f"Half of all errors are below {float(np.median(r)):.2g}".rstrip("0") in text
    assert f"the largest is {float(r.max()):.2g}".rstrip("0") in text


def test_stability_is_told_in_words_and_marks():
    found = case("relu")
    text = Tags(found.page).text
    assert "was not tested here" not in text
    verdicts = [pattern.stability.verdict for pattern in found.reading.patterns]
    unstable = verdicts.count("not stable")
    assert found.page.count('class="pattern unstable"') == unstable
    assert text.count("Not stable: it recurs in") == unstable
    assert f"Of the patterns above {verdicts.count('stable')} " in text


def test_the_methods_name_versions_and_parameters():
    text = Tags(case("gated").page).text
    for words in ("12 sampled patterns", "seed 0", "NumPy", "1.000 × 10⁻⁵", "Pilanci, M. & Ergen", "360 Hz", "FISTA"):
        assert words in text


def test_limits_are_told():
    text = Tags(case("polynomial").page).text
    assert "Association, not diagnosis" in text
    assert "Not for clinical use" in text


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_of_a_forecast_add_up(kind):
    reading = case(kind).reading
    windows = all_windows(reading.recording.signal, reading.forecaster.scaler, 15, 1)
    rows = example_section(reading, windows)["rows"]
    values = {row["name"]: float(row["value"].replace("−", "-")) for row in rows}
    forecast = values.pop("forecast")
    values.pop("measured")
    assert sum(values.values()) == pytest.approx(forecast, abs=1e-4 * len(values))


def hostile_record(folder):
    """A record whose header is hostile wherever it is free text."""
    name = "<svg onload=alert(1)>"
    (folder / "evil.dat").write_bytes(RECORD.with_suffix(".dat").read_bytes()[: 360 * 40 * 3 // 2])
    lines = [f"evil 1 360 {360 * 40}", f"evil.dat 212 200(1024)/mV 12 0 975 0 0 {HOSTILE}", f"# {HOSTILE}"]
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / name


def test_a_hostile_record_steers_nothing(tmp_path):
    recording = Recording(minute().signal, 360.0, HOSTILE, HOSTILE)
    found = case("gated")
    reading = replace(found.reading, recording=recording)
    training = replace(found.training, record=HOSTILE, lead=HOSTILE, detail=HOSTILE, status=HOSTILE, output=HOSTILE)
    page = report_html(reading, training, HOSTILE)
    tags = Tags(page)
    assert not {name for name, _ in tags.tags} & {"script", "img"}
    assert not [key for _, attributes in tags.tags for key in attributes if key.startswith("on")]
    assert "<script>alert(1)</script>" in tags.text
    assert "{{ 7 * 7 }}" in tags.text
    assert not re.search("[\u202e\u2066\x07]", page)


def test_a_hostile_header_steers_nothing(tmp_path):
    try:
        recording = read_recording(hostile_record(tmp_path), lead=0)
    except OSError:
        pytest.skip("no such file name on this file system")
    found = case("gated")
    reading = interpret(replace(found.reading.forecaster, lead=recording.lead), recording, refitting=None)
    page = report_html(reading, None, str(tmp_path))
    tags = Tags(page)
    assert not {name for name, _ in tags.tags} & {"script", "img"}
    assert not [key for _, attributes in tags.tags for key in attributes if key.startswith("on")]
    assert "onload=alert(1)" in tags.text


def test_the_size_does_not_grow_with_the_record():
    rate, seconds = 1000.0, 300
    random = np.random.default_rng(0)
    time = np.arange(int(rate * seconds)) / rate
    peaks = (np.arange(0.5, seconds - 1, 0.8) * rate).astype(np.int64)
    signal = 0.1 * np.sin(time) + 0.01 * random.standard_normal(len(time))
    for shift in range(-30, 31):
        signal[peaks + shift] += np.exp(-((shift / 10) ** 2))
    annotation = Annotation(peaks, tuple("NVAN"[k % 4] for k in range(len(peaks))))
    recording = Recording(signal, rate, "II", "long", annotation)
    network = ReluNetwork(random.standard_normal((16, 20)), random.standard_normal(20))
    forecaster = Forecaster(network, Scaler(float(signal.mean()), float(signal.std())), "II", rate, 15, 1, 1e-3)
    page = report_html(interpret(forecaster, recording, part="all", refitting=None), None, "out/long")
    assert len(page.encode()) < 2.5e6
    assert "Beats of type V" in Tags(page).text


def test_a_record_without_beats_or_training_has_a_report():
    random = np.random.default_rng(1)
    signal = 0.1 * random.standard_normal(400)
    signal[100:120] = np.nan
    recording = Recording(signal, 250.0, "II", "noise")
    network = ReluNetwork(random.standard_normal((6, 1)), np.ones(1))
    forecaster = Forecaster(network, Scaler(0.0, 0.1), "II", 250.0, 5, 3, 1e-3)
    reading = interpret(forecaster, recording, part="all", refitting=None)
    found = Tags(report_html(replace(reading, beats=None, beat_averages=()), None, "model.safetensors"))
    assert "no metrics.json" in found.text
    assert "The beat and its patterns" not in found.text
    assert "A network of 1 neuron looks at 5 samples" in found.text


@pytest.mark.parametrize("length", [1, 2, 150])
@pytest.mark.parametrize("activation", [None, RELU_LIKE])
def test_windows_of_any_length_and_signals_of_any_size_have_a_report(length, activation):
    random = np.random.default_rng(2)
    signal = 500 * np.cumsum(random.standard_normal(3000))
    recording = Recording(signal, 100.0, "II", "huge", Annotation(np.array([1500]), ("N",)))
    network = two_layers(random.standard_normal((length + 1, 3)), random.standard_normal(3), polynomial=activation)
    scaler = Scaler(float(signal.mean()), float(signal.std()))
    reading = interpret(
        Forecaster(network, scaler, "II", 100.0, length, 2, 1e-3), recording, part="all", refitting=None
    )
    page = report_html(reading, None, "out/huge")
    assert len(page.encode()) < 1e6
    heights = [float(text) for text in re.findall(r'height="([0-9.]+)mm"', page)]
    assert max(heights) < 250
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        assert "nan" not in drawing


def luminance(colour):
    parts = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return float(np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


def contrast(one, two):
    low, high = sorted([luminance(one), luminance(two)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_contrast_is_sufficient_in_both_schemes(scheme):
    roots = re.findall(r":root \{(.*?)\}", (TEMPLATES / "style.css").read_text(), re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})\b", roots[scheme]))
    pairs = [("ink", "back"), ("muted", "back"), ("ink", "raised"), ("muted", "raised"), ("first", "back"),
             ("second", "back"), ("good", "goodback"), ("bad", "badback"), ("mid", "midback")]  # fmt: skip
    for one, two in pairs:
        assert contrast(colours[one], colours[two]) >= 4.5, (one, two)
    full = [round(0.35 * int(colours["first"][k : k + 2], 16) + 0.65 * int(colours["back"][k : k + 2], 16))
            for k in (1, 3, 5)]  # fmt: skip
    assert contrast(colours["ink"], "#" + "".join(f"{part:02x}" for part in full)) >= 4.5


def test_a_stack_says_what_its_stages_do_and_claims_no_gap_of_the_whole():
    text = Tags(case("stack").page).text
    for words in (
        f"A stack of {len(case('stack').reading.stages)} networks",
        "patterns of the lowest network of the stack", "gap of the last stage",
        "The stack as a whole is not convex and has no gap", "the stages above", "is not tested",
    ):  # fmt: skip
        assert words in text, words


@pytest.mark.parametrize("kind", KINDS)
def test_every_mark_of_a_figure_has_a_style(kind):
    """A shape whose class the style does not know is black, in a dark page too."""
    style = (TEMPLATES / "style.css").read_text()
    shapes = ("rect", "circle", "path", "line", "polygon")
    classes = {
        one
        for name, attributes in Tags(case(kind).page).tags
        if name in shapes
        for one in attributes.get("class", "").split()
    }
    assert classes
    assert [one for one in sorted(classes) if not re.search(rf"\.{re.escape(one)}(?![\w-])", style)] == []
