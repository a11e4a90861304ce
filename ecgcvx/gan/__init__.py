"""Convex generative networks for beats: a Wasserstein GAN with a quadratic discriminator, solved and not played."""

from ecgcvx.gan.aligned import AlignedBeats, aligned_beats
from ecgcvx.gan.conditional import BeatFilter, noise_level
from ecgcvx.gan.generator import KINDS, BeatGenerator
from ecgcvx.gan.target import MomentTarget, moment_error, moment_target

__all__ = [
    "KINDS",
    "AlignedBeats",
    "BeatFilter",
    "BeatGenerator",
    "MomentTarget",
    "aligned_beats",
    "moment_error",
    "moment_target",
    "noise_level",
]
