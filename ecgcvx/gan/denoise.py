"""A whole lead denoised: each beat replaced by its expectation given the noisy one, class by class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgcvx.beats import find_beats
from ecgcvx.errors import InputError
from ecgcvx.gan.aligned import AlignedBeats, aligned_beats
from ecgcvx.gan.conditional import BeatFilter, noise_level
from ecgcvx.records import Recording
from ecgcvx.types import Array

BEFORE_SHARE, AFTER_SHARE = 0.45, 0.75  # of the median RR interval: neighbouring beats overlap
FEWEST = 40  # beats of a class with a filter of its own


@dataclass(frozen=True, eq=False)
class Denoised:
    """signal (n,) in the recording's unit, noise in rms of it, and the share of the samples that beats cover.

    peaks (b,) : R peaks of the beats used, in samples. symbols : their classes.
    """

    signal: Array
    noise: float
    covered: float
    peaks: NDArray[np.int64]
    symbols: tuple[str, ...]


def denoise_recording(recording: Recording, noise: float | None = None) -> Denoised:
    """Return the recording with white noise of `noise` rms taken off its beats, by default as much as they show.

    The moments of the recording's own beats, freed of noise^2 (`moment_target` with beta_d = noise^2), are the filter.
    Beats of a class with fewer than 40 share one filter. Overlapping beats are averaged with tapering weights; samples
    that no beat covers, and the baseline below 0.5 Hz, stay as they are.

    Raises InputError when there are too few beats, or noise is not positive.
    """
    if noise is not None and not (np.isfinite(noise) and noise > 0):
        raise InputError(f"noise = {noise} {recording.unit}: give a positive number")
    beats = find_beats(recording)
    if beats is None or len(beats) < FEWEST:
        found = 0 if beats is None else len(beats)
        raise InputError(f"{recording.name}: {found} beats in lead {recording.lead}, at least {FEWEST} are needed")
    rr = float(np.median(np.diff(beats.samples))) / recording.sampling_frequency
    aligned = aligned_beats([recording], BEFORE_SHARE * rr, AFTER_SHARE * rr)
    if len(aligned) < FEWEST:
        raise InputError(f"{recording.name}: {len(aligned)} beats away from gaps, at least {FEWEST} are needed")
    classes = _classes(aligned)
    if noise is None:
        noise = noise_level(aligned.matrix[classes == _largest(classes)])
    length = aligned.X.shape[2]
    taper = np.minimum(np.arange(length) + 1.0, length - np.arange(length)) / length
    change, weight = np.zeros(len(recording.signal)), np.zeros(len(recording.signal))
    for number in np.unique(classes):
        chosen = np.flatnonzero(classes == number)
        X = aligned.matrix[chosen]
        cleaned = BeatFilter.fit(X, noise).denoise(X, noise)
        for peak, difference in zip(aligned.peaks[chosen], cleaned - X, strict=True):
            place = slice(peak - aligned.before, peak - aligned.before + length)
            change[place] += taper * difference
            weight[place] += taper
    covered = weight > 0
    signal = recording.signal + np.where(covered, change / np.where(covered, weight, 1.0), 0.0)
    return Denoised(signal, noise, float(covered.mean()), aligned.peaks, aligned.symbols)


def _classes(aligned: AlignedBeats) -> np.ndarray:
    """Number (n,) of each beat's filter; -1 for the beats of rare classes, which share one, with others if need be."""
    counts = aligned.counts
    names = [name for name, count in counts.items() if count >= FEWEST]
    numbers = np.array([names.index(symbol) if symbol in names else -1 for symbol in aligned.symbols])
    if 0 < (numbers == -1).sum() < FEWEST and names:
        numbers[numbers == -1] = 0
    return numbers


def _largest(classes: np.ndarray) -> int:
    values, counts = np.unique(classes, return_counts=True)
    return int(values[np.argmax(counts)])
