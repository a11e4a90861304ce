"""How a data set is read and fitted."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from ecgcvx.errors import EcgcvxError, InputError
from ecgcvx.fit_options import FitOptions

if TYPE_CHECKING:
    from ecgcvx.records import Recording

ENGINES = ("memory", "records", "dask")
EVALUATIONS = ("within", "pooled", "leave-one-record-out")


@dataclass(frozen=True)
class Reading:
    """What of every record is read, as `read_recording` takes it; leads : one record's signals, by default one lead.

    leads 'all' : every ECG lead of a record is a signal of its own. join : leads that are joined to each of `leads`.
    limit : seconds that reading one record may take, which ends the wait for a file system that stalls.

    Raises InputError for a limit that is not positive.
    """

    leads: tuple[str | int | None, ...] | Literal["all"] = (None,)
    start: float | None = None
    end: float | None = None
    sampling_frequency: float | None = None
    unit: str | None = None
    annotator: str | None = None
    resample: float | None = None
    limit: float = 300.0
    join: tuple[str | int, ...] | Literal["all"] | None = None

    def __post_init__(self) -> None:
        if not self.limit > 0:
            raise InputError(f"read-limit = {self.limit:g}: give seconds above 0, e.g. 300")

    def read(self, source: str, lead: str | int | None) -> "Recording":
        """One record's lead; InputError for what cannot be used, or is not read within the limit."""
        from ecgcvx.dataset.patience import in_time
        from ecgcvx.records import read_recording

        return in_time(lambda: read_recording(source, lead, **self.arguments()), source, self.limit)

    def leads_of(self, source: str) -> tuple[str | int | None, ...]:
        """Return the leads of a record that are signals; (None,) for one whose leads cannot be read."""
        return _lead_names(self, source) if self.leads == "all" else self.leads

    def arguments(self) -> dict[str, Any]:
        """The arguments of `read_recording` besides name and lead."""
        return {
            "start": self.start, "end": self.end, "sampling_frequency": self.sampling_frequency, "unit": self.unit,
            "annotator": self.annotator, "resample": self.resample, "join": self.join,
        }  # fmt: skip


@lru_cache
def _lead_names(reading: Reading, source: str) -> tuple[str | int | None, ...]:
    from ecgcvx.dataset.patience import in_time
    from ecgcvx.records import lead_names

    given = (reading.start, reading.end, reading.sampling_frequency)
    try:
        return in_time(lambda: lead_names(source, *given, unit=reading.unit), source, reading.limit)
    except EcgcvxError:  # the reading of the signal says why
        return (None,)


@dataclass(frozen=True)
class DatasetOptions:
    """How a data set is fitted.

    evaluate : 'within' trains a network on the first part of each record and tests it on the rest; 'pooled' trains one
    network on the first parts of all, and tests it on the rest of each; 'leave-one-record-out' trains on the other
    records, and tests on all of the one that was left out. Every record is scaled by its own training part ('within',
    'pooled') or by all of it. strict : the first record that cannot be used ends the run. resume : what an earlier run
    into the same folder finished is kept. jobs : processes, by default one a core; where one network is trained
    for all records, threads, or workers of a cluster that is made here. engine : where the windows of one network for
    all records are: in 'memory', read from the 'records' when they are needed, or that on the workers of a 'dask'
    cluster; all three give the same bits. cluster : address of a scheduler, None for a cluster of this machine.

    Raises InputError for another evaluation or engine, and for an engine where each record has a network of its own.
    """

    fit: FitOptions = field(default_factory=FitOptions)
    reading: Reading = field(default_factory=Reading)
    evaluate: str = "within"
    strict: bool = False
    resume: bool = False
    jobs: int | None = None
    engine: str = "memory"
    cluster: str | None = None

    def __post_init__(self) -> None:
        if self.evaluate not in EVALUATIONS:
            raise InputError(f"evaluate = {self.evaluate!r}: choose one of {', '.join(EVALUATIONS)}")
        if self.engine not in ENGINES:
            raise InputError(f"engine = {self.engine!r}: choose one of {', '.join(ENGINES)}")
        if self.evaluate == "within" and self.engine != "memory":
            raise InputError(
                f"engine = {self.engine}: with evaluate = within each record is fitted alone; leave it out"
            )
        if self.cluster is not None and self.engine != "dask":
            raise InputError(f"cluster = {self.cluster}: not with engine = {self.engine}; take dask")
        if self.jobs is not None and self.jobs < 1:
            raise InputError(f"jobs = {self.jobs}: give at least 1")
