"""Events: stretches of beats that are not as usual, with the patterns that make them so."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgcvx.anomalies.measured import MeasuredBeats, measure_beats
from ecgcvx.anomalies.usual import Judged, Usual
from ecgcvx.errors import InputError
from ecgcvx.forecaster import Forecaster
from ecgcvx.records import Recording
from ecgcvx.types import Array

THRESHOLD = 6.0
LEARN_SHARE = 0.25  # of a recording
REACH = 1.0  # s that a beat reaches from its R peak at most
NAMED = 3  # patterns of an event


@dataclass(frozen=True)
class UnusualPattern:
    """A pattern with its neurons, and ms that it is on beyond what is usual in such a beat, negative where less.

    Of a network without gates, excess is what the neuron adds beyond the usual, standardised, summed over the beat.
    """

    neurons: tuple[int, ...]
    excess: float


@dataclass(frozen=True)
class Event:
    """Consecutive unusual beats: from `start` over `length` samples, R peaks `samples`, of the beat of largest score.

    shape, timing : parts of the score. early : by which share of the usual interval the beat came early, negative where
    late. patterns : those farthest from what is usual, the farthest first.
    """

    start: int
    length: int
    samples: tuple[int, ...]
    peak: int
    score: float
    shape: float
    timing: float
    early: float
    patterns: tuple[UnusualPattern, ...]
    unit: str


@dataclass(frozen=True, eq=False)
class Detection:
    """Beats with their scores, and the events among them.

    samples : (b,) R peaks. scores : (b,). learned : samples of the first part that was learned from. left_out : beats
    over a gap or an end of the recording, which are not judged.
    """

    samples: NDArray[np.int64]
    scores: Array
    events: tuple[Event, ...]
    threshold: float
    learned: int
    left_out: int
    sampling_frequency: float
    length: int

    def by_sample(self) -> Array:
        """Return the score of every sample: that of the beat it belongs to, elsewhere the smallest score.

        A beat reaches half way to the next and to the one before, and 1 s at most.
        """
        return by_sample(self.scores, self.samples, self.length, self.sampling_frequency)


def extents(samples: NDArray[np.int64], length: int, rate: float) -> NDArray[np.int64]:
    """Return from and to which sample (b, 2) each beat reaches."""
    middle = (samples[1:] + samples[:-1]) // 2
    reach = round(REACH * rate)
    begin = np.maximum(np.r_[0, middle], samples - reach)
    return np.stack([begin, np.minimum(np.r_[middle, length], samples + reach)], axis=1)


def by_sample(scores: Array, samples: NDArray[np.int64], length: int, rate: float) -> Array:
    """Return scores of beats (b,) as a score of every sample (length,); see `Detection.by_sample`."""
    out = np.full(length, scores.min(initial=np.inf))
    for (begin, end), score in zip(extents(samples, length, rate), scores, strict=True):
        out[begin:end] = score
    return out


def detect(
    forecaster: Forecaster, recording: Recording, *, learn: float | None = None, threshold: float = THRESHOLD
) -> Detection:
    """Find what is unusual in a recording, against its own first `learn` seconds, without labels.

    learn : by default the first quarter; ectopic beats may be among its beats, as long as they are fewer than two in
    three. threshold : of the score of a beat.

    Raises InputError without beats, for too few to learn from, and for seconds or a threshold that are no such number;
    ModelError for a model of joined leads.
    """
    forecaster.check_single("detect")
    check_threshold(threshold)
    rate, length = recording.sampling_frequency, len(recording.signal)
    learned = round(LEARN_SHARE * length) if learn is None else samples_of(learn, rate, length, recording.name)
    beats = measure_beats(forecaster, recording)
    usual = Usual.learn(beats, beats.samples < learned)
    judged = usual.judge(beats)
    found = events_of(beats, judged, threshold, length, rate)
    return Detection(beats.samples, judged.scores, found, threshold, learned, beats.left_out, rate, length)


def samples_of(learn: float, rate: float, length: int, name: str) -> int:
    """Return the samples of the seconds to learn from; InputError where the recording has not as many."""
    if not 0.0 < learn * rate <= length:
        raise InputError(f"learn = {learn:g}: {name} has {length / rate:g} s; give seconds within it")
    return round(learn * rate)


def check_threshold(threshold: float) -> None:
    """InputError for a threshold that is no number."""
    if not np.isfinite(threshold):
        raise InputError(f"threshold = {threshold}: give a score, e.g. {THRESHOLD:g}")


def events_of(beats: MeasuredBeats, judged: Judged, threshold: float, length: int, rate: float) -> tuple[Event, ...]:
    """Return the events: runs of consecutive beats above the threshold."""
    above = np.concatenate([[False], judged.scores > threshold, [False]])
    reach = extents(beats.samples, length, rate)
    found = []
    for a, b in np.flatnonzero(above[1:] != above[:-1]).reshape(-1, 2).tolist():
        k = a + int(np.argmax(judged.scores[a:b]))
        excess = judged.excess[k]
        farthest = np.argsort(-np.abs(excess), kind="stable")[:NAMED]
        found.append(
            Event(
                int(reach[a, 0]), int(reach[b - 1, 1] - reach[a, 0]), tuple(beats.samples[a:b].tolist()),
                int(beats.samples[k]), float(judged.scores[k]), float(judged.shape[k]), float(judged.timing[k]),
                -float(beats.rr[k, 0]),
                tuple(UnusualPattern(beats.neurons[j], float(excess[j])) for j in farthest),
                "" if beats.on is None else "ms",
            )
        )  # fmt: skip
    return tuple(found)


def pattern_words(patterns: Sequence[UnusualPattern], unit: str) -> str:
    """E.g. '12+41ms 3-20ms': the first neuron of each pattern and its excess."""
    digits = 0 if unit else 2
    return " ".join(f"{one.neurons[0]}{one.excess:+.{digits}f}{unit}" for one in patterns)
