"""Reading a fitted network: which patterns it uses on a recording, what each does, where, and which of them recur.

reading         interpret(forecaster, recording) -> Interpretation
contributions   decompose(forecaster, recording, sample) -> Decomposition
results         what they return, and the columns of the table
filters         linear filters in mV and Hz, the quadratic form of a polynomial network
templates       the filters of a convolutional network: shape, frequencies, where in the beat they fire
units           neurons as gates and filters, those with equal patterns together
moments         the pass over the windows, for all patterns at once
beats, sequence where in the beat patterns are on, what follows what
table, summaries  the numbers of all patterns, the first of them in full
stability       which patterns recur when the network is trained again
"""

from ecgcvx.interpretation.contributions import decompose
from ecgcvx.interpretation.filters import LinearFilter, QuadraticForm
from ecgcvx.interpretation.reading import interpret
from ecgcvx.interpretation.results import (
    COLUMNS,
    BeatAverage,
    Beats,
    Decomposition,
    Interpretation,
    LeadShare,
    PatternStability,
    PatternSummary,
    Refit,
    Stability,
)
from ecgcvx.interpretation.stability import Refitting
from ecgcvx.interpretation.templates import Template, filter_templates

__all__ = [
    "COLUMNS",
    "BeatAverage",
    "Beats",
    "Decomposition",
    "Interpretation",
    "LeadShare",
    "LinearFilter",
    "PatternStability",
    "PatternSummary",
    "QuadraticForm",
    "Refit",
    "Refitting",
    "Stability",
    "Template",
    "decompose",
    "filter_templates",
    "interpret",
]
