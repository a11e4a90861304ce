"""Events as the samples come: what is usual is learned from the first minutes of the stream."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ecgcvx.anomalies.events import THRESHOLD, Event, check_threshold, events_of
from ecgcvx.anomalies.measured import measure_beats
from ecgcvx.anomalies.usual import Usual
from ecgcvx.errors import InputError
from ecgcvx.forecaster import Forecaster
from ecgcvx.records import Recording

LEARN = 300.0  # s
EVERY = 2.0  # s of signal between looks
MEMORY = 20.0  # s that a look sees
SETTLE = 1.5  # s of signal after an R peak, after which its beat is judged


class EventStream:
    """Finds the events of one lead as its samples come, in constant memory.

    A beat is judged 1.5 to 3.5 s after its R peak. The detector and the usual interval know the last 20 s, so that
    single beats may come out otherwise than in the whole recording, and an event never reaches over two looks.

    learn : seconds at the start that are learned from; where they have too few beats, the later half is kept and
    learning goes on. threshold : of the score of a beat.

    Raises InputError for a threshold or seconds that are no such number, ModelError for a model of joined leads.
    """

    def __init__(self, forecaster: Forecaster, learn: float = LEARN, threshold: float = THRESHOLD) -> None:
        forecaster.check_single("detect (--events)")
        check_threshold(threshold)
        if not MEMORY <= learn < float("inf"):
            raise InputError(f"learn = {learn:g}: a stream learns from {MEMORY:g} s at least, e.g. {LEARN:g}")
        self.forecaster, self.learn, self.threshold = forecaster, learn, threshold
        self.usual: Usual | None = None
        self._rate = forecaster.sampling_frequency
        self._signal = np.empty(0)
        self._first = 0  # number of the first sample that is kept
        self._new: list[float] = []
        self._due = round(learn * self._rate)  # number of samples at the next look
        self._judged = -1  # R peak of the last beat judged

    @property
    def samples(self) -> int:
        """Number of samples so far."""
        return self._first + len(self._signal) + len(self._new)

    def push(self, samples: Sequence[float]) -> list[Event]:
        """Take samples in mV, NaN where one is missing; return the events found by now, counted from the first one."""
        found = []
        for sample in samples:
            self._new.append(sample)
            if self.samples >= self._due:
                found += self._look()
        return found

    def _look(self) -> list[Event]:
        self._signal = np.concatenate([self._signal, np.array(self._new, dtype=np.float64)])
        self._new = []
        events: list[Event] = []
        recording = Recording(self._signal, self._rate, self.forecaster.lead, "stream")
        try:
            beats = measure_beats(self.forecaster, recording)
            if self.usual is None:
                self.usual = Usual.learn(beats, np.ones(len(beats), dtype=np.bool_))
                self._judged = self.samples - round(SETTLE * self._rate)
            elif len(beats):
                peaks = beats.samples + self._first
                last = self.samples - round(SETTLE * self._rate)
                new = (peaks > self._judged) & (peaks <= last)
                judged = self.usual.judge(beats)
                judged = judged._replace(scores=np.where(new, judged.scores, -np.inf))
                events = [
                    self._shifted(one)
                    for one in events_of(beats, judged, self.threshold, len(self._signal), self._rate)
                ]
                self._judged = max(self._judged, last)
        except InputError:  # no beats, or nothing but gaps
            pass
        self._forget()
        return events

    def _shifted(self, event: Event) -> Event:
        """The event in samples of the stream."""
        at = self._first
        samples = tuple(sample + at for sample in event.samples)
        return replace(event, start=event.start + at, samples=samples, peak=event.peak + at)

    def _forget(self) -> None:
        """Drop what no later look sees, and say when that is."""
        kept = self.learn / 2 if self.usual is None else MEMORY
        drop = max(len(self._signal) - round(kept * self._rate), 0)
        self._signal = self._signal[drop:].copy()
        self._first += drop
        self._due = self.samples + round((self.learn / 2 if self.usual is None else EVERY) * self._rate)
