"""What a notebook shows of results: names, numbers, no markup from outside."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import ecgcvx

RECORD = Path(__file__).parents[1] / "data" / "mitdb208" / "208"
VOID = {"br"}


class Tags(HTMLParser):
    """Text of a fragment; fails where tags do not match."""

    def __init__(self, page):
        super().__init__()
        self.open, self.words, self.names = [], [], set()
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def recording():
    return ecgcvx.read_recording(RECORD, end=30)


@pytest.fixture(scope="module")
def fitted(recording):
    return ecgcvx.fit(recording, "polynomial", beta=1e-4)


def test_a_fit_shows_its_comparison_and_its_gap(fitted):
    found = Tags(fitted._repr_html_())
    assert {"persistence", "linear_ar", "backprop_adam", "convex"} <= set(found.words)
    assert f"{fitted.scores[-1].test_rmse_mv:.4f}" in found.words
    assert fitted.trained.gap.words in found.words


def test_a_forecaster_shows_its_task_and_no_markup_of_its_lead(fitted):
    hostile = replace(fitted.forecaster, lead="<script>alert(1)</script>")
    found = Tags(hostile._repr_html_())
    assert "script" not in found.names
    assert "15 samples at 360 Hz" in " ".join(found.words)
    assert "1 sample ahead, in mV" in found.words


def test_an_interpretation_shows_its_table(fitted, recording):
    reading = ecgcvx.interpret(fitted.forecaster, replace(recording, name="<b>x"), refitting=None)
    found = Tags(reading._repr_html_())
    assert "b" not in found.names
    assert "explained_variance_drop" in found.words
    assert f"{reading.rmse_mv:.4f} mV (root mean square)" in found.words
