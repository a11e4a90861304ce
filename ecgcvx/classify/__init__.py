"""Beats told apart by convex convolutional networks, between patients. No medical device.

windows     beats -> rows: 125 samples at 180 Hz, RR ratios, a one
classes     the classes of ANSI/AAMI EC57
machine     one class against the others: program, solution, proof, calibration
novelty     beats that are like nothing in training
training    choices by leaving patients out, then all of them
classifier  the trained classifier and its file
measures    sensitivity, precision, areas, jk index, intervals over patients
output      CSV, WFDB annotations, metrics
report      the page of a training
"""

from typing import TYPE_CHECKING

from ecgcvx._lazy import lazy

if TYPE_CHECKING:
    from ecgcvx.classify.classifier import ClassifiedBeats, ConvexBeatClassifier
    from ecgcvx.classify.training import Training, TrainOptions, train
    from ecgcvx.classify.windows import BeatWindows, beat_windows

__all__ = [
    "BeatWindows", "ClassifiedBeats", "ConvexBeatClassifier", "TrainOptions", "Training", "beat_windows", "train",
]  # fmt: skip

__getattr__, __dir__ = lazy(
    __name__,
    {
        "BeatWindows": "windows", "ClassifiedBeats": "classifier", "ConvexBeatClassifier": "classifier",
        "TrainOptions": "training", "Training": "training", "beat_windows": "windows", "train": "training",
    },
    globals(),
)  # fmt: skip
