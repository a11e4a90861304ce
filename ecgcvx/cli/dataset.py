"""What `ecgcvx fit` does with several records."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ecgcvx.cli.arguments import given_options, lead_number
from ecgcvx.cli.terminal import progress_bar, show
from ecgcvx.dataset.options import ENGINES, EVALUATIONS
from ecgcvx.dataset.sources import stands_for_several
from ecgcvx.errors import InputError

if TYPE_CHECKING:
    from ecgcvx.dataset import Reading, Row
    from ecgcvx.fit_options import FitOptions

Leads = tuple[str | int, ...] | Literal["all"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that only several records have."""
    group = parser.add_argument_group("several records")
    group.add_argument(
        "--evaluate", choices=EVALUATIONS,
        help="within: a network for each record (default); pooled: one for all; leave-one-record-out: for each record "
        "one that was trained on the others",
    )  # fmt: skip
    add_spreading(group)
    group.add_argument(
        "--join", action="store_true",
        help="with --leads: forecast one lead (--lead, else the first of them) from the windows of all of them, which "
        "stand side by side as the columns of one row",
    )  # fmt: skip


def add_spreading(group: "argparse._ArgumentGroup") -> None:
    """Add which signals of the records are taken, and how the work on them is spread."""
    group.add_argument(
        "--leads", metavar="A,B", help="each of these leads of every record, or all ECG leads, as signals of their own"
    )
    group.add_argument(
        "--strict", action="store_true", help="end at a record that cannot be used, in place of skipping it"
    )
    group.add_argument(
        "--read-limit", type=float, metavar="S",
        help="skip a record that is not read after that many seconds, as on a file system that stalls (default 300)",
    )  # fmt: skip
    group.add_argument("--jobs", type=int, metavar="N", help="processes, threads or workers (default: one a core)")
    group.add_argument(
        "--engine", choices=ENGINES,
        help="where the windows of one network for all records are: memory (default), records (read when they are "
        "needed: constant memory; relu: signals alone are held), dask (that on a cluster)",
    )  # fmt: skip
    group.add_argument("--cluster", metavar="ADDRESS", help="of a Dask scheduler (default: workers of this machine)")


def asked_for(options: argparse.Namespace) -> bool:
    """Whether the arguments are those of a data set."""
    names = ("evaluate", "jobs", "engine", "cluster", "read_limit", *(() if joins(options) else ("leads",)))
    given = options.strict or any(getattr(options, name) is not None for name in names)
    return given or len(options.record) > 1 or any(stands_for_several(one) for one in options.record)


def joins(options: argparse.Namespace) -> bool:
    """Whether leads are joined."""
    return getattr(options, "join", False)


def joined_leads(options: argparse.Namespace) -> "tuple[str | int | None, Leads | None]":
    """Return the lead that is forecast, None for the default, and those joined to it, None for none.

    Raises InputError for join without leads, and for a single lead.
    """
    if not joins(options):
        return options.lead, None
    if options.leads is None:
        raise InputError("join: of which leads? Give --leads all or --leads A,B too")
    leads, lead = _named(options.leads), None if options.lead is None else lead_number(options.lead)
    if leads == "all":
        return lead, "all"
    lead = leads[0] if lead is None else lead
    others = tuple(one for one in leads if str(one).casefold() != str(lead).casefold())
    if not others:
        raise InputError(f"join: leads = {options.leads} names no lead beside {lead}; give at least two")
    return lead, others


def _named(leads: str) -> "Leads":
    if leads.strip().casefold() == "all":
        return "all"
    found = tuple(lead_number(part.strip()) for part in leads.split(",") if part.strip())
    if not found:
        raise InputError(f"leads = {leads!r}: names no lead; give all or A,B")
    return found


def reading_of(options: argparse.Namespace) -> "Reading":
    """Return what of each record is read."""
    from ecgcvx.dataset import Reading

    if options.leads is not None and options.lead is not None and not joins(options):
        raise InputError("leads: not together with lead but with join; give one of them")
    lead, join = joined_leads(options)
    own = None if options.leads is None or joins(options) else _named(options.leads)
    limit = Reading.limit if options.read_limit is None else options.read_limit
    return Reading(
        (lead,) if own is None else own, options.start, options.end, options.sampling_frequency, options.unit,
        options.annotator, options.resample, limit, join,
    )  # fmt: skip


def spread_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return how the work is spread, as `DatasetOptions` takes it."""
    engine = options.engine or ("memory" if options.cluster is None else "dask")
    return {"engine": engine, "cluster": options.cluster}


def run_statistics(options: argparse.Namespace, chosen: "FitOptions") -> int:
    """Train on files of statistics, show the network, and write it for each of their signals."""
    from ecgcvx.dataset.statistics import MUST_MATCH, fit_statistics, forecasters, read_statistics
    from ecgcvx.files import atomic_write
    from ecgcvx.fit_options import fit_options

    if asked_for(options):
        raise InputError("stats: stand for records; leave records and the options of reading them out")
    if len(set(options.stats)) < len(options.stats):
        raise InputError("stats: a file is given twice; give every file once")
    files = {str(path): read_statistics(path) for path in options.stats}
    first = next(iter(files.values()))
    if options.network == "relu":  # the parser's default, which no statistics serve
        chosen = fit_options(first.network, **given_options(options))
    folder = options.output or Path("out") / "statistics"
    with progress_bar() as progress:
        every, trained = fit_statistics(files, chosen, progress)
    models = []
    for number, forecaster in enumerate(forecasters(every, trained, chosen.network)):
        source = every.sources[number]
        own = folder / f"{Path(source.name).name}-{source.lead}"
        if own in models:
            own = folder / f"{Path(source.name).name}-{source.lead}-{number}"
        own.mkdir(parents=True, exist_ok=True)
        forecaster.save(own / "model.safetensors")
        models.append(own)
    about = {"network": chosen.network.name, **{name: every.settings[name] for name in MUST_MATCH[1:]},
             "beta": trained.beta, "objective": trained.objective, "gap": trained.gap.relative,
             "evidence": str(trained.gap.evidence), "status": trained.status, "neurons": trained.network.neurons,
             "windows": int(every.total.n), "statistics": {name: found.fingerprint for name, found in files.items()},
             "models": [str(own / "model.safetensors") for own in models]}  # fmt: skip
    text = json.dumps(about, indent=2, allow_nan=False) + "\n"
    atomic_write(folder / "fit.json", lambda file: file.write(text.encode()))
    if options.json:
        print(json.dumps(about, allow_nan=False))
    else:
        show(
            f"{len(files)} files, {len(every.sources)} signals, {int(every.total.n):,} windows; "
            f"beta = {trained.beta:.3g}",
            f"{chosen.network.name}, {trained.network.neurons} neurons: {trained.gap.words}; status {trained.status}",
            f"wrote {folder}/fit.json, and for each signal, with its scaling, {folder}/NAME-LEAD/model.safetensors",
        )
    return 0


def run(options: argparse.Namespace, chosen: "FitOptions") -> int:
    """Fit the records, show the table, and write the tables into the output folder; 0 if any could be used."""
    from ecgcvx.dataset import DatasetOptions, dataset_table, expand_sources, fit_records, write_dataset
    from ecgcvx.dataset.patience import in_time
    from ecgcvx.dataset.run import signals_of
    from ecgcvx.dataset.table import summary

    reading = reading_of(options)
    if chosen.intervals is not None and options.evaluate not in (None, "within"):
        raise InputError(f"intervals: not with evaluate = {options.evaluate}, only with within; leave one of them out")
    if not hasattr(options, "baselines"):  # backprop would take most of the time, and stands in no table here
        chosen = replace(chosen, baselines="linear")
    records = in_time(lambda: expand_sources(options.record), ", ".join(options.record), reading.limit)
    wanted = DatasetOptions(
        chosen, reading, options.evaluate or "within", options.strict, options.resume, options.jobs,
        **spread_of(options),
    )  # fmt: skip
    signals = len(signals_of(records, wanted))
    if signals < 2 and wanted.evaluate != "within":
        raise InputError(f"evaluate = {options.evaluate}: takes at least 2 records; name more, or leave it out")
    folder = options.output or Path("out") / "dataset"
    about = {"network": chosen.network.name, "evaluate": wanted.evaluate, "horizon": chosen.horizon,
             "window": chosen.window, "options": chosen.settings}  # fmt: skip
    rows = []
    places = {Path(name).name: k for k, name in enumerate(records)}

    def place(row: "Row") -> tuple[int, str]:
        return places.get(Path(row.record).name, 0), row.lead

    interrupted = False
    try:
        with progress_bar() as progress:
            progress(f"{signals} signals", 0.0)
            for row in fit_records(records, wanted, folder, progress):
                rows.append(row)
                write_dataset(sorted(rows, key=place), folder, about)
    except KeyboardInterrupt:
        interrupted = True
    rows.sort(key=place)
    files = write_dataset(rows, folder, about)
    if options.json:
        print(json.dumps(json.loads(files[0].read_text()), allow_nan=False))
    else:
        cut = sum(row.status == "interrupted" for row in rows)
        end = [f"interrupted: the training of {cut} of {signals} was cut short, as their networks are"] if cut else []
        if interrupted:
            end = [f"interrupted after {len(rows)} of {signals}; --resume goes on"]
        show(dataset_table(rows), "", *summary(rows), *end, f"wrote {folder}/dataset.csv, dataset.json, dataset.html")
    if interrupted:
        return 130
    return 0 if any(not row.skipped for row in rows) else 2
