"""What an interpretation holds. Windows are those of one part of a recording, in its order; K patterns are shown."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgcvx.beats import Beats
from ecgcvx.forecaster import Forecaster
from ecgcvx.interpretation.filters import LinearFilter, QuadraticForm
from ecgcvx.interpretation.templates import Template
from ecgcvx.outside import OutsideScore
from ecgcvx.records import Recording
from ecgcvx.types import Array
from ecgcvx.windows import Windows

Part = Literal["train", "test", "all"]
Importance = Literal["explained_variance_drop", "variance_share", "nonlinear_mv", "norm", "coverage"]
Verdict = Literal["stable", "not stable", "not testable"]
IMPORTANCES: tuple[Importance, ...] = ("explained_variance_drop", "variance_share", "nonlinear_mv", "norm", "coverage")

COLUMNS = {
    "neurons": "indices (from 0) of the neurons that share the pattern, separated by spaces, the heaviest first; "
    "'linear' for a linear part, which is on everywhere",
    "explained_variance_drop": "fall of the explained variance 1 - Var(y - f)/Var(y) when the pattern's contribution "
    "is left out, all but its mean (a constant that any bias replaces), nothing refitted",
    "variance_share": "Cov(contribution, forecast) / Var(forecast); the shares of all patterns add up to 1, some may "
    "be negative",
    "norm": "sum of |W2| ||W1|| of its neurons (gated: of the norms of their filters), its part of the penalty",
    "coverage": "share of the windows in which it is on",
    "beat_coverage": "share of the beats in which it is on at least once",
    "dwell_ms": "mean time in ms that it stays on",
    "sd_mv": "standard deviation of its contribution over all windows, mV",
    "nonlinear_mv": "standard deviation in mV of what is left of its contribution when its best linear predictor from "
    "the window is taken away: what no linear filter could do in its place",
    "mean_on_mv": "mean of its contribution over the windows in which it is on, mV",
    "dc_gain": "sum of the taps of its own filter, mV per mV; of joined leads those of the lead that is forecast",
    "on_p": "share of the forecast samples of P segments for which it is on (segments: see `Beats`)",
    "on_qrs": "the same, QRS segments",
    "on_t": "the same, T segments",
    "on_baseline": "the same, the rest of the beats",
    "peak_ms": "time in ms from the R peak at which it is on most often, in bins of 10 ms",
    "opposite": "number of the pattern that is on exactly when this one is off; empty where there is none",
    "recurrence": "share of the refits in which it recurs; empty where that was not tried",
    "stability": "'stable', 'not stable' or 'not testable' (see `PatternStability`); empty where that was not tried",
}
"""Columns of the table of an interpretation, which has one row a pattern, most important first, numbered from 1."""


@dataclass(frozen=True, eq=False)
class BeatAverage:
    """The mean beat of one type, and which of the patterns shown are on in it: their beat-phase histograms.

    symbol : type of the beats, 'all' for all of them. count : beats. offsets_ms : (k,) time from the R peak, one entry
    a sample. mean_mv, sd_mv : (k,) over the beats, mV. windows : (k,) number of windows whose forecast sample lies at
    that offset in a beat of this type. on : (K, k) share of them in which each pattern is on; NaN where there are none.
    """

    symbol: str
    count: int
    offsets_ms: Array
    mean_mv: Array
    sd_mv: Array
    windows: NDArray[np.int64]
    on: Array


@dataclass(frozen=True)
class Refit:
    """One network that was trained again, to see which patterns recur.

    kind : what was changed: the 'seed' of the search, the 'fold' in time, 'beta', or the choice within the 'optimal
    set' (smallest network and least norm). label : the same for people. rows : training windows.
    """

    kind: Literal["seed", "fold", "beta", "optimal set"]
    label: str
    beta: float
    rows: int
    neurons: int
    seconds: float


@dataclass(frozen=True, eq=False)
class PatternStability:
    """How well each of R refits holds a pattern.

    The match in a refit is the neuron whose smaller of two numbers is largest: similarity (R,), the correlation phi of
    the on/off sequences, and cosine (R,) of the gates. null : (R,) what that smaller one reaches in 1 of 20 draws for
    the best of as many random gates. recurs : (R,) it is at least the threshold and above null. recurrence : share of
    the refits. verdict : 'stable' when it recurs in two thirds of them and in half of those of every kind; 'not
    testable' when it is on or off in almost all windows, so that no sequence says anything.
    """

    similarity: Array
    cosine: Array
    null: Array
    recurs: NDArray[np.bool_]
    recurrence: float
    verdict: Verdict


@dataclass(frozen=True)
class Stability:
    """The refits, and the least similarity and cosine that count as the same pattern. seconds : of all of it."""

    refits: tuple[Refit, ...]
    threshold: float
    seconds: float


@dataclass(frozen=True, eq=False)
class PatternSummary:
    """One pattern D_i = diag(1[Xg >= 0]): what switches it, what it does while it is on, and where that is.

    number : row of the table, from 1. neurons : their indices, heaviest first; a linear part has the one behind them.
    gate : on where its output is >= 0;
    its taps (the template, L of them) have norm 1, so that it is in mV; of several neurons the heaviest one's; None in
    a polynomial network. filter : the pattern's own contribution to the forecast while it is on; in a polynomial
    network z = w'x, without unit, of the contribution W2 s(z). network_filter : the linear map of the whole network,
    averaged over the windows in which the pattern is on; its bias holds the mean of the signal. The other
    numbers are those of the table. mean_window, sd_window : (L,), of joined leads (leads, L), of the windows in which
    it is on, mV. examples :
    (start, stop) sample ranges of the recording, from a window to its target, at the pattern's largest contributions in
    distinct beats.
    """

    number: int
    neurons: tuple[int, ...]
    gate: LinearFilter | None
    filter: LinearFilter
    network_filter: LinearFilter
    explained_variance_drop: float
    variance_share: float
    norm: float
    coverage: float
    beat_coverage: float
    dwell_ms: float
    mean_window: Array
    sd_window: Array
    examples: tuple[tuple[int, int], ...]
    stability: PatternStability | None


@dataclass(frozen=True)
class StageShare:
    """What one stage of a stack does on the windows.

    number : from 1, the lowest. neurons : over all members. sd_mv : standard deviation of what it adds, mV. rmse_mv,
    explained_variance : of the forecast after it.
    """

    number: int
    neurons: int
    sd_mv: float
    rmse_mv: float
    explained_variance: float


@dataclass(frozen=True)
class LeadShare:
    """What comes of the window of one of several joined leads, however many patterns pass it on.

    With the filters of the patterns that are on the forecast is a sum over the samples of all windows and a constant;
    a product of two leads' samples (polynomial) counts half for each. variance_share : Cov(the lead's part of the sum,
    forecast) / Var(forecast). sd_mv : standard deviation of that part.
    """

    lead: str
    variance_share: float
    sd_mv: float


@dataclass(frozen=True, eq=False)
class Interpretation:
    """A fitted network read on a recording.

    kind : the activation of the network. part : the windows that every number here belongs to: 'test' (not trained
    on), 'train' or 'all'. part_windows : these windows; windows : how many;
    residuals : (n,) their y - f, standardised. own : whether the network was
    trained on the first part of this recording.
    explained_variance : 1 - Var(y - f)/Var(y) of the forecast there; rmse_mv : its root-mean-square error in mV.
    table : one row a pattern that is ever on, most important first by the column `importance`; see `COLUMNS`.
    patterns : the first K of them in full. inactive : neurons that are on in no window. overlap : (K, K), entry i, j
    the share of the windows with pattern i on in which j is on. transitions : (K, K), entry i, j the share of the
    moments at which i switches off after which j is the next to switch on.
    beats : None when no beat was found, and then beat_averages is empty; else the first one is of all beats.
    stability : None when not tried. quadratic : of a polynomial network, which has no patterns: its table and summaries
    have a row a neuron, on everywhere. stages : of a stack, whose patterns are those of its lowest stage: only there do
    neurons act on the window. Its network filters are those of that stage; all else is of the whole forecast. outside :
    how it does on windows outside the training range; None for a model that keeps none.
    templates : the filters of a convolutional network, largest share of the penalty first; its patterns are those of
    each filter on each patch of a window. leads : of joined leads the share of each; what is left of 1 is of the
    constants that switch with the patterns, of a stack also of the stages above.
    """

    forecaster: Forecaster
    recording: Recording
    kind: str
    part: Part
    part_windows: Windows
    residuals: Array
    own: bool
    windows: int
    explained_variance: float
    rmse_mv: float
    importance: Importance
    table: pd.DataFrame
    patterns: tuple[PatternSummary, ...]
    inactive: tuple[int, ...]
    overlap: Array
    transitions: Array
    beats: Beats | None
    beat_averages: tuple[BeatAverage, ...]
    stability: Stability | None
    quadratic: QuadraticForm | None
    stages: tuple[StageShare, ...] = ()
    outside: OutsideScore | None = None
    templates: tuple[Template, ...] = ()
    leads: tuple[LeadShare, ...] = ()

    def _repr_html_(self) -> str:
        from ecgcvx.notebook import facts

        title = (
            f"Interpretation of {self.forecaster.network.neurons:,} neurons on {self.recording.name}, {self.part} part"
        )
        rows = [
            ("windows", f"{self.windows:,}"),
            ("error", f"{self.rmse_mv:.4f} mV (root mean square)"),
            ("explained variance", f"{100 * self.explained_variance:.2f} %"),
            ("ranked by", self.importance),
        ]
        return facts(title, rows) + str(self.table.head(len(self.patterns)).to_html(float_format=lambda v: f"{v:.3g}"))


@dataclass(frozen=True, eq=False)
class Decomposition:
    """One forecast as the sum mean_mv + sum of contributions (m,) of the neurons, mV, equal to forecast_mv.

    sample : of the recording, that is forecast. window : (L,), of joined leads (leads, L), mV. measured_mv : the sample
    itself, NaN in a gap. on : (m,) which neurons are on. A pattern's contribution is the sum over its neurons. A linear
    part counts as one neuron more, on everywhere. Of a stack the neurons are those of its lowest stage, and one more
    contribution, the last one, is that of the stages above.
    """

    sample: int
    window: Array
    measured_mv: float
    forecast_mv: float
    mean_mv: float
    contributions: Array
    on: NDArray[np.bool_]

    def of(self, pattern: PatternSummary) -> float:
        """Return the contribution of a pattern in mV."""
        return float(self.contributions[list(pattern.neurons)].sum())
