"""The table of a data set: a row a signal, as terminal table, CSV, JSON and a page."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ecgcvx.evidence import at_most
from ecgcvx.files import atomic_write, settle, write_files
from ecgcvx.text import clean

if TYPE_CHECKING:
    from rich.table import Table

    from ecgcvx.fitting import Fit
    from ecgcvx.records import Recording
    from ecgcvx.types import Array
    from ecgcvx.windows import Windows

FEWEST = 5  # beats of a type whose error is given


@dataclass(frozen=True, eq=False)
class Row:
    """What one signal of a data set gave.

    windows : 'train', 'test', 'missing' (over gaps), 'split'. rmse_mv : of each model on the test part. gap : relative
    to P; evidence : what it rests on. mae_mv : mean absolute error in mV by type of beat, where there are annotations
    (samples belong to the nearest beat). seconds : with reading and writing. skipped : why there is no fit, '' where
    there is one. kept : of an earlier run. sampling_frequency : in Hz.
    """

    record: str
    name: str
    lead: str
    status: str = ""
    windows: dict[str, int] = field(default_factory=dict)
    rmse_mv: dict[str, float] = field(default_factory=dict)
    neurons: int | None = None
    beta: float | None = None
    gap: float | None = None
    evidence: str = ""
    mae_mv: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    skipped: str = ""
    kept: bool = False
    sampling_frequency: float | None = None

    @classmethod
    def without_fit(cls, source: str, lead: str, why: str) -> "Row":
        """The row of a signal that cannot be used."""
        return cls(source, Path(source).name, lead, skipped=clean(why))

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> "Row":
        """The row of its JSON object; TypeError for another one."""
        return cls(**found)


def row_of_fit(
    source: str, recording: "Recording", result: "Fit", found: Mapping[str, Any], reading: Mapping[str, Any],
    seconds: float,
) -> Row:  # fmt: skip
    """The row of a fit, which is written into its metrics.json too, so that a later run can keep it.

    reading : what of the record was read, written beside it.
    """
    network, test = result.forecaster.network, result.split.test
    error = result.split.scaler.scale * (test.y - network.predict(test.X))
    counts = result.split.counts
    row = Row(
        record=source, name=recording.name, lead=recording.lead, status=result.trained.status,
        windows={"train": counts.train, "test": counts.test, "missing": counts.missing, "split": counts.split},
        rmse_mv={score.name: score.test_rmse_mv for score in result.scores}, neurons=network.neurons,
        beta=result.forecaster.beta, gap=result.trained.gap.relative, evidence=str(result.trained.gap.evidence),
        mae_mv=error_by_beat(recording, test, error), seconds=seconds,
        sampling_frequency=recording.sampling_frequency,
    )  # fmt: skip
    path = Path(str(found["output"])) / "metrics.json"
    kept = json.loads(path.read_text()) | {"dataset_row": asdict(row), "reading": dict(reading)}
    text = json.dumps(kept, indent=2, allow_nan=False) + "\n"
    atomic_write(path, lambda file: file.write(text.encode()))
    return row


def error_by_beat(recording: "Recording", windows: "Windows", error: "Array") -> dict[str, float]:
    """Mean absolute error (mV) of forecasts (n,) by type of the nearest annotated beat; {} without annotations."""
    if recording.annotation is None:
        return {}
    from ecgcvx.beats import find_beats

    beats = find_beats(recording)
    if beats is None or beats.source != "annotations":
        return {}
    middles = (beats.samples[1:] + beats.samples[:-1]) / 2
    nearest = np.searchsorted(middles, windows.targets)
    symbols = np.array(beats.symbols)[nearest]
    out = {}
    for symbol in beats.counts:
        of = symbols == symbol
        if len(np.unique(nearest[of])) >= FEWEST:
            out[symbol] = float(np.abs(error[of]).mean())
    return out


def dataset_table(rows: Sequence[Row]) -> "Table":
    """The rows for a terminal: windows, neurons, test errors of the linear forecast (AR) and of the network, gap."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("record", "lead", "train", "test", "excluded", "neurons", "AR mV", "net mV", "gap", "s"):
        table.add_column(title, justify="left" if title in ("record", "lead") else "right", no_wrap=True)
    for row in rows:
        if row.skipped:
            table.add_row(clean(row.name, 20), clean(row.lead, 12), *[""] * 8)
            continue
        ahead = row.rmse_mv["convex"] <= row.rmse_mv.get("linear_ar", np.inf)
        table.add_row(
            clean(row.name, 20), clean(row.lead, 12), f"{row.windows['train']:,}", f"{row.windows['test']:,}",
            f"{row.windows.get('missing', 0) + row.windows.get('split', 0):,}", str(row.neurons),
            _mv(row.rmse_mv.get("linear_ar")), _mv(row.rmse_mv["convex"]),
            "" if row.gap is None else at_most(row.gap), f"{row.seconds:.1f}", style="" if ahead else "yellow",
        )  # fmt: skip
    return table


def summary(rows: Sequence[Row]) -> list[str]:
    """Lines on the whole: how many, medians, who is behind the linear forecast, who was skipped and why."""
    fitted = [row for row in rows if not row.skipped]
    lines = []
    if fitted:
        ratio = [row.rmse_mv["convex"] / row.rmse_mv["linear_ar"] for row in fitted if row.rmse_mv.get("linear_ar")]
        behind = sum(value > 1 for value in ratio)
        middle = float(np.median([row.rmse_mv["convex"] for row in fitted]))
        lines.append(
            f"{len(fitted)} signals, median test error {middle:.5f} mV"
            + (f", {np.median(ratio):.3f} of the linear forecast's; behind it on {behind}" if ratio else "")
        )
        rates = sorted({row.sampling_frequency for row in fitted if row.sampling_frequency})
        if len(rates) > 1:
            listed = ", ".join(f"{rate:g}" for rate in rates)
            lines.append(f"sampled at {listed} Hz: a window is not the same time in each; --resample HZ makes it so")
        kept = sum(row.kept for row in fitted)
        lines += [f"{kept} kept from an earlier run"] if kept else []
        beats: dict[str, list[float]] = {}
        for row in fitted:
            for symbol, value in row.mae_mv.items():
                beats.setdefault(symbol, []).append(value)
        if beats:
            parts = (f"{symbol} {np.median(values):.4f} ({len(values)})" for symbol, values in sorted(beats.items()))
            lines.append(f"mean absolute error in mV by type of beat, median over records: {', '.join(parts)}")
    lines += [f"skipped {row.name}{f' {row.lead}' if row.lead else ''}: {row.skipped}" for row in rows if row.skipped]
    return lines


def write_dataset(rows: Sequence[Row], folder: Path, about: Mapping[str, Any]) -> list[Path]:
    """Write dataset.json, dataset.csv and dataset.html into a folder, all or none, and return the files."""
    text = json.dumps({**about, "rows": [asdict(row) for row in rows]}, indent=2, allow_nan=False) + "\n"
    parts = {"dataset.json": text, "dataset.csv": rows_csv(rows), "dataset.html": page(rows, folder, about)}

    def fill(scratch: Path) -> None:
        for name, content in parts.items():
            (scratch / name).write_bytes(content.encode())

    write_files(folder, fill)
    return [folder / name for name in parts]


def read_rows(folder: Path) -> list[Row]:
    """The rows of a data set that was written."""
    settle(folder)
    return [Row.of_json(found) for found in json.loads((folder / "dataset.json").read_text())["rows"]]


def rows_csv(rows: Sequence[Row]) -> str:
    """The rows as CSV text: one line a signal, columns for every model and type of beat that occurs."""
    models = sorted({name for row in rows for name in row.rmse_mv})
    types = sorted({name for row in rows for name in row.mae_mv})
    plain = [one.name for one in fields(Row) if one.name not in ("windows", "rmse_mv", "mae_mv")]
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    kinds = ("train", "test", "missing", "split")
    writer.writerow([*plain, *(f"windows_{kind}" for kind in kinds), *(f"rmse_mv_{model}" for model in models),
                     *(f"mae_mv_beat_{symbol}" for symbol in types)])  # fmt: skip
    for row in rows:
        values = asdict(row)
        writer.writerow(
            [*("" if values[name] is None else values[name] for name in plain),
             *(row.windows.get(kind, "") for kind in kinds), *(row.rmse_mv.get(model, "") for model in models),
             *(row.mae_mv.get(symbol, "") for symbol in types)]
        )  # fmt: skip
    return buffer.getvalue()


def page(rows: Sequence[Row], folder: Path, about: Mapping[str, Any]) -> str:
    """One page on the data set: summary, and a row a signal with a link to its own report. It loads nothing."""
    from ecgcvx.report.template import render

    ratios = [row.rmse_mv["convex"] / (row.rmse_mv.get("linear_ar") or 1) for row in rows if row.rmse_mv]
    largest = max(*ratios, 1.0) if ratios else 1.0
    return render(
        "dataset.html",
        style="dataset.css",
        title=f"Data set of {len(rows)} signals",
        summary=summary(rows),
        facts="; ".join(f"{key}: {value}" for key, value in about.items() if not isinstance(value, dict)),
        rows=[_line(row, folder, largest) for row in rows],
    )


def _line(row: Row, folder: Path, largest: float) -> dict[str, Any]:
    """What the page shows of a signal; largest : ratio of errors, that of a bar as wide as its column."""
    about = {"name": clean(row.name), "lead": clean(row.lead), "skipped": row.skipped}
    if row.skipped:
        return about
    own = Path(row.record).name
    places = (f"{own}/report.html", f"{own}-{row.lead}/report.html")
    ratio = row.rmse_mv["convex"] / (row.rmse_mv.get("linear_ar") or row.rmse_mv["convex"])
    return about | {
        "report": next((place for place in places if (folder / place).exists()), None),
        "cells": [
            f"{row.windows['train']:,}", f"{row.windows['test']:,}",
            f"{row.windows.get('missing', 0) + row.windows.get('split', 0):,}", str(row.neurons),
            _mv(row.rmse_mv.get("linear_ar")), _mv(row.rmse_mv["convex"]),
            "" if row.gap is None else f"{at_most(row.gap)} ({row.evidence})", f"{row.seconds:.1f}",
        ],
        "ratio": f"{ratio:.3f}", "width": f"{100 * ratio / largest:.1f}", "behind": ratio > 1,
    }  # fmt: skip


def _mv(value: float | None) -> str:
    return "" if value is None else f"{value:.5f}"
