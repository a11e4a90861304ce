"""Searched and proved gap along beta on record 208: where a proof is possible today, and where it is not.

    python scripts/proved_gap.py measure 1e-2 out/proof-1e-2.json --seconds 60
    python scripts/proved_gap.py plot docs/proved_gap_208.png out/proof-*.json

`measure` trains over all patterns (active set, searched gap 1e-4 where it gets there), searches once more with code of
its own, and proves for some seconds; one beta a run, so that runs can be timed alone.
"""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt

from ecgcvx.certificates import certify_bounded, certify_searched
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.proof import proof_json
from ecgcvx.records import read_recording
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.windows import split_windows


def measure(options: argparse.Namespace) -> None:
    """Train, search and prove at one beta; write what `ecgcvx certify --json` prints, and beta, n and neurons."""
    train = split_windows(read_recording(options.record).signal).train
    solver = ActiveSetSolver(gap=1e-4, confirm_starts=0)
    program = AllPatterns(train.X, train.y, options.beta)
    network = program.family.network(solver.solve(program, time_limit=options.training).atoms)
    searched = certify_searched(network, train.X, train.y, options.beta, options.starts, 1)
    proof = certify_bounded(network, train.X, train.y, options.beta, time_limit=options.seconds)
    found = {"beta": options.beta, "windows": len(train), "neurons": network.neurons, **proof_json(proof, searched)}
    options.output.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found))


def plot(options: argparse.Namespace) -> None:
    """Both gaps over beta, each with its name and what it is worth."""
    points = sorted((json.loads(path.read_text()) for path in options.results), key=lambda point: point["beta"])
    betas = [point["beta"] for point in points]
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    axes.loglog(betas, [point["proved_gap"] for point in points], "o-", color="#1f4e79", label="proved by bound")
    axes.loglog(
        betas, [max(point["searched_gap"], 1e-7) for point in points], "s--", color="#b5651d",
        label="searched: no proof",
    )  # fmt: skip
    for point in points:
        axes.annotate(
            f"{100 * point['proved_gap']:.2g} %", (point["beta"], point["proved_gap"]), (0, 7),
            textcoords="offset points", ha="center", fontsize=8, color="#1f4e79",
        )  # fmt: skip
    axes.set_xlabel("beta")
    axes.set_ylabel("gap relative to P")
    axes.set_ylim(5e-8, 2)
    axes.set_title(
        f"record 208, {points[0]['windows']:,} windows, proofs of at most {options.seconds:g} s on 2 cores", fontsize=10
    )
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(options.output, dpi=150)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("measure")
    one.add_argument("beta", type=float)
    one.add_argument("output", type=Path)
    one.add_argument("--record", default="data/mitdb208/208")
    one.add_argument("--training", type=float, default=100.0, help="seconds of training at most")
    one.add_argument("--starts", type=int, default=100)
    one.add_argument("--seconds", type=float, default=60.0)
    one.set_defaults(run=measure)
    picture = commands.add_parser("plot")
    picture.add_argument("output", type=Path)
    picture.add_argument("results", type=Path, nargs="+")
    picture.add_argument("--seconds", type=float, default=60.0)
    picture.set_defaults(run=plot)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
