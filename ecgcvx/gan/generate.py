"""From a record to generated beats, compared with beats held out, and the files that tell of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.figures import save_figure
from ecgcvx.files import write_files
from ecgcvx.gan.aligned import AlignedBeats
from ecgcvx.gan.figure import beats_figure
from ecgcvx.gan.generator import BeatGenerator
from ecgcvx.gan.measures import MOMENT_DRAWS, compare_beats
from ecgcvx.gan.records import MARK, write_record
from ecgcvx.gan.strip import draw_intervals, running_strip
from ecgcvx.interruption import check, keeping, raising, stoppable
from ecgcvx.types import Array, Progress

TRAIN_SHARE = 0.6
RR_SHARE = 0.3  # of the beats' spread in mV, which the intervals get in the joint generator


@dataclass(frozen=True, eq=False)
class Generated:
    """Beats X (count, leads, length) of one class, their RR intervals in s, the generator, and the comparison.

    held_out : the real beats that the comparison is with.
    """

    X: Array
    rr: Array
    classes: str
    generator: BeatGenerator
    held_out: AlignedBeats
    training: int
    measures: dict[str, dict[str, float | None]]


def generate(
    beats: AlignedBeats, classes: Sequence[str], count: int, *, kind: str = "progressive", seed: int = 0,
    mixed: bool = False, joint_rr: bool = False, beta_d: float = 0.0, rank: int | None = None,
    progress: Progress | None = None,
) -> tuple[Generated, ...]:  # fmt: skip
    """Return `count` generated beats of each class, in one generator a class, or of all classes in one if `mixed`.

    A generator is fitted to 60 % of its beats, drawn at random; the rest is for the comparison. joint_rr : generate the
    RR interval before a beat with it; else the intervals are those of the class in the record, in runs. Ctrl-C ends it
    with the generators that are whole; KeyboardInterrupt passes where there is none yet.

    Raises InputError for classes that have no beats or too few, and for options out of range.
    """
    if count < 1:
        raise InputError(f"count = {count}: give at least 1")
    names = list(dict.fromkeys(classes))
    if not names:
        raise InputError("classes: there are none; name at least one, e.g. N")
    groups = [names] if mixed else [[name] for name in names]
    chosen = [(group, beats.of_class(*group)) for group in groups]
    found: list[Generated] = []
    with keeping():
        for group, of_group in chosen:
            with stoppable() if found else raising():
                check()
                one = _generate(of_group, "".join(group), count, kind, seed, joint_rr, beta_d, rank, progress)
                check()
                found.append(one)
    return tuple(found)


def _generate(
    beats: AlignedBeats, classes: str, count: int, kind: str, seed: int, joint_rr: bool, beta_d: float,
    rank: int | None, progress: Progress | None,
) -> Generated:  # fmt: skip
    if joint_rr:
        beats = beats.subset(np.flatnonzero(np.isfinite(beats.rr)))
    n = len(beats)
    order = np.random.default_rng(seed).permutation(n)
    training, held_out = beats.subset(order[: int(TRAIN_SHARE * n)]), beats.subset(order[int(TRAIN_SHARE * n) :])
    if len(held_out) < 8:
        raise InputError(f"{beats.name}: {n} beats of class {classes} are too few; at least 20 are needed")
    X, leads = training.matrix, len(beats.leads)
    scale = 0.0
    if joint_rr:
        spread = float(np.std(training.rr))
        scale = RR_SHARE * float(np.sqrt(X.var(axis=0).sum())) / spread if spread > 0 else 1.0
        X = np.column_stack([X, scale * training.rr])
    generator = BeatGenerator.fit(
        X, kind, beta_d=beta_d, rank=rank, signals=leads, context=int(joint_rr), seed=seed, progress=progress
    )
    p = training.matrix.shape[1]
    drawn = generator.sample(count, seed)
    rr = drawn[:, p] / scale if joint_rr else draw_intervals(beats.rr[np.argsort(beats.peaks)], count, seed)
    many = generator.sample(MOMENT_DRAWS, seed + 1)[:, :p]
    compared = generator.sample(len(held_out), seed + 2)[:, :p]
    measures = compare_beats(training.matrix, held_out.matrix, compared, many)
    shaped = drawn[:, :p].reshape(count, leads, -1)
    return Generated(shaped, rr, classes, generator, held_out, len(training), measures)


def metrics(found: Generated) -> dict[str, Any]:
    """What metrics.json says of one class: the sizes, the programs with their gaps, and the measures."""
    generator = found.generator
    stages = [
        {
            "decimation": stage.resolution, "scores": stage.width, "neurons": len(stage.neurons), "gap": stage.gap,
            "gap_kind": "searched", "residual": stage.residual, "status": stage.status,
        }
        for stage in generator.stages
    ]  # fmt: skip
    return {
        "class": found.classes, "kind": generator.kind, "training_beats": found.training,
        "held_out_beats": len(found.held_out), "generated_beats": len(found.X), "rank": generator.target.rank,
        "beta_d": generator.target.beta_d, "game_value": generator.target.game_value, "stages": stages,
        "measures": found.measures,
    }  # fmt: skip


def write_generated(found: Sequence[Generated], folder: Path, seed: int) -> tuple[Path, ...]:
    """Write, for each class, single beats and a running strip as WFDB records, a figure, and metrics.json for all.

    The records' names end in 'synthetic_beats' and 'synthetic_strip', and their headers say that they are synthetic.
    """
    names = write_files(folder, lambda scratch: _fill(found, scratch, seed))
    return tuple(folder / name for name in names)


def _fill(found: Sequence[Generated], scratch: Path, seed: int) -> list[str]:
    for one in found:
        beats = one.held_out
        name = f"{Path(beats.name).name}_{_spelled(one.classes)}_{MARK}"
        count, leads, length = one.X.shape
        mark = [
            f"SYNTHETIC: no recording of a heart. Beats of class {one.classes} by a {one.generator.kind} generator "
            f"that was fitted to {one.training} beats of record {beats.name}; seed {seed}.",
        ]
        rate = beats.sampling_frequency
        single = one.X.transpose(0, 2, 1).reshape(count * length, leads)
        symbol = one.classes if len(one.classes) == 1 else "?"
        peaks = np.arange(count) * length + beats.before
        each = [f"{count} beats of {length} samples one after the other, R peaks at sample {beats.before} of each."]
        shared = (rate, beats.leads, beats.unit)
        write_record(scratch, f"{name}_beats", single, *shared, mark + each, peaks, [symbol] * count)
        strip, peaks = running_strip(one.X, beats.before, np.clip(one.rr, 0.3, 2.5), rate)
        write_record(scratch, f"{name}_strip", strip, *shared, mark, peaks, [symbol] * count)
        auc = one.measures["generated"]["two_sample_auc"]
        score = "" if auc is None else f", two-sample AUC {auc:.2f}"
        figure = beats_figure(
            beats.X, one.X, beats.before, rate, beats.leads, beats.unit, f"{beats.name}, class {one.classes}",
            f"40 beats, mean, 5 to 95 %; real ones\nwere not trained on{score}",
        )  # fmt: skip
        save_figure(figure, scratch / f"{name}.png")
    text = json.dumps([metrics(one) for one in found], indent=2, allow_nan=False)
    (scratch / "metrics.json").write_text(text, encoding="utf-8")
    return sorted(file.name for file in scratch.iterdir())


def _spelled(classes: str) -> str:
    """Symbols as a part of a file name."""
    return "".join(symbol if symbol.isalnum() else {"/": "paced", "?": "unknown"}[symbol] for symbol in classes)
