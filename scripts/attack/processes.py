"""Commands in processes of their own that begin at once: forks of one that has imported everything.

    child = start(["fit", record, "--output", str(folder)], folder)
    child.send(signal.SIGINT, after=1.5)
    ended = child.wait()

A child has one core and a session of its own, and its words are kept. It must be forked before anything here has made
threads.
"""

import argparse
import json
import math
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
IDLE = 10.0  # s without any work
LONGEST = 900.0  # s that a child may take before it is killed: it hangs, even on a busy machine


@dataclass(frozen=True)
class Ended:
    """How a child ended: exit code, the number of the signal that killed it, and its words.

    after : processor seconds from the signal that it was sent to its end, None where it ended before. left : whether
    processes of its session were still there.
    """

    code: int | None
    killed: int | None
    words: str
    after: float | None
    left: bool


class Child:
    """A running command."""

    def __init__(self, pid: int, words: Path, told: int) -> None:
        self.pid, self.words, self.told = pid, words, told
        self.sent: float | None = None
        self.sent_at = 0.0
        self.started = time.monotonic()

    @property
    def used(self) -> float:
        """Processor seconds of the process and of its children, those that run and those that have ended."""
        return sum(sum(map(int, fields[11:15])) for fields in session(self.pid)) / TICKS

    def send(self, number: int, after: float = 0.0, group: bool = False) -> None:
        """Send a signal after some processor seconds, to the whole session if `group`; nothing if it ends before.

        A process that only waits gets it when it has not worked for `IDLE` seconds.
        """
        before, worked = 0.0, time.monotonic()
        while os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if self.used > before:
                before, worked = self.used, time.monotonic()
            if before >= after or time.monotonic() - worked > IDLE:
                self.sent, self.sent_at = self.used, time.monotonic()
                with suppress(ProcessLookupError):
                    (os.killpg if group else os.kill)(self.pid, number)
                return
            time.sleep(0.02)

    def wait(self) -> Ended:
        """Wait for the end, for `LONGEST` seconds at most."""
        hung = False
        while not (found := os.wait4(self.pid, os.WNOHANG))[0]:
            if time.monotonic() - self.started > LONGEST and not hung:
                os.killpg(self.pid, signal.SIGKILL)
                hung = True
            time.sleep(0.005)
        _, status, usage = found
        seconds = usage.ru_utime + usage.ru_stime
        left = _alive(self.pid)
        if left:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        words = self.words.read_text(errors="replace")
        returned = float(os.read(self.told, 32) or math.inf)  # what follows is the system's
        os.close(self.told)
        return Ended(
            os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            words + (f"\nstill there after {LONGEST:g} s" if hung else ""),
            None if self.sent is None or returned <= self.sent_at else max(seconds - self.sent, 0.0), left,
        )  # fmt: skip


def session(leader: int) -> Iterator[list[str]]:
    """The fields of /proc/PID/stat from the state on, of each process of a session."""
    for one in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            fields = (one / "stat").read_text().rpartition(")")[2].split()
            if fields[3] == str(leader):
                yield fields


def there(leader: int) -> bool:
    """Whether a process of a session is there, its leader too until it has been waited for."""
    try:
        os.killpg(leader, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _alive(leader: int) -> bool:
    """Whether a process of a session is there for five seconds after its leader ended."""
    for _ in range(500):
        if not there(leader):
            return False
        time.sleep(0.01)
    return True


def start(work: Callable[[], int], words: Path) -> Child:
    """Fork a process that does the work and exits with what it returns; its output goes to the file `words`."""
    sys.stdout.flush()
    sys.stderr.flush()
    ready, tell = os.pipe()
    pid = os.fork()
    if pid:
        os.close(tell)
        os.read(ready, 1)  # before that it has no session, and a signal may be ignored
        return Child(pid, words, ready)
    code = 1
    try:
        os.setsid()
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[os.getpid() % len(os.sched_getaffinity(0))]})
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        out = os.open(words, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.close(ready)
        os.write(tell, b"1")
        code = work()
        os.write(tell, str(time.monotonic()).encode())
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # a child must not go on with what its parent was doing
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def command(arguments: list[str]) -> Callable[[], int]:
    """The work of a command of ecgcvx, in its own folder-free process."""

    def work() -> int:
        from ecgcvx.cli import main

        return main(arguments)

    return work


def imported() -> None:
    """Import what commands import at their first use, without making threads."""
    import matplotlib.pyplot  # noqa: F401

    import ecgcvx.cli.commands as commands
    import ecgcvx.comparison.study
    import ecgcvx.fitting
    import ecgcvx.gan.generate
    import ecgcvx.output
    import ecgcvx.stacks.training
    import ecgcvx.streaming.adaptation  # noqa: F401

    for name in commands.COMMANDS:
        commands.command(name)


def main(
    parser: argparse.ArgumentParser,
    unit: str,
    attack: Callable[[argparse.Namespace, float, float, int, Callable[[str], None]], dict[str, Any]],
) -> int:
    """Run an attack from the command line and print what it found; 1 when there was a fault.

    unit : what is counted, the option for how many. attack : called with the options, how many, for how many seconds,
    the seed, and what to call with a line; returns its faults under 'faults'.
    """
    parser.add_argument(f"--{unit}", type=int, help="how many (default: until the time is over)")
    parser.add_argument("--seconds", type=float, help=f"no new one after that (default 60, or none with --{unit})")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    count = getattr(options, unit)
    seconds = options.seconds or (60.0 if count is None else math.inf)
    imported()
    most = math.inf if count is None else count
    found = attack(options, most, seconds, options.seed, lambda line: print(line, flush=True))
    print(json.dumps(found, indent=1))
    return 1 if found["faults"] else 0
