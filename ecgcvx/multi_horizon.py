"""Forecasts several horizons ahead at once: one network a horizon, as one model (direct multi-horizon forecasting)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.forecaster import Forecaster
from ecgcvx.intervals import GAMMA, Interval
from ecgcvx.records import Recording
from ecgcvx.training_range import Outside
from ecgcvx.types import Array

MOST_HORIZONS = 1000


def check_horizons(horizons: Sequence[int]) -> tuple[int, ...]:
    """Return horizons in samples as a rising tuple.

    Raises InputError for none, more than `MOST_HORIZONS`, one below 1, no whole number, and one that is there twice.
    """
    values = tuple(horizons[: MOST_HORIZONS + 1])
    if not values:
        raise InputError("horizon: the list is empty; give one or several, e.g. 1:36 or 1,5,18")
    if len(values) > MOST_HORIZONS:
        raise InputError(f"horizon: more than {MOST_HORIZONS:,} of them; give fewer, e.g. every fifth, 1:1000:5")
    for value in values:
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise InputError(f"horizon = {value!r}: give whole numbers of samples, e.g. 1, 5, 18")
        if value < 1:
            raise InputError(f"horizon = {value}: it must be at least 1 sample")
    found = sorted(int(value) for value in values)
    twice = [a for a, b in pairwise(found) if a == b]
    if twice:
        raise InputError(f"horizon = {twice[0]}: it is there twice; give each horizon once")
    return tuple(found)


def read_horizons(text: str) -> int | tuple[int, ...]:
    """Return the horizons of a text: '5' is one, '1:36' all from 1 to 36, '1:36:5' every fifth, '1,5,18' a list.

    Raises InputError for anything else.
    """
    found: list[int] = []
    for part in text.split(","):
        numbers = part.split(":")
        if len(numbers) > 3 or not all(number.strip().isascii() and number.strip().isdecimal() for number in numbers):
            raise InputError(f"horizon = {text!r}: give samples ahead, e.g. 5, 1:36, 1:36:5 or 1,5,18")
        first, *rest = (int(number) for number in numbers)
        if not rest:
            found.append(first)
            continue
        step = rest[1] if len(rest) == 2 else 1
        if rest[0] < first or step < 1:
            raise InputError(f"horizon = {text!r}: a range rises from its first horizon to its last, e.g. 1:36")
        found += range(first, min(rest[0], first + step * MOST_HORIZONS) + 1, step)
    return found[0] if text.strip().isdecimal() else check_horizons(found)


def horizon_words(horizons: Sequence[int]) -> str:
    """'1 to 36' where no horizon is left out, else '1, 5 and 18'."""
    if len(horizons) > 2 and list(horizons) == list(range(horizons[0], horizons[-1] + 1)):
        return f"{horizons[0]} to {horizons[-1]}"
    listed = ", ".join(map(str, horizons[:-1]))
    return f"{listed} and {horizons[-1]}" if listed else str(horizons[-1])


@dataclass(frozen=True, eq=False)
class MultiHorizonForecaster:
    """One forecaster a horizon, in the order of rising horizons, of the same lead, scaler and window.

    Raises InputError where they differ in one of these.
    """

    forecasters: tuple[Forecaster, ...]

    def __post_init__(self) -> None:
        rising = check_horizons([one.horizon for one in self.forecasters])
        if rising != self.horizons:
            raise InputError(
                f"horizon: {horizon_words(self.horizons)}; give forecasters in the order of their horizons"
            )
        first = self.forecasters[0]
        for one in self.forecasters[1:]:
            for name in ("lead", "joined", "sampling_frequency", "window", "scaler"):
                own, others = getattr(one, name), getattr(first, name)
                if own != others:
                    raise InputError(
                        f"{name}: {own!r} at horizon {one.horizon}, {others!r} at {first.horizon}; forecasters of one "
                        "model agree on it"
                    )

    @property
    def horizons(self) -> tuple[int, ...]:
        """In samples, rising."""
        return tuple(one.horizon for one in self.forecasters)

    @property
    def lead(self) -> str:
        """The lead that was trained on."""
        return self.forecasters[0].lead

    @property
    def unit(self) -> str | None:
        """See `Forecaster`."""
        return self.forecasters[0].unit

    @property
    def resample(self) -> float | None:
        """See `Forecaster`."""
        return self.forecasters[0].resample

    @property
    def joined(self) -> tuple[str, ...]:
        """See `Forecaster`."""
        return self.forecasters[0].joined

    def at(self, horizon: int) -> Forecaster:
        """Return the forecaster of a horizon; InputError where there is none."""
        for one in self.forecasters:
            if one.horizon == horizon:
                return one
        raise InputError(f"horizon = {horizon}: the model forecasts {horizon_words(self.horizons)} samples ahead; "
                         "give one of these")  # fmt: skip

    def predict(self, recording: Recording, outside: Outside = "flag") -> Array:
        """Return the forecasts of every sample (samples, horizons) in mV, NaN where none is.

        Row t has the forecasts of sample t: that of column j was made horizons[j] samples before it. outside : see
        `Forecaster.predict`, which also says what is raised.
        """
        return np.stack([one.predict(recording, outside) for one in self.forecasters], axis=1)

    def predict_interval(
        self, recording: Recording, coverage: float = 0.9, *, adapt: bool = False, gamma: float = GAMMA
    ) -> Interval:
        """Return the intervals of every sample, lower and upper (samples, horizons) in mV, aligned as in `predict`.

        See `Forecaster.predict_interval`.
        """
        made = [one.predict_interval(recording, coverage, adapt=adapt, gamma=gamma) for one in self.forecasters]
        return Interval(*(np.stack(ends, axis=1) for ends in zip(*made, strict=True)))

    def fan(self, aligned: Array, sample: int) -> Array:
        """Return what was forecast at a sample, (horizons,), of `aligned` (samples, horizons) as `predict` makes it.

        Entry j is of sample + horizons[j]; NaN beyond the end.
        """
        places = sample + np.array(self.horizons)
        inside = places < len(aligned)
        out = np.full(len(places), np.nan)
        out[inside] = aligned[places[inside], np.flatnonzero(inside)]
        return out

    def save(self, path: str | Path) -> None:
        """Write a model file; a file that is there already is replaced whole or not at all."""
        from ecgcvx.model_file import save

        save(self, Path(path))

    def _repr_html_(self) -> str:
        from ecgcvx.notebook import facts

        first = self.forecasters[0]
        return facts(
            f"MultiHorizonForecaster: {len(self.forecasters)} {first.kind} networks",
            [
                ("window", f"{first.window} samples at {first.sampling_frequency:g} Hz, lead {first.lead}"),
                ("forecast", f"{horizon_words(self.horizons)} samples ahead, in mV"),
                ("neurons", f"{sum(one.network.neurons for one in self.forecasters):,}"),
            ],
        )
