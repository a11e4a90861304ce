"""Reading a fitted network: which patterns it uses on a recording, what each does, where, and which of them recur.

interpretation  interpret(forecaster, recording) -> Interpretation, decompose(forecaster, recording, sample)
results         what they return, and the columns of the table
filters         linear filters in mV and Hz, the quadratic form of a polynomial network
units           neurons as gates and filters, equal patterns together
moments         the pass over the windows
"""

from ecgcvx.interpret.filters import LinearFilter, QuadraticForm
from ecgcvx.interpret.interpretation import decompose, interpret
from ecgcvx.interpret.results import (
    COLUMNS,
    BeatAverage,
    Beats,
    Decomposition,
    Interpretation,
    PatternStability,
    PatternSummary,
    Refit,
    Stability,
)

__all__ = [
    "COLUMNS",
    "BeatAverage",
    "Beats",
    "Decomposition",
    "Interpretation",
    "LinearFilter",
    "PatternStability",
    "PatternSummary",
    "QuadraticForm",
    "Refit",
    "Stability",
    "decompose",
    "interpret",
]
