"""What a fit can be told, whatever the network; what belongs to a network is in its kind."""

import time
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ecgcvx.errors import InputError
from ecgcvx.kinds.kind import Limits, NetworkKind, make_kind
from ecgcvx.kinds.relu import Relu
from ecgcvx.options import check_options, option


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """Options of every fit; window and horizon in samples, time_limit and prove in seconds.

    network : the kind of network, with its own options. beta : weight of the penalty, None to choose it on a validation
    part. train_fraction : share of the samples that trains. time_limit : of all training: the path that chooses beta,
    confirmation, pruning, checks and baselines included; a single step of a solver is not cut short. baselines : what
    the network is compared with. prove : how long to prove a bound on the gap, None for not at all.
    intervals : coverages of prediction intervals, calibrated on the validation part; None for none.

    Raises InputError for a value out of range, and for an option that the network does not own.
    """

    network: NetworkKind = field(default_factory=Relu)
    window: int = option(15, "samples in a window (default 15)", metavar="N", least=1)
    horizon: int = option(1, "samples ahead to predict (default 1)", metavar="N", least=1)
    train_fraction: float = option(
        0.8, "share of the record that trains (default 0.8)", metavar="F", above=0.0, below=1.0, example="0.8"
    )
    beta: float | None = option(
        None, "weight of the penalty (default: chosen by validation)", above=0.0, example="1e-5"
    )
    seed: int = option(0, "seed of patterns, searches and baseline (default 0)", least=0)
    time_limit: float | None = option(
        None,
        "seconds at most of all training: the choice of beta, confirmation, pruning, checks and baselines included",
        metavar="S",
        above=0.0,
    )
    baselines: str = option(
        "all",
        "what to compare with: none, linear (last value, linear predictor), or all: also backprop, in the time that is "
        "left (default all)",
        choices=("none", "linear", "all"),
    )  # fmt: skip
    intervals: tuple[float, ...] | None = option(
        None, "calibrate prediction intervals of these coverages on the validation part, e.g. 0.5 0.9",
        metavar="COVERAGE", above=0.0, below=1.0, example="0.5 0.9", several=True,
    )  # fmt: skip
    prove: float | None = option(
        None,
        "then prove a bound on the gap, over all networks of any width (default 60 seconds; see `certify`)",
        metavar="SECONDS", above=0.0, bare=60.0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_options(self)
        kind = self.network
        for name, owned in (("beta", kind.takes_beta), ("prove", kind.bounded)):
            value = getattr(self, name)
            if value is not None and not owned:
                raise InputError(f"{name} = {value:g}: not an option of {kind.described}; leave it out")
        if self.beta is None and kind.needs_beta is not None:
            raise InputError(f"beta: {kind.needs_beta}")

    def limits(self, checkpoint: Path | None = None, resume: bool = False) -> Limits:
        """Return what bounds a training that starts now.

        Raises InputError where there is nothing to resume from.
        """
        if resume and not self.network.keeps_checkpoints:
            raise InputError(
                f"resume: not an option of {self.network.described}, which keeps no checkpoint; leave it out"
            )
        end = float("inf") if self.time_limit is None else time.perf_counter() + self.time_limit
        return Limits(end, checkpoint if self.network.keeps_checkpoints else None, resume)

    @property
    def settings(self) -> dict[str, Any]:
        """All options in one mapping, as metrics.json keeps them."""
        own = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "network"}
        return {**own, **self.network.settings}


SHARED = tuple(one.name for one in fields(FitOptions) if one.name != "network")


def fit_options(network: str = "relu", **options: Any) -> FitOptions:
    """Return the options of a fit from one flat list: those of every fit, and those of the network.

    Raises InputError for an unknown option or network, and for an option that the network does not own.
    """
    shared = {name: value for name, value in options.items() if name in SHARED}
    own = {name: value for name, value in options.items() if name not in SHARED}
    return FitOptions(network=make_kind(network, own), **shared)
