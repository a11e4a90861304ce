"""`ecgcvx completion`: a script with which a shell completes commands and options."""

import argparse

from ecgcvx.errors import InputError

SHELLS = ("bash", "zsh", "tcsh")
DESCRIPTION = """\
Print a script with which a shell completes commands, options and their choices (needs the extra ecgcvx[completion])."""
EXAMPLES = """\
examples:
  ecgcvx completion bash > ~/.local/share/bash-completion/completions/ecgcvx
  ecgcvx completion zsh > ~/.zfunc/_ecgcvx"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("shell", choices=SHELLS)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    try:
        import shtab
    except ModuleNotFoundError:
        raise InputError("completion: shtab is not installed; pip install 'ecgcvx[completion]'") from None
    from ecgcvx.cli.commands import build_parser

    print(shtab.complete(build_parser(), options.shell))
    return 0
