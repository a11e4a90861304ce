"""Time the semidefinite program of polynomial networks on all training windows of record 208, beside CVXPY.

Our clock runs from the windows in memory to the solution and its gap, both evaluated on the data, the pass over the
data included; CVXPY gets the Gram matrix, so its seconds are without the pass, and its objective is as it leaves it.

Usage: python scripts/bench_polynomial.py [--repeats 5] [--threads 2]      docs/benchmarks.md has the results
"""

import statistics
from functools import partial
from itertools import product

from threadpoolctl import threadpool_limits

from ecgcvx.activations import QUADRATIC, RELU_LIKE
from ecgcvx.models import polynomial_network_of
from ecgcvx.programs.polynomial import PolynomialProgram
from ecgcvx.records import read_recording
from ecgcvx.solvers.polynomial import PolynomialCvxpySolver, PolynomialSolver
from ecgcvx.windows import Windows, split_windows
from harness import add_record, add_threads, machine, parser, table, timed

ACTIVATIONS = {".09 t² + .5 t + .47": RELU_LIKE, "t²": QUADRATIC}
BETAS = (1e-3, 1e-4, 1e-5, 1e-6)
TITLES = (
    "activation", "beta", "seconds", "of them the pass", "objective", "relative gap", "neurons", "CVXPY objective",
    "CVXPY seconds",
)  # fmt: skip


def main() -> None:
    """Print the table of the documentation."""
    command = parser(__doc__)
    add_record(command)
    add_threads(command)
    command.add_argument("--repeats", type=int, default=5, help="runs of which the median is printed (default 5)")
    arguments = command.parse_args()
    windows = split_windows(read_recording(arguments.record).signal).train
    print(f"{machine()}; {arguments.threads} threads; record {arguments.record.name}\n")
    with threadpool_limits(arguments.threads, "blas"):
        PolynomialCvxpySolver().solve(
            PolynomialProgram(windows.X[:100], windows.y[:100], 1.0)
        )  # imports, off the clock
        rows = [row(windows, name, beta, arguments.repeats) for name, beta in product(ACTIVATIONS, BETAS)]
    print(table(TITLES, rows))


def row(windows: Windows, name: str, beta: float, repeats: int) -> list[str]:
    """One line of the table."""
    totals, passes, peers = [], [], []
    for _ in range(repeats):
        program = PolynomialProgram(windows.X, windows.y, beta, ACTIVATIONS[name])
        _, first = timed(partial(getattr, program, "quadratic"))
        solution, rest = timed(partial(PolynomialSolver().solve, program))
        passes.append(first.wall)
        totals.append(first.wall + rest.wall)
        peer = PolynomialCvxpySolver().solve(program).history[0]
        peers.append(peer.seconds)
    cells = (
        name, f"{beta:.0e}", f"{statistics.median(totals):.3f}", f"{statistics.median(passes):.3f}",
        f"{solution.primal:.9e}", f"{solution.gap:.0e}", str(polynomial_network_of(program, solution.u).neurons),
        f"{peer.primal:.9e}", f"{statistics.median(peers):.2f}",
    )  # fmt: skip
    return [cell.replace("e-0", "e-") for cell in cells]


if __name__ == "__main__":
    main()
