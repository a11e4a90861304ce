"""The output folder of a fit of several horizons, and the forms in which its results are written."""

import json
from pathlib import Path
from typing import Any

from rich.table import Table

from ecgcvx import __version__
from ecgcvx.evidence import at_most
from ecgcvx.fan import FanStrip, fan_strip
from ecgcvx.figures import horizon_figure, save_figure
from ecgcvx.files import write_files
from ecgcvx.fit_options import FitOptions
from ecgcvx.horizons import MultiHorizonFit
from ecgcvx.interpretation import interpret
from ecgcvx.model_file import digest
from ecgcvx.multi_horizon import horizon_words
from ecgcvx.output import MODEL, REPORT, metrics, settings_of
from ecgcvx.records import Recording
from ecgcvx.report import training_of, write_report
from ecgcvx.report.horizons import Horizons

OTHERS = ("sparsity.csv", "sparsity.png", "predictions.png", REPORT)  # of an earlier run in the folder


def horizon_metrics(result: MultiHorizonFit, recording: Recording, options: FitOptions, folder: Path) -> dict[str, Any]:
    """The result as one JSON object: under 'horizons' that of each, as a fit of it alone has it."""
    return {
        "record": recording.name,
        "lead": recording.lead,
        "sampling_frequency_hz": recording.sampling_frequency,
        "window": options.window,
        "interrupted": result.interrupted or None,
        "horizons": [
            metrics(one, recording, options, folder) | {"horizon": one.forecaster.horizon} for one in result.fits
        ],
        "output": str(folder),
    }


def write_horizons(result: MultiHorizonFit, recording: Recording, options: FitOptions, folder: Path) -> dict[str, Any]:
    """Write model, metrics, figure and report into a folder; return the metrics.

    All files or none, and the metrics of every horizon name its network by its digest. The report is on the first
    horizon, with the fan and the errors of all.

    Raises InputError when the folder cannot be made.
    """
    found = horizon_metrics(result, recording, options, folder)
    each = [one | settings_of(fitted, options) for one, fitted in zip(found["horizons"], result.fits, strict=True)]
    whole = found | {"version": __version__, "model_digest": digest(result.forecaster), "horizons": each}
    strip = fan_strip(result.forecaster, recording, result.fits[0].split.boundary)

    def fill(scratch: Path) -> None:
        result.forecaster.save(scratch / MODEL)
        text = json.dumps(whole, indent=2, allow_nan=False) + "\n"
        (scratch / "metrics.json").write_text(text, encoding="utf-8")
        save_figure(_figure(result, recording, options, strip), scratch / "horizons.png")
        first = result.fits[0]
        reading = interpret(first.forecaster, recording, part="test", refitting=None, split=first.split)
        training = training_of(each[0], str(folder / "metrics.json"))
        horizons = Horizons(strip, errors_by_model(result))
        write_report(scratch / REPORT, reading, training, str(folder), horizons)

    write_files(folder, fill, OTHERS)
    return found


def errors_by_model(result: MultiHorizonFit) -> dict[str, dict[int, float]]:
    """Root-mean-square errors in mV on the test part, by model and horizon."""
    found: dict[str, dict[int, float]] = {}
    for one in result.fits:
        for score in one.scores:
            found.setdefault(score.name, {})[one.forecaster.horizon] = score.test_rmse_mv
    return found


def _figure(result: MultiHorizonFit, recording: Recording, options: FitOptions, strip: FanStrip) -> Any:
    horizons = horizon_words(result.forecaster.horizons)
    return horizon_figure(
        recording.signal, recording.sampling_frequency, strip, errors_by_model(result),
        f"{recording.name}, {recording.lead}: forecasts {horizons} samples ahead",
        f"test part; one convex {options.network.title} network a horizon",
    )  # fmt: skip


def horizon_table(result: MultiHorizonFit, sampling_frequency: float) -> Table:
    """A line a horizon: errors on the test part in mV by model, and what is known of the network."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    names = [score.name for score in result.fits[0].scores]
    for title in ("horizon", "ms", *names, "neurons", "beta", "gap", "seconds"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in result.fits:
        errors = {score.name: score for score in one.scores}
        last = one.scores[-1]
        table.add_row(
            str(one.forecaster.horizon), f"{1e3 * one.forecaster.horizon / sampling_frequency:.1f}",
            *(f"{errors[name].test_rmse_mv:.5f}" if name in errors else "" for name in names),
            str(last.neurons), f"{one.forecaster.beta:.2e}",
            "" if last.gap is None else at_most(last.gap.relative), f"{last.seconds:.2f}",
        )  # fmt: skip
    return table


def horizon_cautions(result: MultiHorizonFit) -> list[str]:
    """What numbers should be read with, once where it is the same for all horizons."""
    found: dict[str, list[int]] = {}
    for one in result.fits:
        for caution in one.cautions:
            found.setdefault(caution, []).append(one.forecaster.horizon)
    return [
        caution if len(horizons) == len(result.fits) else f"horizon {horizon_words(horizons)}: {caution}"
        for caution, horizons in found.items()
    ]
