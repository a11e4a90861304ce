"""The parser of all commands, and how a command ends."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol

from ecgcvx import __version__
from ecgcvx.cli.standard import guarded
from ecgcvx.errors import EcgcvxError
from ecgcvx.interruption import INTERRUPTED, kept, signals, wanted

COMMANDS = {
    "fit": "train on a record and compare",
    "stats": "the sums that stand for records in a fit, as a file",
    "path": "choose beta along the regularisation path",
    "compare": "backprop by every optimiser against the convex optimum",
    "predict": "apply a fitted model to a record",
    "certify": "prove how far a fitted model is from the global optimum",
    "interpret": "read the patterns of a fitted model",
    "explain": "one forecast as the exact sum of its patterns",
    "classify": "tell normal and ectopic beats apart, trained on some patients and used on others",
    "generate": "make synthetic beats like those of a record",
    "denoise": "take white noise off the beats of a record",
    "detect": "find beats that are not as usual",
    "fill": "fill the gaps of a record from both sides",
    "stream": "forecast a signal as it comes",
    "monitor": "show a stream in the browser",
    "export": "write a fitted model for C, ONNX, PyTorch or NumPy",
    "warm": "compile what is compiled once, before it is needed",
    "completion": "print a completion script for bash, zsh or tcsh",
    "doctor": "print versions, threads and caches, for a report of a fault",
}
"""Every command with its line of help; the module of the same name in this package has the rest."""


EXIT_CODES = """\
exit codes:
  0    done
  2    refused: a wrong argument, an unusable record or model; one line on standard error says why
  130  interrupted by Ctrl-C or SIGTERM; what was finished is kept"""
BEFORE = "ecgcvx: interrupted before there was a result"
KEPT = "ecgcvx: interrupted; what was finished is kept"


class Command(Protocol):
    """What the module of a command defines."""

    DESCRIPTION: str
    EXAMPLES: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments to its parser."""
        ...

    def run(self, options: argparse.Namespace) -> int:
        """Run it and return its exit code."""
        ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 when it succeeded, 2 for what ecgcvx refuses (one line on standard error), 130 after Ctrl-C.

    SIGTERM is as Ctrl-C. A command that has something to keep ends as usual and says what was cut short.
    """

    def run() -> int:
        try:
            with signals():
                code = _run(arguments)
                if wanted():
                    return _interrupted(KEPT) if code == 0 else INTERRUPTED
                return code
        except KeyboardInterrupt:  # just after the handlers were set, or before they are set back
            return _interrupted()
        finally:
            # After a KeyboardInterrupt in code that is text, as that which makes a named tuple, Python ends by SIGINT
            # rather than with the exit code, though it was caught. Other such code makes it forget.
            exec("")

    return guarded(run)


def _run(arguments: Sequence[str] | None) -> int:
    from ecgcvx.cli.terminal import one_line

    try:
        options = parse(arguments)
        return command(options.command).run(options)
    except EcgcvxError as error:
        print(f"ecgcvx: {one_line(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return _interrupted()
    except Exception:
        if not wanted():
            raise
        return _interrupted()  # KeyboardInterrupt, as compiled code passes it on


def _interrupted(words: str = "") -> int:
    """Say that the command was interrupted, and whether anything is kept."""
    print(words or (KEPT if kept() else BEFORE), file=sys.stderr)
    return INTERRUPTED


def command(name: str) -> Command:
    """Return the module of a command."""
    found: Command = import_module(f"ecgcvx.cli.{name}")
    return found


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse a command line; what the command does not know ends with the usage of that command, exit code 2."""
    from ecgcvx.cli.terminal import set_messages

    parser = build_parser()
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        of_command(parser, options.command).error(f"unrecognized arguments: {' '.join(unknown)}")
    set_messages(options.verbose, options.quiet)
    return options


def of_command(parser: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    """The parser of one command."""
    (commands,) = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    found: argparse.ArgumentParser = commands.choices[name]
    return found


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; its help is the reference."""
    parser = argparse.ArgumentParser(
        prog="ecgcvx", description="Globally optimal neural networks for ECG prediction.", epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"ecgcvx {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help in COMMANDS.items():
        found = command(name)
        own = commands.add_parser(
            name, help=help, description=found.DESCRIPTION, epilog=found.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        found.add_arguments(own)
        messages = own.add_argument_group("messages on standard error").add_mutually_exclusive_group()
        messages.add_argument("--verbose", action="store_true", help="every step as a line")
        messages.add_argument("--quiet", action="store_true", help="nothing but warnings and errors")
    return parser
