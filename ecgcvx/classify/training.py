"""Training a classifier of beats: choices by leaving patients out, calibration on them, then all of them.

recordings -> beat windows, for class S also those of copies with many early beats
           -> for every fold of patients, setting and class: a convex program on the others
           -> scores of beats of patients that were left out -> setting, calibration, threshold, limit of novelty
           -> the convex programs on all patients -> classifier
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgcvx.atoms.family import Atoms
from ecgcvx.beats import find_beats
from ecgcvx.classify.classes import PACED, check_classes, class_of
from ecgcvx.classify.classifier import ConvexBeatClassifier
from ecgcvx.classify.crowded import Copies, crowded_copies
from ecgcvx.classify.machine import (
    Machine,
    Setting,
    Weights,
    beat_program,
    best_threshold,
    calibration,
    joint_thresholds,
    prove_machine,
    train_machine,
)
from ecgcvx.classify.measures import average_precision, measures_of, roc_area
from ecgcvx.classify.novelty import Novelty
from ecgcvx.classify.windows import CONTEXT, BeatWindows, beat_windows, evenly, joined
from ecgcvx.errors import InputError
from ecgcvx.interruption import keeping, raising, wanted
from ecgcvx.options import check_options, option
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.records import Recording
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.types import Array, Progress

TAPS, BETAS = (9, 60), (3e-3, 1e-3)
KNOWN = 0.995  # share of held-out beats that are like the training
STARTS = 60  # fresh ones of a round
ROUGH_GAP, ROUGH_ROUNDS = 5e-2, 8  # of the networks that settings are chosen by
PATIENTS, PARTS = "patients", "parts of recordings"  # that are left out
BLOCKS = 20  # of a record, that the folds take in turn where patients cannot be left out
MOST_PACED = 0.01  # share of the beats of a recording


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options of a training.

    classes : the usual one first. taps, betas, weights : values to choose from by cross-validation.
    """

    classes: tuple[str, ...] = ("N", "V")
    taps: tuple[int, ...] = TAPS
    betas: tuple[float, ...] = BETAS
    weights: tuple[Weights, ...] = ("patients",)
    folds: int = option(4, "groups of patients that are left out in turn", least=2)
    others: int = option(6000, "beats of the other classes at most, spread evenly over the recordings", least=10)
    rough: float = option(0.5, "share of the beats that the choice is made on", above=0.0)
    gap: float = option(2e-2, "relative searched gap of the final networks", above=0.0)
    rounds: int = option(40, "rounds of the final networks at most", least=1)
    confirm_starts: int = option(300, "fresh starts that confirm the searched gap", least=1)
    prove: float = option(0.0, "seconds to prove a gap in, for each network", least=0.0)
    seed: int = option(0, "of the searches", least=0)

    def __post_init__(self) -> None:
        check_options(self)
        object.__setattr__(self, "classes", check_classes(self.classes))
        for name in ("taps", "betas", "weights"):
            values = tuple(dict.fromkeys(getattr(self, name)))
            if not values:
                raise InputError(f"{name}: there are none; give at least one")
            object.__setattr__(self, name, values)
        if self.rough > 1:
            raise InputError(f"rough = {self.rough:g}: give a share of at most 1")
        _ = self.settings

    @property
    def solver(self) -> ActiveSetSolver:
        """The solver of the final networks."""
        return ActiveSetSolver(
            gap=self.gap, rounds=self.rounds, starts=STARTS, confirm_starts=self.confirm_starts, seed=self.seed
        )

    @property
    def settings(self) -> tuple[Setting, ...]:
        """All that are tried, betas falling, so that each begins where the one before ended."""
        betas = sorted(self.betas, reverse=True)
        return tuple(Setting(h, beta, one) for one in self.weights for h in self.taps for beta in betas)


@dataclass(frozen=True, eq=False)
class Training:
    """A classifier with the beats that it was trained on, and their held-out log-odds (n, classes - 1), calibrated."""

    classifier: ConvexBeatClassifier
    windows: BeatWindows
    truth: NDArray[np.str_]
    held_out: Array


def train(
    recordings: Sequence[Recording], options: TrainOptions | None = None, progress: Progress | None = None
) -> Training:
    """Train a classifier on annotated recordings, each taken as one patient; see the module for the steps.

    Ctrl-C ends it: KeyboardInterrupt passes, for a classifier that is not calibrated is none.

    Raises InputError for recordings that cannot be used.
    """
    with keeping(), raising():
        return _train(recordings, TrainOptions() if options is None else options, progress)


def _train(recordings: Sequence[Recording], options: TrainOptions, progress: Progress | None) -> Training:
    lead = _common_lead(recordings)
    _check_different(recordings)
    parts = [beat_windows(_checked(recording)) for recording in recordings]
    windows = joined(parts)
    truth = class_of(windows.symbols)
    kept = np.isin(truth, options.classes)
    left_out = {name or "?": int(np.sum(truth[~kept] == name)) for name in np.unique(truth[~kept])}
    windows, truth = windows.subset(kept), truth[kept]
    options, too_long = _fitting(truth, options, ", ".join(windows.records))
    folds, held = patient_folds(windows, truth, options)
    copies = copies_of(recordings, parts, options) if held == PATIENTS else None

    def say(what: str, share: float | None) -> None:
        if progress is not None:
            progress(what, share)

    trials = _trials(windows, truth, folds, copies, options, say)
    chosen = max(trials, key=lambda setting: trials[setting].average_precision)
    odds, calibrations = [], []
    held_scores, copied_scores = trials[chosen].scores, trials[chosen].copied
    if options.rough < 1:  # networks like the final ones, for their scores are what is calibrated
        solver = replace(options.solver, confirm_starts=0)
        final = _scores(windows, truth, folds, copies, (chosen,), options, 1.0, solver, say)[chosen]
        held_scores, copied_scores = final.scores, final.copied
    for k, name in enumerate(options.classes[1:]):
        scores = held_scores[:, k]
        slope, shift = calibration(scores, truth == name)
        odds.append(slope * scores + shift)
        calibrations.append((slope, shift))
    names = np.array(options.classes[1:])
    thresholds = joint_thresholds(np.stack(odds, axis=1), truth[:, None] == names).tolist()
    machines: list[Machine] = []
    proofs: dict[str, Any] = {}
    for k, name in enumerate(options.classes[1:]):
        program = program_of(windows, truth, name, chosen, options, copies=copies)
        solver = options.solver
        machine = train_machine(name, program, solver, progress=progress)
        if options.prove and machine.atoms is not None:
            say(f"proving the gap of {name}", None)
            proved, _ = prove_machine(program, machine.atoms, options.prove)
            cut = ", interrupted while the gap was proved" if wanted() else ""
            proofs[name] = {"gap": proved.relative, "words": proved.words + cut}
        machines.append(
            replace(machine, slope=calibrations[k][0], shift=calibrations[k][1], threshold=thresholds[k], atoms=None)
        )
    facts = {
        "records": list(windows.records),
        "beats": {name: int(np.sum(truth == name)) for name in options.classes},
        "left_out": left_out,
        "too_long": too_long,
        "held_out": held,
        "options": asdict(options)
        | {name: list(getattr(options, name)) for name in ("classes", "taps", "betas", "weights")},
        "trials": [trial.facts(setting) for setting, trial in trials.items()],
        "proofs": proofs,
    }
    classifier = ConvexBeatClassifier(
        options.classes, tuple(machines), _novelty(windows, folds), chosen, lead, facts
    )  # fmt: skip
    if copies is not None:
        facts["crowded"] = _crowded_facts(classifier, copies, copied_scores)
    return Training(classifier, windows, truth, np.stack(odds, axis=1))


@dataclass(frozen=True, eq=False)
class Trial:
    """Held-out scores (n, classes - 1) of a setting, and what they are worth: means over the classes but the first.

    copied : scores (c, classes - 1) of the beats of the copies of patients left out.
    """

    scores: Array
    copied: Array
    filters: float
    f1: float
    roc_area: float
    average_precision: float

    def facts(self, setting: Setting) -> dict[str, Any]:
        """One line of the table of choices, as JSON has it."""
        return asdict(setting) | {
            name: getattr(self, name) for name in ("filters", "f1", "roc_area", "average_precision")
        }


def patient_folds(windows: BeatWindows, truth: NDArray[np.str_], options: TrainOptions) -> tuple[NDArray[np.intp], str]:
    """Return the fold (n,) of every beat, and what is left out: 'patients', or 'parts of recordings'.

    Recordings go to folds such that the rarest class is spread evenly. Where a class is in a single recording, leaving
    that out would leave nothing to learn it from: the folds are then stretches of every recording in turn.
    """
    numbers = range(len(windows.records))
    counts = np.array([[np.sum((windows.record == r) & (truth == c)) for c in options.classes] for r in numbers])
    if (np.sum(counts > 0, axis=0) < 2).any():
        n = np.bincount(windows.record, minlength=len(windows.records))
        place = np.arange(len(windows)) - np.concatenate([[0], np.cumsum(n)[:-1]])[windows.record]
        return (place * BLOCKS // n[windows.record]) % options.folds, PARTS
    shares = counts / counts.sum(axis=0)
    sums = np.zeros((options.folds, len(options.classes)))
    fold_of = np.zeros(len(counts), dtype=np.intp)
    for r in np.argsort(-shares.max(axis=1), kind="stable"):
        fold_of[r] = int(np.argmin(((sums + shares[r]) ** 2).sum(axis=1) - (sums**2).sum(axis=1)))
        sums[fold_of[r]] += shares[r]
    return fold_of[windows.record], PATIENTS


def copies_of(recordings: Sequence[Recording], parts: Sequence[BeatWindows], options: TrainOptions) -> Copies | None:
    """Return crowded copies of recordings with the windows of each, parts.

    None where class S is not asked for, and where none has enough early beats.
    """
    if "S" not in options.classes:
        return None
    found: list[tuple[int, BeatWindows]] = []
    for number, (recording, part) in enumerate(zip(recordings, parts, strict=True)):
        beats = find_beats(recording)
        assert beats is not None  # it has windows of them
        copies = crowded_copies(part, beats, recording.sampling_frequency, options.seed)
        found += [(number, one) for one in copies]
    if not found:
        return None
    windows = joined([one for _, one in found])
    source = np.array([number for number, _ in found], dtype=np.intp)[windows.record]
    return Copies(windows, class_of(windows.symbols), source)


def rows_of(
    truth: NDArray[np.str_], name: str, options: TrainOptions, allowed: NDArray[np.bool_] | None = None,
    share: float = 1.0,
) -> NDArray[np.intp]:  # fmt: skip
    """Return the beats (k,) that a class is learned from, of truth (n,).

    All beats of the class, and `options.others` of the others at most, evenly through the recordings; of both only a
    `share`. allowed : (n,) beats that may be used, None for all.
    """
    positive = np.flatnonzero(truth == name)
    negative = evenly(np.flatnonzero(truth != name), options.others)
    rows = np.sort(np.concatenate([evenly(part, int(np.ceil(share * len(part)))) for part in (positive, negative)]))
    return rows if allowed is None else rows[allowed[rows]]


def program_of(
    windows: BeatWindows, truth: NDArray[np.str_], name: str, setting: Setting, options: TrainOptions,
    allowed: NDArray[np.bool_] | None = None, share: float = 1.0, copies: Copies | None = None,
) -> AllPatterns:  # fmt: skip
    """Return the program that a class is learned by, on the beats of `rows_of` and a share of the copies' beats."""
    rows = rows_of(truth, name, options, allowed, share)
    part, names = windows.subset(rows), truth[rows]
    if copies is not None and len(copies.truth):
        n = len(copies.truth)
        more = copies.subset(evenly(np.arange(n), int(np.ceil(share * n))))
        part, names = joined([part, more.windows]), np.concatenate([names, more.truth])
    return beat_program(part.X, np.where(names == name, 1.0, -1.0), part.record, setting)


def _trials(
    windows: BeatWindows, truth: NDArray[np.str_], folds: NDArray[np.intp], copies: Copies | None,
    options: TrainOptions, say: Callable[[str, float | None], None],
) -> dict[Setting, Trial]:  # fmt: skip
    """Held-out scores of every setting, on a share of the beats."""
    solver = ActiveSetSolver(
        gap=ROUGH_GAP, rounds=ROUGH_ROUNDS, starts=STARTS, confirm_starts=0, seed=options.seed
    )  # fmt: skip
    return _scores(windows, truth, folds, copies, options.settings, options, options.rough, solver, say)


def _scores(
    windows: BeatWindows, truth: NDArray[np.str_], folds: NDArray[np.intp], copies: Copies | None,
    settings: tuple[Setting, ...], options: TrainOptions, share: float, solver: ActiveSetSolver,
    say: Callable[[str, float | None], None],
) -> dict[Setting, Trial]:  # fmt: skip
    """For every setting the scores of beats whose fold was left out, by networks on a share of the others."""
    names = options.classes[1:]
    scores = {setting: np.zeros((len(truth), len(names))) for setting in settings}
    fold_of = np.zeros(len(windows.records), dtype=np.intp)
    fold_of[windows.record] = folds  # a record may have no beat that is learned from
    copied_folds = np.zeros(0, dtype=np.intp) if copies is None else fold_of[copies.source]
    copied = {setting: np.zeros((len(copied_folds), len(names))) for setting in settings}
    filters = dict.fromkeys(settings, 0)
    present = np.unique(folds)
    total, done = len(present) * len(names) * len(settings), 0
    for fold in present:
        held, out = windows.subset(folds == fold).X, copied_folds == fold
        stay = None if copies is None else copies.subset(~out)
        for k, name in enumerate(names):
            warm: Atoms | None = None
            before: Setting | None = None
            for setting in settings:
                say(f"{name}, {setting.words}, fold {fold + 1} of {len(present)} left out", done / total)
                program = program_of(windows, truth, name, setting, options, folds != fold, share, stay)
                if len(np.unique(program.y)) < 2:
                    raise InputError(
                        f"classes: too few beats of class {name} to leave patients out; give more recordings"
                    )
                same = before is not None and (before.taps, before.weights) == (setting.taps, setting.weights)
                machine = train_machine(name, program, solver, warm=warm if same else None)
                scores[setting][folds == fold, k] = machine.scores(held)
                if copies is not None and out.any():
                    copied[setting][out, k] = machine.scores(copies.windows.subset(out).X)
                filters[setting] += machine.network.neurons
                warm, before, done = machine.atoms, setting, done + 1
    return {
        setting: _trial(scores[setting], copied[setting], truth, names, filters[setting] / len(present))
        for setting in settings
    }


def _crowded_facts(classifier: ConvexBeatClassifier, copies: Copies, scores: Array) -> dict[str, Any]:
    """What is known of the copies, and measures of S on those of patients that were left out."""
    odds = np.stack([m.slope * scores[:, k] + m.shift for k, m in enumerate(classifier.machines)], axis=1)
    called = classifier.decide(odds)
    return {
        "records": list(copies.windows.records),
        "beats": len(copies.truth),
        "held_out_measures": {name: asdict(measures_of(copies.truth, called, name)) for name in ("N", "S")},
    }


def _trial(scores: Array, copied: Array, truth: NDArray[np.str_], names: tuple[str, ...], filters: float) -> Trial:
    columns = [(scores[:, k], truth == name) for k, name in enumerate(names)]
    return Trial(
        scores, copied, filters,
        float(np.mean([best_threshold(*column)[1] for column in columns])),
        float(np.mean([roc_area(*column) for column in columns])),
        float(np.mean([average_precision(*column) for column in columns])),
    )  # fmt: skip


def _novelty(windows: BeatWindows, folds: NDArray[np.intp]) -> Novelty:
    """The model of all windows, its limit from windows that models of the other folds did not see."""
    distances = np.zeros(len(windows))
    for fold in np.unique(folds):
        distances[folds == fold] = Novelty.fit(windows.signal[folds != fold]).distances(windows.signal[folds == fold])
    return replace(Novelty.fit(windows.signal), limit=float(np.quantile(distances, KNOWN)))


def _common_lead(recordings: Sequence[Recording]) -> str:
    leads = list(dict.fromkeys(recording.lead for recording in recordings))
    if not leads:
        raise InputError("recordings: there are none; give at least one")
    if len(leads) > 1:
        raise InputError(
            f"recordings: they have the leads {', '.join(leads)}; beats look different in each, so name one with lead"
        )
    return leads[0]


def _check_different(recordings: Sequence[Recording]) -> None:
    """Raise InputError for a recording that is there twice: it would be left out and trained on at once."""
    for i, one in enumerate(recordings):
        for other in recordings[:i]:
            if np.array_equal(one.signal, other.signal, equal_nan=True):
                names = one.name if one.name == other.name else f"{other.name} and {one.name}"
                raise InputError(f"recordings: {names}: the same signal twice; give every recording once")


def _checked(recording: Recording) -> Recording:
    """The recording, if it has annotated beats and is not paced."""
    symbols = () if recording.annotation is None else recording.annotation.symbols
    known = class_of(symbols)
    if not (known != "").any():
        raise InputError(f"{recording.name}: no annotated beats to learn from; give a record with an annotation file")
    paced, beats = sum(symbol in PACED for symbol in symbols), int((known != "").sum())
    if paced > MOST_PACED * beats:
        raise InputError(
            f"{recording.name}: {paced:,} of its {beats:,} beats are paced and say nothing of the heart's own; "
            "leave the record out"
        )
    return recording


def _fitting(truth: NDArray[np.str_], options: TrainOptions, records: str) -> tuple[TrainOptions, list[int]]:
    """Return the options without filters that have more weights than a class has beats, and the taps of these."""
    there = ", ".join(f"{np.sum(truth == one):,} {one}" for one in np.unique(truth)) or "none"
    counts = {name: int(np.sum(truth == name)) for name in options.classes}
    rarest = min(counts, key=lambda name: counts[name])
    fewest, least = counts[rarest], min(options.taps) + CONTEXT
    if not fewest:
        raise InputError(
            f"classes: no beats of class {rarest} in {records} (of those asked for: {there}); add a record with them"
        )
    if fewest < least:
        raise InputError(
            f"classes: {fewest} beat{'' if fewest == 1 else 's'} of class {rarest}, fewer than the {least} weights "
            "of one filter; add records"
        )
    taps = tuple(h for h in options.taps if h + CONTEXT <= fewest)
    return replace(options, taps=taps), [h for h in options.taps if h not in taps]
