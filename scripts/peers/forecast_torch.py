"""A multilayer perceptron trained for accuracy alone by PyTorch: minibatch Adam, cosine schedule, no penalty.

Usage: python forecast_torch.py PROGRAM.npz RESULT.npz --threads 1 --hidden 128 128 [--epochs 400] [--step 3e-3]
       python forecast_torch.py PROGRAM.npz RESULT.npz --threads 1 --hidden 64 --prune 48 --retrain 160
With --prune a network of one hidden layer keeps the units of largest magnitude, |output weight| times the length of the
input weights and bias; --retrain trains what is left for so many epochs more, with a schedule of its own.
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
    parser.add_argument("--prune", type=int, default=0, help="units to keep of one hidden layer (default: all)")
    parser.add_argument("--retrain", type=int, default=0, help="epochs after pruning (default: none)")
    parser.add_argument("--retrain-step", type=float, default=1e-3, help="first step size then (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.prune and len(arguments.hidden) > 1:
        parser.error("argument --prune: it takes a network of one hidden layer")
    torch.set_num_threads(arguments.threads)
    data = np.load(arguments.program)
    X, y, X_test = (torch.tensor(data[name], dtype=torch.float32) for name in ("X", "y", "X_test"))
    X, X_test = X[:, :-1].contiguous(), X_test[:, :-1].contiguous()  # layers have biases of their own

    widths = [X.shape[1], *arguments.hidden]
    _train(_network(widths), X[:BATCH], y[:BATCH], 5, arguments.step)
    started, cpu_started = time.perf_counter(), time.process_time()
    torch.manual_seed(arguments.seed)
    model = _network(widths)
    _train(model, X, y, arguments.epochs, arguments.step)
    if arguments.prune:
        model = _pruned(model, arguments.prune)
        _train(model, X, y, arguments.retrain, arguments.retrain_step)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    with torch.no_grad():
        predictions = model(X_test)[:, 0].numpy()
    np.savez(
        arguments.result, seconds=[seconds], cpu_seconds=cpu_seconds, predictions=predictions[None],
        version=f"torch {torch.__version__}",
    )  # fmt: skip


def _network(widths: list[int]) -> torch.nn.Sequential:
    """A network with layers of these widths, inputs first, and one output."""
    layers: list[torch.nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], 1))


def _pruned(model: torch.nn.Sequential, units: int) -> torch.nn.Sequential:
    """The units of one hidden layer with the largest magnitude."""
    held = model.state_dict()
    lengths = torch.cat([held["0.weight"], held["0.bias"][:, None]], dim=1).norm(dim=1)
    kept = torch.topk(lengths * held["2.weight"][0].abs(), units).indices.sort().values
    small = _network([held["0.weight"].shape[1], units])
    few = {"0.weight": held["0.weight"][kept], "0.bias": held["0.bias"][kept], "2.weight": held["2.weight"][:, kept]}
    small.load_state_dict({**held, **few})
    return small


def _train(model: torch.nn.Module, X: torch.Tensor, y: torch.Tensor, epochs: int, step: float) -> None:
    optimizer = torch.optim.Adam(model.parameters(), step, fused=True)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * (len(X) // BATCH))
    for _ in range(epochs):
        for batch in torch.randperm(len(X))[: len(X) // BATCH * BATCH].split(BATCH):
            optimizer.zero_grad()
            ((model(X[batch])[:, 0] - y[batch]) ** 2).mean().backward()
            optimizer.step()
            cosine.step()


if __name__ == "__main__":
    main()
