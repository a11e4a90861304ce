"""Statistics of records as a file: all that a polynomial, quadratic or gated network is trained from, without the ECG.

Of each record, or lead of it, every window counts, standardised by the mean and the standard deviation of the whole
signal. The sums of several files are those of all their records together, so that a network trained on files is that of
their records in one place. docs/datasets.md says what a file reveals.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ecgcvx import __version__
from ecgcvx.dataset.options import DatasetOptions
from ecgcvx.dataset.parts import Part, check_alike, make_engine, read_parts
from ecgcvx.dataset.pooled import chosen_on
from ecgcvx.dataset.run import signals_of
from ecgcvx.errors import InputError
from ecgcvx.fit_options import FitOptions
from ecgcvx.forecaster import Forecaster
from ecgcvx.kinds.kind import NetworkKind, Statistics, Trained
from ecgcvx.kinds.registry import kind_class
from ecgcvx.programs.moments import SecondMoments
from ecgcvx.reductions.interface import added
from ecgcvx.tensor_file import Layout, short
from ecgcvx.types import Array, Progress
from ecgcvx.windows import Scaler

FORMAT = 1
FILE = Layout("ecgcvx-statistics", plain=True)
SHARED = {"polynomial": ("polynomial", "quadratic"), "gated": ("gated",)}
"""Networks that the statistics of a network serve."""
MUST_MATCH = ("network", "window", "horizon", "sampling_frequency", "gates")


@dataclass(frozen=True)
class Source:
    """One signal of a file: its name and lead, its windows, and its mean and standard deviation in mV."""

    name: str
    lead: str
    windows: int
    mean: float
    scale: float


@dataclass(frozen=True, eq=False)
class RecordStatistics:
    """The sums over the windows of some signals.

    network : 'polynomial' (which serves 'quadratic' too) or 'gated'. window, horizon : in samples. gates : (p, d) of a
    gated network, (0, 0) otherwise. total : the sums. skipped : signals that could not be used, and why; not in a file.
    """

    network: str
    window: int
    horizon: int
    sampling_frequency: float
    gates: Array
    sources: tuple[Source, ...]
    total: SecondMoments
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """What must be the same in files whose sums are added; of the gates a digest."""
        found = hashlib.sha256(np.ascontiguousarray(self.gates, dtype="<f8").tobytes()).hexdigest()
        return {"network": self.network, "window": self.window, "horizon": self.horizon,
                "sampling_frequency": self.sampling_frequency, "gates": f"{len(self.gates)}, {found[:16]}"}  # fmt: skip

    @property
    def fingerprint(self) -> str:
        """A digest of the settings: files of one fingerprint can be added."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()

    def statistics(self, kind: NetworkKind) -> Statistics:
        """Return the kind's statistics with these gates; InputError for a network that these sums do not serve."""
        if kind.name not in SHARED[self.network]:
            served = " or ".join(SHARED[self.network])
            raise InputError(f"network = {kind.name!r}: the statistics are those of {self.network}; take {served}")
        found = kind.statistics(self.window + 1, 0, self.gates if len(self.gates) else None)
        if found is None:
            raise InputError(f"{kind.described}: needs the windows, not their sums; leave linear or solver out")
        return found

    def save(self, path: Path) -> None:
        """Write the file; one that is there is replaced whole or not at all."""
        head, tensors = self._content()
        FILE.write(path, {"version": __version__, **head, "digest": FILE.digest(head, tensors)}, tensors)

    def _content(self) -> tuple[dict[str, Any], dict[str, Array]]:
        head = {"format": FORMAT, **self.settings, "fingerprint": self.fingerprint,
                "sources": [asdict(source) for source in self.sources]}  # fmt: skip
        n, H, c, yy = self.total
        return head, {"n": np.array([n]), "H": H, "c": c, "yy": np.array([yy]), "gates": self.gates}


def record_statistics(records: Sequence[str], options: DatasetOptions, progress: Progress) -> RecordStatistics:
    """Return the statistics of records; see `expand_sources` for their names. Options: those of a data set.

    Raises InputError for a network that needs the windows themselves, for records of several sampling frequencies, and
    where no record can be used, or with `strict` one cannot.
    """
    fit = options.fit
    statistics = fit.network.statistics(fit.window + 1, fit.seed)
    network = next((name for name, served in SHARED.items() if fit.network.name in served), None)
    if statistics is None or network is None:
        raise InputError(
            f"{fit.network.described}: no sums could stand for its windows; take polynomial, quadratic or "
            "gated without a free linear part"
        )
    options = replace(options, evaluate="leave-one-record-out")
    parts, skipped = [], []
    signals = signals_of(records, options)
    for (source, _), part in zip(signals, read_parts(signals, options, progress), strict=True):
        if isinstance(part, Part):
            parts.append(part)
        else:
            skipped.append((source, str(part)))
    if not parts:
        raise InputError(f"records: none can be used; the first: {skipped[0][1]}")
    check_alike(parts)
    with make_engine(options) as engine:
        total = engine.total(statistics.sums, [piece for part in parts for piece in part.pieces], progress)
    sources = tuple(
        Source(part.name, part.lead_name, part.counts.train, part.scaler.mean, part.scaler.scale) for part in parts
    )
    gates = statistics.tensors.get("gates", np.empty((0, 0)))
    return RecordStatistics(
        network, fit.window, fit.horizon, parts[0].sampling_frequency, gates, sources, total, tuple(skipped)
    )


def read_statistics(path: str | Path) -> RecordStatistics:
    """Read a file of statistics; InputError when it is missing, damaged, changed, or something else."""
    try:
        head, tensors = FILE.read(Path(path))
        if not isinstance(head, dict):
            raise TypeError("no statistics of ecgcvx")
        return _checked(head, tensors)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; write it with `ecgcvx stats`") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a readable file of statistics ({short(error)}); write it anew") from None


def _checked(head: Mapping[str, Any], tensors: Mapping[str, Array]) -> RecordStatistics:
    if head["format"] != FORMAT:
        raise ValueError(f"format {head['format']!r}, this version reads {FORMAT}")
    kind_class(head["network"])
    total = SecondMoments(float(tensors["n"][0]), tensors["H"], tensors["c"], float(tensors["yy"][0]))
    sources = tuple(
        Source(str(one["name"]), str(one["lead"]), int(one["windows"]), float(one["mean"]), float(one["scale"]))
        for one in head["sources"]
    )
    found = RecordStatistics(
        str(head["network"]), int(head["window"]), int(head["horizon"]), float(head["sampling_frequency"]),
        tensors["gates"], sources, total,
    )  # fmt: skip
    own, arrays = found._content()
    if FILE.digest(own, arrays) != head.get("digest"):
        raise ValueError("its digest does not match its content: it was changed or damaged")
    d = found.window + 1
    features = found.gates.size if found.network == "gated" else d * (d + 1) // 2
    if found.network not in SHARED or total.c.shape != (features,) or total.H.shape != (features, features):
        raise ValueError(f"sums of {total.c.shape} for network {found.network}")
    if not all(np.isfinite(values).all() for values in (total.n, total.H, total.c, total.yy)):
        raise ValueError("a sum is not finite")
    return found


def merged(files: Mapping[str, RecordStatistics]) -> RecordStatistics:
    """Return the statistics of all files together, by their names.

    Raises InputError for files that do not match, and for a signal that is in two of them, naming both.
    """
    (first_name, first), *others = files.items()
    seen = dict.fromkeys(first.sources, first_name)
    total, sources = first.total, list(first.sources)
    for name, found in others:
        for setting in MUST_MATCH:
            mine, other = first.settings[setting], found.settings[setting]
            if mine != other:
                raise InputError(f"{name}: {setting} = {other}, {first_name} has {mine}; make both alike")
        for source in found.sources:
            if source in seen:
                raise InputError(
                    f"{name}: {source.name}, lead {source.lead} is in {seen[source]} too; give every record once"
                )
            seen[source] = name
        total = added(total, found.total)
        sources += found.sources
    return replace(first, sources=tuple(sources), total=total)


def fit_statistics(
    files: Mapping[str, RecordStatistics], fit: FitOptions, progress: Progress
) -> tuple[RecordStatistics, Trained]:
    """Train one network on the statistics of files; return them merged, and the training.

    Without a beta, the last file validates along a path of falling beta on the others; InputError where there is one
    file alone.
    """
    every = merged(files)
    statistics = every.statistics(fit.network)
    if fit.beta is not None:
        trained = statistics.problem(every.total).train(fit.beta, warm=None, limits=fit.limits(), progress=progress)
        return every, trained
    if len(files) < 2:
        raise InputError("beta: give it, or a second file of statistics, on which it is chosen")
    names = list(files)
    first = merged({name: files[name] for name in names[:-1]})
    warm = chosen_on(statistics, first.total, files[names[-1]].total, fit, progress)
    return every, statistics.problem(every.total).train(warm.beta, warm=warm, limits=fit.limits(), progress=progress)


def forecasters(every: RecordStatistics, trained: Trained, kind: NetworkKind) -> list[Forecaster]:
    """Return the network for each signal of the statistics, with that signal's scaling."""
    return [
        Forecaster(
            trained.network, Scaler(source.mean, source.scale), source.lead, every.sampling_frequency, every.window,
            every.horizon, trained.beta, kind.name,
        )
        for source in every.sources
    ]  # fmt: skip
