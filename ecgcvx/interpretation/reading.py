"""Read a fitted network on a recording: rank its patterns, describe the first of them in full."""

import numpy as np

from ecgcvx.beats import find_beats, label_windows
from ecgcvx.errors import InputError, ModelError
from ecgcvx.forecaster import Forecaster
from ecgcvx.interpretation.beats import beat_averages
from ecgcvx.interpretation.moments import joint_windows, lead_parts, masks_of, moments
from ecgcvx.interpretation.results import (
    IMPORTANCES,
    BeatAverage,
    Importance,
    Interpretation,
    LeadShare,
    Part,
    PatternStability,
    Stability,
    StageShare,
)
from ecgcvx.interpretation.sequence import transitions
from ecgcvx.interpretation.stability import Refitting, recurrence
from ecgcvx.interpretation.summaries import Shown, mean_maps, mean_tangent, summaries
from ecgcvx.interpretation.table import numbers, table_of
from ecgcvx.interpretation.templates import filter_templates
from ecgcvx.interpretation.units import group, on_window, quadratic_form
from ecgcvx.interruption import keeping, stoppable
from ecgcvx.models import PolynomialNetwork
from ecgcvx.models.units import Units
from ecgcvx.outside import outside_score
from ecgcvx.records import Recording
from ecgcvx.types import Array, Progress, silent
from ecgcvx.windows import Split, Windows, all_windows

TOP = 12
DEFAULT_REFITTING = Refitting()


def interpret(
    forecaster: Forecaster,
    recording: Recording,
    *,
    top: int = TOP,
    part: Part | None = None,
    train_fraction: float = 0.8,
    importance: Importance = "explained_variance_drop",
    refitting: Refitting | None = DEFAULT_REFITTING,
    progress: Progress = silent,
    split: Split | None = None,
) -> Interpretation:
    """Return what the network does on a recording, pattern by pattern.

    Neurons whose on/off sequences on the windows are equal are one pattern; one that is on exactly when another is off
    stays a pattern of its own, and names the other as its opposite.

    top : patterns K to describe in full. part : the windows to use; by default 'test' on the recording that the network
    was trained on (with train_fraction as in its fit), 'all' on any other. importance : column to rank by. refitting :
    how to train again, on the training part or, for 'all', on these windows, to see which patterns recur; None not to.
    progress : called with what is being done. split : of the recording, made here unless it is given.

    Of a stack the patterns are those of its lowest stage, the only one whose neurons act on the window; whether they
    recur is not tried.

    Raises InputError for an unknown option and for windows that forecast a constant, ModelError for another sampling
    frequency and for other joined leads than the model's.
    """
    whole, forecaster = forecaster, on_window(forecaster)
    network = forecaster.network
    if top < 1:
        raise InputError(f"top = {top}: show at least 1 pattern")
    if importance not in IMPORTANCES:
        raise InputError(f"importance = {importance!r}: choose one of {', '.join(IMPORTANCES)}")
    chosen_part, windows, train, own = _windows_of(forecaster, recording, part, train_fraction, split)
    if np.ptp(windows.y) == 0:
        raise InputError(
            f"{recording.name}: what its windows forecast is constant, as when a lead is off: there is nothing to "
            "read; choose another lead, start or end, or part"
        )
    progress(f"{network.neurons} neurons on {len(windows):,} windows", None)
    stages = _stages(whole, windows)
    f = whole.network.predict(windows.X)
    form = quadratic_form(network, forecaster) if isinstance(network, PolynomialNetwork) else None
    units, silent, opposite = group(network.units(), windows.X)
    beats = find_beats(recording)
    labels = None if beats is None else label_windows(beats, windows, recording.sampling_frequency)
    found = moments(units, windows, f, labels)
    columns = numbers(forecaster, units, found, windows, f, labels)
    order = np.argsort(-columns[importance], kind="stable")
    index = order[:top]
    chosen = units.subset(index)
    stability: Stability | None = None
    recurrences: tuple[PatternStability | None, ...] = (None,) * len(index)
    if refitting is not None and len(index) and form is None and not stages:
        with keeping(), stoppable():
            stability, recurrences = recurrence(
                chosen.gates,
                train,
                windows,
                forecaster.beta,
                refitting,
                progress,
                linear=forecaster.network.on_window().linear is not None,
            )
    progress(f"{len(index)} patterns in full", None)
    joint = joint_windows(chosen, units, windows)
    on, contributions = masks_of(chosen, windows)
    maps = (
        mean_maps(forecaster, units, joint) if form is None else (mean_tangent(forecaster, form, found),) * len(index)
    )
    shown = Shown(chosen, index, on, contributions, maps)
    averages: tuple[BeatAverage, ...] = ()
    if beats is not None and labels is not None and (labels.beat >= 0).any():
        target_mv = forecaster.scaler.restore(windows.y)
        averages = beat_averages(beats, labels, target_mv, on, recording.sampling_frequency)
    r = windows.y - f
    return Interpretation(
        forecaster=whole,
        recording=recording,
        kind=whole.network.activation,
        part=chosen_part,
        part_windows=windows,
        residuals=r,
        own=own,
        windows=len(windows),
        explained_variance=float(1 - r.var() / windows.y.var()),
        rmse_mv=float(forecaster.scaler.scale * np.sqrt(r @ r / len(r))),
        importance=importance,
        table=table_of(columns, units, network.neurons, order, opposite, recurrences),
        patterns=summaries(forecaster, shown, columns, windows, None if labels is None else labels.beat, recurrences),
        inactive=silent,
        overlap=joint[:, index] / np.maximum(on.sum(axis=1), 1)[:, None],
        transitions=transitions(on, windows.starts),
        beats=beats,
        beat_averages=averages,
        stability=stability,
        quadratic=form,
        stages=stages,
        outside=outside_score(whole, windows, f),
        templates=filter_templates(whole, windows, beats),
        leads=_lead_shares(forecaster, units, windows, f) if forecaster.joined else (),
    )


def _lead_shares(forecaster: Forecaster, units: Units, windows: Windows, f: Array) -> tuple[LeadShare, ...]:
    """The share of every joined lead in the forecast f (n,), standardised."""
    scale, variance = forecaster.scaler.scale, max(float(f.var()), 1e-300)
    parts = lead_parts(units, windows)
    shares = ((part - part.mean()) @ (f - f.mean()) / len(f) / variance for part in parts)
    return tuple(
        LeadShare(name, float(share), scale * float(part.std()))
        for name, share, part in zip(forecaster.leads, shares, parts, strict=True)
    )


def _stages(forecaster: Forecaster, windows: Windows) -> tuple[StageShare, ...]:
    """What every stage of a stack does; nothing for other networks."""
    network, scale = forecaster.network, forecaster.scaler.scale
    if not network.stage_neurons:
        return ()
    r, shares = windows.y.copy(), []
    added_by_stage = network.contributions(windows.X).T
    for number, (neurons, added) in enumerate(zip(network.stage_neurons, added_by_stage, strict=True), 1):
        r -= added
        explained = float(1 - r.var() / windows.y.var())
        shares.append(
            StageShare(number, neurons, scale * float(added.std()), scale * float(np.sqrt(np.mean(r * r))), explained)
        )
    return tuple(shares)


def _windows_of(
    forecaster: Forecaster, recording: Recording, part: Part | None, train_fraction: float, split: Split | None
) -> tuple[Part, Windows, Windows, bool]:
    """Return the part's name, its windows, those to train again on, and whether the model was trained on the recording.

    All are standardised as the forecaster wants them.

    Raises InputError for an unknown part, ModelError for another sampling frequency or other joined leads than the
    forecaster's.
    """
    forecaster.check_leads(recording)
    if not np.isclose(recording.sampling_frequency, forecaster.sampling_frequency, rtol=1e-6):
        raise ModelError(
            f"{recording.name}: sampled at {recording.sampling_frequency:g} Hz, but the model was trained at "
            f"{forecaster.sampling_frequency:g} Hz; resample the record or train on it"
        )
    if part not in (None, "train", "test", "all"):
        raise InputError(f"part = {part!r}: choose one of train, test, all")
    length, horizon = forecaster.window, forecaster.horizon
    if split is None:
        try:
            split = forecaster.split(recording, train_fraction)
        except InputError:  # too short to be divided
            if part in ("train", "test"):
                raise
    own = split is not None and forecaster.trained_on(recording, split)
    part = part or ("test" if own else "all")
    if part == "all" or split is None:
        windows = all_windows(recording.signals, forecaster.scaler, length, horizon)
        return "all", windows, windows, own
    signal = split.train.signal if own else forecaster.scaler.standardise(recording.signals)
    train, test = (Windows(signal, piece.runs, length, horizon) for piece in (split.train, split.test))
    return part, train if part == "train" else test, train, own
