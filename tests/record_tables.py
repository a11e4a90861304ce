"""Tables of one lead for tests of several records."""

import numpy as np

RATE = 100.0


def write_record(path, seed, rate=RATE, samples=2000, gap=False):
    """A table of one lead: a noisy sum of two oscillations."""
    random = np.random.default_rng(seed)
    t = np.arange(samples) / rate
    signal = np.sin(2 * np.pi * (1.1 + 0.1 * seed) * t) + 0.3 * np.sin(2 * np.pi * 7 * t)
    signal += 0.05 * random.standard_normal(samples)
    fields = [f"{value:.4f}" for value in signal]
    if gap:
        fields[300:310] = [""] * 10
    path.write_text("time (s),II\n" + "".join(f"{a:.4f},{b}\n" for a, b in zip(t, fields, strict=True)))
    return str(path)
