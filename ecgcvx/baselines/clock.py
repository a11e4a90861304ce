"""The time that a training may take, and what it had reached when: objective against time of one run."""

import time
from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray


class TimeUp(Exception):
    """The time is over; a trainer catches it and returns the best that it has."""


class Clock:
    """A stopwatch of `seconds` of its thread's processor time, which stands while it evaluates what it is shown.

    Processor time, because other work on the machine would take its share from some runs and not from others. timer :
    another clock in seconds, e.g. `time.perf_counter` where someone waits.

    evaluate : parameters (k,) -> objective, called once for each of `marks`, ascending seconds, at the first parameters
    seen from then on. trace : the (seconds, objective) so found.
    """

    def __init__(
        self,
        seconds: float = inf,
        evaluate: Callable[[NDArray[Any]], float] | None = None,
        marks: NDArray[np.float64] | None = None,
        timer: Callable[[], float] = time.thread_time,
    ) -> None:
        self.seconds = seconds
        self.trace: list[tuple[float, float]] = []
        self._evaluate = evaluate
        self._marks = [] if marks is None or evaluate is None else marks.tolist()[::-1]
        self._timer = timer
        self._started = timer()

    @property
    def elapsed(self) -> float:
        """Seconds so far, without those of evaluations."""
        return self._timer() - self._started

    @property
    def share(self) -> float:
        """Share of the time that is over; at most 1."""
        if self.seconds == inf:
            return 0.0
        return min(1.0, self.elapsed / self.seconds)

    def check(self) -> None:
        """Raise TimeUp when the time is over."""
        if self.elapsed >= self.seconds:
            raise TimeUp

    def see(self, parameters: NDArray[Any]) -> None:
        """Evaluate parameters where a mark is due; raise TimeUp when the time is over."""
        if self.seconds == inf and not self._marks:
            return
        now = self.elapsed
        if self._marks and now >= self._marks[-1]:
            while self._marks and now >= self._marks[-1]:
                self._marks.pop()
            assert self._evaluate is not None
            self.trace.append((now, self._evaluate(parameters)))
            self._started += self.elapsed - now
        if now >= self.seconds:
            raise TimeUp
