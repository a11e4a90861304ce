"""Fits of several horizons at once: one network a horizon, with what they can share (`ecgcvx.sharing`)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ecgcvx.errors import InputError
from ecgcvx.fit_options import FitOptions
from ecgcvx.fitting import Fit, fit
from ecgcvx.interruption import keeping, wanted
from ecgcvx.multi_horizon import MultiHorizonForecaster, check_horizons, horizon_words
from ecgcvx.records import Recording
from ecgcvx.sharing import Sharing
from ecgcvx.types import Progress


@dataclass(frozen=True, eq=False)
class MultiHorizonFit:
    """Fits in the order of rising horizons, on the same windows. interrupted : see `Fit`."""

    fits: tuple[Fit, ...]
    interrupted: str = ""

    @property
    def forecaster(self) -> MultiHorizonForecaster:
        """The forecasters of all horizons."""
        return MultiHorizonForecaster(tuple(one.forecaster for one in self.fits))

    def at(self, horizon: int) -> Fit:
        """Return the fit of a horizon; InputError where there is none."""
        return self.fits[self.forecaster.horizons.index(self.forecaster.at(horizon).horizon)]

    def _repr_html_(self) -> str:
        from ecgcvx.notebook import grid, number

        names = [score.name for score in self.fits[0].scores]
        rows = [
            (str(one.forecaster.horizon), *(number(score.test_rmse_mv, 4) for score in one.scores)) for one in self.fits
        ]
        return grid(("horizon", *(f"{name}, test mV" for name in names)), rows)


def fit_horizons(
    recording: Recording, options: FitOptions, horizons: Sequence[int], progress: Progress
) -> MultiHorizonFit:
    """Train one network a horizon on the same windows, those that have a target at the longest one.

    options : of each of them; options.horizon is not used. The time limit is that of all: what is left of it is shared
    equally between the horizons to come. Each horizon starts from the one before: its Gram matrix or what else depends
    on the rows alone, its solution, and, where beta is chosen, its beta and one step to either side.

    Ctrl-C keeps the horizons that are done, of the first one the best network so far; KeyboardInterrupt passes where
    there is none yet.

    Raises InputError for unusable horizons, for a proof, which is made of one horizon, and see `ecgcvx.fitting.fit`.
    """
    chosen = check_horizons(horizons)
    if options.prove is not None:
        raise InputError(
            f"prove = {options.prove:g}: not for several horizons at once; leave it out and prove one of them "
            "afterwards (ecgcvx certify MODEL RECORD --horizon N)"
        )
    end = None if options.time_limit is None else time.perf_counter() + options.time_limit
    sharing, fits = Sharing(chosen[-1]), list[Fit]()
    with keeping():
        for place, horizon in enumerate(chosen):
            own = replace(options, horizon=horizon)
            if end is not None:
                left = max(end - time.perf_counter(), 1e-3)
                own = replace(own, time_limit=left / (len(chosen) - place))
            try:
                found = fit(recording, own, _telling(progress, place, len(chosen), horizon), sharing=sharing)
            except KeyboardInterrupt:
                if not fits:
                    raise
                return _cut(fits, chosen)
            ended = bool(found.interrupted) or wanted()
            if not (ended and fits):
                fits.append(found)
            if ended:
                return _cut(fits, chosen)
    return MultiHorizonFit(tuple(fits))


def _cut(fits: list[Fit], chosen: tuple[int, ...]) -> MultiHorizonFit:
    """What Ctrl-C leaves of several horizons."""
    done = horizon_words([one.forecaster.horizon for one in fits])
    if len(fits) == len(chosen):
        return MultiHorizonFit(tuple(fits), fits[-1].interrupted)
    where = f"interrupted: of the horizons {horizon_words(chosen)} the model has {done}"
    own = f"; {fits[0].interrupted}" if fits[0].interrupted else ""
    return MultiHorizonFit(tuple(fits), where + own)


def _telling(progress: Progress, place: int, count: int, horizon: int) -> Progress:
    """The progress of one horizon as that of all."""

    def tell(words: str, share: float | None) -> None:
        progress(f"horizon {horizon}: {words}", None if share is None else (place + share) / count)

    return tell
