"""Beats classified as they come: samples and R peaks in, classes out, from what the last minute knows."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ecgcvx.beats import Beats
from ecgcvx.classify.classifier import ConvexBeatClassifier
from ecgcvx.classify.windows import AFTER, RATE, SLOWEST
from ecgcvx.errors import InputError
from ecgcvx.records import Recording
from ecgcvx.types import Array

MEMORY = 60.0  # s
SETTLE = 0.5  # s of signal after a window, for what the filter makes of its end
PATIENCE = 2.0  # s without a further R peak, after which a beat is classified without the interval after it
WARM_UP = 5.0  # s of signal before the first beat that is classified: the scale is theirs


class StreamedBeat(NamedTuple):
    """One beat: its R peak in samples from the start of the stream, class, probabilities (classes,), and the delay in s
    of signal from its R peak to the answer."""

    sample: int
    name: str
    probabilities: Array
    unknown: bool
    delay: float


class BeatStream:
    """Classifies the beats of one lead as they come, in constant memory; R peaks come with the samples.

    A beat is classified when the next R peak is known (or 2 s passed without one) and .94 s of signal after its own are
    there, as the batch would with the last minute as the whole recording: the standard deviation and the usual RR
    interval are those of that minute, so that single beats may come out differently than in the whole recording.

    Raises InputError for a sampling frequency below 100 Hz.
    """

    def __init__(self, classifier: ConvexBeatClassifier, sampling_frequency: float) -> None:
        if not sampling_frequency >= SLOWEST:
            raise InputError(f"sampling_frequency = {sampling_frequency:g}: give at least {SLOWEST:g} Hz")
        self.classifier, self.rate = classifier, sampling_frequency
        self._signal = np.empty(0)
        self._first = 0  # number of the first sample that is kept
        self._peaks: list[int] = []
        self._waiting = 0  # index of the first peak that is not classified

    @property
    def samples(self) -> int:
        """Number of samples so far."""
        return self._first + len(self._signal)

    def push(self, samples: Array, peaks: Sequence[int] = ()) -> list[StreamedBeat]:
        """Take samples (k,), NaN where one is missing, and R peaks found by now; return the beats that are ready.

        peaks : in samples from the start of the stream, rising from call to call; they may lie in earlier samples.
        Raises InputError for peaks that do not rise or lie in the future.
        """
        self._signal = np.concatenate([self._signal, np.asarray(samples, dtype=np.float64).ravel()])
        for peak in peaks:
            if peak >= self.samples or (self._peaks and peak <= self._peaks[-1]):
                raise InputError(
                    f"peaks: {peak} after {self._peaks[-1:]} of {self.samples} samples; give rising numbers"
                )
            self._peaks.append(int(peak))
        ready = []
        while self._waiting < len(self._peaks) and self._is_ready():
            found = self._classify(self._waiting)
            ready += [found] if found is not None else []
            self._waiting += 1
        self._forget()
        return ready

    def _is_ready(self) -> bool:
        since = (self.samples - self._peaks[self._waiting]) / self.rate
        followed = self._waiting + 1 < len(self._peaks)
        return since >= AFTER / RATE + SETTLE and (followed or since >= PATIENCE)

    def _classify(self, number: int) -> StreamedBeat | None:
        """The beat, None where a gap or the start of the stream is in its window."""
        if self._peaks[number] < WARM_UP * self.rate:
            return None
        places = np.array(self._peaks, dtype=np.int64) - self._first
        beats = Beats(places[places >= 0], ("?",) * int(np.sum(places >= 0)), "detector")
        recording = Recording(self._signal, self.rate, self.classifier.lead, "stream")
        try:
            found = self.classifier.classify(recording, beats)
        except InputError:  # nothing but gaps in the last minute
            return None
        at = np.flatnonzero(found.samples == places[number])
        if not len(at):
            return None
        i = int(at[0])
        delay = (self.samples - self._peaks[number]) / self.rate
        return StreamedBeat(
            self._peaks[number], str(found.classes[i]), found.probabilities[i], bool(found.unknown[i]), delay
        )  # fmt: skip

    def _forget(self) -> None:
        """Drop what is older than the memory."""
        drop = len(self._signal) - round(MEMORY * self.rate)
        if drop > 0:
            self._signal = self._signal[drop:].copy()
            self._first += drop
            old = sum(peak < self._first for peak in self._peaks[: self._waiting])
            self._peaks = self._peaks[old:]
            self._waiting -= old
