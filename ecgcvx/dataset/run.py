"""The fits of a data set: one a record, side by side, each whole in a folder of its own; or one network for several."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ecgcvx.dataset.options import DatasetOptions
from ecgcvx.dataset.table import Row, row_of_fit
from ecgcvx.errors import EcgcvxError, InputError
from ecgcvx.types import Progress, silent
from ecgcvx.workers import side_by_side


@dataclass(frozen=True)
class Task:
    """One signal of the data set and the folder of its fit."""

    source: str
    lead: str | int | None
    folder: Path
    options: DatasetOptions

    @property
    def reading(self) -> dict[str, Any]:
        """What of the record is read, as JSON has it."""
        found: dict[str, Any] = json.loads(json.dumps({"lead": self.lead, **self.options.reading.arguments()}))
        return found


def fit_records(records: Sequence[str], options: DatasetOptions, output: Path, progress: Progress) -> Iterator[Row]:
    """Fit a data set and yield a row for each signal as soon as it is known.

    records : see `expand_sources`. output : gets a folder for each signal; `write_dataset` writes the tables. Ctrl-C
    (KeyboardInterrupt) stops the fits that run, which keep their best networks; what is finished stays.

    Raises InputError for a record that cannot be used, if the options are strict.
    """
    tasks = _tasks(records, options, output)
    if options.evaluate != "within":
        from ecgcvx.dataset.pooled import fit_pooled

        yield from fit_pooled(tasks, options, progress)
        return
    kept = {task: row for task in tasks if options.resume and (row := _kept(task)) is not None}
    yield from kept.values()
    left = [task for task in tasks if task not in kept]
    done = len(kept)
    for _, row in side_by_side(fit_one, left, options.jobs, bound=True):
        done += 1
        progress(f"{done} of {len(tasks)} signals; last: {row.name}", done / len(tasks))
        if options.strict and row.skipped:
            named = row.skipped.startswith(row.record)
            raise InputError(f"{'' if named else f'{row.record}: '}{row.skipped} (strict)")
        yield row
        if row.status == "interrupted":
            raise KeyboardInterrupt


def _tasks(records: Sequence[str], options: DatasetOptions, output: Path) -> list[Task]:
    tasks, names = [], set()
    for source, lead in signals_of(records, options):
        name = Path(source).name + ("" if lead is None else f"-{lead}")
        if name in names:
            raise InputError(f"{source}: two records named {name}; their folders would be one")
        names.add(name)
        tasks.append(Task(source, lead, output / name, options))
    return tasks


def signals_of(records: Sequence[str], options: DatasetOptions) -> list[tuple[str, str | int | None]]:
    """Return every record with every lead that is read of it."""
    return [(source, lead) for source in records for lead in options.reading.leads_of(source)]


def fit_one(task: Task) -> Row:
    """Fit one signal and write its folder; what cannot be used becomes a row that says why."""
    from ecgcvx.files import make_folder
    from ecgcvx.fitting import fit
    from ecgcvx.output import write_output

    started = time.perf_counter()
    options = task.options.fit
    try:
        recording = task.options.reading.read(task.source, task.lead)
        make_folder(task.folder)
        result = fit(recording, options, silent)
        found = write_output(result, recording, options, task.folder)
    except EcgcvxError as error:
        return Row.without_fit(task.source, "" if task.lead is None else str(task.lead), str(error))
    return row_of_fit(task.source, recording, result, found, task.reading, time.perf_counter() - started)


def _kept(task: Task) -> Row | None:
    """The row of an earlier run with the same options that came to its end."""
    try:
        found = json.loads((task.folder / "metrics.json").read_text())
        row = Row.of_json(found["dataset_row"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    same = found.get("options") == json.loads(json.dumps(task.options.fit.settings))
    same = same and found.get("reading") == task.reading
    return replace(row, kept=True) if same and row.status != "interrupted" else None
