"""`ecgcvx monitor`: show a stream in the browser."""

import argparse
import os
import sys
import threading

from ecgcvx.errors import InputError
from ecgcvx.text import clean

DESCRIPTION = """\
Show a stream in the browser: the lines of `ecgcvx stream` on standard input, a page at http://127.0.0.1:8360/.

ECG and forecast on ECG grid (25 mm/s, 10 mm/mV), residual, score and active patterns, as they come. The page is served
to this machine alone unless --host says otherwise, and it loads nothing from elsewhere."""
EXAMPLES = """\
examples:
  ecgcvx stream out/208 --record data/mitdb208/208 | ecgcvx monitor --title 208-MLII"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("--host", default="127.0.0.1", help="address to serve at (default 127.0.0.1, this machine)")
    parser.add_argument("--title", default="", help="what is shown, e.g. record and lead")
    parser.add_argument("--port", type=int, default=8360, help="0 for a free one (default 8360)")


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted; the end of standard input ends the signal, not the page."""
    from ecgcvx.interruption import INTERRUPTED, stoppable
    from ecgcvx.streaming.monitor import Feed, Monitor

    feed = Feed(clean(options.title, 80))
    try:
        server = Monitor(options.host, options.port, feed)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"port = {options.host}:{options.port}: {reason}; choose another --port") from None
    print(f"monitor at {server.address}", file=sys.stderr, flush=True)
    threading.Thread(target=feed.read, args=(os.fdopen(0, "rb"),), daemon=True).start()
    with stoppable() as serving:
        server.serve_forever()
    return INTERRUPTED if serving.stopped else 0
