"""One network for several records: sums over their windows, or all of them in one matrix; each is scaled by itself."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ecgcvx.dataset.parts import Part, check_alike, make_engine, read_parts
from ecgcvx.dataset.table import Row, error_by_beat
from ecgcvx.errors import InputError
from ecgcvx.forecaster import Forecaster
from ecgcvx.kinds.kind import Limits, Problem, Statistics, Trained
from ecgcvx.metrics import root_mean_square
from ecgcvx.path import falling, path_betas
from ecgcvx.reductions import Engine, Rows
from ecgcvx.training_range import TrainingRange, range_of
from ecgcvx.types import Progress
from ecgcvx.windows import Windows

if TYPE_CHECKING:
    from ecgcvx.dataset.options import DatasetOptions
    from ecgcvx.dataset.run import Task
    from ecgcvx.fit_options import FitOptions
    from ecgcvx.programs.moments import SecondMoments

BETAS, RATIO = 10, 1e-4  # of the path that chooses beta


def pooled_windows(parts: Sequence[Windows]) -> Windows:
    """Return the windows of several signals as those of one: the signals one after another, a gap between them."""
    if len({(part.length, part.horizon) for part in parts}) != 1:
        raise InputError("windows: of several lengths or horizons; take one")
    signals, runs, at = [], [], 0
    for part in parts:
        signals += [part.signal, np.full((*part.signal.shape[:-1], 1), np.nan)]
        runs += [(first + at, stop + at) for first, stop in part.runs]
        at += part.signal.shape[-1] + 1
    return Windows(np.concatenate(signals, axis=-1), tuple(runs), parts[0].length, parts[0].horizon)


def fit_pooled(tasks: "Sequence[Task]", options: "DatasetOptions", progress: Progress) -> Iterator[Row]:
    """Train one network on all records, or one on all others for each; save it in each record's folder; yield the rows.

    Raises InputError for records of several sampling frequencies, for fewer than two records, and for a network that
    needs all rows in memory where the engine reads them piece by piece.
    """
    _check_engine(options)
    parts: list[tuple[Task, Part]] = []
    found = read_parts([(task.source, task.lead) for task in tasks], options, progress)
    for task, part in zip(tasks, found, strict=True):
        if isinstance(part, Part):
            parts.append((task, part))
        else:
            yield Row.without_fit(task.source, "" if task.lead is None else str(task.lead), str(part))
    if len(parts) < 2:
        raise InputError(f"records: {len(parts)} can be used; {options.evaluate} takes at least 2")
    every = [part for _, part in parts]
    check_alike(every)
    with make_engine(options) as engine:
        if options.evaluate == "pooled":
            started = time.perf_counter()
            trained, known = _train(every, options, engine, progress)
            seconds = time.perf_counter() - started
            for task, part in parts:
                _save(task, part, trained, known, options)
                yield _row(part, trained, known, part.counts.train, seconds)
            return
        for place, (task, part) in enumerate(parts):
            started = time.perf_counter()
            others = every[:place] + every[place + 1 :]

            def tell(what: str, share: float | None, place: int = place) -> None:
                progress(f"record {place + 1} of {len(parts)}: {what}", (place + (share or 0.0)) / len(parts))

            trained, known = _train(others, options, engine, tell)
            _save(task, part, trained, known, options)
            count = sum(other.counts.train for other in others)
            yield _row(part, trained, known, count, time.perf_counter() - started)


def _check_engine(options: "DatasetOptions") -> None:
    """Refuse a network that needs more of the windows than the engine gives."""
    engine, kind = options.engine, options.fit.network
    if engine == "memory" or _statistics(options, options.fit.window + 1) is not None:
        return
    if engine == "records" and kind.needs_signals:
        if options.fit.beta is None:
            raise InputError(f"engine = records: {kind.described} takes a fixed beta alone; pass beta (--beta B)")
        return
    raise InputError(
        f"engine = {engine}: {kind.described} needs all windows in memory; leave engine out, or take polynomial, "
        "quadratic or gated without a free linear part" + (", or engine = records" if kind.needs_signals else "")
    )


def _statistics(options: "DatasetOptions", width: int) -> Statistics | None:
    return options.fit.network.statistics(width, options.fit.seed)


def _train(
    parts: Sequence[Part], options: "DatasetOptions", engine: Engine, progress: Progress
) -> tuple[Trained, TrainingRange]:
    """The network of some records' training windows, and their range with the linear forecast.

    Without a beta, the last record validates along a path of falling beta on the others.
    """
    statistics = _statistics(options, (1 + len(parts[0].joined)) * options.fit.window + 1)
    trained = (
        _train_on_rows(parts, options, progress) if statistics is None
        else _train_on_sums(statistics, parts, options, engine, progress)
    )  # fmt: skip
    return trained, range_of(_pieces(parts), engine, progress)


def _pieces(parts: Sequence[Part]) -> list[Rows]:
    return [piece for part in parts for piece in part.pieces]


def _train_on_sums(
    statistics: Statistics, parts: Sequence[Part], options: "DatasetOptions", engine: Engine, progress: Progress
) -> Trained:
    limits, beta, warm = options.fit.limits(), options.fit.beta, None
    if beta is not None or len(parts) < 2:
        total = engine.total(statistics.sums, _pieces(parts), progress)
    else:
        first, last = (engine.total(statistics.sums, _pieces(some), progress) for some in (parts[:-1], parts[-1:]))
        warm = chosen_on(statistics, first, last, options.fit, progress)
        beta, total = warm.beta, statistics.sums.join(first, last)
    problem = statistics.problem(total)
    if beta is None:
        beta = RATIO * problem.largest_beta()
    return problem.train(beta, warm=warm, limits=limits, progress=progress)


def chosen_on(
    statistics: Statistics, first: "SecondMoments", last: "SecondMoments", fit: "FitOptions", progress: Progress
) -> Trained:
    """Return the training on the sums `first`, along a path of falling beta, that has the least error on `last`."""
    return _along_path(statistics.problem(first), statistics.problem(last).mean_loss, fit.limits(), progress)


def _along_path(problem: Problem, error: Callable[[Trained], float], limits: Limits, progress: Progress) -> Trained:
    """Return the training of least error along a path of falling beta, without the one that was cut short."""
    path = list(falling(problem, path_betas(problem.largest_beta(), BETAS, RATIO), limits, progress))
    path = path[:-1] if path[-1].cut and len(path) > 1 else path
    return path[int(np.argmin([error(one) for one in path]))]


def _train_on_rows(parts: Sequence[Part], options: "DatasetOptions", progress: Progress) -> Trained:
    fit, kind = options.fit, options.fit.network
    limits, beta = fit.limits(), fit.beta
    warm: Trained | None = None
    if beta is None and kind.takes_beta:
        first, last = _pooled(parts[:-1] or parts), parts[-1].read().train
        problem: Any = kind.problem(first, fit.seed, progress)

        def error(one: Trained) -> float:
            return root_mean_square(last.y - one.network.predict(last.X))

        warm = _along_path(problem, error, limits, progress)
        beta = warm.beta
    problem = kind.problem(_pooled(parts), fit.seed, progress)
    trained: Trained = problem.train(beta or 0.0, warm=warm, limits=limits, progress=progress)
    return trained


def _pooled(parts: Sequence[Part]) -> Windows:
    return pooled_windows([part.read().train for part in parts])


def _row(part: Part, trained: Trained, known: TrainingRange, count: int, seconds: float) -> Row:
    """The row of a record; count : windows that trained."""
    signal = part.read()
    scale, test = part.scaler.scale, signal.test
    error = scale * (test.y - trained.network.predict(test.X))
    linear = scale * (test.y - known.forecasts(test.X))
    counts = part.counts
    return Row(
        record=part.source, name=part.name, lead=part.lead_name, status=trained.status,
        windows={"train": count, "test": counts.test, "missing": counts.missing, "split": counts.split},
        rmse_mv={"linear_ar": root_mean_square(linear), "convex": root_mean_square(error)},
        neurons=trained.network.neurons, beta=trained.beta, gap=trained.gap.relative,
        evidence=str(trained.gap.evidence), mae_mv=error_by_beat(signal.recording, test, error), seconds=seconds,
        sampling_frequency=part.sampling_frequency,
    )  # fmt: skip


def _save(task: "Task", part: Part, trained: Trained, known: TrainingRange, options: "DatasetOptions") -> None:
    """The network with the scaling of one record, in that record's folder."""
    task.folder.mkdir(parents=True, exist_ok=True)
    forecaster = Forecaster(
        trained.network, part.scaler, part.lead_name, part.sampling_frequency, options.fit.window,
        options.fit.horizon, trained.beta, options.fit.network.name, training_range=known, joined=part.joined,
    )  # fmt: skip
    forecaster.save(task.folder / "model.safetensors")
