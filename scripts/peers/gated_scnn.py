"""Gated ReLU program solved by pyscnn (`ConvexGatedReLU` and `RFISTA`), in pyscnn's own environment (numpy < 2).

Usage: python gated_scnn.py PROGRAM.npz RESULT.npz --threads 2 [--tolerance 1e-6] [--dtype float32]
PROGRAM holds X (n, d), y (n,), gates (p, d) and beta; RESULT gets u (p, d), seconds, CPU seconds (cpu) and version.
pyscnn's objective is ours, 1/(2n) ||f - y||^2 + beta sum ||u_i||, once its scaling of the columns of X (unitize_data)
is off.
"""

import argparse
import time
from importlib.metadata import version

import numpy as np
import torch
from scnn.metrics import Metrics
from scnn.models import ConvexGatedReLU
from scnn.optimize import optimize_model
from scnn.regularizers import NeuronGL1
from scnn.solvers import RFISTA


def main() -> None:
    """Parse the command line, solve, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("result")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument(
        "--tolerance", type=float, default=1e-6, help="squared norm of the least subgradient (default: %(default)s)"
    )
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="default: %(default)s")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = np.load(arguments.program)
    X, y = data["X"], data["y"][:, None]

    started, used = time.perf_counter(), time.process_time()
    model = ConvexGatedReLU(data["gates"].T)
    solved, _ = optimize_model(
        model, RFISTA(model, tol=arguments.tolerance), Metrics(objective=True), X, y,
        regularizer=NeuronGL1(float(data["beta"])), return_convex=True, unitize_data=False, dtype=arguments.dtype,
    )  # fmt: skip
    seconds, cpu = time.perf_counter() - started, time.process_time() - used

    # pyscnn sorts the gates by their patterns and drops repeated patterns.
    order = [int(np.argmin(np.linalg.norm(data["gates"] - gate, axis=1))) for gate in solved.G.T]
    u = np.zeros(data["gates"].shape)
    u[order] = solved.parameters[0][0]  # (outputs, p, d)
    np.savez(arguments.result, u=u, seconds=seconds, cpu=cpu, version=version("pyscnn"))


if __name__ == "__main__":
    main()
