"""How many patterns of a chosen network recur when it is fitted again with other seeds.

    python scripts/recurrence.py data/mitdb208/208 --seeds 0 1 2
    python scripts/recurrence.py data/mitdb208/208 --seeds 0 1 2 --end 300 --network relu --choose within:1%

The on-set of a pattern is the set of test windows in which it is on. Two patterns are the same when the Jaccard index
|A and B| / |A or B| of their on-sets is at least --threshold (.9). Printed for every pair of seeds: the median over the
patterns of the best index in the other network, the share that reach the threshold, and the share that have a gate with
a cosine of .99; then the means, and what the forecasts differ by in units of the error.
"""

import argparse
import itertools
from typing import Any

import numpy as np

import ecgcvx
from ecgcvx.recurrence import SAME, jaccard

SAME_GATE = 0.99


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the cosines (k, m) of gates (k, d) and (m, d)."""
    units = [gates / np.linalg.norm(gates, axis=1, keepdims=True) for gates in (first, second)]
    return np.asarray(units[0] @ units[1].T)


def recurring(X: Any, first: np.ndarray, second: np.ndarray, threshold: float) -> tuple[float, float, float]:
    """Return of the patterns of the first network in the second: median best Jaccard index, share, share by cosine."""
    best, closest = jaccard((X, first), (X, second)).max(axis=1), cosines(first, second).max(axis=1)
    return float(np.median(best)), float(np.mean(best >= threshold)), float(np.mean(closest >= SAME_GATE))


def main() -> None:
    """Fit with every seed and print what recurs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--end", type=float, help="seconds of the record to use")
    parser.add_argument("--threshold", type=float, default=SAME)
    parser.add_argument("--network", default="relu")
    parser.add_argument("--choose", default="within:1%")
    parser.add_argument("--beta", type=float)
    arguments = parser.parse_args()
    recording = ecgcvx.read_recording(arguments.record, end=arguments.end)
    options = {"choose": arguments.choose} if arguments.network == "relu" else {}
    fits = []
    for seed in arguments.seeds:
        found = ecgcvx.fit(
            recording, arguments.network, beta=arguments.beta, seed=seed, baselines="none", **options
        )  # fmt: skip
        line = found.scores[-1]
        gap = f", gap {line.gap.relative:.3f}" if line.gap is not None else ""
        print(f"seed {seed}: {line.neurons} neurons, test {line.test_rmse_mv:.5f} mV{gap}", flush=True)
        fits.append(found)
    told = []
    for (i, one), (j, two) in itertools.permutations(enumerate(fits), 2):
        X = one.split.test.X
        first, second = (fit.trained.network.units().gates for fit in (one, two))
        median, share, same = recurring(X, first, second, arguments.threshold)
        told.append((median, share, same))
        print(f"seed {arguments.seeds[i]} in seed {arguments.seeds[j]}: median {median:.2f}, {share:.0%}, {same:.0%}")
    median, share, same = np.mean(told, axis=0)
    r = [fit.split.test.y - fit.trained.network.predict(fit.split.test.X) for fit in fits]
    error = np.sqrt(np.mean(np.square(r)))
    apart = np.sqrt(np.mean([np.mean((a - b) ** 2) for a, b in itertools.combinations(r, 2)]))
    print(
        f"mean: median best Jaccard index {median:.2f}, {share:.0%} at least {arguments.threshold:g}, {same:.0%} with "
        f"a gate of cosine {SAME_GATE:g}; forecasts differ by {apart / error:.2f} of the error"
    )


if __name__ == "__main__":
    main()
