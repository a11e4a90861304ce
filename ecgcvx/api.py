"""The calls of the public interface, `import ecgcvx`: what the command line does, for Python."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.fit_options import fit_options
from ecgcvx.fitting import Fit
from ecgcvx.fitting import fit as fit_with
from ecgcvx.forecaster import Forecaster
from ecgcvx.horizons import MultiHorizonFit, fit_horizons
from ecgcvx.intervals import Interval
from ecgcvx.model_file import load, read_model
from ecgcvx.multi_horizon import MultiHorizonForecaster
from ecgcvx.path import RegularisationPath
from ecgcvx.path import regularisation_path as path_with
from ecgcvx.records import Recording
from ecgcvx.training_range import Outside
from ecgcvx.types import Array, Progress, silent

if TYPE_CHECKING:
    from ecgcvx.certificates import Certificate
    from ecgcvx.comparison.study import Comparison

Signal = Any
"""A `Recording`, an array (samples,) in mV, or a pandas Series of a lead in mV."""


def recording_of(signal: Signal, sampling_frequency: float | None = None, lead: str = "") -> Recording:
    """Return the recording of a signal.

    signal : a Recording as it is; an array (samples,) or a pandas Series in mV, NaN in gaps. sampling_frequency : in
    Hz; of a Series with a time index it may be left out. lead : its name; of a Series its own name unless given.

    Raises InputError for another shape, another kind of number, or a missing or contradictory sampling frequency.
    """
    if isinstance(signal, Recording):
        if sampling_frequency is not None and sampling_frequency != signal.sampling_frequency:
            raise InputError(
                f"sampling_frequency = {sampling_frequency:g}: the recording has {signal.sampling_frequency:g} Hz; "
                "leave it out"
            )
        return signal
    index = getattr(signal, "index", None)
    if index is not None and not callable(index):
        lead = lead or ("" if getattr(signal, "name", None) is None else str(signal.name))
        sampling_frequency = sampling_frequency or _frequency_of(index)
    try:
        values = np.array(signal, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"signal: not an array of numbers ({error}); give samples in mV") from None
    if values.ndim != 1 or not len(values):
        raise InputError(f"signal has shape {values.shape}; give one lead, (samples,) in mV")
    if sampling_frequency is None or not (np.isfinite(sampling_frequency) and sampling_frequency > 0):
        raise InputError(f"sampling_frequency = {sampling_frequency}: give it in Hz for a signal without times")
    values[~np.isfinite(values)] = np.nan
    return Recording(values, float(sampling_frequency), lead or "ECG", "array")


@overload
def fit(
    signal: Signal,
    network: str = "relu",
    *,
    horizon: int = 1,
    sampling_frequency: float | None = None,
    progress: Progress = silent,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    **options: Any,
) -> Fit: ...


@overload
def fit(
    signal: Signal,
    network: str = "relu",
    *,
    horizon: Sequence[int],
    sampling_frequency: float | None = None,
    progress: Progress = silent,
    **options: Any,
) -> MultiHorizonFit: ...


def fit(
    signal: Signal,
    network: str = "relu",
    *,
    horizon: int | Sequence[int] = 1,
    sampling_frequency: float | None = None,
    progress: Progress = silent,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    **options: Any,
) -> Fit | MultiHorizonFit:
    """Train a convex network on the first part of a signal and score it on the rest, beside what it competes with.

    signal : see `recording_of`. network : 'relu', 'gated', 'polynomial', 'quadratic', 'stack', ... horizon : samples
    ahead; several of them, e.g. range(1, 37), train one network each with what they can share, and the result is a
    `MultiHorizonFit`. options : those of `ecgcvx fit`, e.g. beta, patterns, gap, time_limit (seconds). checkpoint,
    resume : a file to keep the state of a training in, and to go on from; of one horizon.

    The result holds `forecaster` (predict, save, stream), `scores` (root-mean-square errors in mV) and `trained`, whose
    `gap.words` says how far the network is at most from the optimum.

    Raises InputError for a signal or an option that is unusable.
    """
    recording = recording_of(signal, sampling_frequency)
    if isinstance(horizon, Sequence | np.ndarray) and not isinstance(horizon, str):
        if checkpoint is not None or resume:
            raise InputError("checkpoint: a fit of several horizons keeps none; leave it out")
        return fit_horizons(recording, fit_options(network, **options), horizon, progress)
    return fit_with(
        recording, fit_options(network, horizon=horizon, **options), progress,
        checkpoint=None if checkpoint is None else Path(checkpoint), resume=resume,
    )  # fmt: skip


def regularisation_path(
    signal: Signal,
    network: str = "relu",
    *,
    betas: int = 13,
    ratio: float = 1e-6,
    sampling_frequency: float | None = None,
    progress: Progress = silent,
    **options: Any,
) -> RegularisationPath:
    """Train along falling beta and choose beta on a validation part; see `ecgcvx.path.regularisation_path`."""
    recording = recording_of(signal, sampling_frequency)
    return path_with(recording, fit_options(network, **options), betas, ratio, progress)[0]


def predict(
    model: Forecaster | MultiHorizonForecaster | str | Path,
    signal: Signal,
    *,
    sampling_frequency: float | None = None,
    outside: Outside = "flag",
) -> Array:
    """Return the forecast of every sample (samples,) in mV of a model or its file; NaN where none is.

    Of a model of several horizons those of each, (samples, horizons); see `MultiHorizonForecaster.predict`.

    outside : what becomes of forecasts from windows outside the training range: 'flag' (nothing), 'linear' or 'nan';
    see `Forecaster.predict`, and `Forecaster.predict_and_flag` for which they are.

    Raises ModelError for another sampling frequency than the model's.
    """
    forecaster = read_model(model) if isinstance(model, str | Path) else model
    return forecaster.predict(recording_of(signal, sampling_frequency), outside)


def predict_interval(
    model: Forecaster | MultiHorizonForecaster | str | Path,
    signal: Signal,
    coverage: float = 0.9,
    *,
    adapt: bool = False,
    sampling_frequency: float | None = None,
) -> Interval:
    """Return the interval of every sample, lower and upper (samples,) in mV; see `Forecaster.predict_interval`.

    Of a model of several horizons (samples, horizons) each.

    Raises ModelError where the model was fitted without intervals.
    """
    forecaster = read_model(model) if isinstance(model, str | Path) else model
    return forecaster.predict_interval(recording_of(signal, sampling_frequency), coverage, adapt=adapt)


def certify(
    model: Forecaster | Fit | str | Path,
    signal: Signal,
    *,
    seconds: float = 60.0,
    sampling_frequency: float | None = None,
    train_fraction: float = 0.8,
    progress: Progress = silent,
) -> "list[Certificate]":
    """Return the certificates of a model on the signal of its training, by code that shares nothing with training.

    One for a network that is one program, one a stage for a stack. seconds : of a branch and bound at most.

    Raises ModelError when the signal is not the one of the training.
    """
    from ecgcvx.kinds.registry import kind_class
    from ecgcvx.proof import prove

    forecaster = model.forecaster if isinstance(model, Fit) else model if isinstance(model, Forecaster) else load(model)
    train = forecaster.training_windows(recording_of(signal, sampling_frequency), train_fraction)
    kind = kind_class(forecaster.kind)
    exact = kind.certify(forecaster.network, train.X, train.y, forecaster.beta)
    programs = kind.programs(forecaster.network, train.X, train.y, forecaster.beta)
    found = [prove(one, seconds / max(len(programs), 1), progress) for one in programs]
    return found if exact is None else [exact, *found]


def compare(
    signal: Signal, *, sampling_frequency: float | None = None, progress: Progress = silent, **options: Any
) -> "Comparison":
    """Train the same network by backprop with every usual optimiser beside the convex optimum; see `ecgcvx compare`."""
    from ecgcvx.comparison.study import CompareOptions
    from ecgcvx.comparison.study import compare as compare_with

    return compare_with(recording_of(signal, sampling_frequency), CompareOptions(**options), progress)


def solve(program: Any, solver: Any = None, *, seconds: float | None = None, **options: Any) -> Any:
    """Solve a convex program and return its `Solution`, with variables, primal, dual and gap.

    program : of `ecgcvx.programs`. solver : one of `ecgcvx.solvers`; by default FISTA for given patterns, the active
    set over all patterns, the semidefinite solver for a polynomial activation. options : of that default solver.
    seconds : at most.

    Raises SolverError when the solver cannot take the program.
    """
    chosen = _default_solver(program)(**options) if solver is None else solver
    if solver is not None and options:
        raise InputError(f"{next(iter(options))}: options belong to the default solver; give them to yours")
    return chosen.solve(program, **({} if seconds is None else {"time_limit": seconds}))


def _default_solver(program: Any) -> Any:
    from ecgcvx.programs.all_patterns import AllPatterns
    from ecgcvx.programs.polynomial import PolynomialProgram
    from ecgcvx.solvers.active_set.loop import ActiveSetSolver
    from ecgcvx.solvers.fista import FistaSolver
    from ecgcvx.solvers.polynomial import PolynomialSolver

    if isinstance(program, AllPatterns):
        return ActiveSetSolver
    return PolynomialSolver if isinstance(program, PolynomialProgram) else FistaSolver


def _frequency_of(index: Any) -> float | None:
    """The sampling frequency in Hz of evenly spaced times (datetimes, timedeltas), None for other indices."""
    values = np.asarray(index)
    if values.dtype.kind not in "mM" or len(values) < 2:
        return None
    steps = np.diff(values).astype("timedelta64[ns]").astype(np.float64)
    if not (steps > 0).all() or steps.max() > 1.5 * steps.min():
        raise InputError("signal: the times of its index do not rise evenly; fill gaps with NaN or give samples alone")
    return 1e9 * len(steps) / float(steps.sum())
