"""Gated ReLU program solved by adelie (`matrix.convex_relu(gated=True)` and `grpnet`), in adelie's own environment.

Usage: python gated_adelie.py PROGRAM.npz RESULT.npz --threads 2 [--tolerance 1e-9]
PROGRAM holds X (n, d), y (n,), gates (p, d) and beta; RESULT gets u (p, d), seconds, CPU seconds (cpu) and version.
adelie's Gaussian loss is 1/(2n) ||f - y||^2 up to a constant; its penalty weights, sqrt(d) by default, are set to one,
and intercept and standardisation are off, so that it minimises our objective.
"""

import argparse
import time

import adelie
import numpy as np


def main() -> None:
    """Parse the command line, solve, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("result")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--tolerance", type=float, default=1e-9, help="adelie's tol (default: %(default)s)")
    arguments = parser.parse_args()
    data = np.load(arguments.program)
    X, y, gates = data["X"], data["y"], data["gates"]
    p, d = gates.shape

    started, used = time.perf_counter(), time.process_time()
    masks = np.asfortranarray(X @ gates.T >= 0)
    features = adelie.matrix.convex_relu(np.asfortranarray(X), masks, gated=True, n_threads=arguments.threads)
    state = adelie.grpnet(
        features, adelie.glm.gaussian(y), groups=np.arange(0, p * d, d), lmda_path=[float(data["beta"])],
        penalty=np.ones(p), intercept=False, tol=arguments.tolerance, early_exit=False,
        n_threads=arguments.threads, progress_bar=False,
    )  # fmt: skip
    seconds, cpu = time.perf_counter() - started, time.process_time() - used

    u = state.betas.toarray()[-1].reshape(p, d)
    np.savez(arguments.result, u=u, seconds=seconds, cpu=cpu, version=adelie.__version__)


if __name__ == "__main__":
    main()
