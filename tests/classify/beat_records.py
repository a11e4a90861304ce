"""Synthetic recordings whose beats are narrow and on time (N), wide and early (V) or narrow and early (S)."""

import numpy as np

from ecgcvx.records import Annotation, Recording

RATE = 360.0


def bump(t: np.ndarray, centre: float, width: float, height: float) -> np.ndarray:
    return height * np.exp(-0.5 * ((t - centre) / width) ** 2)


def synthetic_recording(
    seed: int, beats: int = 60, share: float = 0.2, others: str = "V", name: str | None = None, rate: float = RATE
) -> Recording:
    """A recording of `beats` beats, a share of them of the classes `others`, each patient with a shape of their own."""
    random = np.random.default_rng(seed)
    usual, height, width = 0.8 + 0.1 * random.random(), 0.8 + 0.6 * random.random(), 0.012 + 0.006 * random.random()
    symbols = ["N"] * beats
    for i in random.permutation(np.arange(2, beats - 2))[: round(share * beats)]:
        symbols[i] = others[random.integers(len(others))]
    times, now = [], 1.0
    for symbol in symbols:
        now += usual * (1 + 0.02 * random.standard_normal()) * (1.0 if symbol == "N" else 0.65)
        times.append(now)
    t = np.arange(int((now + 1.5) * rate)) / rate
    signal = 0.02 * random.standard_normal(len(t)) + 0.1 * np.sin(2 * np.pi * 0.2 * t)
    for symbol, at in zip(symbols, times, strict=True):
        wide = 3.0 if symbol == "V" else 1.0
        signal += bump(t, at, wide * width, height) - bump(t, at + 0.05 * wide, 1.5 * width * wide, 0.3 * height)
        signal += bump(t, at + 0.28, 0.05, -0.3 if symbol == "V" else 0.25)
        if symbol == "N":
            signal += bump(t, at - 0.16, 0.025, 0.15)
    samples = np.rint(np.array(times) * rate).astype(np.int64)
    return Recording(signal, rate, "MLII", name or f"patient{seed}", Annotation(samples, tuple(symbols)))
