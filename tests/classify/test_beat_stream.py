"""Beats of a stream are those of the whole recording, sooner, and in any chunks."""

import numpy as np
import pytest
from beat_records import RATE, synthetic_recording

from ecgcvx.classify import BeatStream, TrainOptions, train
from ecgcvx.errors import InputError


@pytest.fixture(scope="module")
def classifier():
    options = TrainOptions(taps=(9,), betas=(1e-2,), folds=2, rough=1.0, confirm_starts=20)
    return train([synthetic_recording(seed) for seed in range(4)], options).classifier


def run(classifier, recording, chunk):
    stream, found = BeatStream(classifier, RATE), []
    for first in range(0, len(recording.signal), chunk):
        stop = first + chunk
        peaks = recording.annotation.samples
        found += stream.push(recording.signal[first:stop], peaks[(peaks >= first) & (peaks < stop)].tolist())
    return stream, found


def test_classes_are_those_of_the_whole_recording(classifier):
    recording = synthetic_recording(99, beats=85)
    _, found = run(classifier, recording, 36)
    batch = classifier.classify(recording)
    known = dict(zip(batch.samples.tolist(), batch.classes, strict=True))
    assert len(found) >= len(batch) - 10  # those of the warm-up and of the end are missing
    # The usual interval is that of the past, so that single beats may differ.
    assert np.mean([beat.name == known[beat.sample] for beat in found]) > 0.96
    # The answer comes with the next beat, or .94 s after the R peak where that was sooner.
    assert all(beat.delay >= 0.94 for beat in found)
    assert np.median([beat.delay for beat in found]) < 1.1


def test_memory_is_constant_and_gaps_take_their_beats_with_them(classifier):
    recording = synthetic_recording(99, beats=85)
    at = int(recording.annotation.samples[50])
    recording.signal[at + 10 : at + 40] = np.nan
    stream, found = run(classifier, recording, 360)
    assert len(stream._signal) <= 60 * RATE
    assert len(stream._peaks) < 85
    assert at not in [beat.sample for beat in found]
    assert int(recording.annotation.samples[53]) in [beat.sample for beat in found]


def test_peaks_must_rise_and_be_known(classifier):
    stream = BeatStream(classifier, RATE)
    stream.push(np.zeros(100), [50])
    with pytest.raises(InputError, match="rising"):
        stream.push(np.zeros(100), [50])
    with pytest.raises(InputError, match="rising"):
        stream.push(np.zeros(1), [900])
    with pytest.raises(InputError, match="at least 100 Hz"):
        BeatStream(classifier, 50.0)
