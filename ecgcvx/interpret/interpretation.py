"""Read a fitted network on a recording: rank its patterns, describe the first of them in full."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgcvx.errors import InputError, ModelError
from ecgcvx.forecaster import Forecaster
from ecgcvx.interpret.beats import BeatLabels, beat_averages, beat_columns, find_beats, label
from ecgcvx.interpret.filters import LinearFilter
from ecgcvx.interpret.moments import Moments, joint_windows, masks_of, moments
from ecgcvx.interpret.results import (
    COLUMNS,
    IMPORTANCES,
    BeatAverage,
    Decomposition,
    Importance,
    Interpretation,
    Part,
    PatternSummary,
)
from ecgcvx.interpret.sequence import strongest_windows, transitions
from ecgcvx.interpret.units import Units, check_network, gate_in_mv, group, in_mv, quadratic_form, units_of
from ecgcvx.records import Recording
from ecgcvx.windows import Windows, all_windows, split_windows

Array = NDArray[np.float64]
TOP = 12
EXAMPLES = 3
NUMBERS = ("explained_variance_drop", "variance_share", "norm", "coverage", "beat_coverage", "dwell_ms")


def interpret(
    forecaster: Forecaster,
    recording: Recording,
    *,
    top: int = TOP,
    part: Part | None = None,
    train_fraction: float = 0.8,
    importance: Importance = "explained_variance_drop",
) -> Interpretation:
    """Return what the network does on a recording, pattern by pattern.

    Neurons whose on/off sequences on the windows are equal are one pattern; one that is on exactly when another is off
    stays a pattern of its own, and names the other as its opposite.

    top : patterns K to describe in full. part : the windows to use; by default 'test' on the recording that the network
    was trained on (with train_fraction as in its fit), 'all' on any other. importance : column to rank by.

    Raises InputError for a network of more than two layers or an unknown option, ModelError for another sampling
    frequency.
    """
    network = check_network(forecaster.network)
    if top < 1:
        raise InputError(f"top = {top}: show at least 1 pattern")
    if importance not in IMPORTANCES:
        raise InputError(f"importance = {importance!r}: choose one of {', '.join(IMPORTANCES)}")
    part, windows = windows_of(forecaster, recording, part, train_fraction)
    f = network.predict(windows.X)
    units = units_of(network)
    silent: tuple[int, ...] = ()
    opposite = np.full(len(units), -1, dtype=np.intp)
    if network.polynomial is None:
        units, silent, opposite = group(units, windows.X)
    beats = find_beats(recording)
    labels = None if beats is None else label(beats, windows, recording.sampling_frequency)
    found = moments(units, windows, f, labels)
    table, order = _table(forecaster, units, found, windows, f, opposite, importance)
    if labels is not None:
        for name, values in beat_columns(labels, found.segments, found.bins, found.beats).items():
            table[name] = values[order]
    shown = units.subset(order[:top])
    on, contributions = masks_of(shown, windows)
    joint = joint_windows(shown, units, windows)
    target_mv = forecaster.scaler.restore(windows.y)
    averages: tuple[BeatAverage, ...] = ()
    if beats is not None and labels is not None and (labels.beat >= 0).any():
        averages = beat_averages(beats, labels, target_mv, on, recording.sampling_frequency)
    r = windows.y - f
    return Interpretation(
        forecaster=forecaster,
        recording=recording,
        kind="polynomial" if network.polynomial is not None else "relu" if network.gates is None else "gated",
        part=part,
        windows=len(windows),
        explained_variance=float(1 - r.var() / windows.y.var()),
        rmse_mv=float(forecaster.scaler.scale * np.sqrt(r @ r / len(r))),
        importance=importance,
        table=table,
        patterns=_summaries(forecaster, units, shown, table, windows, on, contributions, joint, labels),
        inactive=silent,
        overlap=joint[:, order[:top]] / on.sum(axis=1)[:, None],
        transitions=transitions(on, windows.starts),
        beats=beats,
        beat_averages=averages,
        stability=None,
        quadratic=None if network.polynomial is None else quadratic_form(forecaster),
    )


def decompose(forecaster: Forecaster, recording: Recording, sample: int) -> Decomposition:
    """Return the forecast of one sample (from 0) of a recording as the sum of its neurons' contributions.

    Raises InputError when no whole window predicts that sample.
    """
    network = check_network(forecaster.network)
    length, horizon, scaler = forecaster.window, forecaster.horizon, forecaster.scaler
    first = sample - horizon - length + 1
    stretch = recording.signal[max(first, 0) : sample + 1]
    if first < 0 or sample >= len(recording.signal) or not np.isfinite(stretch[:length]).all():
        raise InputError(
            f"sample = {sample}: no {length} valid samples end {horizon} before it in {recording.name}; give another"
        )
    window = stretch[:length]
    row = np.r_[scaler.standardise(window), 1.0][None]
    units = units_of(network)
    on = units.on(row)
    contributions = scaler.scale * units.outputs(row, on)[0]
    forecast = float(scaler.restore(network.predict(row))[0])
    return Decomposition(sample, window, float(recording.signal[sample]), forecast, scaler.mean, contributions, on[0])


def windows_of(
    forecaster: Forecaster, recording: Recording, part: Part | None, train_fraction: float
) -> tuple[Part, Windows]:
    """Return a part of the windows of a recording, standardised as the forecaster wants them, and the part's name."""
    if not np.isclose(recording.sampling_frequency, forecaster.sampling_frequency, rtol=1e-6):
        raise ModelError(
            f"{recording.name}: sampled at {recording.sampling_frequency:g} Hz, but the model was trained at "
            f"{forecaster.sampling_frequency:g} Hz; resample the record or train on it"
        )
    if part not in (None, "train", "test", "all"):
        raise InputError(f"part = {part!r}: choose one of train, test, all")
    length, horizon = forecaster.window, forecaster.horizon
    if part is None:
        try:
            forecaster.training_windows(recording, train_fraction)
            part = "test"
        except (ModelError, InputError):
            part = "all"
    if part == "all":
        return part, all_windows(recording.signal, forecaster.scaler, length, horizon)
    split = split_windows(recording.signal, length, horizon, train_fraction)
    chosen = split.train if part == "train" else split.test
    return part, Windows(forecaster.scaler.standardise(recording.signal), chosen.runs, length, horizon)


def _table(
    forecaster: Forecaster,
    units: Units,
    found: Moments,
    windows: Windows,
    f: Array,
    opposite: NDArray[np.intp],
    importance: Importance,
) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    """The table, and the order of the units in it."""
    n, scale = len(windows), forecaster.scaler.scale
    y, r = windows.y, windows.y - f
    mean = found.c / n
    variance = np.maximum(found.cc / n - mean**2, 0.0)
    with_error = found.cr / n - mean * r.mean()
    with_forecast = found.cf / n - mean * f.mean()
    linear = np.linalg.lstsq(found.xx, found.cx.T, rcond=1e-12)[0].T  # of every contribution on the window
    norms = np.linalg.norm(forecaster.network.W1, axis=0) * np.abs(forecaster.network.W2)
    columns = {
        "neurons": [" ".join(map(str, members)) for members in units.neurons],
        "explained_variance_drop": (2 * with_error + variance) / y.var(),
        "variance_share": with_forecast / f.var() if f.var() > 0 else np.full(len(units), np.nan),
        "norm": [float(norms[list(members)].sum()) for members in units.neurons],
        "coverage": found.on / n,
        "beat_coverage": np.full(len(units), np.nan),
        "dwell_ms": 1e3 * found.on / np.maximum(found.runs, 1) / forecaster.sampling_frequency,
        "sd_mv": scale * np.sqrt(variance),
        "nonlinear_mv": scale * np.sqrt(np.maximum(found.cc - np.einsum("pd,pd->p", linear, found.cx), 0.0) / n),
        "mean_on_mv": scale * found.c / np.maximum(found.on, 1),
        "dc_gain": units.filters[:, :-1].sum(axis=1),
        **{name: np.full(len(units), np.nan) for name in ("on_p", "on_qrs", "on_t", "on_baseline", "peak_ms")},
    }
    table = pd.DataFrame(columns)
    order = np.argsort(-table[importance].to_numpy(), kind="stable")
    number = np.empty(len(units), dtype=np.intp)
    number[order] = np.arange(1, len(units) + 1)
    table["opposite"] = pd.array([number[i] if i >= 0 else None for i in opposite], dtype="Int64")
    table["recurrence"] = np.nan
    table["stability"] = pd.array([None] * len(units), dtype="string")
    table = table.iloc[order].set_axis(pd.Index(np.arange(1, len(units) + 1), name="pattern"))
    return table[list(COLUMNS)], order


def _summaries(
    forecaster: Forecaster,
    units: Units,
    shown: Units,
    table: pd.DataFrame,
    windows: Windows,
    on: NDArray[np.bool_],
    contributions: NDArray[np.float32],
    joint: Array,
    labels: BeatLabels | None,
) -> tuple[PatternSummary, ...]:
    signal = forecaster.scaler.restore(windows.signal)
    views = np.lib.stride_tricks.sliding_window_view(signal, windows.length)
    polynomial = forecaster.network.polynomial is not None
    out = []
    for i, row in enumerate(table.head(len(shown)).to_dict("records")):
        share = joint[i] / on[i].sum()
        active = views[windows.starts[on[i]]]
        strongest = windows.starts[
            strongest_windows(
                contributions[i], None if labels is None else labels.beat, windows.starts, EXAMPLES, windows.length
            )
        ]
        whole = in_mv(forecaster, share @ units.filters)
        out.append(
            PatternSummary(
                number=i + 1,
                neurons=shown.neurons[i],
                gate=None if polynomial else gate_in_mv(forecaster, shown.gates[i]),
                filter=in_mv(forecaster, shown.filters[i]),
                network_filter=LinearFilter(whole.taps, whole.bias + forecaster.scaler.mean, whole.sampling_frequency),
                mean_window=active.mean(axis=0),
                sd_window=active.std(axis=0),
                examples=tuple((int(a), int(a) + windows.length + windows.horizon) for a in strongest),
                stability=None,
                **{name: float(row[name]) for name in NUMBERS},
            )
        )
    return tuple(out)
