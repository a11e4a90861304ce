"""Time the semidefinite program of polynomial networks on all training windows of record 208, beside CVXPY.

Our clock runs from the windows in memory to the solution and its gap, both evaluated on the data, the pass over the
data included; CVXPY gets the Gram matrix, so its seconds are without the pass, and its objective is as it leaves it.

Usage: python scripts/bench_polynomial.py [--repeats 5] [--threads 2]      docs/benchmarks.md has the results
"""

import argparse
import statistics
import time
from pathlib import Path

from threadpoolctl import threadpool_limits

from ecgcvx.activations import QUADRATIC, RELU_LIKE
from ecgcvx.models import polynomial_network_of
from ecgcvx.programs.polynomial import PolynomialProgram
from ecgcvx.records import read_recording
from ecgcvx.solvers.polynomial import PolynomialCvxpySolver, PolynomialSolver
from ecgcvx.windows import Windows, split_windows

RECORD = Path(__file__).resolve().parent.parent / "data" / "mitdb208" / "208"
ACTIVATIONS = {".09 t² + .5 t + .47": RELU_LIKE, "t²": QUADRATIC}
BETAS = (1e-3, 1e-4, 1e-5, 1e-6)
TITLES = (
    "activation", "beta", "seconds", "of them the pass", "objective", "relative gap", "neurons", "CVXPY objective",
    "CVXPY seconds",
)  # fmt: skip


def main() -> None:
    """Print the table of the documentation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="runs of which the median is printed (default 5)")
    parser.add_argument("--threads", type=int, default=2, help="threads of the linear algebra at most (default 2)")
    arguments = parser.parse_args()
    windows = split_windows(read_recording(RECORD).signal).train
    print("|", " | ".join(TITLES), "|\n" + "|---" * len(TITLES) + "|")
    with threadpool_limits(arguments.threads, "blas"):
        PolynomialCvxpySolver().solve(
            PolynomialProgram(windows.X[:100], windows.y[:100], 1.0)
        )  # imports, off the clock
        for name in ACTIVATIONS:
            for beta in BETAS:
                print(row(windows, name, beta, arguments.repeats), flush=True)


def row(windows: Windows, name: str, beta: float, repeats: int) -> str:
    """One line of the table."""
    totals, passes, peers = [], [], []
    for _ in range(repeats):
        started = time.perf_counter()
        program = PolynomialProgram(windows.X, windows.y, beta, ACTIVATIONS[name])
        _ = program.quadratic
        passes.append(time.perf_counter() - started)
        solution = PolynomialSolver().solve(program)
        totals.append(time.perf_counter() - started)
        peer = PolynomialCvxpySolver().solve(program).history[0]
        peers.append(peer.seconds)
    cells = (
        name, f"{beta:.0e}", f"{statistics.median(totals):.3f}", f"{statistics.median(passes):.3f}",
        f"{solution.primal:.9e}", f"{solution.gap:.0e}", str(polynomial_network_of(program, solution.u).neurons),
        f"{peer.primal:.9e}", f"{statistics.median(peers):.2f}",
    )  # fmt: skip
    return "| " + " | ".join(cells).replace("e-0", "e-") + " |"


if __name__ == "__main__":
    main()
