"""All networks on one record: test error, neurons, gap and what it rests on, and what each adds over two layers.

run     Train the networks that are not stored yet; --only NAME for some of them.
table   Print what is stored.

Usage: python scripts/bench_families.py run [--horizon 1 5] [--only conv three-layer]
       python scripts/bench_families.py table

Every network trains on the same standardised windows of the training part, with all its neurons kept. Where a row has
no beta, a path on a part of the training windows chooses it, as `ecgcvx fit` does; the others have the beta that such a
path chose before, to save its time. Seconds are those of the processor, on one thread with OMP_NUM_THREADS=1; a short
training of the same network comes first, so that compiled code is there. The test part is predicted once. Results go to
--results as they come in, one line each.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ecgcvx.files import atomic_write
from ecgcvx.fit_options import FitOptions
from ecgcvx.fit_start import PATH_BETAS, PATH_FIRST, PATH_PATIENCE, PATH_RATIO
from ecgcvx.kinds.kind import Trained, make_kind
from ecgcvx.path import regularisation_path
from ecgcvx.records import Recording, read_recording
from ecgcvx.types import silent
from ecgcvx.windows import Split, split_windows
from harness import ROOT, Seconds, add_record, machine, parser, table, timed

RESULTS = ROOT / "docs" / "network_families.json"
WARM_UP = 4000  # samples of the short training
BASE = "two layers"
SAME = 0.01  # relative difference of test errors up to which they count as equal


@dataclass(frozen=True)
class Row:
    """A network of the table. betas : by steps ahead, None where the training chooses it.

    group : 'networks' of the table of all networks, 'bars' of those that a target names.
    """

    name: str
    network: str
    betas: Mapping[int, float | None]
    options: Mapping[str, Any] = field(default_factory=dict)
    group: str = "networks"
    window: int = 15


QUICK = {"confirm_starts": 300}  # where seconds are limited; 3,000 by default
CHOSEN: dict[int, float | None] = {1: None, 5: None}
ROWS = (
    Row("gated, 100 gates", "gated", CHOSEN),
    Row("polynomial", "polynomial", CHOSEN),
    Row("quadratic", "quadratic", CHOSEN),
    Row("convolutional, 5 taps, average", "conv", {1: 1e-5, 5: 1e-4}),
    Row("convolutional, 5 taps, 3 segments", "conv", {1: 1e-5, 5: 1e-4}, {"segments": 3}),
    Row(BASE, "relu", {1: 1e-5, 5: 3e-5}, {"choose": "best"}),
    Row("batch norm before the ReLU", "batchnorm", {1: 1e-4, 5: 3e-4}, {"order": "before"}),
    Row("batch norm after the ReLU", "batchnorm", {1: 3e-4, 5: 4e-4}),
    Row("three layers, 4 inner", "three-layer", {1: 1e-5, 5: 3e-5}),
    Row("stack", "stack", CHOSEN),
    Row("batch norm before, beta 1e-3", "batchnorm", {1: 1e-3}, {"order": "before", **QUICK}, "bars"),
    Row("batch norm after, beta 1e-3", "batchnorm", {1: 1e-3}, {}, "bars"),
    Row("batch norm after, 50 neurons", "batchnorm", {1: 1e-3}, {"max_neurons": 50, **QUICK, "rounds": 2}, "bars"),
    Row("three layers, 300 starts confirm", "three-layer", {5: 3e-5}, QUICK, "bars"),
    Row("batch norm after, 71 neurons", "batchnorm", {1: 3e-4}, {"max_neurons": 71}, "bars"),
)


@dataclass(frozen=True)
class Result:
    """What a row came to. gap is relative to P; basis says what it rests on. wall and cpu in seconds."""

    name: str
    group: str
    network: str
    record: str
    horizon: int
    window: int
    beta: float | None
    P: float | None
    gap: float
    basis: str
    neurons: int
    train_rmse_mv: float
    test_rmse_mv: float
    cpu: float
    wall: float
    machine: str


def read_results(path: Path = RESULTS) -> list[Result]:
    """The stored results, none where there is no file."""
    return [Result(**held) for held in json.loads(path.read_text())] if path.exists() else []


def network_table(results: Sequence[Result], horizon: int) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of all networks for one horizon, best test error first.

    The last column says what a network adds over the two-layer one.
    """
    own = [one for one in results if one.group == "networks" and one.horizon == horizon]
    base = next((one for one in own if one.name == BASE), None)
    return _rows(own, base)


def bars_table(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the networks that a target names."""
    return _rows([one for one in results if one.group == "bars"], None)


def _rows(results: Sequence[Result], base: Result | None) -> tuple[list[str], list[list[str]]]:
    header = ["network", "steps ahead", "beta", "P", "gap, its kind", "neurons", "test mV", "CPU s"]
    rows = []
    for one in sorted(results, key=lambda one: (one.horizon, one.test_rmse_mv)):
        row = [
            one.name, str(one.horizon), "its own" if one.P is None else f"{one.beta:.1e}",
            "" if one.P is None else f"{one.P:.3e}", f"{one.gap:.1e}, {one.basis}", f"{one.neurons:,}",
            f"{one.test_rmse_mv:.4f}", f"{one.cpu:.0f}",
        ]  # fmt: skip
        rows.append(row if base is None else [*row, adds(one, base)])
    return header if base is None else [*header, "over two layers"], rows


def adds(one: Result, base: Result) -> str:
    """In words, what a network adds over the two-layer one: error first, then size."""
    if one.name == base.name:
        return "the reference"
    change = one.test_rmse_mv / base.test_rmse_mv - 1
    if change < -SAME:
        said = f"{-change:.0%} less error"
    elif change <= SAME:
        said = "no accuracy: the same error"
    else:
        said = f"nothing: {change:.0%} more error" if change < 1 else f"nothing: {1 + change:.1f} times the error"
    ratio = base.neurons / max(one.neurons, 1)
    if ratio >= 1.5:
        said += f", {ratio:.0f} times fewer neurons" if ratio >= 2 else ", fewer neurons"
    if one.basis.startswith("proved"):
        said += ", a proved gap"
    return said


def train(row: Row, recording: Recording, split: Split, horizon: int) -> Trained:
    """Train as `ecgcvx fit` does, all neurons kept unless the row says otherwise."""
    kind, given = make_kind(row.network, dict(row.options)), row.betas[horizon]
    options = FitOptions(network=kind, window=row.window, horizon=horizon, beta=given)
    limits, beta, warm = options.limits(), given or 0.0, None
    if given is None and kind.takes_beta:
        path, warm = regularisation_path(
            recording, options, PATH_BETAS, PATH_RATIO, silent, PATH_FIRST, PATH_PATIENCE, split=split
        )
        beta = path.chosen.beta
    problem = kind.problem(split.train, options.seed, silent)
    trained = problem.train(beta, warm=warm, limits=limits, progress=silent)
    return kind.pruned(problem, trained, limits, silent)[0]


def measure(row: Row, recording: Recording, horizon: int) -> Result:
    """Train a row and score it."""
    short = replace(recording, signal=recording.signal[:WARM_UP])
    betas = {horizon: row.betas[horizon] or (None if row.network == "stack" else 1e-2)}
    small = replace(row, options={**row.options, **_small(row)}, betas=betas)
    train(small, short, split_windows(short.signal, row.window, horizon), horizon)
    split = split_windows(recording.signal, row.window, horizon)
    trained, seconds = timed(lambda: train(row, recording, split, horizon))
    return _result(row, recording, split, horizon, trained, seconds)


def _small(row: Row) -> dict[str, Any]:
    """Options of the short training, where the network has them."""
    return {"rounds": 2, "confirm_starts": 10} if row.network in ("relu", "conv", "batchnorm", "three-layer") else {}


def _result(row: Row, recording: Recording, split: Split, horizon: int, trained: Trained, seconds: Seconds) -> Result:
    train_mv, test_mv = (split.rmse_mv(trained.network.predict, part) for part in (split.train, split.test))
    gap = trained.gap
    whose = f" {gap.whose}" if gap.whose else ""
    return Result(
        row.name, row.group, row.network, recording.name, horizon, row.window, trained.beta, trained.objective,
        gap.relative, f"{gap.evidence}{whose}", trained.network.neurons, train_mv, test_mv, seconds.cpu, seconds.wall,
        machine(),
    )  # fmt: skip


def _run(arguments: argparse.Namespace) -> None:
    recording = read_recording(arguments.record)
    for row in ROWS:
        for horizon in row.betas:
            stored = read_results(arguments.results)
            done = any((one.name, one.horizon, one.record) == (row.name, horizon, recording.name) for one in stored)
            wanted = not arguments.only or row.network in arguments.only or row.name in arguments.only
            if done or not wanted or horizon not in arguments.horizon:
                continue
            found = measure(row, recording, horizon)
            print(f"{row.name}, {horizon} ahead: {found.test_rmse_mv:.4f} mV, {found.cpu:.0f} CPU s", file=sys.stderr)
            lines = ",\n".join(json.dumps(asdict(one)) for one in [*stored, found])
            text = f"[\n{lines}\n]\n".encode()
            atomic_write(arguments.results, lambda file, text=text: file.write(text))  # type: ignore[misc]


def _table(arguments: argparse.Namespace) -> None:
    results = read_results(arguments.results)
    for horizon in sorted({one.horizon for one in results}):
        print(table(*network_table(results, horizon)) + "\n")
    print(table(*bars_table(results)))


def main() -> None:
    """Parse the command line and run one part."""
    options = parser(__doc__)
    options.add_argument("part", choices=("run", "table"))
    add_record(options)
    options.add_argument("--results", type=Path, default=RESULTS, help="JSON file of the results")
    options.add_argument("--horizon", type=int, nargs="+", default=[1, 5], help="samples ahead")
    options.add_argument("--only", nargs="+", default=[], metavar="NAME", help="networks or rows to train")
    arguments = options.parse_args()
    (_run if arguments.part == "run" else _table)(arguments)


if __name__ == "__main__":
    main()
