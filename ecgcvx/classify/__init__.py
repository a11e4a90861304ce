"""Beats told apart by convex convolutional networks, between patients. No medical device.

windows     beats -> rows: 125 samples at 180 Hz, context, a one
context     what a beat is against the others of its recording
classes     the classes of ANSI/AAMI EC57
machine     one class against the others: program, solution, proof, calibration
novelty     beats that are like nothing in training
training    choices by leaving patients out, then all of them
classifier  the trained classifier and its file
measures    sensitivity, precision, areas, jk index, intervals over patients
output      CSV, WFDB annotations, metrics
reading     where filters fire and what they add; report: the page of a training
stream      beats classified as they come
"""

from typing import TYPE_CHECKING

from ecgcvx._lazy import lazy

if TYPE_CHECKING:
    from ecgcvx.classify.classifier import ClassifiedBeats, ConvexBeatClassifier
    from ecgcvx.classify.stream import BeatStream, StreamedBeat
    from ecgcvx.classify.training import Training, TrainOptions, train
    from ecgcvx.classify.windows import BeatWindows, beat_windows

__all__ = [
    "BeatStream", "BeatWindows", "ClassifiedBeats", "ConvexBeatClassifier", "StreamedBeat", "TrainOptions", "Training",
    "beat_windows", "train",
]  # fmt: skip

__getattr__, __dir__ = lazy(
    __name__,
    {
        "BeatStream": "stream", "BeatWindows": "windows", "ClassifiedBeats": "classifier",
        "ConvexBeatClassifier": "classifier", "StreamedBeat": "stream", "TrainOptions": "training",
        "Training": "training", "beat_windows": "windows", "train": "training",
    },
    globals(),
)  # fmt: skip
