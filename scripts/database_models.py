"""The forecasters that bench_database.py compares on every record, and the rows that they see.

A forecaster sees windows of the samples up to t - horizon and forecasts sample t. `plain` windows are standardised by
mean and standard deviation of the training part. `scaled` ones are differences to their last sample over a causal
scale, the running mean of the absolute residuals of a linear AR(15) of the training part, and so is the target: the
squared loss then weighs a quiet stretch as much as a QRS complex. The logarithms of that scale over 8 and over 60
samples and the last sample are further columns; columns are divided by their root mean square and cut at 8 of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ecgcvx.baselines.linear import least_squares
from ecgcvx.errors import InputError
from ecgcvx.types import Array
from forecast_models import LINEAR, Settings
from lossless import SCALE_MEMORY, causal_scale

Samples = NDArray[np.int64]
Predict = Callable[[Array], Array]
LONGEST = 100  # samples: no window with its target is longer
SLOW_MEMORY = 60.0
SCALE_FLOOR = 1.0  # ADC units, added to the causal scale
CUT = 8.0
AR_WINDOW = 15
CHUNK = 1 << 16  # rows at which forecasts are made at a time


@dataclass(frozen=True, eq=False)
class Series:
    """A lead as the ADC gave it, and a second one. samples (n,) : 0 .. size - 1. gain : ADC units per mV.

    Training and test part meet at `boundary`; the validation part begins at `inner`.
    """

    name: str
    lead: str
    samples: Samples
    other: Samples | None
    size: int
    gain: float

    @cached_property
    def signal(self) -> Array:
        """The samples as floating-point numbers."""
        return self.samples.astype(np.float64)

    @property
    def boundary(self) -> int:
        """First sample of the test part."""
        return int(0.8 * len(self.samples))

    @property
    def inner(self) -> int:
        """First sample of the validation part."""
        return int(0.9 * self.boundary)

    @lru_cache(maxsize=2)  # noqa: B019 - a series lives as long as its runs
    def residuals(self, stop: int) -> Array:
        """Of a linear AR(15) one step ahead, trained on the samples before `stop`."""
        centred = self.signal - self.signal[:stop].mean()
        X = sliding_window_view(centred[:-1], AR_WINDOW)
        w = least_squares(X[: stop - AR_WINDOW], centred[AR_WINDOW:stop])
        return np.concatenate([np.zeros(AR_WINDOW), centred[AR_WINDOW:] - X @ w])

    def scale(self, stop: int, memory: float = SCALE_MEMORY) -> Array:
        """The causal scale before each sample; its AR is trained on the samples before `stop`."""
        return causal_scale(self.residuals(stop), memory) + SCALE_FLOOR


def read_series(path: Path) -> Series:
    """The first lead of a WFDB record in ADC units, and its second one where there is one.

    Raises InputError for samples outside of the ADC's range.
    """
    import wfdb

    record = wfdb.rdrecord(str(path), physical=False)
    size = 1 << (record.adc_res[0] or 11)
    leads = [record.d_signal[:, k] - record.adc_zero[k] + size // 2 for k in range(min(record.n_sig, 2))]
    if leads[0].min() < 0 or leads[0].max() >= size:
        raise InputError(f"{path}: samples outside of the {record.adc_res[0]} bits of its ADC; leave it out")
    other = leads[1].astype(np.int64) if len(leads) > 1 else None
    return Series(path.name, record.sig_name[0], leads[0].astype(np.int64), other, size, float(record.adc_gain[0]))


class Part(NamedTuple):
    """Rows (n, d) with a last column of ones, and what brings forecasts f (n,) back to ADC units: f * factor + base."""

    X: Array
    factor: Array
    base: Array


@dataclass(frozen=True)
class Rows:
    """Which rows a forecaster sees; see above. leads : 2 adds the second lead up to and with the target's sample."""

    window: int = AR_WINDOW
    scaled: bool = False
    leads: int = 1

    def builder(self, series: Series, horizon: int, stop: int) -> Callable[[Samples], Part]:
        """From targets (n,) to their rows; what is fitted of them, on the samples before `stop`."""
        return self._scaled(series, horizon, stop) if self.scaled else self._plain(series, horizon, stop)

    def _plain(self, series: Series, horizon: int, stop: int) -> Callable[[Samples], Part]:
        mean, spread = series.signal[:stop].mean(), series.signal[:stop].std()
        windows = sliding_window_view((series.signal - mean) / spread, self.window)

        def build(targets: Samples) -> Part:
            X = windows[targets - horizon - self.window + 1]
            ones = np.ones(len(targets))
            return Part(np.column_stack([X, ones]), spread * ones, mean * ones)

        return build

    def _scaled(self, series: Series, horizon: int, stop: int) -> Callable[[Samples], Part]:
        signal = series.signal
        windows, spread = sliding_window_view(signal, self.window), signal[:stop].std()
        # The scale "before sample t" knows the samples before t: at t - horizon + 1 it knows the whole window.
        fast, slow = series.scale(stop), series.scale(stop, SLOW_MEMORY)
        if self.leads == 2:
            assert series.other is not None
            second = sliding_window_view(series.other.astype(np.float64), AR_WINDOW + 1)

        def raw(targets: Samples) -> tuple[Array, Array, Array]:
            X, now = windows[targets - horizon - self.window + 1], targets - horizon + 1
            base, scale = X[:, -1], fast[now]
            columns = [
                (X[:, :-1] - base[:, None]) / scale[:, None], np.log(scale), np.log(slow[now]), base / spread,
            ]  # fmt: skip
            if self.leads == 2:
                Z = second[targets - horizon - AR_WINDOW + 1]
                columns.append((Z[:, 1:] - Z[:, :-1]) / scale[:, None])
            return np.column_stack(columns), scale, base

        sample = even(np.arange(LONGEST, stop), 100_000)
        seen, scale, base = raw(sample)
        middle = np.zeros(seen.shape[1])
        middle[self.window - 1 : self.window + 2] = seen[:, self.window - 1 : self.window + 2].mean(axis=0)
        widths = np.sqrt(np.mean((seen - middle) ** 2, axis=0))
        unit = float(np.sqrt(np.mean(((signal[sample] - base) / scale) ** 2)))

        def build(targets: Samples) -> Part:
            seen, scale, base = raw(targets)
            X = np.clip((seen - middle) / np.maximum(widths, 1e-9), -CUT, CUT)
            return Part(np.column_stack([X, np.ones(len(X))]), unit * scale, base)

        return build


def even(targets: Samples, count: int | None) -> Samples:
    """At most `count` of some targets, evenly drawn in time; all of them with None."""
    if count is None or len(targets) <= count:
        return targets
    return targets[np.linspace(0, len(targets) - 1, count).astype(np.int64)]


Learner = Callable[[Array, Array, Settings], Predict]


@dataclass(frozen=True)
class Forecaster:
    """A learner and its rows. cap : windows that it trains on at most, evenly drawn. axes : settings to choose from."""

    name: str
    learner: Learner | None
    rows: Rows = field(default_factory=Rows)
    cap: int | None = None
    axes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def forecasts(self, series: Series, settings: Settings, horizon: int, stop: int, targets: Samples) -> Array:
        """Forecasts (n,) of the targets in ADC units, after training on the samples before `stop`."""
        if self.learner is None:
            return series.signal[targets - horizon]
        build = self.rows.builder(series, horizon, stop)
        known = even(np.arange(LONGEST, stop), self.cap)
        part = build(known)
        predict = self.learner(part.X, (series.signal[known] - part.base) / part.factor, settings)
        out = np.empty(len(targets))
        for a in range(0, len(targets), CHUNK):
            held = build(targets[a : a + CHUNK])
            out[a : a + CHUNK] = predict(held.X) * held.factor + held.base
        return out


def linear(X: Array, y: Array, settings: Settings) -> Predict:
    """Least squares."""
    w = least_squares(X, y)
    return lambda rows: rows @ w


def boosting(X: Array, y: Array, settings: Settings) -> Predict:
    """scikit-learn's HistGradientBoostingRegressor."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    options: dict[str, Any] = {name: int(value) if value >= 1 else value for name, value in settings.items()}
    model = HistGradientBoostingRegressor(early_stopping=False, random_state=0, **options)
    model.fit(X[:, :-1].astype(np.float32), y)
    return lambda rows: np.asarray(model.predict(rows[:, :-1].astype(np.float32)))


def perceptron(*hidden: int) -> Learner:
    """An MLP trained by minibatch Adam with a cosine schedule, without penalty."""

    def learn(X: Array, y: Array, settings: Settings) -> Predict:
        from ecgcvx.baselines.backprop import Layers, Workspace, forward
        from ecgcvx.baselines.minibatch import train_minibatch
        from ecgcvx.baselines.problem import Problem

        layers, random = Layers((X.shape[1], *hidden, 1)), np.random.default_rng(0)
        problem = Problem(layers, X, y, 0.0).single()
        start = layers.initial(random)
        found = train_minibatch(problem, start, random, step_size=settings["step"], epochs=int(settings["epochs"]))
        weights = layers.split(found.parameters.astype(np.float32))

        def predict(rows: Array) -> Array:
            held = Workspace(layers, len(rows), np.dtype(np.float32))
            return np.array(forward(layers, weights, rows.astype(np.float32), held), dtype=np.float64)

        return predict

    return learn


def polynomial(X: Array, y: Array, settings: Settings) -> Predict:
    """The polynomial network of the package over networks of any width, by its semidefinite program."""
    from ecgcvx.activations import RELU_LIKE
    from ecgcvx.models import polynomial_network_of
    from ecgcvx.programs.polynomial import PolynomialProgram
    from ecgcvx.solvers.polynomial import PolynomialSolver

    program = PolynomialProgram(X, y, settings["beta"], RELU_LIKE)
    predict: Predict = polynomial_network_of(program, PolynomialSolver().solve(program).u).predict
    return predict


def gated(X: Array, y: Array, settings: Settings) -> Predict:
    """The gated network of the package: sampled gates beside a free linear part, by its group lasso."""
    from ecgcvx.arrangements.sampling import sample_patterns
    from ecgcvx.models import network_of
    from ecgcvx.programs.features import PatternFeatures
    from ecgcvx.programs.linear_part import LinearPart
    from ecgcvx.programs.program import gated_relu_program
    from ecgcvx.solvers.group_lasso.solver import GroupLassoSolver

    patterns = sample_patterns(X, int(settings["gates"]), 0)
    program = gated_relu_program(PatternFeatures(X, patterns), y, settings["beta"], linear=LinearPart(X))
    predict: Predict = network_of(program, GroupLassoSolver(gap=1e-3).solve(program).u).predict
    return predict


def relu(X: Array, y: Array, settings: Settings) -> Predict:
    """The ReLU network of the package over all patterns, beside a free linear part, by its active set."""
    from ecgcvx.programs.all_patterns import AllPatterns
    from ecgcvx.solvers.active_set.loop import ActiveSetSolver

    program = AllPatterns(X, y, settings["beta"], free="linear")
    solver = ActiveSetSolver(gap=1e-2, rounds=int(settings["rounds"]), confirm_starts=0, threads=1)
    found = solver.solve(program)
    network = replace(program.family.network(found.atoms), linear=found.free)
    predict: Predict = network.predict
    return predict


SCALED = Rows(window=32, scaled=True)
SOME, FEWER = 60_000, 30_000
FORECASTERS = {
    one.name: one
    for one in (
        Forecaster("persistence", None),
        Forecaster(LINEAR, linear),
        Forecaster("linear AR, 32 samples", linear, Rows(window=32)),
        Forecaster("linear AR, scaled", linear, SCALED),
        Forecaster(
            "gradient boosting", boosting, cap=SOME,
            axes={"max_iter": (100, 300), "learning_rate": (0.1, 0.2), "max_leaf_nodes": (31,)},
        ),
        Forecaster("MLP 64", perceptron(64), cap=SOME, axes={"step": (1e-2, 3e-3, 3e-2), "epochs": (20,)}),
        Forecaster("MLP 128+128", perceptron(128, 128), cap=FEWER, axes={"step": (3e-3, 1e-2), "epochs": (20,)}),
        Forecaster("MLP 64, scaled", perceptron(64), SCALED, SOME, {"step": (1e-2, 3e-3, 3e-2), "epochs": (20,)}),
        Forecaster("ecgcvx, polynomial", polynomial, axes={"beta": (1e-5, 1e-4, 1e-6)}),
        Forecaster("ecgcvx, gated", gated, cap=FEWER, axes={"beta": (1e-4, 1e-5), "gates": (50,)}),
        Forecaster("ecgcvx, ReLU", relu, cap=SOME, axes={"beta": (1e-4, 3e-5), "rounds": (4,)}),
        Forecaster("ecgcvx, polynomial, scaled", polynomial, SCALED, SOME, {"beta": (1e-5, 1e-4)}),
        Forecaster("ecgcvx, ReLU, scaled", relu, SCALED, SOME, {"beta": (3e-4, 1e-3), "rounds": (4,)}),
        Forecaster(
            "ecgcvx, polynomial, scaled, both leads", polynomial, replace(SCALED, leads=2), SOME, {"beta": (1e-5, 1e-4)}
        ),
    )
}  # fmt: skip
