"""A multilayer perceptron trained for accuracy alone by ecgcvx.baselines: minibatch Adam, cosine schedule, no penalty.

Usage: python forecast_backprop.py PROGRAM.npz RESULT.npz --threads 1 --hidden 128 128 [--epochs 160] [--step 3e-3]
PROGRAM holds X (n, d) with a last column of ones, y (n,) and X_test (n', d). RESULT gets seconds (1,) of the training,
cpu_seconds, predictions (1, n') and version. What forecast_torch.py does, with one bias less a layer, in half of its
time: the arrays of a step are reused and no graph is recorded.
"""

import argparse
import time

import numpy as np

import ecgcvx
from ecgcvx.baselines.backprop import Layers, Workspace, forward
from ecgcvx.baselines.minibatch import train_minibatch
from ecgcvx.baselines.problem import Problem

WARM_UP = 2000  # rows of a short training before the clock


def main() -> None:
    """Parse the command line, train, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("result")
    parser.add_argument("--threads", type=int, required=True, help="not used: a batch is too small for more than one")
    parser.add_argument("--hidden", type=int, nargs="+", required=True, help="units of each hidden layer")
    parser.add_argument("--epochs", type=int, default=400, help="default: %(default)s")
    parser.add_argument("--step", type=float, default=3e-3, help="first step size (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with np.load(arguments.program) as data:
        X, y, X_test = data["X"], data["y"], data["X_test"].astype(np.float32)
    layers = Layers((X.shape[1], *arguments.hidden, 1))

    def train(rows: int, epochs: int) -> np.ndarray:
        random = np.random.default_rng(arguments.seed)
        problem = Problem(layers, X[:rows], y[:rows], 0.0).single()
        start = layers.initial(random)
        return train_minibatch(problem, start, random, step_size=arguments.step, epochs=epochs).parameters

    train(WARM_UP, 1)
    started, cpu_started = time.perf_counter(), time.process_time()
    parameters = train(len(X), arguments.epochs)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    weights = layers.split(parameters.astype(np.float32))
    f = forward(layers, weights, X_test, Workspace(layers, len(X_test), np.dtype(np.float32)))
    np.savez(
        arguments.result, seconds=[seconds], cpu_seconds=cpu_seconds, predictions=f[None],
        version=f"ecgcvx {ecgcvx.__version__}",
    )  # fmt: skip


if __name__ == "__main__":
    main()
