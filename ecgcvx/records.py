"""One ECG lead in mV, from a file of any format that is read, a PhysioNet name, or pandas."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ecgcvx.errors import RecordError
from ecgcvx.formats.amplitude import to_millivolts
from ecgcvx.formats.locate import locate
from ecgcvx.formats.resampling import ratio
from ecgcvx.formats.resampling import resample as resample_signal
from ecgcvx.formats.shared import Reading, Rhythm
from ecgcvx.text import clean

if TYPE_CHECKING:
    import pandas as pd

ENOUGH = 0.9  # share of valid, varying samples that a lead needs to be taken without a look at the others
BLOCK = 1 << 20  # samples looked at at a time
STILL = 1.0  # s: a signal that does not change for as long says nothing
LONGEST_NAME = 200


@dataclass(frozen=True, eq=False)
class Annotation:
    """Reference annotation: `samples` (k,) int64, relative to the recording's start, and a WFDB symbol for each.

    rhythms : stretches of samples with the name of their rhythm, e.g. (0, 3600, 'N'), (3600, 7200, 'VFIB').
    """

    samples: npt.NDArray[np.int64]
    symbols: tuple[str, ...]
    rhythms: tuple[Rhythm, ...] = ()


@dataclass(frozen=True, eq=False)
class Lead:
    """A lead beside the one of a recording: its name, and `signal` (n,), sample by sample beside that one's."""

    name: str
    signal: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Recording:
    """One lead: `signal` (n,) in `unit` with NaN where there is no valid sample, `sampling_frequency` in Hz.

    unit : mV; adu when the file has ADC counts of unknown gain.
    given_unit : the unit that was given for the values of a file, None when the file's own was taken.
    original_frequency : Hz before resampling, None without.
    warnings : what the user should know of how the file was read, a line each.
    joined : further leads, from whose windows the signal is forecast as well.
    """

    signal: npt.NDArray[np.float64]
    sampling_frequency: float
    lead: str
    name: str
    annotation: Annotation | None = None
    unit: str = "mV"
    given_unit: str | None = None
    original_frequency: float | None = None
    warnings: tuple[str, ...] = ()
    joined: tuple[Lead, ...] = ()

    @property
    def signals(self) -> npt.NDArray[np.float64]:
        """What windows are cut from: the signal (n,), or of joined leads all (leads, n), the signal last."""
        return np.stack([*(lead.signal for lead in self.joined), self.signal]) if self.joined else self.signal

    @property
    def gaps(self) -> npt.NDArray[np.int64]:
        """The (g, 2) runs of NaN, each as start and stop (exclusive) in samples."""
        missing = np.concatenate(([False], np.isnan(self.signal), [False]))
        return np.flatnonzero(missing[1:] != missing[:-1]).astype(np.int64).reshape(-1, 2)

    @property
    def duration(self) -> float:
        """Length in seconds, gaps included."""
        return len(self.signal) / self.sampling_frequency


def read_recording(
    name: "str | os.PathLike[str] | pd.Series[Any] | pd.DataFrame",
    lead: str | int | None = None,
    start: float | None = None,
    end: float | None = None,
    sampling_frequency: float | None = None,
    *,
    unit: str | None = None,
    default_unit: str | None = None,
    annotator: str | None = None,
    resample: float | None = None,
    join: str | Sequence[str | int] | None = None,
) -> Recording:
    """Read one ECG lead, with others beside it where they are to be joined.

    Parameters
    ----------
    name
        a local WFDB record, with or without .hea, .dat or .mat: one or several segments; a lead with several samples a
        frame comes at its own frequency; an .atr file beside the header becomes the annotation.
        Or, where there is no such file, a PhysioNet name, `database/[version/][folder/]record` such as `mitdb/100`:
        downloaded once into the user's cache directory.
        Or a table, one column a lead: text (.csv, .tsv, .txt; comma, semicolon, tab or blanks between columns, decimal
        point or comma), .parquet, .npy, .npz, .mat without a header, a pandas Series or DataFrame. Columns are named
        like `II` or `ECG (uV)`; empty fields are gaps, and so are jumps in a column of times (`time`, `time (ms)`,
        `timestamp`, ...), which also gives the sampling frequency.
        Or EDF, EDF+, BDF; or, read by ecgdatakit, HL7 aECG, GE MUSE and Philips XML, SCP-ECG, DICOM, ISHNE, MFER.
    lead
        name, in any case (the first of that name), or number from 0; by default the first with the name of an ECG lead,
        or another ECG lead with more valid, varying samples where a tenth of that one's are missing or still.
    start, end
        seconds from the start of the record; by default all of it.
    sampling_frequency
        Hz, for a table without times; it must not contradict what the file says.
    unit
        of the values, where the file names none: uV, mV, V, adu (ADC counts, left as they are), or a gain such as
        200/mV.
    default_unit
        the same, but it gives way to what the file says; mV.
    annotator
        extension of the annotation file, by default atr where there is one.
    resample
        Hz to resample to (polyphase); never done unless asked for.
    join
        names or numbers of further leads for `Recording.joined`, or 'all': every other ECG lead.

    Raises
    ------
    RecordError
        when the record is missing, damaged, cut short, without valid samples, or lacks what is asked of it; when a
        lead to join has another sampling frequency or is the lead itself.
    """
    source, title, read = locate(name, start, end, sampling_frequency, unit is not None, annotator)
    reading = _best(read, lead)
    if np.isnan(reading.signal).all():
        raise RecordError(f"{source}: lead {reading.lead} has no valid sample there; choose another lead, start or end")
    signal, result, notes = to_millivolts(reading, unit, default_unit, source)
    annotation = None if reading.annotation is None else Annotation(*reading.annotation)
    taken = unit if unit is not None else default_unit if not reading.unit else None
    recording = Recording(
        signal, reading.sampling_frequency, clean(reading.lead, LONGEST_NAME), clean(title, LONGEST_NAME), annotation,
        result, taken, None, tuple(clean(note) for note in (*reading.notes, *notes)),
    )  # fmt: skip
    if join is not None:
        recording = _joined(recording, read, join, unit, default_unit, source)
    return recording if resample is None else _resampled(recording, float(resample), source)


def _best(read: Callable[[str | int | None], Reading], lead: str | int | None) -> Reading:
    """The lead asked for; by default the first ECG lead, or one with more to learn from."""
    reading = read(lead)
    share = _useful(reading)
    if lead is not None or share >= ENOUGH or not reading.others:
        return reading
    first, shares = reading.lead, {reading.lead: share}
    for number in reading.others:
        other = read(number)
        shares[other.lead] = _useful(other)
        if shares[other.lead] > share:
            reading, share = other, shares[other.lead]
    if reading.lead == first:
        return reading
    said = f"lead {reading.lead} was taken: {share:.0%} of it is valid and varies, of {first} {shares[first]:.0%}"
    return replace(reading, notes=(*reading.notes, said))


def lead_names(
    name: "str | os.PathLike[str]", start: float | None = None, end: float | None = None,
    sampling_frequency: float | None = None, *, unit: str | None = None,
) -> tuple[str, ...]:  # fmt: skip
    """Return the names of a record's ECG leads; arguments and errors as for `read_recording`."""
    _, _, read = locate(name, start, end, sampling_frequency, unit is not None, None)
    return tuple(clean(reading.lead, LONGEST_NAME) for reading in _every(read))


def _every(read: Callable[[str | int | None], Reading]) -> list[Reading]:
    """All ECG leads."""
    first = read(None)
    return [first, *map(read, first.others)]


def _joined(
    recording: Recording,
    read: Callable[[str | int | None], Reading],
    wanted: str | Sequence[str | int],
    unit: str | None,
    default_unit: str | None,
    source: str,
) -> Recording:
    """The recording with the leads wanted beside it."""
    if wanted == "all":
        readings = [one for one in _every(read) if clean(one.lead, LONGEST_NAME) != recording.lead]
        if not readings:
            raise RecordError(f"{source}: {recording.lead} is its only ECG lead, there is none to join; leave join out")
    else:
        readings = [read(lead) for lead in ([wanted] if isinstance(wanted, str) else wanted)]
    leads: list[Lead] = []
    notes = list(recording.warnings)
    for one in readings:
        name = clean(one.lead, LONGEST_NAME)
        if name in (recording.lead, *(lead.name for lead in leads)):
            raise RecordError(f"{source}: lead {name} is joined to itself; give every lead once")
        if (one.sampling_frequency, len(one.signal)) != (recording.sampling_frequency, len(recording.signal)):
            raise RecordError(
                f"{source}: lead {name} has {one.sampling_frequency:g} Hz, {recording.lead} "
                f"{recording.sampling_frequency:g} Hz; leads that are joined have one sampling frequency"
            )
        if np.isnan(one.signal).all():
            raise RecordError(f"{source}: lead {name} has no valid sample there; leave it out of the joined leads")
        signal, result, said = to_millivolts(one, unit, default_unit, source)
        if result != recording.unit:
            raise RecordError(
                f"{source}: lead {name} is in {result}, {recording.lead} in {recording.unit}; give a unit"
            )
        leads.append(Lead(name, signal))
        notes += [note for note in map(clean, (*one.notes, *said)) if note not in notes]
    return replace(recording, joined=tuple(leads), warnings=tuple(notes))


def _useful(reading: Reading) -> float:
    """Share of the samples that are valid and not in a stretch of at least `STILL` s without any change."""
    shortest = max(STILL * reading.sampling_frequency, 2)
    useful = 0
    for first in range(0, len(reading.signal), BLOCK):
        part = reading.signal[first : first + BLOCK]
        valid = np.isfinite(part)
        bounds = np.r_[0, np.flatnonzero(np.diff(part) != 0) + 1, len(part)]  # NaN differs from all
        lengths = np.diff(bounds)
        useful += int(valid.sum() - lengths[(lengths >= shortest) & valid[bounds[:-1]]].sum())
    return useful / len(reading.signal)


def _resampled(recording: Recording, target: float, source: str) -> Recording:
    share = ratio(recording.sampling_frequency, target, source)
    if share == 1:
        return recording
    signal = resample_signal(recording.signal, share)
    if np.isnan(signal).all():
        raise RecordError(f"{source}: no valid sample is left at {target:g} Hz between its gaps; leave resample out")
    annotation = recording.annotation
    if annotation is not None:
        at = [min(round(int(sample) * share), len(signal) - 1) for sample in annotation.samples]
        rhythms = [Rhythm(round(r.start * share), round(r.stop * share), r.name) for r in annotation.rhythms]
        annotation = Annotation(np.array(at, dtype=np.int64), annotation.symbols, tuple(rhythms))
    joined = tuple(Lead(lead.name, resample_signal(lead.signal, share)) for lead in recording.joined)
    said = f"resampled from {recording.sampling_frequency:g} Hz to {target:g} Hz"
    return replace(
        recording, signal=signal, joined=joined, sampling_frequency=target, annotation=annotation,
        original_frequency=recording.sampling_frequency, warnings=(*recording.warnings, said),
    )  # fmt: skip
