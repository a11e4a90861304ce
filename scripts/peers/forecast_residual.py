"""Two layers on the last samples of each window, then a convolutional network of the whole window on what they leave.

Usage: python forecast_residual.py PROGRAM.npz RESULT.npz --threads 2 [--samples 15] [--taps 15] [--segments 10]
           [--below 3e-5] [--beta 1e-4] [--rounds 4] [--seed 0]
PROGRAM holds X (n, d) with a last column of ones, y (n,) and X_test (n', d). RESULT gets seconds (1,) of both
trainings, cpu_seconds, predictions (1, n') and version. Both are convex programs over all patterns, trained by the
active set; below : the beta of the two layers, beta : that of the convolutional network. A window of fewer samples than
`taps` and `samples` has filters and two layers as long as it is.
"""

import argparse
import time
from itertools import pairwise

import numpy as np

import ecgcvx
from ecgcvx.atoms.convolutional import ConvolutionalFamily
from ecgcvx.atoms.family import AtomFamily
from ecgcvx.atoms.relu import ReluFamily
from ecgcvx.atoms.segmented import SegmentedFamily
from ecgcvx.patches import Convolution
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.rows import Matrix
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.types import Array
from ecgcvx.windows import WindowMatrix

WARM_UP = 2000  # rows of a short training before the clock


def main() -> None:
    """Parse the command line, train, write."""
    arguments = _parser().parse_args()
    with np.load(arguments.program) as data:
        X, y, X_test = data["X"], data["y"], data["X_test"]

    def train(rows: int, rounds: int) -> Array:
        solver = ActiveSetSolver(rounds=rounds, confirm_starts=0, seed=arguments.seed, threads=arguments.threads)

        def fitted(Z: Matrix, Z_test: Matrix, left: Array, beta: float, family: AtomFamily) -> tuple[Array, Array]:
            network = family.network(solver.solve(AllPatterns(Z, left, beta, family=family)).atoms)
            return network.predict(Z), network.predict(Z_test)

        near, near_test = (part[:, -arguments.samples - 1 :] for part in (X[:rows], X_test))
        f, f_test = fitted(near, near_test, y[:rows], arguments.below, ReluFamily())
        samples = X.shape[1] - 1
        taps = min(arguments.taps, samples)
        convolution = Convolution(taps, segments=min(arguments.segments, samples - taps + 1))
        family = (ConvolutionalFamily if convolution.segments == 1 else SegmentedFamily)(convolution, X.shape[1])
        _, rest = fitted(windows_of(X[:rows]), windows_of(X_test), y[:rows] - f, arguments.beta, family)
        return f_test + rest

    train(WARM_UP, 1)
    started, cpu_started = time.perf_counter(), time.process_time()
    predictions = train(len(X), arguments.rounds)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    np.savez(
        arguments.result, seconds=[seconds], cpu_seconds=cpu_seconds, predictions=predictions[None],
        version=f"ecgcvx {ecgcvx.__version__}",
    )  # fmt: skip


def windows_of(X: Array) -> WindowMatrix:
    """The rows [window, 1] (n, d) as windows of signals that overlap wherever a row goes on by one sample."""
    follows = (X[1:, :-2] == X[:-1, 1:-1]).all(axis=1)
    bounds = [0, *(np.flatnonzero(~follows) + 1), len(X)]
    pieces, runs, at = [], [], 0
    for first, stop in pairwise(bounds):
        pieces += [X[first, :-1], X[first + 1 : stop, -2]]
        runs.append((at, at + int(stop - first)))
        at = runs[-1][1] + X.shape[1] - 2
    return WindowMatrix(np.concatenate(pieces), tuple(runs), X.shape[1] - 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("result")
    parser.add_argument("--threads", type=int, required=True)
    for name, default in (("samples", 15), ("taps", 15), ("segments", 10), ("rounds", 4), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default, help="default: %(default)s")
    for name, value in (("below", 3e-5), ("beta", 1e-4)):
        parser.add_argument(f"--{name}", type=float, default=value, help="default: %(default)s")
    return parser


if __name__ == "__main__":
    main()
