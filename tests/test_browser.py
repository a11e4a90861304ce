"""The browser that other tests look through sees what it must: errors, requests, missing words, pages too wide."""

from browser import PHONE

FAULTY = """<!doctype html><title>x</title><link rel="icon" href="data:,">
<img src="http://192.0.2.1/picture.png"><svg role="img"></svg><svg role="img"><title>a heart</title></svg>
<svg role="img" aria-labelledby="words"></svg><p id="words">a beat</p><img src="data:," alt="">
<div style="width: 500px">wide</div><script>console.error("first"); throw new Error("second")</script>"""


def test_faults_are_seen(browser, tmp_path):
    path = tmp_path / "faulty.html"
    path.write_text(FAULTY)
    with browser.visit(path, PHONE) as visit:
        assert any("first" in line for line in visit.errors)
        assert any("second" in line for line in visit.errors)
        assert visit.external == ["http://192.0.2.1/picture.png"]
        assert [tag.split()[0] for tag in visit.nameless] == ["<img", "<svg", "<img"]
        assert visit.overflow >= 500 - PHONE[0]


def test_a_sound_page_is_sound(browser, tmp_path):
    path = tmp_path / "sound.html"
    path.write_text('<!doctype html><title>x</title><svg role="img"><title>a beat</title></svg>')
    with browser.visit(path, PHONE, scheme="dark") as visit:
        assert (visit.errors, visit.external, visit.nameless, visit.overflow) == ([], [], [], 0)
        assert visit.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")


def test_scripts_can_be_forbidden(browser, tmp_path):
    path = tmp_path / "script.html"
    path.write_text("<!doctype html><title>before</title><script>document.title = 'after'</script>")
    with browser.visit(path, scripts=False) as visit:
        assert visit.page.title() == "before"
