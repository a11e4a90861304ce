"""What a reader of a result should know before its numbers: one sentence each, for terminal, JSON and report."""

import numpy as np

from ecgcvx.evidence import Gap, at_most
from ecgcvx.fit_options import FitOptions
from ecgcvx.kinds.kind import Trained
from ecgcvx.options import options_of
from ecgcvx.outside import OutsideScore
from ecgcvx.path import RegularisationPath
from ecgcvx.types import Array

LARGE_GAP = 0.1
QUIET = ("optimal", "round limit")  # ends that the gap alone describes
ENDS = {
    "time limit": "the training ended at its time limit",
    "interrupted": "the training was interrupted",
    "inaccurate": "the solver ended inaccurate",
    "stalled": "the solver made no progress any more",
}
FAR = 3.0  # times the range of the signal that a forecast may lie beside it
LEAST_FAR = 1.0  # mV


def fit_cautions(
    trained: Trained,
    path: RegularisationPath | None,
    options: FitOptions,
    outside: OutsideScore | None,
    overrun: float,
    left_out: tuple[str, ...] = (),
    cut_short: tuple[str, ...] = (),
) -> tuple[str, ...]:
    """Return what a fit should be read with. left_out, cut_short : baselines that the time limit left
    no time for, or too little.
    """
    found = []
    if path is not None and path.status != "complete":
        found.append(f"the path that chooses beta ended by {path.status} after {len(path.points)} betas")
    elif path is not None and path.floor_reached:
        found.append(f"beta = {path.chosen.beta:.3g} is the smallest that was tried; a smaller --beta may do better")
    if trained.status not in QUIET:
        end = ENDS.get(trained.status, f"the training ended as '{trained.status}'")
        found.append(f"{end}, before it reached the gap that was asked for: {at_most(trained.gap.relative)} are left")
    ways: tuple[str, ...] = ("a larger beta",) if options.network.takes_beta else ()
    if trained.status == "round limit" and "rounds" in options_of(options.network):
        ways += ("more --rounds",)
    found += gap_cautions(trained.gap, trained.beta, ways)
    if outside is not None and outside.words:
        found.append(f"test part: {outside.words}")
    if overrun > 0.05:
        found.append(f"training took {overrun:.1f} s more than its time limit of {options.time_limit:g} s")
    if left_out:
        found.append(f"left out, as the time limit left no time for it: {', '.join(left_out)}")
    if cut_short:
        found.append(f"ended by the time limit: {', '.join(cut_short)}")
    return tuple(found)


def gap_cautions(gap: Gap, beta: float, ways: tuple[str, ...] = ()) -> list[str]:
    """Return what a large gap leaves open. ways : to close it, of those that the network has options for."""
    if gap.relative <= LARGE_GAP:
        return []
    whose = gap.whose or f"at beta = {beta:.3g}"
    closed = f"; {' or '.join(ways)} would close it" if ways else ""
    return [
        f"the gap {whose} is {at_most(gap.relative)}: whether the network is near the best one with this penalty is "
        f"open{closed}"
    ]


def forecast_caution(signal: Array, forecast: Array, sampling_frequency: float) -> str:
    """Return what to say of forecasts (samples,) far beside all of the signal (samples,); '' where there are none."""
    known = np.isfinite(signal)
    if not known.any() or not np.isfinite(forecast).any():
        return ""
    low, high = float(signal[known].min()), float(signal[known].max())
    room = max(FAR * (high - low), LEAST_FAR)
    with np.errstate(invalid="ignore"):
        far = np.maximum(low - forecast, forecast - high)
    far[np.isnan(far)] = -np.inf
    count = int((far > room).sum())
    if not count:
        return ""
    worst = int(np.argmax(far))
    return (
        f"{count:,} forecast{'' if count == 1 else 's'} far beside the signal, which lies between {low:.3g} and "
        f"{high:.3g} mV: the farthest is {forecast[worst]:.4g} mV, at {worst / sampling_frequency:.3f} s"
    )
