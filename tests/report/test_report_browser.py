"""The report in a browser: silent, complete in itself, readable on a phone, true to scale on paper."""

import pytest
from browser import DESKTOP, PHONE
from readings import case

KINDS = ("relu", "gated", "polynomial", "stack", "typed")


@pytest.fixture(scope="module", params=KINDS)
def path(request, tmp_path_factory):
    file = tmp_path_factory.mktemp("report") / f"{request.param}.html"
    file.write_text(case(request.param).page, encoding="utf-8")
    return file


@pytest.mark.slow
@pytest.mark.parametrize(("size", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")])
def test_it_is_silent_complete_and_fits(browser, path, size, scheme):
    with browser.visit(path, size, scheme) as visit:
        assert visit.errors == []
        assert visit.external == []
        assert visit.nameless == []
        assert visit.overflow == 0
        back = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert back == {"dark": "rgb(18, 22, 27)", "light": "rgb(255, 255, 255)"}[scheme]


def test_wide_tables_scroll_in_their_box(browser, path):
    with browser.visit(path, PHONE) as visit:
        boxes = visit.page.evaluate(
            "[...document.querySelectorAll('.scroll')].map(box => [box.scrollWidth, box.clientWidth, box.tabIndex])"
        )
        assert any(whole > seen for whole, seen, _ in boxes)
        assert all(seen <= PHONE[0] and tab == 0 for _, seen, tab in boxes)


def test_a_second_is_25_mm_and_a_millivolt_10(browser, path):
    with browser.visit(path) as visit:
        strip = visit.page.evaluate(
            """(() => {
                const box = document.querySelector('svg.strip .paper').getBoundingClientRect();
                const ruler = document.createElement('div');
                ruler.style.width = '100mm';
                document.body.append(ruler);
                return [box.width, box.height, ruler.getBoundingClientRect().width / 100];
            })()"""
        )
        width, height, millimetre = strip
        assert width / millimetre == pytest.approx(6 * 25, abs=0.1)
        assert (height / millimetre) % 5 == pytest.approx(0, abs=0.05) or (height / millimetre) % 5 > 4.95


def test_letters_stay_inside_their_drawing_and_apart(browser, path):
    with browser.visit(path) as visit:
        found = visit.page.evaluate(
            """[...document.querySelectorAll('svg[role=img]')].flatMap(svg => {
                const frame = svg.getBoundingClientRect();
                const texts = [...svg.querySelectorAll('text')].map(
                    text => [text.textContent, text.getBoundingClientRect()]);
                const out = texts.filter(([, box]) => box.left < frame.left - 1 || box.right > frame.right + 1 ||
                                                       box.top < frame.top - 1 || box.bottom > frame.bottom + 2);
                const over = texts.flatMap(([one, a], k) => texts.slice(k + 1).filter(([, b]) =>
                    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
                    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4).map(([two]) => [one, two]));
                return [...out.map(([text]) => ['outside', text]), ...over];
            })"""
        )
        assert found == []


def test_the_keyboard_reaches_the_contents(browser, path):
    with browser.visit(path) as visit:
        visit.page.keyboard.press("Tab")
        assert visit.page.evaluate("document.activeElement.className") == "skip"
        visit.page.keyboard.press("Enter")
        assert visit.page.evaluate("location.hash") == "#patterns"


@pytest.mark.slow
def test_it_fits_on_paper(browser, path):
    a4 = (round(180 / 25.4 * 96), 900)
    with browser.visit(path, a4) as visit:
        visit.page.emulate_media(media="print")
        assert visit.overflow == 0
        assert not visit.page.is_visible("nav")
