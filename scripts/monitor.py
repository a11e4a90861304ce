"""The command `ecgcvx monitor` as a script, for a checkout that is not installed.

ecgcvx stream out/208 --record data/mitdb208/208 | python scripts/monitor.py
"""

import sys

from ecgcvx.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["monitor", *sys.argv[1:]]))
