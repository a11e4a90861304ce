"""Text that comes from a record: whatever it holds, it stays text, and it steers neither page nor reader."""

import unicodedata
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from ecgcvx.report.markup import LONGEST, printable, shown, tag

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.text())
def test_nothing_without_a_glyph_is_left(text):
    found = printable(text)
    assert not [c for c in found if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert printable(found) == found


@given(TEXT, TEXT)
def test_an_element_reads_back_as_the_text_that_was_put_in(text, attribute):
    element = ElementTree.fromstring(tag("text", text, aria_label=attribute))
    assert (element.text or "") == printable(text)
    assert len(element) == 0
    assert element.attrib == {"aria-label": printable(attribute)}


def test_what_is_hostile_is_text():
    assert tag("title", "<script>") == "<title>&lt;script&gt;</title>"
    assert "onload" not in ElementTree.fromstring(tag("g", class_='" onload="alert(1)')).attrib
    assert printable("a\u202egnp.exe\x07\x00") == "a\N{REPLACEMENT CHARACTER}gnp.exe" + 2 * "\N{REPLACEMENT CHARACTER}"
    assert tag("g", tag("path", d="M0 0")) == '<g><path d="M0 0"></path></g>'


def test_a_page_shows_text_without_end_cut_off_and_markup_whole():
    assert len(shown("x" * 10 * LONGEST)) == LONGEST + 1
    assert shown(Markup("<b>") * LONGEST) == "<b>" * LONGEST


@pytest.mark.parametrize("value", [3, None, [1]])
def test_other_values_pass(value):
    assert shown(value) is value
