"""A multilayer perceptron trained for accuracy alone by PyTorch: minibatch Adam, cosine schedule, no penalty.

Usage: python forecast_torch.py PROGRAM.npz RESULT.npz --threads 1 --hidden 128 128 [--epochs 400] [--step 3e-3]
PROGRAM holds X (n, d) with a last column of ones, y (n,) and X_test (n', d). RESULT gets seconds (1,) of the training,
cpu_seconds, predictions (1, n') and version.
"""

import argparse
import time
from itertools import pairwise

import numpy as np
import torch

BATCH = 512


def main() -> None:
    """Parse the command line, train, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("result")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--hidden", type=int, nargs="+", required=True, help="units of each hidden layer")
    parser.add_argument("--epochs", type=int, default=400, help="default: %(default)s")
    parser.add_argument("--step", type=float, default=3e-3, help="first step size (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = np.load(arguments.program)
    X, y, X_test = (torch.tensor(data[name], dtype=torch.float32) for name in ("X", "y", "X_test"))
    X, X_test = X[:, :-1].contiguous(), X_test[:, :-1].contiguous()  # layers have biases of their own

    _train(X[:BATCH], y[:BATCH], 5, arguments)
    started, cpu_started = time.perf_counter(), time.process_time()
    model = _train(X, y, arguments.epochs, arguments)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    with torch.no_grad():
        predictions = model(X_test)[:, 0].numpy()
    np.savez(
        arguments.result, seconds=[seconds], cpu_seconds=cpu_seconds, predictions=predictions[None],
        version=f"torch {torch.__version__}",
    )  # fmt: skip


def _train(X: torch.Tensor, y: torch.Tensor, epochs: int, arguments: argparse.Namespace) -> torch.nn.Module:
    torch.manual_seed(arguments.seed)
    layers: list[torch.nn.Module] = []
    for inputs, outputs in pairwise([X.shape[1], *arguments.hidden]):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(arguments.hidden[-1], 1))
    optimizer = torch.optim.Adam(model.parameters(), arguments.step, fused=True)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * (len(X) // BATCH))
    for _ in range(epochs):
        for batch in torch.randperm(len(X))[: len(X) // BATCH * BATCH].split(BATCH):
            optimizer.zero_grad()
            ((model(X[batch])[:, 0] - y[batch]) ** 2).mean().backward()
            optimizer.step()
            cosine.step()
    return model


if __name__ == "__main__":
    main()
