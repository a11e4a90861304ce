"""Time to train: our solver over all patterns against backpropagation and other peers; docs/benchmarks.md has results.

ours         The solver's objective and test error against time.
tune         Step sizes of Adam for `torch`: the best of a grid by the objective after 40 epochs, without a clock.
torch        The same objective by PyTorch: full-batch L-BFGS and minibatch Adam, constant step and cosine schedule.
forecasters  Peers for accuracy alone: perceptrons by Adam with cosine schedule, scikit-learn.
gated        adelie and pyscnn on 100 sampled gates, the program they can express; theirs is another objective.
bars         Our solver on every row of the table of targets: measured, target, met or missed.
table        Judge what is stored, print all tables, write curves.csv and curves.png.

Usage: python scripts/bench_training.py torch --beta 1e-3 1e-4 1e-5 --horizon 1
       python scripts/bench_training.py ours --beta 1e-3 1e-4 1e-5 --repeat 3
       python scripts/bench_training.py table

Every run is a process of its own and is stored in the output folder when it ends; a run that is stored is not run
again unless --again is given. All contenders get the same standardised windows of the training part, may use the same
number of threads, and are judged in float64 by ecgcvx from stored networks or predictions, outside of every clock and
at the balanced scaling of each neuron (a free gift to peers, who minimise the unbalanced form).
"""

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from ecgcvx.arrangements import sample_patterns
from ecgcvx.figures import save_figure
from ecgcvx.models import network_of_neurons
from harness import (
    ROOT,
    add_peers,
    add_record,
    add_threads,
    machine,
    parser,
    peer_python,
    program_file,
    run_peer,
    table,
    window_arrays,
)  # fmt: skip
from training_bars import BARS, PATIENCE, bar_rows
from training_curves import (
    OURS,
    Array,
    Curve,
    Point,
    Problem,
    curves,
    curves_figure,
    forecaster_rows,
    objective_rows,
    power,
)

STEPS = (1e-3, 3e-3, 1e-2, 3e-2)
WIDTHS = (64, 256)
TUNING_EPOCHS = 40
CHUNK = 4096  # rows; faster by several times than all rows at once
LBFGS = ((64, CHUNK), (256, CHUNK), (64, 0))  # neurons, rows at once (0: all)
LONG_STEP = 3e-3  # of long runs besides the tuned one: they want a smaller step
ADAM = (  # schedule, neurons, epochs, step (None: the tuned one)
    *product(("cosine", "constant"), WIDTHS, (100,), (None,)), *product(("cosine",), WIDTHS, (400,), (LONG_STEP, None)),
)  # fmt: skip
PERCEPTRONS = (((64,), 60), ((64,), 400), ((512,), 60), ((512,), 400), ((128, 128), 60), ((128, 128), 160),
               ((128, 128), 400), ((48,), 400))  # hidden units, epochs  # fmt: skip
PRUNED = (  # hidden units, units kept, epochs after that, first step of these
    (64, 48, 0, 3e-3), *product((64, 512), (48,), (160,), (1e-3, 3e-3)),
)  # fmt: skip
SKLEARN = {
    "MLPRegressor, defaults": ("--model", "mlp"),
    "MLPRegressor, tol 1e-6": ("--model", "mlp", "--option", "tol=1e-6"),
    "HistGradientBoosting, defaults": ("--model", "boosting"),
    "HistGradientBoosting, up to 1,000 trees": ("--model", "boosting", "--option", "max_iter=1000"),
}
GATED = {"adelie": 1e-9, "scnn": 1e-6}  # own tolerance
GATES = 100
STOPS = (10.0, 30.0, np.inf)  # seconds after which our test error is shown
TERMS = f"""\
Terms. Everyone: standardised windows with a column of ones, in memory when the clock starts; compiled code and threads
warm; P at the balanced scaling and test error evaluated in float64 outside of the clock; two threads allowed.
L-BFGS: full batch in float32, strong Wolfe, history 30, He's initialisation; all rows at once as one would write it,
or in chunks of {CHUNK:,} rows, which stay in cache. Adam: batches of 512, fused, one thread (faster than with two), the
step of {STEPS} with the lowest P after {TUNING_EPOCHS} epochs on the same problem, tuning not charged;
400 epochs also with {LONG_STEP}, as long runs want smaller steps.
ecgcvx: a round's time includes its checkpoint and the pricing that follows it; its gap is searched, not confirmed.
The best objective is the lowest that anyone found.
"""


@dataclass(frozen=True)
class Contender:
    """A script of scripts/peers with its options; it is told the program and where to leave its result."""

    name: str
    script: str
    options: tuple[str, ...]
    threads: int
    python: str | Path = sys.executable


def main() -> None:
    """Parse the command line and run one part."""
    arguments = _parser().parse_args()
    arguments.run(arguments)


def run_ours(arguments: argparse.Namespace) -> None:
    """Our solver on every problem."""
    options = ("--gap", str(arguments.gap), "--seconds", str(arguments.seconds))
    for problem, seed in product(_problems(arguments), range(arguments.repeat)):
        _run(_ours(OURS, problem, options, arguments.threads), problem, problem.record, seed, arguments)


def _ours(name: str, problem: Problem, options: tuple[str, ...], threads: int) -> Contender:
    windows = () if problem.windows is None else ("--windows", str(problem.windows))
    of = ("--beta", str(problem.beta), "--horizon", str(problem.horizon), *windows)
    return Contender(name, "train_ecgcvx.py", (*of, *options), threads)


def run_tuning(arguments: argparse.Namespace) -> None:
    """Step sizes of Adam, by the objective after the same number of epochs."""
    for problem in _problems(arguments):
        for case, step in _tuned(problem, arguments).items():
            print(f"{problem.key}, Adam {case}: step {step:g}")


def run_torch(arguments: argparse.Namespace) -> None:
    """PyTorch on every problem, Adam with its tuned step sizes."""
    for problem in _problems(arguments):
        contenders = []
        if arguments.method in ("lbfgs", "both"):
            contenders += [_lbfgs(neurons, chunk, arguments) for neurons, chunk in LBFGS]
        if arguments.method in ("adam", "both"):
            steps = _tuned(problem, arguments)
            contenders += [
                _adam(schedule, neurons, epochs, step or steps[f"{schedule} {neurons}"])
                for schedule, neurons, epochs, step in ADAM
            ]
        with _program(problem) as program:
            for contender, seed in product(contenders, range(arguments.repeat)):
                _run(contender, problem, program, seed, arguments)


def _lbfgs(neurons: int, chunk: int, arguments: argparse.Namespace) -> Contender:
    options = ("--method", "lbfgs", "--neurons", str(neurons), "--chunk", str(chunk))
    name = f"L-BFGS {neurons}" + (" in chunks" if chunk else "")
    return Contender(name, "train_torch.py", (*options, "--seconds", str(arguments.seconds)), arguments.threads)


def _adam(schedule: str, neurons: int, epochs: int, step: float) -> Contender:
    options = ("--method", "adam", "--neurons", str(neurons), "--schedule", schedule, "--epochs", str(epochs))
    name = f"Adam {schedule} {neurons}, {epochs} epochs, step {step:g}"
    return Contender(name, "train_torch.py", (*options, "--step", str(step)), 1)  # slower with two threads


def _tuned(problem: Problem, arguments: argparse.Namespace) -> dict[str, float]:
    """The best of STEPS for every schedule and width; what is stored is not run again."""
    place = argparse.Namespace(output=arguments.output / "tuning", again=False)
    cases = list(product(("cosine", "constant"), WIDTHS, STEPS))
    contenders = {case: _adam(*case[:2], TUNING_EPOCHS, case[2]) for case in cases}
    with _program(problem) as program:
        for contender in contenders.values():
            _run(contender, problem, program, 0, place)
    ends = {curve.name: curve.points[-1].objective or np.inf for curve in curves(place.output, problem)}
    return {
        f"{schedule} {m}": min(STEPS, key=lambda step: ends[contenders[schedule, m, step].name])
        for schedule, m in product(("cosine", "constant"), WIDTHS)
    }


def run_forecasters(arguments: argparse.Namespace) -> None:
    """Peers that only forecast; they know no beta."""
    perceptrons = [
        Contender(
            f"Adam cosine {'+'.join(map(str, hidden))}, {epochs} epochs", "forecast_torch.py",
            ("--hidden", *map(str, hidden), "--epochs", str(epochs)), 1,
        )
        for hidden, epochs in PERCEPTRONS
    ]  # fmt: skip
    perceptrons += [
        Contender(
            f"pruned to {kept}: Adam cosine {hidden}, 400 epochs" + (f", {epochs} from {step:g}" if epochs else ""),
            "forecast_torch.py",
            ("--hidden", str(hidden), "--prune", str(kept), "--retrain", str(epochs), "--retrain-step", str(step)), 1,
        )
        for hidden, kept, epochs, step in PRUNED
    ]  # fmt: skip
    others = [Contender(name, "forecast_sklearn.py", options, arguments.threads) for name, options in SKLEARN.items()]
    for horizon in arguments.horizon:
        problem = Problem(arguments.record, horizon)
        with _program(problem) as program:
            for contender, seed in product([*perceptrons, *others], range(arguments.repeat)):
                if contender.name.startswith(tuple(arguments.only)):
                    _run(contender, problem, program, seed, arguments)


def run_gated(arguments: argparse.Namespace) -> None:
    """adelie and pyscnn in environments of their own, on the same sampled gates."""
    for (name, tolerance), problem in product(GATED.items(), _problems(arguments)):
        python = peer_python(name, arguments, f"gated_{name}.txt")
        if python is None or problem.beta is None:
            continue
        contender = Contender(
            f"{name} gated, {GATES} gates, beta {power(problem.beta)}", f"gated_{name}.py",
            ("--tolerance", str(tolerance)), arguments.threads, python,
        )  # fmt: skip
        with _program(problem, gates=sample_patterns(problem.split.train.X, GATES, 0).gates) as program:
            _run(contender, problem, program, 0, arguments)


def _problems(arguments: argparse.Namespace) -> list[Problem]:
    return [Problem(arguments.record, horizon, beta) for horizon, beta in product(arguments.horizon, arguments.beta)]


def _program(problem: Problem, **more: Array) -> AbstractContextManager[Path]:
    """A file with the problem's windows, as the peers read it."""
    beta = {} if problem.beta is None else {"beta": problem.beta}
    return program_file(window_arrays(problem.split) | beta | more)


def _run(contender: Contender, problem: Problem, data: Path, seed: int, arguments: argparse.Namespace) -> None:
    """Run a contender unless its result is stored; a failure is told and leaves nothing."""
    stored = arguments.output / problem.key / f"{contender.name}-s{seed}.npz"
    if stored.exists() and not arguments.again:
        return
    stored.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=stored.parent) as folder:
        result = Path(folder) / "result.npz"
        seeded = () if contender.script.startswith("gated") else ("--seed", str(seed))
        try:
            run_peer(contender.script, [data, result, *contender.options, *seeded], contender.threads, contender.python)
        except RuntimeError as error:
            print(f"{problem.key}, {contender.name}: failed: {error}", file=sys.stderr)
            return
        with np.load(result) as held:
            arrays = dict(held)
        if "u" in arrays:  # of a gated program
            used = np.flatnonzero(np.linalg.norm(arrays["u"], axis=1))
            with np.load(data) as held:
                network = network_of_neurons(arrays["u"][used], np.ones(len(used)))
                gates = held["gates"][used].T
            arrays = {
                "seconds": np.atleast_1d(arrays["seconds"]), "sizes": [network.neurons], "W1": network.W1,
                "W2": network.W2, "gates": gates, "version": arrays["version"],
            }  # fmt: skip
        meta = {"machine": machine(), "threads": contender.threads, "version": str(arrays.pop("version"))}
        np.savez(result, **arrays, meta=json.dumps(meta))
        result.replace(stored)
    print(f"{problem.key}, {contender.name}, seed {seed}: {arrays['seconds'][-1]:.1f} s", file=sys.stderr)


def run_bars(arguments: argparse.Namespace) -> None:
    """Run our solver on the targets asked for, and print what is stored of all of them."""
    place = argparse.Namespace(output=arguments.output / "bars", again=arguments.again)
    rows = []
    for number, bar in enumerate(BARS, 1):
        record = arguments.second_record if bar.second_record else arguments.record
        if record is None:
            print(f"bar {number}: needs --second-record, left out", file=sys.stderr)
            continue
        problem = Problem(record, bar.horizon, bar.beta, bar.windows)
        gap = ("--gap", str(bar.gap[0]), "--confirm", str(bar.starts)) if bar.gap else ("--gap", "1e-9")
        contender = _ours(OURS, problem, (*gap, "--seconds", str(PATIENCE * bar.seconds)), arguments.threads)
        if arguments.only is None or number in arguments.only:
            for seed in range(arguments.repeat):
                _run(contender, problem, record, seed, place)
        if runs := curves(place.output, problem):
            peers = [*curves(arguments.output, problem), *curves(arguments.output, replace(problem, beta=None))]
            rows += bar_rows(number, bar, problem, runs, peers)
    print(machine() + "\n")
    print(table(["bar", "problem", "target", "measured (median)", "of all runs", ""], rows))


def print_table(arguments: argparse.Namespace) -> None:
    """Judge what is stored and print a table a problem; write curves.csv and curves.png."""
    panels, lines = [], []
    print(f"{machine()}\n\n{TERMS}")
    for horizon in arguments.horizon:
        forecasters = curves(arguments.output, Problem(arguments.record, horizon))
        for beta in arguments.beta:
            problem = Problem(arguments.record, horizon, beta)
            found = curves(arguments.output, problem)
            lines += [(problem.key, curve.name, curve.seed, *point) for curve in found for point in curve.points]
            forecasters += _as_forecasters(found, beta)
            trained = [curve for curve in found if curve.best < np.inf]
            if trained:
                print(f"### {arguments.record.name}, horizon {horizon}, beta = {power(beta)}\n")
                print(table(*objective_rows(trained)) + "\n")
                panels.append((f"horizon {horizon}, beta = {power(beta)}", trained))
        if forecasters:
            print(f"### {arguments.record.name}, horizon {horizon}: test error\n")
            print(table(*forecaster_rows(forecasters)) + "\n")
    if panels:
        with open(arguments.output / "curves.csv", "w", newline="") as file:
            csv.writer(file).writerows([("problem", "contender", "seed", *Point._fields), *lines])
        save_figure(curves_figure(panels), arguments.output / "curves.png")
        print(f"{arguments.output / 'curves.png'}, {arguments.output / 'curves.csv'}", file=sys.stderr)


def _as_forecasters(found: list[Curve], beta: float) -> list[Curve]:
    """Gated runs as they are; ours as it stood after some times, and at its end."""
    out = [curve for curve in found if curve.best == np.inf]
    for curve, seconds in product((curve for curve in found if curve.name == OURS), STOPS):
        points = tuple(point for point in curve.points if point.seconds <= seconds)
        if points and (seconds == np.inf or points != curve.points):
            when = "" if seconds == np.inf else f", stopped after {seconds:g} s"
            out.append(replace(curve, name=f"{OURS}, beta = {power(beta)}{when}", points=points))
    return out


def _parser() -> argparse.ArgumentParser:
    command = parser(__doc__)
    shown = argparse.ArgumentDefaultsHelpFormatter
    common = argparse.ArgumentParser(add_help=False)
    add_record(common)
    common.add_argument("--output", type=Path, default=ROOT / "out" / "bench_training", help="folder of the results")
    add_threads(common)
    common.add_argument("--repeat", type=int, default=1, help="runs of every contender, each with a seed of its own")
    common.add_argument("--again", action="store_true", help="run also what is stored")
    parts = command.add_subparsers(required=True, metavar="PART")

    def part(name: str, run: Callable[[argparse.Namespace], None], *, betas: bool = True) -> argparse.ArgumentParser:
        added = parts.add_parser(name, parents=[common], help=run.__doc__, formatter_class=shown)
        added.set_defaults(run=run)
        if name != "bars":
            added.add_argument("--horizon", type=int, nargs="+", default=[1], help="samples")
        if betas:
            added.add_argument("--beta", type=float, nargs="+", default=[1e-3, 1e-4, 1e-5], help="penalty weights")
        return added

    ours = part("ours", run_ours)
    ours.add_argument("--gap", type=float, default=1e-5, help="relative searched gap to stop at, not confirmed")
    ours.add_argument("--seconds", type=float, default=60.0, help="time limit of a run")
    part("tune", run_tuning)
    torch = part("torch", run_torch)
    torch.add_argument("--method", choices=("lbfgs", "adam", "both"), default="both", help="what to run")
    torch.add_argument("--seconds", type=float, default=20.0, help="of a run of L-BFGS")
    forecasters = part("forecasters", run_forecasters, betas=False)
    forecasters.add_argument("--only", nargs="+", default=[""], help="those whose names start so")
    gated = part("gated", run_gated)
    add_peers(gated)
    bars = part("bars", run_bars, betas=False)
    bars.add_argument("--only", type=int, nargs="+", help="numbers of the bars to run")
    bars.add_argument("--second-record", type=Path, help="record 100, for the last bar")
    part("table", print_table)
    return command


if __name__ == "__main__":
    main()
