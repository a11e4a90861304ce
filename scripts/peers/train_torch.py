"""The two-layer objective minimised by PyTorch: full-batch L-BFGS, or minibatch Adam with a constant or cosine step.

Usage: python train_torch.py PROGRAM.npz RESULT.npz --threads 2 --neurons 64 --method lbfgs --seconds 30
       python train_torch.py PROGRAM.npz RESULT.npz --threads 1 --neurons 64 --method adam --epochs 400 --step 3e-3
PROGRAM holds X (n, d), y (n,) and beta. RESULT gets the weights along the way, with nothing evaluated: seconds (k,),
sizes (k,) neurons, W1 (d, sum of sizes), W2 (sum of sizes,), and version. The clock stands while weights are copied,
and starts after a few steps on throw-away weights.
"""

import argparse
import time

import numpy as np
import torch

WARM_UP = 5
FIRST, RATIO = 0.05, 1.15  # seconds of the first snapshot, and from one to the next
BATCH = 512
LBFGS = {"lr": 1.0, "max_iter": 20, "history_size": 30, "line_search_fn": "strong_wolfe"}


class Snapshots:
    """Copies of the weights at geometric times of a clock that stands while they are made."""

    def __init__(self, weights: tuple[torch.Tensor, torch.Tensor]) -> None:
        self.weights = weights
        self.seconds: list[float] = []
        self.copies: list[list[np.ndarray]] = []
        self.next, self.stood, self.started = FIRST, 0.0, time.perf_counter()

    @property
    def clock(self) -> float:
        """Seconds of work so far."""
        return time.perf_counter() - self.started - self.stood

    def look(self, *, always: bool = False) -> None:
        """Copy the weights if it is time to."""
        now = self.clock
        if now < self.next and not always:
            return
        self.seconds.append(now)
        self.copies.append([w.detach().numpy().astype(np.float64) for w in self.weights])
        self.next = max(self.next, now) * RATIO
        self.stood += self.clock - now


def main() -> None:
    """Parse the command line, train, write."""
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    data = np.load(arguments.program)
    X, y = (torch.tensor(data[name], dtype=torch.float32) for name in ("X", "y"))
    beta = float(data["beta"])
    train = _lbfgs if arguments.method == "lbfgs" else _adam
    train(X, y, beta, _initial(X, arguments), arguments, WARM_UP)
    done = train(X, y, beta, _initial(X, arguments), arguments, None)
    W1, W2 = (np.concatenate(parts, axis=-1) for parts in zip(*done.copies, strict=True))
    np.savez(
        arguments.result, seconds=done.seconds, sizes=[arguments.neurons] * len(done.seconds), W1=W1, W2=W2,
        version=f"torch {torch.__version__}",
    )  # fmt: skip


def _initial(X: torch.Tensor, arguments: argparse.Namespace) -> tuple[torch.Tensor, torch.Tensor]:
    """He's initialisation of both layers, from the seed."""
    random = torch.Generator().manual_seed(arguments.seed)
    d, m = X.shape[1], arguments.neurons
    W1 = torch.randn(d, m, generator=random) * (2 / d) ** 0.5
    W2 = torch.randn(m, generator=random) * (1 / m) ** 0.5
    return W1.requires_grad_(), W2.requires_grad_()


def _loss(X: torch.Tensor, y: torch.Tensor, W1: torch.Tensor, W2: torch.Tensor) -> torch.Tensor:
    return ((torch.relu(X @ W1) @ W2 - y) ** 2).sum() / 2


def _penalty(W1: torch.Tensor, W2: torch.Tensor, beta: float) -> torch.Tensor:
    return beta / 2 * ((W1 * W1).sum() + (W2 * W2).sum())


Weights = tuple[torch.Tensor, torch.Tensor]


def _lbfgs(
    X: torch.Tensor, y: torch.Tensor, beta: float, weights: Weights, arguments: argparse.Namespace, most: int | None
) -> Snapshots:
    optimizer = torch.optim.LBFGS(weights, tolerance_grad=0.0, tolerance_change=0.0, **LBFGS)

    rows_at_once = arguments.chunk or len(X)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        total = _penalty(*weights, beta)
        total.backward()
        for rows, targets in zip(X.split(rows_at_once), y.split(rows_at_once), strict=True):
            part = _loss(rows, targets, *weights) / len(X)
            part.backward()
            total = total.detach() + part.detach()
        return total

    if most is not None:
        for _ in range(most):
            closure()
        return Snapshots(weights)
    snapshots = Snapshots(weights)
    snapshots.look(always=True)
    while snapshots.clock < arguments.seconds:
        before = [w.detach().clone() for w in weights]
        optimizer.step(closure)
        snapshots.look()
        if all(torch.equal(a, b) for a, b in zip(before, weights, strict=True)):
            break  # float32 has no more to give
    snapshots.look(always=True)
    return snapshots


def _adam(
    X: torch.Tensor, y: torch.Tensor, beta: float, weights: Weights, arguments: argparse.Namespace, most: int | None
) -> Snapshots:
    steps = arguments.epochs * (len(X) // BATCH)
    optimizer = torch.optim.Adam(weights, arguments.step, fused=True)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps) if arguments.schedule == "cosine" else None
    random = torch.Generator().manual_seed(arguments.seed)
    snapshots = Snapshots(weights)
    snapshots.look(always=True)
    done = 0
    while done < (steps if most is None else most):
        order = torch.randperm(len(X), generator=random)
        for batch in order[: len(X) // BATCH * BATCH].split(BATCH):
            optimizer.zero_grad()
            (_loss(X[batch], y[batch], *weights) / BATCH + _penalty(*weights, beta)).backward()
            optimizer.step()
            if cosine is not None:
                cosine.step()
            snapshots.look()
            done += 1
    snapshots.look(always=True)
    return snapshots


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("result")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--neurons", type=int, required=True)
    parser.add_argument("--method", choices=("lbfgs", "adam"), required=True)
    parser.add_argument("--seconds", type=float, default=30.0, help="of L-BFGS (default: %(default)s)")
    parser.add_argument("--chunk", type=int, default=0, help="rows of L-BFGS's pass at once (default: all)")
    parser.add_argument("--epochs", type=int, default=400, help="of Adam (default: %(default)s)")
    parser.add_argument("--step", type=float, default=3e-3, help="step size of Adam (default: %(default)s)")
    parser.add_argument("--schedule", choices=("constant", "cosine"), default="cosine")
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    main()
