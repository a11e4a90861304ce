"""Every record of a database, forecaster and horizon: forecast error, skill over a linear AR, and bits of a coder.

run     Forecast the test part of every record, and store error and bits; what is stored is not run again.
table   Print what is stored.
figure  Draw what is stored.

Usage: python scripts/bench_database.py run FOLDER --horizon 1
       python scripts/bench_database.py run FOLDER --horizon 1 2 5 10 18 36 --model "linear AR" "ecgcvx, polynomial"
       python scripts/bench_database.py table
       python scripts/bench_database.py figure docs/database.png

The protocol, which lets nothing of the test part into a forecaster:

- The first lead of each record, in ADC units. The first 80 % of its samples train, the rest tests. Every forecaster is
  tested on the same samples: those from the 100th of the test part on, so that no window reaches over the boundary.
- Means, scales and weights come from the training part of the same record. So do settings: for each forecaster and
  horizon they are chosen once, by the median over the TUNED records of the error on the last tenth of the training part
  over the linear AR's there, with the training on what comes before it.
- No decomposition, filter or normalisation of a whole series comes before the split. A wavelet or empirical mode
  decomposition of the whole series would be a leak: each of its values depends on later samples.
- Forecasters with a cap train on that many windows, evenly drawn from the training part (see `database_models`).

Bits, at horizon 1, are the code lengths of the coder of `lossless`, which is the same for all. It begins 5,000 samples
before the test part, for which it is not charged. `adaptive` is with the adaptive stage between forecaster and coder,
which begins 20,000 samples before the test part.
"""

import argparse
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from database_models import FORECASTERS, LONGEST, Forecaster, Samples, Series, read_series
from ecgcvx.errors import EcgcvxError, InputError
from ecgcvx.figures import save_figure
from ecgcvx.metrics import root_mean_square
from ecgcvx.types import Array
from forecast_models import LINEAR, Settings, chosen_settings
from harness import ROOT, Seconds, add_threads, append_line, machine, parser, stored_lines, table, timed
from lossless import adapted, code_lengths, first_state

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HORIZONS = (1, 2, 5, 10, 18, 36)
TUNED = ("100", "119", "208", "232")
CODER_START, STAGE_START = 5_000, 20_000  # samples before the test part
STORED = "database.jsonl"
Key = tuple[str, str, int, str]


@dataclass(frozen=True)
class Bench:
    """Records of a folder, and where results are stored."""

    folder: Path
    results: Path

    def records(self) -> list[str]:
        """Names of the records; InputError where there are none."""
        names = sorted(header.stem for header in self.folder.glob("*.hea"))
        if not names:
            raise InputError(f"{self.folder}: no WFDB header (.hea); name the folder of the records")
        return names

    def series(self, name: str) -> Series:
        """One record."""
        return read_series(self.folder / name)

    def stored(self) -> dict[Key, dict[str, Any]]:
        """All results."""
        return {key_of(line): line for line in stored_lines(self.results)}


def key_of(line: dict[str, Any]) -> Key:
    """What tells one result from others: record, model, horizon, part and settings."""
    return line["record"], line["model"], line["horizon"], f"{line['part']} {sorted(line['settings'].items())}"


def main() -> None:
    """Parse the command line and run one part."""
    arguments = _parser().parse_args()
    try:
        arguments.run(arguments)
    except EcgcvxError as error:
        sys.exit(str(error))


def run_all(arguments: argparse.Namespace) -> None:
    """Every record with every forecaster at every horizon."""
    from threadpoolctl import threadpool_limits

    bench = Bench(arguments.folder, arguments.output / STORED)
    names = arguments.record or bench.records()
    with threadpool_limits(arguments.threads):
        for horizon in arguments.horizon:
            for model in (FORECASTERS[name] for name in arguments.model):
                settings = _chosen(bench, model, horizon)
                for name in names:
                    _result(bench, name, model, settings, horizon, "test")


def _chosen(bench: Bench, model: Forecaster, horizon: int) -> Settings:
    """Settings by the validation parts of the TUNED records, those of them that the folder has."""
    names = [name for name in TUNED if (bench.folder / f"{name}.hea").exists()] or bench.records()[:1]

    def error(settings: Settings) -> float:
        own = [_result(bench, name, model, settings, horizon, "validation") for name in names]
        linear = [_result(bench, name, FORECASTERS[LINEAR], {}, horizon, "validation") for name in names]
        ratios = [a["rmse_mv"] / b["rmse_mv"] for a, b in zip(own, linear, strict=True)]
        return statistics.median(ratios)

    return chosen_settings(model.axes, error)


def _result(bench: Bench, name: str, model: Forecaster, settings: Settings, horizon: int, part: str) -> dict[str, Any]:
    """One result, made now unless it is stored."""
    wanted = {"record": name, "model": model.name, "horizon": horizon, "part": part, "settings": settings}
    found = bench.stored().get(key_of(wanted))
    if found is not None:
        return found
    series = bench.series(name)
    measured, seconds = timed(lambda: measure(series, model, settings, horizon, part))
    line = {**wanted, **measured, "lead": series.lead, **_cost(seconds), "machine": machine()}
    append_line(bench.results, line)
    said = f", {line['bits']:.3f} bits" if "bits" in line else ""
    print(
        f"{name}, {horizon} ahead, {model.name} {settings}, {part}: {line['rmse_mv']:.5f} mV{said}, "
        f"{seconds.cpu:.1f} CPU s", file=sys.stderr, flush=True,
    )  # fmt: skip
    return line


def _cost(seconds: Seconds) -> dict[str, float]:
    return {"seconds": round(seconds.wall, 3), "cpu_seconds": round(seconds.cpu, 3)}


def measure(series: Series, model: Forecaster, settings: Settings, horizon: int, part: str) -> dict[str, float]:
    """Error in mV on the validation or the test part; on the test part one sample ahead the bits per sample too."""
    if part == "validation":
        targets = np.arange(series.inner + LONGEST, series.boundary)
        forecasts = model.forecasts(series, settings, horizon, series.inner, targets)
        return {"rmse_mv": root_mean_square(series.signal[targets] - forecasts) / series.gain}
    before = min(STAGE_START, series.boundary - LONGEST) if horizon == 1 else -LONGEST
    targets = np.arange(series.boundary - before, len(series.samples))
    forecasts = model.forecasts(series, settings, horizon, series.boundary, targets)
    tested = targets >= series.boundary + LONGEST
    residuals = series.signal[targets] - forecasts
    found = {"rmse_mv": root_mean_square(residuals[tested]) / series.gain}
    if horizon == 1:
        found |= bits_of(series, targets, forecasts)
    return found


def bits_of(series: Series, targets: Samples, forecasts: Array) -> dict[str, float]:
    """Bits per sample of the test part, without and with the adaptive stage; targets : without a gap."""
    scales = series.scale(series.boundary)[targets]
    after = adapted(series.signal[targets], forecasts, scales)
    coded = targets >= series.boundary - CODER_START
    tested = targets[coded] >= series.boundary + LONGEST
    found = {}
    for name, given in (("bits", forecasts), ("adaptive_bits", after)):
        lengths = code_lengths(series.samples[targets[coded]], given[coded], first_state(), series.size)
        found[name] = float(lengths[tested].mean())
    return found


@dataclass(frozen=True)
class Summary:
    """One forecaster at one horizon over the records that it and the linear AR were run on.

    rmse_mv : mean over records. skill : median over records of 1 - MSE / MSE of the linear AR. ahead : on how many
    records its error is lower than the linear AR's. bits, adaptive_bits : mean over records, None but one sample ahead.
    cpu_seconds : median.
    """

    model: str
    horizon: int
    records: int
    rmse_mv: float
    skill: float
    ahead: int
    bits: float | None
    adaptive_bits: float | None
    linear_bits: float | None
    cpu_seconds: float


def summaries(lines: Iterable[dict[str, Any]]) -> list[Summary]:
    """What the results on the test part come to."""
    tested: dict[tuple[str, int], dict[str, dict[str, Any]]] = {}
    for line in lines:
        if line["part"] == "test":
            tested.setdefault((line["model"], line["horizon"]), {})[line["record"]] = line
    found = []
    for (model, horizon), own in tested.items():
        linear = tested.get((LINEAR, horizon), {})
        pairs = [(line, linear[name]) for name, line in own.items() if name in linear]
        if not pairs:
            continue
        ratios = [(a["rmse_mv"] / b["rmse_mv"]) ** 2 for a, b in pairs]
        bits = _means(pairs) if horizon == 1 else (None, None, None)
        found.append(
            Summary(
                model, horizon, len(pairs), statistics.mean(a["rmse_mv"] for a, _ in pairs),
                1 - statistics.median(ratios), sum(ratio < 1 for ratio in ratios), *bits,
                statistics.median(a["cpu_seconds"] for a, _ in pairs),
            )
        )  # fmt: skip
    order = list(FORECASTERS)
    return sorted(found, key=lambda one: (one.horizon, order.index(one.model)))


def _means(pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> tuple[float | None, float | None, float | None]:
    return (
        statistics.mean(a["bits"] for a, _ in pairs), statistics.mean(a["adaptive_bits"] for a, _ in pairs),
        statistics.mean(b["bits"] for _, b in pairs),
    )  # fmt: skip


def print_table(arguments: argparse.Namespace) -> None:
    """Print bits at horizon 1, then error and skill at every horizon."""
    found = summaries(stored_lines(arguments.output / STORED))
    print(machine() + "\n")
    print(table(*bit_rows(found)) + "\n")
    print(table(*horizon_rows(found, "skill")) + "\n")
    print(table(*horizon_rows(found, "rmse_mv")))


def bit_rows(found: Iterable[Summary]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: what each forecaster needs one sample ahead, beside the linear AR on the same records."""
    header = ["forecaster", "records", "RMSE, mV", "ahead of AR on", "bits", "against AR", "bits, adaptive",
              "against AR", "CPU s"]  # fmt: skip
    rows = []
    for one in found:
        if one.bits is None or one.adaptive_bits is None or one.linear_bits is None:
            continue
        rows.append([
            one.model, str(one.records), f"{one.rmse_mv:.5f}", str(one.ahead), f"{one.bits:.3f}",
            f"{100 * (one.bits / one.linear_bits - 1):+.1f} %", f"{one.adaptive_bits:.3f}",
            f"{100 * (one.adaptive_bits / one.linear_bits - 1):+.1f} %", f"{one.cpu_seconds:.1f}",
        ])  # fmt: skip
    return header, rows


def horizon_rows(found: Iterable[Summary], what: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the median skill or the mean error at every horizon, and records where not all are stored."""
    cells, most = {}, 0
    for one in found:
        cells[one.model, one.horizon] = one
        most = max(most, one.records)
    horizons = sorted({horizon for _, horizon in cells})

    def said(model: str, horizon: int) -> str:
        one = cells.get((model, horizon))
        if one is None:
            return ""
        value = f"{one.skill:.3f}" if what == "skill" else f"{one.rmse_mv:.4f}"
        return value if one.records == most else f"{value} ({one.records})"

    rows = [[model, *(said(model, horizon) for horizon in horizons)] for model in dict.fromkeys(m for m, _ in cells)]
    title = "skill over AR, median" if what == "skill" else "RMSE, mV, mean"
    return [title, *(f"{horizon} ahead" for horizon in horizons)], rows


def draw(arguments: argparse.Namespace) -> None:
    """Draw bits of each record, and skill against the horizon."""
    lines = [line for line in stored_lines(arguments.output / STORED) if line["part"] == "test"]
    save_figure(database_figure(lines), arguments.file)


COLOURS = {
    "persistence": "#c9c9c9", LINEAR: "#6f6f6f", "linear AR, scaled": "#9a9a9a", "gradient boosting": "#8a6d3b",
    "MLP 64": "#e0a070", "MLP 128+128": "#c2571a", "MLP 64, scaled": "#7a3610", "ecgcvx, polynomial": "#9dbce8",
    "ecgcvx, gated": "#5fae9b", "ecgcvx, ReLU": "#5c8ad6", "ecgcvx, polynomial, scaled": "#1f4fa3",
    "ecgcvx, ReLU, scaled": "#0d2a5e",
}  # fmt: skip
BITS_DRAWN = (
    "persistence",
    "gradient boosting",
    "MLP 64",
    "MLP 64, scaled",
    "ecgcvx, polynomial, scaled",
    "ecgcvx, ReLU, scaled",
)


def database_figure(lines: Sequence[dict[str, Any]]) -> "Figure":
    """Bits of each record, in the order of the linear AR's; median skill against horizon, where that compares some."""
    from matplotlib.figure import Figure

    skill = _skill_by_horizon(summaries(lines))
    several = len(skill) > 1
    figure = Figure(figsize=(10.5 if several else 6.4, 4.8), dpi=150, layout="constrained")
    panels = figure.subplots(1, 1 + several, squeeze=False)[0]
    _draw_bits(panels[0], lines)
    if several:
        _draw_skill(panels[1], skill)
    return figure


def _draw_bits(axes: "Axes", lines: Sequence[dict[str, Any]]) -> None:
    bits = {(line["model"], line["record"]): line["bits"] for line in lines if "bits" in line}
    held = sorted({record for model, record in bits if model == LINEAR}, key=lambda record: bits[LINEAR, record])
    axes.plot([bits[LINEAR, record] for record in held], range(len(held)), "|", color=COLOURS[LINEAR], label=LINEAR)
    for model in BITS_DRAWN:
        own = [(bits[model, record], k) for k, record in enumerate(held) if (model, record) in bits]
        if own:
            axes.plot(*zip(*own, strict=True), "o", markersize=3, color=COLOURS[model], label=model)
    axes.set_yticks(range(len(held)), held, fontsize=5)
    axes.set(xlabel="bits per sample, one sample ahead", ylabel="record")
    axes.grid(color="#ececec", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=7, loc="lower right")


def _skill_by_horizon(found: Sequence[Summary]) -> dict[str, list[Summary]]:
    """The forecasters, besides the simplest, that were run at several horizons on half of the records at least."""
    most = max((one.records for one in found), default=0)
    found = [one for one in found if 2 * one.records >= most]
    models = [model for model in dict.fromkeys(one.model for one in found) if model not in ("persistence", LINEAR)]
    by_model = {model: [one for one in found if one.model == model] for model in models if model in COLOURS}
    return {model: own for model, own in by_model.items() if len(own) > 1}


def _draw_skill(axes: "Axes", skill: dict[str, list[Summary]]) -> None:
    for model, own in skill.items():
        axes.plot([one.horizon for one in own], [one.skill for one in own], "o-", markersize=3, linewidth=1.2,
                  color=COLOURS[model], label=model)  # fmt: skip
    horizons = sorted({one.horizon for own in skill.values() for one in own})
    axes.axhline(0, color=COLOURS[LINEAR], linewidth=0.8)
    axes.set(xscale="log", xlabel="horizon (samples)", ylabel="skill over the linear AR, median over records")
    axes.set_xticks(horizons, [str(horizon) for horizon in horizons])
    axes.minorticks_off()
    axes.grid(color="#ececec", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=7)


def _parser() -> argparse.ArgumentParser:
    command = parser(__doc__)
    parts = command.add_subparsers(required=True, metavar="PART")
    run = parts.add_parser("run", help=run_all.__doc__)
    run.set_defaults(run=run_all)
    run.add_argument("folder", type=Path, help="of WFDB records")
    run.add_argument("--record", nargs="+", metavar="NAME", help="names (default: every record of the folder)")
    run.add_argument("--horizon", type=int, nargs="+", default=[1], choices=HORIZONS, help="samples (default: 1)")
    run.add_argument("--model", nargs="+", choices=FORECASTERS, default=list(FORECASTERS), help="(default: all)")
    add_threads(run)
    shown = parts.add_parser("table", help=print_table.__doc__)
    shown.set_defaults(run=print_table)
    drawn = parts.add_parser("figure", help=draw.__doc__)
    drawn.set_defaults(run=draw)
    drawn.add_argument("file", type=Path)
    for part in (run, shown, drawn):
        part.add_argument("--output", type=Path, default=ROOT / "out" / "bench_database", help="folder of the results")
    return command


if __name__ == "__main__":
    main()
