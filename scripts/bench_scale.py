"""Time and memory against the number of windows, up to a day: the records of a database joined end to end.

Each run is a process of its own, so that its peak memory is its own; what is stored is not run again. The records are
read, scaled each by itself and joined with a gap between them (`ecgcvx.dataset.pooled.pooled_windows`), as with
`--evaluate pooled`; the clock runs from reading to the solution and its gap.

    polynomial   the semidefinite program of the polynomial network, beta = 1e-4
    gated        100 sampled gates over the Gram matrix, beta = 1e-4, to a gap of 1e-6
    relu         all patterns, beta = 1e-3, to a searched gap of 1e-2 with 3,000 fresh starts

Usage: python scripts/bench_scale.py run FOLDER polynomial gated --windows 1e4 1e5 1e6 1e7 3.1e7
       python scripts/bench_scale.py table --figure docs/scale.png
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from harness import ROOT, add_threads, append_line, machine, parser, stored_lines, table, timed

DAY_HZ = 360
NETWORKS = ("polynomial", "gated", "relu")
STORED = "scale.jsonl"


def main() -> None:
    """Parse the command line and run one part."""
    arguments = _parser().parse_args()
    arguments.run(arguments)


def run_all(arguments: argparse.Namespace) -> None:
    """Every network at every size, each in a process."""
    results = arguments.output / STORED
    for network in arguments.network:
        for count in arguments.windows:
            done = [one for one in stored_lines(results) if (one["network"], one["asked"]) == (network, int(count))]
            if done and not arguments.again:
                continue
            command = [sys.executable, __file__, "one", str(arguments.folder), network, str(int(count)),
                       "--threads", str(arguments.threads)]  # fmt: skip
            child = subprocess.run(command, capture_output=True, text=True)
            if child.returncode:
                print(f"{network}, {count:g} windows: failed: {child.stderr.strip().splitlines()[-1]}", file=sys.stderr)
                continue
            append_line(results, json.loads(child.stdout))
            print(child.stdout.strip(), file=sys.stderr)


def run_one(arguments: argparse.Namespace) -> None:
    """One run in this process; prints its JSON line."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(arguments.threads):
        found, seconds = timed(lambda: _train(arguments.folder, arguments.network, arguments.windows))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = {"network": arguments.network, "asked": arguments.windows, **found, "seconds": round(seconds.wall, 3),
            "cpu_seconds": round(seconds.cpu, 3), "mib": round(memory), "threads": arguments.threads,
            "machine": machine()}  # fmt: skip
    print(json.dumps(line))


def _train(folder: Path, network: str, count: int) -> dict[str, Any]:
    from ecgcvx.dataset.pooled import pooled_windows
    from ecgcvx.records import read_recording
    from ecgcvx.windows import Scaler, all_windows

    parts, held = [], 0
    for header in sorted(folder.glob("*.hea")):
        signal = read_recording(header.with_suffix("")).signal
        scaler = Scaler(float(np.nanmean(signal)), float(np.nanstd(signal)))
        windows = all_windows(signal[: count - held + 15], scaler, 15, 1)
        parts.append(windows)
        held += len(windows)
        if held >= count:
            break
    every = pooled_windows(parts)
    del parts
    if network == "polynomial":
        from ecgcvx.programs.polynomial import PolynomialProgram
        from ecgcvx.solvers.polynomial import PolynomialSolver

        solution: Any = PolynomialSolver().solve(PolynomialProgram(every.X, every.y, 1e-4))
        return {"windows": len(every), "primal": solution.primal, "gap": solution.gap}
    if network == "gated":
        from ecgcvx.arrangements import patterns_of_gates
        from ecgcvx.programs.features import PatternFeatures
        from ecgcvx.programs.program import gated_relu_program
        from ecgcvx.solvers.group_lasso import GroupLassoSolver

        gates = np.random.default_rng(0).standard_normal((100, every.X.shape[1]))
        features = PatternFeatures(every.X, patterns_of_gates(every.X, gates))
        solution = GroupLassoSolver(gap=1e-6).solve(gated_relu_program(features, every.y, 1e-4))
        return {"windows": len(every), "primal": solution.primal, "gap": solution.gap}
    from ecgcvx.programs.all_patterns import AllPatterns
    from ecgcvx.solvers.active_set.loop import ActiveSetSolver

    solution = ActiveSetSolver(gap=1e-2, confirm_starts=3000).solve(AllPatterns(every.X, every.y, 1e-3))
    return {"windows": len(every), "primal": solution.primal, "gap": solution.gap, "status": solution.status}


def print_table(arguments: argparse.Namespace) -> None:
    """A table of what is stored, with the exponent of time in n from 1e6 on; a figure where one is asked for."""
    stored = stored_lines(arguments.output / STORED)
    stored.sort(key=lambda one: (NETWORKS.index(one["network"]), one["windows"]))
    rows = []
    for one in stored:
        hours = one["windows"] / DAY_HZ / 3600
        rows.append([one["network"], f"{one['windows']:,}", f"{hours:.2f}", f"{one['seconds']:.1f}",
                     f"{one['cpu_seconds']:.1f}", f"{one['mib']:,}", f"{one['gap']:.1e}"])  # fmt: skip
    print(table(["network", "windows", "hours of signal", "seconds", "CPU s", "peak MiB", "relative gap"], rows))
    for network in NETWORKS:
        large = [one for one in stored if one["network"] == network and one["windows"] >= 1e6]
        if len(large) > 1:
            n, seconds = (np.log([one[key] for one in large]) for key in ("windows", "cpu_seconds"))
            print(f"\n{network}: CPU time grows as n^{np.polyfit(n, seconds, 1)[0]:.2f} from 1e6 windows on")
    if arguments.figure:
        _draw(stored, arguments.figure)


def _draw(stored: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(8, 3.4), dpi=150, layout="constrained")
    left, right = figure.subplots(1, 2)
    for network, colour in zip(NETWORKS, ("#1f4fa3", "#c2571a", "#4d4d4d"), strict=True):
        own = [one for one in stored if one["network"] == network]
        if own:
            n = [one["windows"] for one in own]
            left.loglog(n, [one["cpu_seconds"] for one in own], "o-", color=colour, markersize=4, label=network)
            right.loglog(n, [one["mib"] for one in own], "o-", color=colour, markersize=4, label=network)
    left.set(xlabel="windows", ylabel="CPU seconds")
    right.set(xlabel="windows", ylabel="peak memory (MiB)")
    for axes in (left, right):
        axes.axvline(24 * 3600 * DAY_HZ, color="0.7", linestyle=":", linewidth=1)
        axes.text(24 * 3600 * DAY_HZ, axes.get_ylim()[0], "24 h ", ha="right", va="bottom", fontsize=8, color="0.4")
        axes.grid(color="#ececec", linewidth=0.5)
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    left.legend(frameon=False, fontsize=9)
    figure.savefig(path)


def _parser() -> argparse.ArgumentParser:
    command = parser(__doc__)
    parts = command.add_subparsers(required=True, metavar="PART")
    every = parts.add_parser("run", help=run_all.__doc__)
    every.set_defaults(run=run_all)
    every.add_argument("folder", type=Path, help="of WFDB records")
    every.add_argument("network", nargs="+", choices=NETWORKS)
    every.add_argument("--windows", type=float, nargs="+", default=[1e4, 1e5, 1e6, 1e7, 3.1e7])
    every.add_argument("--again", action="store_true", help="run also what is stored")
    one = parts.add_parser("one", help=run_one.__doc__)
    one.set_defaults(run=run_one)
    one.add_argument("folder", type=Path)
    one.add_argument("network", choices=NETWORKS)
    one.add_argument("windows", type=int)
    shown = parts.add_parser("table", help=print_table.__doc__)
    shown.set_defaults(run=print_table)
    shown.add_argument("--figure", type=Path, help="file to draw it into")
    for part in (every, one):
        add_threads(part)
    for part in (every, shown):
        part.add_argument("--output", type=Path, default=ROOT / "out" / "bench_scale", help="folder of the results")
    return command


if __name__ == "__main__":
    main()
