"""Several horizons trained together and one by one: CPU seconds, errors, and how far objectives differ.

run     Train what is not stored yet, in this order: polynomial, gated, ReLU.
table   Print what is stored.

Usage: python scripts/bench_horizons.py run [RECORD] [--case CASE ...]
       python scripts/bench_horizons.py table

Together: one fit of all horizons, on the windows that have a target at the longest one. One by one: a fit a horizon,
each on its own windows, with the same options and without baselines. Seconds are those of the fits, without reports.
"""

import argparse
from functools import partial
from typing import Any

import numpy as np

import ecgcvx
from harness import ROOT, append_line, machine, parser, stored_lines, table, timed

RESULTS = ROOT / "out" / "bench_horizons" / "results.jsonl"
CASES: dict[str, tuple[str, dict[str, Any], list[int]]] = {
    "polynomial, beta 1e-5": ("polynomial", {"beta": 1e-5}, list(range(1, 37))),
    "polynomial, beta chosen": ("polynomial", {}, list(range(1, 37))),
    "gated, beta 1e-5": ("gated", {"beta": 1e-5}, list(range(1, 37))),
    "ReLU, beta 1e-3": ("relu", {"beta": 1e-3}, [1, 2, 3, 4, 5, 6]),
}


def main() -> None:
    """Parse the command line and run one part."""
    command = parser(__doc__)
    parts = command.add_subparsers(required=True, metavar="PART")
    runs = parts.add_parser("run", help=run.__doc__)
    runs.add_argument("record", nargs="?", default=str(ROOT / "data" / "mitdb208" / "208"))
    runs.add_argument("--case", choices=CASES, nargs="+", default=list(CASES))
    runs.set_defaults(run=run)
    parts.add_parser("table", help=print_table.__doc__).set_defaults(run=print_table)
    arguments = command.parse_args()
    arguments.run(arguments)


def run(arguments: argparse.Namespace) -> None:
    """Train what is not stored yet."""
    recording = ecgcvx.read_recording(arguments.record)
    ecgcvx.fit(recording, "polynomial", beta=1e-3, baselines="none")  # what is compiled once
    stored = {(line["case"], line["horizon"]) for line in stored_lines(RESULTS)}
    for case in arguments.case:
        network, options, horizons = CASES[case]
        if (case, "all") not in stored:
            found, seconds = timed(partial(_fit, recording, network, horizons, options))
            lines = {one.forecaster.horizon: _line(one) for one in found.fits}
            append_line(RESULTS, {"case": case, "horizon": "all", "seconds": seconds.cpu, "horizons": lines})
        for horizon in horizons:
            if (case, horizon) not in stored:
                one, seconds = timed(partial(_fit, recording, network, horizon, options))
                append_line(RESULTS, {"case": case, "horizon": horizon, "seconds": seconds.cpu, **_line(one)})


def _fit(recording: ecgcvx.Recording, network: str, horizon: Any, options: dict[str, Any]) -> Any:
    return ecgcvx.fit(recording, network, horizon=horizon, baselines="none", **options)


def _line(fitted: ecgcvx.Fit) -> dict[str, float]:
    score = fitted.scores[-1]
    return {"rmse_mv": score.test_rmse_mv, "objective": fitted.trained.objective or 0.0,
            "gap": fitted.trained.gap.relative, "beta": fitted.forecaster.beta}  # fmt: skip


def print_table(arguments: argparse.Namespace) -> None:
    """Print what is stored."""
    found, rows = stored_lines(RESULTS), []
    for case, (_, _, horizons) in CASES.items():
        together = [line for line in found if line["case"] == case and line["horizon"] == "all"]
        alone = {line["horizon"]: line for line in found if line["case"] == case and line["horizon"] != "all"}
        if not together or not alone:
            continue
        ours = {int(horizon): line for horizon, line in together[0]["horizons"].items()}
        ratios = np.array([ours[h]["rmse_mv"] / alone[h]["rmse_mv"] for h in alone])
        seconds = sum(line["seconds"] for line in alone.values())
        done = "" if len(alone) == len(horizons) else f" ({len(alone)} of {len(horizons)} run)"
        share = seconds * len(horizons) / len(alone) / together[0]["seconds"]
        rows.append([
            case, f"{horizons[0]} to {horizons[-1]}", f"{together[0]['seconds']:.1f}", f"{seconds:.1f}{done}",
            f"{share:.1f}", f"{np.median(ratios):.4f} ({ratios.min():.4f} to {ratios.max():.4f})",
        ])  # fmt: skip
    print(machine() + "\n")
    header = ["network", "horizons", "together, CPU s", "one by one", "times", "test error, together / alone"]
    print(table(header, rows))


if __name__ == "__main__":
    main()
