"""The exceptions of ecgcvx: one line each, naming the file or argument, the value, and what to do."""

from ecgcvx.text import clean


class EcgcvxError(Exception):
    """Anything that ecgcvx refuses; the command line prints its message in one line and exits with code 2.

    Messages hold names and values from outside: whatever a terminal would obey is taken out here, once.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(clean(message))


class RecordError(EcgcvxError):
    """A recording cannot be found, read or understood."""


class InputError(EcgcvxError, ValueError):
    """An argument or array has a value that the function cannot work with."""


class SolverError(EcgcvxError, RuntimeError):
    """A solver cannot take a program, or ended without a usable point."""


class ModelError(EcgcvxError):
    """A model file cannot be read, or does not fit the record it is applied to."""
