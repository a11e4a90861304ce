"""One network for several records: their windows stand in one matrix, each record scaled by itself."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ecgcvx.dataset.table import Row, error_by_beat
from ecgcvx.errors import EcgcvxError, InputError
from ecgcvx.forecaster import Forecaster
from ecgcvx.kinds.kind import Trained
from ecgcvx.metrics import root_mean_square
from ecgcvx.path import falling, path_betas
from ecgcvx.records import Recording, read_recording
from ecgcvx.training_range import TrainingRange, training_range
from ecgcvx.types import Progress
from ecgcvx.windows import Scaler, WindowCounts, Windows, all_windows, split_windows

if TYPE_CHECKING:
    from ecgcvx.dataset.options import DatasetOptions
    from ecgcvx.dataset.run import Task

BETAS, RATIO = 10, 1e-4  # of the path that chooses beta


@dataclass(frozen=True, eq=False)
class Part:
    """A record's windows to train on and to test on, all standardised by `scaler`."""

    task: "Task"
    recording: Recording
    train: Windows
    test: Windows
    scaler: Scaler
    counts: WindowCounts


def pooled_windows(parts: Sequence[Windows]) -> Windows:
    """Return the windows of several signals as those of one: the signals one after another, a gap between them."""
    if len({(part.length, part.horizon) for part in parts}) != 1:
        raise InputError("windows: of several lengths or horizons; take one")
    signals, runs, at = [], [], 0
    for part in parts:
        signals += [part.signal, np.array([np.nan])]
        runs += [(first + at, stop + at) for first, stop in part.runs]
        at += len(part.signal) + 1
    return Windows(np.concatenate(signals), tuple(runs), parts[0].length, parts[0].horizon)


def fit_pooled(tasks: "Sequence[Task]", options: "DatasetOptions", progress: Progress) -> Iterator[Row]:
    """Train one network on all records, or one on all others for each; save it in each record's folder; yield the rows.

    Raises InputError for records of several sampling frequencies, and for fewer than two records.
    """
    parts: list[Part] = []
    for task in tasks:
        try:
            parts.append(_part(task, options))
        except EcgcvxError as error:
            if options.strict:
                raise InputError(f"{error} (strict)") from error
            yield Row.without_fit(task.source, "" if task.lead is None else str(task.lead), str(error))
    if len(parts) < 2:
        raise InputError(f"records: {len(parts)} can be used; {options.evaluate} takes at least 2")
    rates = {part.recording.sampling_frequency for part in parts}
    if len(rates) > 1:
        listed = ", ".join(f"{rate:g}" for rate in sorted(rates))
        raise InputError(f"records: sampled at {listed} Hz; pass resample (--resample HZ) to bring them to one rate")
    if options.evaluate == "pooled":
        started = time.perf_counter()
        trained, known = _train(parts, options, progress)
        seconds = time.perf_counter() - started
        for part in parts:
            _save(part, trained, known, options)
            yield _row(part, trained, known, part.counts.train, seconds)
        return
    for place, part in enumerate(parts):
        started = time.perf_counter()
        others = parts[:place] + parts[place + 1 :]

        def tell(what: str, share: float | None, place: int = place) -> None:
            progress(f"record {place + 1} of {len(parts)}: {what}", (place + (share or 0.0)) / len(parts))

        trained, known = _train(others, options, tell)
        _save(part, trained, known, options)
        count = sum(len(other.train) for other in others)
        yield _row(part, trained, known, count, time.perf_counter() - started)


def _part(task: "Task", options: "DatasetOptions") -> Part:
    recording = read_recording(task.source, task.lead, **options.reading.arguments())
    fit = options.fit
    if options.evaluate == "pooled":
        split = split_windows(recording.signal, fit.window, fit.horizon, fit.train_fraction)
        return Part(task, recording, split.train, split.test, split.scaler, split.counts)
    valid = recording.signal[np.isfinite(recording.signal)]
    if len(valid) < 2 or valid.std() <= 1e-12 * max(1.0, abs(valid.mean())):
        raise InputError(f"{recording.name}: the signal is constant; there is nothing to predict")
    scaler = Scaler(float(valid.mean()), float(valid.std()))
    windows = all_windows(recording.signal, scaler, fit.window, fit.horizon)
    possible = max(len(recording.signal) - fit.window - fit.horizon + 1, 0)
    counts = WindowCounts(len(windows), len(windows), missing=possible - len(windows), split=0)
    return Part(task, recording, windows, windows, scaler, counts)


def _train(parts: Sequence[Part], options: "DatasetOptions", progress: Progress) -> tuple[Trained, TrainingRange]:
    """The network of some records' training windows, and their range with the linear forecast.

    Without a beta, the last record validates along a path of falling beta on the others.
    """
    fit, kind = options.fit, options.fit.network
    windows = pooled_windows([part.train for part in parts])
    limits, beta = fit.limits(), fit.beta
    warm: Trained | None = None
    if beta is None and kind.takes_beta:
        first, last = pooled_windows([part.train for part in parts[:-1]] or [parts[0].train]), parts[-1].train
        problem: Any = kind.problem(first, fit.seed, progress)
        path = list(falling(problem, path_betas(problem.largest_beta(), BETAS, RATIO), limits, progress))
        path = path[:-1] if path[-1].cut and len(path) > 1 else path
        warm = path[int(np.argmin([root_mean_square(last.y - one.network.predict(last.X)) for one in path]))]
        beta = warm.beta
    problem = kind.problem(windows, fit.seed, progress)
    trained = problem.train(beta or 0.0, warm=warm, limits=limits, progress=progress)
    return trained, training_range(windows.X, windows.y)


def _row(part: Part, trained: Trained, known: TrainingRange, count: int, seconds: float) -> Row:
    """The row of a record; count : windows that trained."""
    scale, test = part.scaler.scale, part.test
    error = scale * (test.y - trained.network.predict(test.X))
    linear = scale * (test.y - np.asarray(test.X) @ known.linear)
    counts = part.counts
    return Row(
        record=part.task.source, name=part.recording.name, lead=part.recording.lead, status=trained.status,
        windows={"train": count, "test": counts.test, "missing": counts.missing, "split": counts.split},
        rmse_mv={"linear_ar": root_mean_square(linear), "convex": root_mean_square(error)},
        neurons=trained.network.neurons, beta=trained.beta, gap=trained.gap.relative,
        evidence=str(trained.gap.evidence), mae_mv=error_by_beat(part.recording, test, error), seconds=seconds,
    )  # fmt: skip


def _save(part: Part, trained: Trained, known: TrainingRange, options: "DatasetOptions") -> None:
    """The network with the scaling of one record, in that record's folder."""
    part.task.folder.mkdir(parents=True, exist_ok=True)
    forecaster = Forecaster(
        trained.network, part.scaler, part.recording.lead, part.recording.sampling_frequency, options.fit.window,
        options.fit.horizon, trained.beta, options.fit.network.name, training_range=known,
    )  # fmt: skip
    forecaster.save(part.task.folder / "model.safetensors")
