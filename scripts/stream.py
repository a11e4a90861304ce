"""The command `ecgcvx stream` as a script, for a checkout that is not installed.

python scripts/stream.py out/208 --record data/mitdb208/208 --speed 1 | python scripts/monitor.py
"""

import sys

from ecgcvx.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["stream", *sys.argv[1:]]))
