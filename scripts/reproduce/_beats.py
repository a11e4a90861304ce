"""The beats that the generators of the lecture learn: of one class, part of them held out."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from scipy.cluster.vq import kmeans2

from _ecg import RECORD
from _page import INK, style
from ecgcvx.gan import aligned_beats
from ecgcvx.records import read_recording
from ecgcvx.types import Array

TRAINED_ON = 0.6  # share of the beats
SHOWN = 30  # beats that are drawn


@dataclass(frozen=True)
class OneClass:
    """Beats (n, samples) in mV to train on and held out, seconds from the R peak of each sample, and what they are."""

    training: Array
    held_out: Array
    time: Array
    name: str


def add_options(parser: argparse.ArgumentParser) -> None:
    """The folder of the database."""
    parser.add_argument("--mitdb", type=Path, help="your copy of the MIT-BIH Arrhythmia Database, for all V beats")


def read_beats(mitdb: Path | None, most: int | None = None) -> OneClass:
    """Return the ventricular beats of record 208; without the database's annotations the usual beats of 5 minutes.

    The usual beats are the larger of two clusters of the beats that the detector finds.
    """
    beats = aligned_beats([read_recording(RECORD if mitdb is None else mitdb / "208")])
    if mitdb is None:
        centred = beats.matrix - beats.matrix.mean(axis=0)
        _, labels = kmeans2(centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T, 2, rng=0, minit="++")
        X, name = beats.matrix[labels == np.bincount(labels).argmax()], "usual beats of 5 minutes of record 208"
    else:
        X, name = beats.of_class("V").matrix, "ventricular beats of record 208"
    order = np.random.default_rng(0).permutation(len(X))[:most]
    cut = int(TRAINED_ON * len(order))
    time = (np.arange(X.shape[1]) - beats.before) / beats.sampling_frequency
    return OneClass(X[order[:cut]], X[order[cut:]], time, name)


def draw_beats(axes: Axes, time: Array, beats: Array, color: str, title: str) -> None:
    """Draw some beats, their mean, and the band that 90 % of them lie in."""
    axes.fill_between(time, *np.quantile(beats, (0.05, 0.95), axis=0), color=color, alpha=0.2, linewidth=0)
    axes.plot(time, beats[:SHOWN].T, color=color, linewidth=0.4, alpha=0.6)
    axes.plot(time, beats.mean(axis=0), color=INK, linewidth=1.2)
    style(axes, xlim=(time[0], time[-1]))
    axes.set_title(title, fontsize=9, loc="left")
