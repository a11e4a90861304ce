"""The command line: one module a command, each of which parses, calls and prints.

commands   which commands there are, and the parser of all of them
arguments  options that several commands share, and those of networks, from the fields of their kinds
standard   standard streams that are closed, full or left by their reader
terminal   what reaches a terminal: progress, tables, text from outside
"""

from ecgcvx.cli.commands import main

__all__ = ["main"]
