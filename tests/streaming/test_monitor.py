"""The monitor shows what the stream tells, in a real browser; nobody else gets a byte of it."""

import http.client
import io
import json
import threading

import numpy as np
import pytest
from browser import PHONE

from ecgcvx.cli import main
from ecgcvx.streaming import monitor


def lines(first, count, neurons=12):
    rng = np.random.default_rng(first)
    for i in range(first, first + count):
        told = {
            "time": i / 360, "sample": float(np.sin(i / 20)), "prediction": 0.1, "residual": float(rng.normal()) / 50,
            "score": 2.0, "alarm": i % 50 == 0, "patterns": [j for j in range(neurons) if (i // 30 + j) % 3],
        }  # fmt: skip
        yield json.dumps(told).encode() + b"\n"


def source(lines):
    return io.BytesIO(b"".join(lines))


@pytest.fixture
def served():
    """Make servers of a feed; all are stopped at the end."""
    servers = []

    def serve(feed, port=0):
        server = monitor.Monitor("127.0.0.1", port, feed)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return server

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def ask(server, path="/", **headers):
    """Status, headers and (unless it is the events) body of a request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest("GET", path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    body = b"" if answer.status == 200 and path == "/events" else answer.read()
    return answer, body


def events(answer, count):
    """The data of the next events."""
    found = []
    while len(found) < count:
        line = answer.fp.readline()
        if line.startswith(b"data: "):
            found.append(json.loads(line[6:]))
    return found


def test_the_page_may_ask_nobody_else(served):
    server = served(monitor.Feed())
    for path, kind in (("/", "text/html"), ("/monitor.js", "text/javascript"), ("/monitor.css", "text/css")):
        answer, body = ask(server, path)
        assert answer.status == 200
        assert answer.getheader("Content-Type").startswith(kind)
        assert "default-src 'none'" in answer.getheader("Content-Security-Policy")
        assert "unsafe" not in answer.getheader("Content-Security-Policy")
        assert answer.getheader("Access-Control-Allow-Origin") is None
        assert b"http://" not in body
        assert b"https://" not in body
    for path in ("/monitor.py", "/../monitor.py", "//etc/passwd", "/index.html"):
        assert ask(server, path)[0].status == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://example.org"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Host": "example.org"},
        {"Host": "example.org:8360"},
        {"Host": "127.0.0.1.example.org"},
        {"Sec_Fetch_Site": "cross-site"},
    ],
)
def test_a_foreign_origin_or_host_gets_nothing(served, headers):
    """Another host's name that resolves to this address is how a page gets past the same-origin rule."""
    feed = monitor.Feed()
    feed.read(source(lines(0, 10)))
    answer, body = ask(served(feed), "/events", **headers)
    assert (answer.status, body) == (403, b"")
    assert answer.getheader("Access-Control-Allow-Origin") is None


def test_our_own_names_are_welcome(served):
    feed = monitor.Feed()
    feed.read(source(lines(0, 10)))
    server = served(feed)
    for name in ("127.0.0.1", "localhost"):
        host = f"{name}:{server.server_port}"
        answer, _ = ask(server, "/events", Host=host, Origin=f"http://{host}", Sec_Fetch_Site="same-origin")
        assert answer.status == 200
        assert answer.getheader("Content-Type") == "text/event-stream"
        answer.close()


def test_a_page_that_comes_back_goes_on_where_it_was(served):
    feed = monitor.Feed()
    feed.read(source(lines(0, 100)))
    server = served(feed)
    answer, _ = ask(server, "/events")
    assert events(answer, 1)[0]["numbers"] == list(range(1, 101))
    answer.close()
    feed.read(source(lines(100, 20)))
    answer, _ = ask(server, "/events", Last_Event_ID=f"{feed.run}-100")
    assert events(answer, 1)[0]["numbers"] == list(range(101, 121))
    answer.close()
    answer, _ = ask(server, "/events", Last_Event_ID="another-100")
    assert len(events(answer, 1)[0]["numbers"]) == 120
    answer.close()


def test_memory_is_bounded_and_a_slow_page_misses_the_oldest():
    feed = monitor.Feed()
    feed.read(source(lines(0, monitor.KEPT + 100, neurons=1)))
    entries = feed.after(0, 0.0)
    assert (len(entries), entries[0].number) == (monitor.KEPT, 101)
    assert [entry.number for entry in feed.after(monitor.KEPT + 98, 0.0)] == [monitor.KEPT + 99, monitor.KEPT + 100]


def test_events_pass_with_the_samples_that_found_them(served):
    feed = monitor.Feed()
    whole = {"time_s": 1.0, "length_s": 0.5, "score": 9.0}
    feed.read(source([*lines(0, 2), json.dumps({"sample": 0.1, "events": [whole]}).encode() + b"\n"]))
    feed.read(source([b'{"sample": 1, "events": [{}]}\n', b'{"sample": 1, "events": [{"time_s": null}]}\n']))
    assert feed.malformed == 2
    answer, _ = ask(served(feed), "/events")
    assert events(answer, 1)[0]["events"] == [[1.0, 0.5, 9.0]]
    answer.close()


def test_an_interval_passes_with_the_sample_that_it_was_made_for(served):
    """The widest one, `horizon` lines later; none without a residual, after a jump or after a line that is lost."""
    told = [
        {"sample": 0.1, "residual": 0.0, "horizon": 2, "intervals": {"0.9": [k, k + 1.0], "0.5": [k + 0.4, k + 0.6]}}
        for k in range(9)
    ]
    told[3]["residual"] = None
    told[5]["emptied"] = "jump"
    told[6]["intervals"] = {"0.9": [None, None]}
    feed = monitor.Feed()
    feed.read(source(json.dumps(one).encode() + b"\n" for one in told))
    answer, _ = ask(served(feed), "/events")
    assert events(answer, 1)[0]["band"] == [None, None, [0, 1], None, [2, 3], None, None, [5, 6], None]
    answer.close()
    feed.read(source([b"what\n", *(json.dumps(one).encode() + b"\n" for one in told[:3])]))
    assert [entry.band for entry in feed.after(9, 0.0)] == [None, None, (0.0, 1.0)]
    before = feed.malformed
    bad = [{"horizon": 0}, {"horizon": 1 << 30}, {"horizon": "2"}, {"intervals": {"x": [0, 1]}},
           {"intervals": {"0.9": [0]}}, {"intervals": {"0.9": 3}}]  # fmt: skip
    feed.read(source(json.dumps({"sample": 0.1} | one).encode() + b"\n" for one in bad))
    assert feed.malformed == before + len(bad)


def test_malformed_lines_are_counted():
    feed = monitor.Feed()
    feed.read(
        source(
            [
                b"what\n",
                b"\n",
                b"[1]\n",
                b'{"sample": "x"}\n',
                b'{"sample": NaN}\n',
                b'{"patterns": 3}\n',
                b"[" * 100_000 + b"\n",
                b'{"sample": ' + b"9" * 400 + b"}\n",
                b'{"patterns": [1e999]}\n',
                b'{"sample": ' + b"9" * (1 << 21) + b"}\n",
                b"9" * 10_000 + b"\n",
                b"\xff\xfe\n",
            ]
        )
    )
    assert feed.malformed == 10
    assert [entry.values[1] for entry in feed.after(0, 0.0)] == [None]


INK = """name => {
    const canvas = document.getElementById(name), all = canvas.getContext('2d');
    return all.getImageData(0, 0, canvas.width, canvas.height)
        .data.filter((value, i) => i % 4 == 3 && value > 60).length;
}"""
STATE = "state => document.getElementById('state').dataset.state === state"


@pytest.mark.parametrize(("size", "scheme"), [((1280, 900), "light"), (PHONE, "dark")])
def test_the_page_draws_the_stream(browser, served, size, scheme):
    feed = monitor.Feed()
    threading.Thread(target=feed.read, args=(source(lines(0, 2000)),), daemon=True).start()
    with browser.visit(served(feed).address, size, scheme) as visit:
        visit.page.wait_for_function(STATE, arg="ended")
        visit.page.wait_for_function("document.getElementById('active').textContent === '8 of 12'")
        assert visit.page.inner_text("#time") == "5.6 s"
        for name in ("ecg", "residuals", "scores", "patterns"):
            assert visit.page.evaluate(INK, name) > 300, name
        assert (visit.errors, visit.external, visit.overflow, visit.nameless) == ([], [], 0, [])


def test_the_page_pauses_and_says_what_it_shows(browser, served):
    """While paused the page keeps its picture; the neurons shown are those that switch most; beats are counted."""
    feed = monitor.Feed("208, MLII")
    beats = [1.0 if i % 300 < 6 else 0.0 for i in range(1800)]  # one a 300 samples of 360 Hz: 72 a minute
    told = []
    for i, line in enumerate(lines(0, 1800, neurons=20)):
        values = json.loads(line) | {"sample": beats[i], "patterns": [0, *([1] if i % 300 < 150 else []), *range(2, 8)]}
        told.append(json.dumps(values).encode() + b"\n")
    for line in told[:-1]:
        feed._take(line)
    with browser.visit(served(feed).address) as visit:
        visit.page.wait_for_function("() => document.getElementById('rate').textContent === '72/min'")
        assert visit.page.inner_text("#title") == "208, MLII"
        assert visit.page.evaluate("ranking[0] === 0 && ranking.includes(1)")
        visit.page.click("#pause")
        before = visit.page.inner_text("#time")
        feed._take(told[-1].replace(b'"time":', b'"x":').replace(b"}", b',"time":99.0}'))
        visit.page.wait_for_function("() => entries[entries.length - 1].time === 99")
        assert visit.page.inner_text("#time") == before
        assert visit.page.inner_text("#pause") == "go on"
        visit.page.click("#pause")
        visit.page.wait_for_function("() => document.getElementById('time').textContent === '99.0 s'")
        assert visit.errors == []


def test_events_are_drawn_over_the_samples_that_are_there(browser, served):
    """A band from edge to edge of the samples of an event, none where no sample is drawn, its score inside."""
    feed = monitor.Feed()
    found = [{"time_s": time, "length_s": length, "score": score}
             for time, length, score in ((99.0, 0.5, 7.0), (99.8, 0.5, 8.0), (101.0, 0.6, 12.0))]  # fmt: skip
    samples = [{"time": 100 + k / 100, "sample": 0.0, "prediction": 0.0} for k in range(200)]
    samples[-1]["events"] = found
    feed.read(source(json.dumps(one).encode() + b"\n" for one in samples))
    with browser.visit(served(feed).address) as visit:
        visit.page.wait_for_function("() => document.getElementById('events').textContent === '2'")
        visit.page.wait_for_timeout(100)
        coloured = visit.page.evaluate(
            """() => {
                const canvas = byId("ecg"), width = canvas.width, ratio = width / canvas.clientWidth;
                const row = canvas.getContext("2d").getImageData(0, Math.round(ratio), width, 1).data;
                const probe = document.createElement("canvas").getContext("2d");
                probe.fillStyle = colours.event;
                probe.fillRect(0, 0, 1, 1);
                const [r, g, b] = probe.getImageData(0, 0, 1, 1).data, seconds = [];
                for (let i = 0; i < width; i += 1) {
                    if (Math.hypot(row[4 * i] - r, row[4 * i + 1] - g, row[4 * i + 2] - b) < 40)
                        seconds.push(101.99 - (width - i - 0.5) / ratio / SPEED);
                }
                return seconds;
            }"""
        )
        assert visit.errors == []
    early, late = ([one for one in coloured if (one > 100.6) == later] for later in (False, True))
    assert (min(early), max(early)) == pytest.approx((100.0, 100.3), abs=0.03)  # from the first sample on
    assert (min(late), max(late)) == pytest.approx((101.0, 101.6), abs=0.03)


def test_the_page_reconnects(browser, served, monkeypatch):
    monkeypatch.setattr(monitor, "SILENCE", 0.05)
    feed, more = monitor.Feed(), list(lines(0, 7))
    first = served(feed)
    feed._take(more[0])
    with browser.visit(first.address) as visit:
        visit.page.wait_for_function(STATE, arg="live")
        first.shutdown()
        first.server_close()
        visit.page.wait_for_function(STATE, arg="lost")
        for line in more[1:]:
            feed._take(line)
        served(feed, first.server_port)
        visit.page.wait_for_function(STATE, arg="live")
        visit.page.wait_for_function("lastNumber === 7 && entries.length === 7")
        assert not visit.page.evaluate("entries.some(entry => entry.broken)")


def test_another_page_gets_nothing(browser, served, tmp_path):
    feed = monitor.Feed()
    feed.read(source(lines(0, 10)))
    address = served(feed).address
    (tmp_path / "other.html").write_text('<!doctype html><title>other</title><link rel="icon" href="data:,">')
    with browser.visit(tmp_path / "other.html") as visit:
        for path in ("", "events", "monitor.js"):
            found = visit.page.evaluate("url => fetch(url).then(a => a.text(), () => 'refused')", address + path)
            assert found == "refused"


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", None), ("127.0.0.1", 99_999), ("no.such.host.invalid", 0)])
def test_a_port_that_is_taken_says_so_in_a_line(served, capsys, host, port):
    port = served(monitor.Feed()).server_port if port is None else port
    assert main(["monitor", "--host", host, "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"ecgcvx: port = {host}:{port}: ")
    assert said.endswith("; choose another --port\n")
    assert len(said.splitlines()) == 1
