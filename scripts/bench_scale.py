"""Time and memory against the number of windows, up to a day: the records of a database joined end to end.

Each run is a process of its own, so that its peak memory is its own; what is stored is not run again. Each record is
scaled by itself, as with `--evaluate leave-one-record-out`; the clock runs from reading to the solution and its gap.

    polynomial   the semidefinite program of the polynomial network, beta = 1e-4
    gated        100 gates over the Gram matrix, beta = 1e-4, to a gap of 1e-6
    relu         all patterns, beta = 1e-3, to a searched gap of 1e-2 with 3,000 fresh starts

Engines: memory holds all records, records reads them when they are needed (relu: once, and keeps their signals), dask
does so in workers of this machine (not relu). Peak memory is that of the process and of the largest of its workers.

Usage: python scripts/bench_scale.py run FOLDER polynomial gated --engine records --windows 1e4 1e5 1e6 1e7 3.1e7
       python scripts/bench_scale.py run FOLDER relu --engine records --workers 2 --windows 1e5 1e6 3e6 1e7 3.1e7
       python scripts/bench_scale.py run FOLDER polynomial --engine dask --workers 1 2 --windows 1e7
       python scripts/bench_scale.py table --figure docs/scale.png
       python scripts/bench_scale.py project FOLDER
"""

import argparse
import json
import resource
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from harness import ROOT, append_line, machine, parser, stored_lines, table, timed

DAY_HZ = 360
ENGINES = ("memory", "records", "dask")
NETWORKS = ("polynomial", "gated", "relu")
STORED = "scale.jsonl"
READINGS = 50
PASSES = 2  # over the records: to scale them, and for the sums
DATA_SETS = (  # name, signals, samples of a signal
    ("10,000 Holter recordings, one lead, 24 h at 360 Hz", 10_000, 24 * 3600 * DAY_HZ),
    ("800,000 records, twelve leads, 10 s at 500 Hz", 12 * 800_000, 5_000),
)


def main() -> None:
    """Parse the command line and run one part."""
    arguments = _parser().parse_args()
    arguments.run(arguments)


def run_all(arguments: argparse.Namespace) -> None:
    """Every network at every size, each in a process."""
    results = arguments.output / STORED
    for network, count, workers in product(arguments.network, arguments.windows, arguments.workers):
        run = {"network": network, "asked": int(count), "engine": arguments.engine, "workers": workers}
        done = [one for one in stored_lines(results) if run.items() <= one.items()]
        if done and not arguments.again:
            continue
        command = [sys.executable, __file__, "one", str(arguments.folder), network, str(int(count)), arguments.engine,
                   str(workers)]  # fmt: skip
        child = subprocess.run(command, capture_output=True, text=True)
        if child.returncode:
            print(f"{network}, {count:g} windows: failed: {child.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            continue
        append_line(results, json.loads(child.stdout))
        print(child.stdout.strip(), file=sys.stderr)


def run_one(arguments: argparse.Namespace) -> None:
    """One run in this process; prints its JSON line."""
    from threadpoolctl import threadpool_limits

    started = resource.getrusage(resource.RUSAGE_CHILDREN)
    with threadpool_limits(arguments.workers):
        found, seconds = timed(lambda: _train(arguments))
    own, workers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = seconds.cpu + workers.ru_utime + workers.ru_stime - started.ru_utime - started.ru_stime
    line = {"network": arguments.network, "asked": arguments.windows, "engine": arguments.engine,
            "workers": arguments.workers, **found, "seconds": round(seconds.wall, 3), "cpu_seconds": round(cpu, 3),
            "mib": round(max(own.ru_maxrss, workers.ru_maxrss) / 1024), "machine": machine()}  # fmt: skip
    print(json.dumps(line))


def _train(arguments: argparse.Namespace) -> dict[str, Any]:
    from ecgcvx.dataset import DatasetOptions
    from ecgcvx.dataset.parts import make_engine
    from ecgcvx.fit_options import fit_options
    from ecgcvx.kinds.kind import Limits
    from ecgcvx.types import silent

    network = arguments.network
    own: dict[str, Any] = {"gated": {"gap": 1e-6}}.get(network, {})
    options = DatasetOptions(
        fit_options(network, beta=1e-3 if network == "relu" else 1e-4, **own), evaluate="leave-one-record-out",
        engine=arguments.engine, jobs=arguments.workers,
    )  # fmt: skip
    parts = _parts(arguments.folder, arguments.windows, options)
    pieces = [piece for part in parts for piece in part.pieces]
    statistics = options.fit.network.statistics(options.fit.window + 1, 0)
    if statistics is not None:
        with make_engine(options) as engine:
            total = engine.total(statistics.sums, pieces)
        trained = statistics.problem(total).train(1e-4, warm=None, limits=Limits(), progress=silent)
        return {"windows": int(total.n), "primal": trained.gap.primal, "gap": trained.gap.relative}
    from ecgcvx.dataset.pooled import pooled_windows
    from ecgcvx.programs.all_patterns import AllPatterns
    from ecgcvx.solvers.active_set.loop import ActiveSetSolver

    every = pooled_windows([part.read().train for part in parts])
    del parts, pieces
    solver = ActiveSetSolver(gap=1e-2, confirm_starts=3000, threads=arguments.workers)
    solution = solver.solve(AllPatterns(every.X, every.y, 1e-3), callback=lambda line: print(line, file=sys.stderr))
    return {"windows": len(every), "primal": solution.primal, "gap": solution.gap, "status": solution.status,
            "neurons": len(solution.atoms), "starts": solution.starts}  # fmt: skip


def _parts(folder: Path, count: int, options: Any) -> list[Any]:
    """The records of a folder, as many as hold so many windows; of the last one its beginning."""
    from ecgcvx.dataset.parts import make_part

    parts, held = [], 0
    for header in sorted(folder.glob("*.hea")):
        source = str(header.with_suffix(""))
        part = make_part(source, None, options)
        if held + part.counts.train > count:
            reading = replace(options.reading, end=(count - held + 15) / part.sampling_frequency)
            part = make_part(source, None, replace(options, reading=reading))
        parts.append(part)
        held += part.counts.train
        if held >= count:
            break
    return parts


def print_table(arguments: argparse.Namespace) -> None:
    """A table of what is stored, with the exponent of time in n from 1e6 on; a figure where one is asked for."""
    stored = stored_lines(arguments.output / STORED)
    stored.sort(key=lambda one: (NETWORKS.index(one["network"]), one["engine"], one["workers"], one["windows"]))
    rows = []
    for one in stored:
        hours = one["windows"] / DAY_HZ / 3600
        rows.append([one["network"], one["engine"], str(one["workers"]), f"{one['windows']:,}", f"{hours:.2f}",
                     f"{one['cpu_seconds']:.1f}", f"{one['mib']:,}", f"{one['gap']:.1e}"])  # fmt: skip
    header = ["network", "engine", "workers", "windows", "hours of signal", "CPU s", "peak MiB", "relative gap"]
    print(table(header, rows))
    for network in NETWORKS:
        large = [one for one in stored if one["network"] == network and one["windows"] >= 1e6]
        if len({one["windows"] for one in large}) > 1:
            n, seconds = (np.log([one[key] for one in large]) for key in ("windows", "cpu_seconds"))
            print(f"\n{network}: CPU time grows as n^{np.polyfit(n, seconds, 1)[0]:.2f} from 1e6 windows on")
    if arguments.figure:
        _draw([one for one in stored if one["engine"] == "records"], arguments.figure)


def project(arguments: argparse.Namespace) -> None:
    """What larger data sets would cost, from what is stored and a measured reading of ten seconds."""
    from ecgcvx.records import read_recording

    record = str(next(iter(sorted(arguments.folder.glob("*.hea")))).with_suffix(""))
    read_recording(record, end=10.0)
    _, seconds = timed(lambda: [read_recording(record, end=10.0) for _ in range(READINGS)])
    reading = seconds.cpu / READINGS
    stored = [one for one in stored_lines(arguments.output / STORED) if one["engine"] == "records"]
    print(f"a reading of ten seconds: {1e3 * reading:.1f} ms\n")
    rows = []
    for network in ("polynomial", "gated"):
        own = [one for one in stored if one["network"] == network and one["windows"] >= 1e5]
        a_window = np.polyfit([one["windows"] for one in own], [one["cpu_seconds"] for one in own], 1)[0]
        for name, signals, samples in DATA_SETS:
            total = signals * (PASSES * reading + (samples - 15) * a_window)
            rows.append([network, f"{1e6 * a_window:.2f}", name, f"{signals * (samples - 15):.1e}",
                         f"{total / 3600:,.0f}"])  # fmt: skip
    print(table(["network", "CPU us a window", "data", "windows", "core hours"], rows))


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
    right.set_ylim(100, 2000)  # constant memory is to look constant
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
    every.add_argument("--engine", choices=ENGINES, default="records")
    every.add_argument("--workers", type=int, nargs="+", default=[1], help="threads, or with dask processes")
    every.add_argument("--again", action="store_true", help="run also what is stored")
    one = parts.add_parser("one", help=run_one.__doc__)
    one.set_defaults(run=run_one)
    one.add_argument("folder", type=Path)
    one.add_argument("network", choices=NETWORKS)
    one.add_argument("windows", type=int)
    one.add_argument("engine", choices=ENGINES)
    one.add_argument("workers", type=int)
    shown = parts.add_parser("table", help=print_table.__doc__)
    shown.set_defaults(run=print_table)
    shown.add_argument("--figure", type=Path, help="file to draw it into")
    larger = parts.add_parser("project", help=project.__doc__)
    larger.set_defaults(run=project)
    larger.add_argument("folder", type=Path, help="of WFDB records, one of which is read")
    for part in (every, shown, larger):
        part.add_argument("--output", type=Path, default=ROOT / "out" / "bench_scale", help="folder of the results")
    return command


if __name__ == "__main__":
    main()
