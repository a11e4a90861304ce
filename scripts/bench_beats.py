"""Beats told apart between patients on the MIT-BIH Arrhythmia Database: choices on DS1, one evaluation on DS2.

    train    the classifier on DS1, choices by leaving its patients out; FOLDER/model: model, metrics, report
    test     DS2 once: tables per class and record, confusion, jk index, intervals over patients; FOLDER/test.json
    peers    logistic regression, gradient boosting, MLPs, an SVM and the two-layer convex network on the same beats,
             weighted as ours, calibrated and with thresholds by the same folds (--peer NAME: one of them); those in
             FOLDER/peers_2.json (of N,S,V: peers_3.json) already are not run again
    noise    F1 of V against the signal-to-noise ratio, another lead, another rate, beside boosting; FOLDER/noise.json
    proof    the gap proved at large beta, on 4,000 beats
    seeds    the network in the setting chosen at two seeds, its own probabilities; FOLDER/seeds.json
    stream   beats as they come: agreement with the whole record, delay, time a beat

Usage: python scripts/bench_beats.py SECTION [...] --database MITDB --folder FOLDER      docs/beats.md has the results

DS1 and DS2 are those of de Chazal, O'Dwyer & Reilly 2004: 22 patients each, paced records left out. Lead MLII, the
beats of N and V (--classes N,S,V: and S) at the annotated R peaks. One thread (set OMP_NUM_THREADS=1 and
OPENBLAS_NUM_THREADS=1); seconds are of the process. Peers need scikit-learn.
"""

import json
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import harness
from ecgcvx.atoms.relu import ReluFamily
from ecgcvx.beats import find_beats
from ecgcvx.classify.classes import class_of
from ecgcvx.classify.classifier import ConvexBeatClassifier
from ecgcvx.classify.crowded import Copies
from ecgcvx.classify.machine import (
    Setting,
    best_threshold,
    calibration,
    joint_thresholds,
    loss_weights,
    prove_machine,
    train_machine,
)
from ecgcvx.classify.measures import average_precision, bootstrap, confusion, jk_index, measures_of, roc_area
from ecgcvx.classify.output import training_words, write_training
from ecgcvx.classify.stream import BeatStream
from ecgcvx.classify.training import TrainOptions, copies_of, patient_folds, program_of, rows_of, train
from ecgcvx.classify.windows import BeatWindows, beat_windows, joined
from ecgcvx.figures import save_figure
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.programs.losses import LogisticLoss
from ecgcvx.records import Recording, read_recording
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.types import Array

DS1 = [
    "101", "106", "108", "109", "112", "114", "115", "116", "118", "119", "122",
    "124", "201", "203", "205", "207", "208", "209", "215", "220", "223", "230",
]  # fmt: skip
DS2 = [
    "100", "103", "105", "111", "113", "117", "121", "123", "200", "202", "210",
    "212", "213", "214", "219", "221", "222", "228", "231", "232", "233", "234",
]  # fmt: skip
RATIOS = (24, 12, 6, 0, -6)  # dB
KINDS = {"baseline wander": (0.05, 0.8), "muscle-like": (20.0, 120.0), "white": None}  # of noise: bands in Hz
DRAWS = 200  # of patients
NOISY_SECONDS = 300.0
STREAMED, STREAMED_SECONDS = ("200", "213", "233"), 600.0
TWO_LAYER_BETA = 5e-3
CHOSEN: dict[str, Any] = {"weights": ("patients",), "rough": 1.0, "others": 4000}  # on DS1, docs/beats.md
BY_CLASSES: dict[int, dict[str, Any]] = {
    2: {"taps": (60,), "betas": (1.5e-3,)},
    3: {"taps": (9,), "betas": (5e-3,)},
}
PROOF = ((3e-2, 9), (1e-2, 9))


def main() -> None:
    """Run the sections asked for."""
    sections: dict[str, Callable[[Namespace], None]] = {
        "train": run_train, "test": run_test, "peers": run_peers, "noise": run_noise, "proof": run_proof,
        "seeds": run_seeds, "stream": run_stream,
    }  # fmt: skip
    options = harness.parser(__doc__)
    options.add_argument("sections", nargs="+", choices=tuple(sections))
    options.add_argument("--database", type=Path, required=True, help="folder of the records")
    options.add_argument("--folder", type=Path, required=True, help="for the results")
    options.add_argument("--classes", default="N,V")
    options.add_argument("--peer", action="append", help="of the section 'peers', by its name; default all")
    arguments = options.parse_args()
    arguments.classes = tuple(arguments.classes.split(","))
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.sections:
        print(f"## {name}", flush=True)
        sections[name](arguments)


def recordings(database: Path, names: list[str], lead: str = "MLII") -> list[Recording]:
    """The records of a part of the database."""
    return [read_recording(database / name, lead) for name in names]


def beats_of(arguments: Namespace, names: list[str]) -> tuple[BeatWindows, NDArray[np.str_]]:
    """The beats of the classes in a part of the database, and their classes."""
    windows = joined([beat_windows(recording) for recording in recordings(arguments.database, names)])
    truth = class_of(windows.symbols)
    kept = np.isin(truth, arguments.classes)
    return windows.subset(kept), truth[kept]


def chosen(arguments: Namespace, seed: int = 0) -> TrainOptions:
    """The options of the final training."""
    classes = arguments.classes
    return TrainOptions(classes=classes, seed=seed, **BY_CLASSES[len(classes)], **CHOSEN)


def write(path: Path, found: Any) -> None:
    """Write a result as JSON."""
    path.write_text(json.dumps(found, indent=1) + "\n")


def run_train(arguments: Namespace) -> None:
    """Train on DS1."""
    started = time.process_time()
    options = chosen(arguments)

    def say(what: str, share: float | None) -> None:
        print(f"{time.process_time() - started:7.1f} s  {what}", flush=True)

    training = train(recordings(arguments.database, DS1), options, say)
    write_training(training, arguments.folder / "model")
    print("\n".join(training_words(training)))
    if len(arguments.classes) == 3:
        decided = training.classifier.decide(training.held_out)
        print(f"jk index with patients left out {jk_of(training.truth, decided):.3f}")
    print(f"{time.process_time() - started:.1f} s in all")


def measures(
    truth: NDArray[np.str_], decided: NDArray[np.str_], scores: Array, record: NDArray[np.intp], name: str
) -> dict[str, Any]:
    """Measures of one class with intervals over patients."""
    positive = truth == name
    found = measures_of(truth, decided, name)
    called = decided == name
    f1 = bootstrap(
        record, lambda i: 2 * float(np.sum(positive[i] & called[i])) / float(positive[i].sum() + called[i].sum()), DRAWS
    )
    auc = bootstrap(record, lambda i: roc_area(scores[i], positive[i]), DRAWS)
    ap = bootstrap(record, lambda i: average_precision(scores[i], positive[i]), DRAWS)
    return {
        "sensitivity": found.sensitivity, "precision": found.precision, "f1": found.f1, "f1_interval": f1,
        "roc_area": roc_area(scores, positive), "roc_interval": auc,
        "average_precision": average_precision(scores, positive), "ap_interval": ap, "beats": found.beats,
        "best_f1": best_threshold(scores, positive)[1],
    }  # fmt: skip


def line(name: str, found: dict[str, Any], words: str = "") -> str:
    """One line of a table."""
    low, high = found["f1_interval"]
    return (
        f"{name:34s} AUC {found['roc_area']:.4f} AP {found['average_precision']:.3f} Se {found['sensitivity']:.3f} "
        f"P+ {found['precision']:.3f} F1 {found['f1']:.3f} [{low:.3f}, {high:.3f}] {words}"
    )


def run_test(arguments: Namespace) -> None:
    """Evaluate on DS2."""
    classifier = ConvexBeatClassifier.load(arguments.folder / "model")
    windows = joined([beat_windows(recording) for recording in recordings(arguments.database, DS2)])
    every = class_of(windows.symbols)
    log_odds = classifier.log_odds(windows)
    decided = classifier.decide(log_odds)
    unknown = classifier.novelty.unlike(windows.signal)
    kept = np.isin(every, classifier.classes)
    truth, called, record = every[kept], decided[kept], windows.record[kept]
    probabilities = classifier.probabilities(log_odds)
    out: dict[str, Any] = {"setting": classifier.setting.words, "filters": classifier.filters, "classes": {}}
    out["parameters"] = classifier.parameters
    for k, name in enumerate(classifier.classes):
        scores = log_odds[kept, k - 1] if k else probabilities[kept, 0]
        out["classes"][name] = measures(truth, called, scores, record, name)
        print(line(f"{name}, chosen threshold", out["classes"][name]))
        half = measures_of(truth, np.where(scores > (0.0 if k else 0.5), name, ""), name)
        print(f"{'':34s} at p = .5: Se {half.sensitivity:.3f} P+ {half.precision:.3f} F1 {half.f1:.3f}")
        out["classes"][name]["f1_at_half"] = half.f1
    rows = ["N", "S", "V", "F", "Q"]
    matrix = confusion(every, np.where(unknown, "Q", decided), rows, [*classifier.classes, "Q"])
    out["confusion"] = {"rows": rows, "columns": [*classifier.classes, "Q"], "beats": matrix.tolist()}
    print("AAMI class against called (Q: unknown)", *classifier.classes, "Q")
    for name, counts in zip(rows, matrix, strict=True):
        print(f"  {name} ", *(f"{count:7d}" for count in counts))
    if len(classifier.classes) == 3:
        out["jk"], out["jk_interval"] = jk_of(truth, called), jk_interval(truth, called, record)
        out["accuracy"] = float(np.mean(truth == called))
        print(f"jk index {out['jk']:.3f} {out['jk_interval']}, accuracy {out['accuracy']:.3f}")
    out["records"] = {}
    for number, name in enumerate(windows.records):
        here = record == number
        kinds = {one: measures_of(truth[here], called[here], one) for one in classifier.classes[1:]}
        out["records"][name] = {
            "unknown": float(unknown[windows.record == number].mean()),
            **{one: asdict(found) | {"called": int(np.sum(called[here] == one))} for one, found in kinds.items()},
        }
        words = (
            f"{one} {m.beats:5d} Se {m.sensitivity:.3f} P+ {m.precision:.3f} F1 {m.f1:.3f}" for one, m in kinds.items()
        )
        print(f"  {name}:", "; ".join(words))
    bins = np.linspace(0, 1, 11)
    p, positive = probabilities[kept, list(classifier.classes).index("V")], truth == "V"
    place = np.clip(np.digitize(p, bins) - 1, 0, 9)
    out["calibration"] = [
        (float(p[place == b].mean()), float(positive[place == b].mean()), int((place == b).sum()))
        for b in range(10) if (place == b).any()
    ]  # fmt: skip
    print("probability of V said, and share that are V:", *(f"{a:.2f}/{b:.2f}" for a, b, _ in out["calibration"]))
    write(arguments.folder / "test.json", out)


class TwoLayer:
    """The two-layer convex network with the logistic loss, as scikit-learn's models are called."""

    def __init__(self) -> None:
        self.words = ""

    def fit(self, X: Array, y: NDArray[np.bool_], sample_weight: Array | None = None) -> "TwoLayer":
        """Train on rows (n, d), weights (n,) of mean 1."""
        ones = np.concatenate([X, np.ones((len(X), 1))], axis=1)
        program = AllPatterns(
            ones, np.where(y, 1.0, -1.0), TWO_LAYER_BETA, LogisticLoss(), ReluFamily(), sample_weight, "offset"
        )
        found = ActiveSetSolver(gap=2e-2, rounds=12, confirm_starts=0).solve(program)
        self.network, self.offset = program.family.network(found.atoms), float(found.free[0])
        self.words = f"{len(found.atoms)} neurons, gap {found.gap:.1e}"
        return self

    def decision_function(self, X: Array) -> Array:
        """Return the log-odds (n,)."""
        return self.network.predict(np.concatenate([X, np.ones((len(X), 1))], axis=1)) + self.offset


def peers() -> dict[str, Callable[[], Any]]:
    """Every peer, to be made anew for every fit."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    def scaled(model: Any) -> Any:
        return make_pipeline(StandardScaler(), model)

    def mlp(layers: tuple[int, ...]) -> Any:
        return scaled(MLPClassifier(layers, alpha=1e-3, early_stopping=True, random_state=0, max_iter=40))

    return {
        "logistic regression": lambda: scaled(LogisticRegression(C=0.01, max_iter=300)),
        "gradient boosting, 300 trees": boosting(HistGradientBoostingClassifier, 300),
        "gradient boosting, 100 trees": boosting(HistGradientBoostingClassifier, 100),
        "MLP 100": lambda: mlp((100,)),
        "MLP 100, 100": lambda: mlp((100, 100)),
        "two-layer convex": TwoLayer,
        "SVM, RBF": lambda: scaled(SVC(C=1.0, gamma="scale")),
    }


def boosting(kind: Any, trees: int) -> Callable[[], Any]:
    """Gradient boosting; 300 trees at a learning rate of .05 were best in first experiments."""
    return lambda: kind(random_state=0, max_iter=trees, l2_regularization=1.0, learning_rate=15 / trees)


def scores_of(model: Any, X: Array) -> Array:
    """Log-odds or margins (n,) of a fitted peer."""
    if hasattr(model, "decision_function"):
        return np.asarray(model.decision_function(X))
    p = np.clip(model.predict_proba(X)[:, 1], 1e-12, 1 - 1e-12)
    return np.asarray(np.log(p / (1 - p)))


def fitted(model: Any, X: Array, y: NDArray[np.bool_], weights: Array) -> Any:
    """A peer fitted with weights (n,) of the rows, whichever step of a pipeline takes them."""
    last = getattr(model, "steps", None)
    return model.fit(X, y, **{f"{last[-1][0]}__sample_weight" if last else "sample_weight": weights})


def peer_machine(
    make: Callable[[], Any], windows: BeatWindows, truth: NDArray[np.str_], name: str, options: TrainOptions,
    copies: Copies | None,
) -> dict[str, Any]:  # fmt: skip
    """One class by one peer: its model, its calibrated log-odds of rows, threshold, seconds of the last fit.

    It learns from the beats that ours learns from, those of copies included, with their weights.
    """
    X, y = windows.X[:, :-1], truth == name
    rows, (folds, _) = rows_of(truth, name, options), patient_folds(windows, truth, options)

    def fit(used: NDArray[np.intp], left_out: int | None) -> Any:
        X_used, y_used, record = X[used], y[used], windows.record[used]
        if copies is not None:
            stay = np.flatnonzero(~np.isin(copies.source, windows.record[folds == left_out]))
            X_used = np.concatenate([X_used, copies.windows.X[stay, :-1]])
            y_used = np.concatenate([y_used, copies.truth[stay] == name])
            record = np.concatenate([record, len(windows.records) + copies.windows.record[stay]])
        weights = loss_weights(np.where(y_used, 1.0, -1.0), record, "patients")
        assert weights is not None
        return fitted(make(), X_used, y_used, weights)

    held = np.zeros(len(y))
    for fold in np.unique(folds):
        held[folds == fold] = scores_of(fit(rows[folds[rows] != fold], fold), X[folds == fold])
    slope, shift = calibration(held, y)
    held = slope * held + shift
    threshold, f1 = best_threshold(held, y)
    started = time.process_time()
    model = fit(rows, None)
    seconds = time.process_time() - started
    return {
        "model": model, "log_odds": lambda T: slope * scores_of(model, T) + shift, "held": held,
        "threshold": threshold, "held_out_f1": f1,
        "held_out_ap": average_precision(held, y), "seconds": seconds, "words": getattr(model, "words", ""),
    }  # fmt: skip


def run_peers(arguments: Namespace) -> None:
    """Train and evaluate the peers: a machine for each class but the first, with the weights that ours have."""
    windows, truth = beats_of(arguments, DS1)
    test_windows, test_truth = beats_of(arguments, DS2)
    options = chosen(arguments)
    records = recordings(arguments.database, DS1)
    copies = copies_of(records, [beat_windows(record) for record in records], options)
    stored = arguments.folder / f"peers_{len(arguments.classes)}.json"
    out: dict[str, Any] = json.loads(stored.read_text()) if stored.is_file() else {}
    for name, make in peers().items():
        if name in out or name not in (arguments.peer or [name]):
            continue
        machines = {one: peer_machine(make, windows, truth, one, options, copies) for one in arguments.classes[1:]}
        held = np.stack([machine["held"] for machine in machines.values()], axis=1)
        thresholds = joint_thresholds(held, truth[:, None] == np.array(arguments.classes[1:]))
        for machine, threshold in zip(machines.values(), thresholds, strict=True):
            machine["threshold"] = float(threshold)
        T = test_windows.X[:, :-1]
        scores = {one: machine["log_odds"](T) for one, machine in machines.items()}
        above = np.stack([scores[one] - machine["threshold"] for one, machine in machines.items()], axis=1)
        others = np.array(arguments.classes[1:])
        called = np.where(above.max(axis=1) > 0, others[np.argmax(above, axis=1)], arguments.classes[0])
        out[name] = {"classes": {}}
        for one, machine in machines.items():
            found = measures(test_truth, called, scores[one], test_windows.record, one)
            found |= {key: machine[key] for key in ("threshold", "held_out_f1", "held_out_ap", "seconds")}
            for key, odds in (("f1_at_half", scores_of(machine["model"], T)), ("f1_at_calibrated_half", scores[one])):
                found[key] = measures_of(test_truth, np.where(odds > 0, one, ""), one).f1
            out[name]["classes"][one] = found
            words = f"held out {found['held_out_f1']:.3f}; {found['seconds']:.1f} s {machine['words']}"
            print(line(f"{name}, {one}", found, words), flush=True)
            print(f"{'':34s} at p = .5: F1 {found['f1_at_half']:.3f}", flush=True)
        if len(machines) == 2:
            out[name]["jk"] = jk_of(test_truth, called)
            out[name]["jk_interval"] = jk_interval(test_truth, called, test_windows.record)
            print(f"{'':34s} jk {out[name]['jk']:.3f}", flush=True)
        write(stored, out)


def jk_of(truth: NDArray[np.str_], called: NDArray[np.str_]) -> float:
    """The jk index of N, S and V."""
    return jk_index(confusion(truth, called, ["N", "S", "V"], ["N", "S", "V"]))


def jk_interval(truth: NDArray[np.str_], called: NDArray[np.str_], record: NDArray[np.intp]) -> tuple[float, float]:
    """Its interval over patients."""
    return bootstrap(record, lambda i: jk_of(truth[i], called[i]), DRAWS)


def noisy(recording: Recording, kind: str, ratio: float, seed: int) -> Recording:
    """A recording with noise at a signal-to-noise ratio in dB, of the power between 0.5 and 40 Hz."""
    from scipy.signal import butter, sosfilt, sosfiltfilt

    random, rate = np.random.default_rng(seed), recording.sampling_frequency
    noise = random.standard_normal(len(recording.signal))
    band = KINDS[kind]
    if band is not None:
        noise = sosfilt(butter(2, band, "band", fs=rate, output="sos"), noise)
    clean = sosfiltfilt(butter(2, (0.5, 40.0), "band", fs=rate, output="sos"), np.nan_to_num(recording.signal))
    noise *= clean.std() / noise.std() * 10 ** (-ratio / 20)
    return replace(recording, signal=recording.signal + noise)


def run_noise(arguments: Namespace) -> None:
    """F1 of V with noise in five minutes of each record of DS2; ours and boosting's, thresholds from clean DS1.

    Needs the results of 'train'.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    classifier = ConvexBeatClassifier.load(arguments.folder / "model")
    windows, truth = beats_of(arguments, DS1)
    theirs = peer_machine(boosting(HistGradientBoostingClassifier, 100), windows, truth, "V", chosen(arguments), None)
    clean = [read_recording(arguments.database / name, "MLII", end=NOISY_SECONDS) for name in DS2]

    def evaluate(changed: list[Recording]) -> tuple[float, float]:
        parts = joined([beat_windows(one) for one in changed])
        parts = parts.subset(np.isin(class_of(parts.symbols), ["N", "V"]))
        there = class_of(parts.symbols)
        ours = measures_of(there, classifier.decide(classifier.log_odds(parts)), "V").f1
        called = np.where(theirs["log_odds"](parts.X[:, :-1]) > theirs["threshold"], "V", "N")
        return ours, measures_of(there, called, "V").f1

    def at_rate(target: float) -> list[Recording]:
        return [read_recording(arguments.database / name, "MLII", end=NOISY_SECONDS, resample=target) for name in DS2]

    changes: dict[str, Callable[[], list[Recording]]] = {"clean": lambda: clean}
    for kind in KINDS:
        for ratio in RATIOS:
            changes[f"{kind} {ratio}"] = lambda kind=kind, ratio=ratio: [  # type: ignore[misc]
                noisy(one, kind, ratio, number) for number, one in enumerate(clean)
            ]
    changes |= {"250 Hz": lambda: at_rate(250.0), "128 Hz": lambda: at_rate(128.0)}
    changes["V1"] = lambda: [one for name in DS2 if (one := other_lead(arguments.database / name)) is not None]
    stored = arguments.folder / "noise.json"
    out: dict[str, tuple[float, float]] = json.loads(stored.read_text()) if stored.is_file() else {}
    for name in [name for name in changes if name not in out]:
        out[name] = evaluate(changes[name]())
        print(f"{name}: ours {out[name][0]:.3f}, boosting {out[name][1]:.3f}", flush=True)
        write(stored, out)
    draw_noise(out, arguments.folder / "beats_noise.png")


def draw_noise(found: dict[str, tuple[float, float]], path: Path) -> None:
    """Draw F1 against the signal-to-noise ratio, a panel a kind of noise."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(9, 3), sharey=True, layout="constrained")
    for axis, kind in zip(axes, KINDS, strict=True):
        for place, label, style in ((0, "convex filters", "o-"), (1, "boosting, 100 trees", "s--")):
            axis.plot(RATIOS, [found[f"{kind} {ratio}"][place] for ratio in RATIOS], style, label=label)
        axis.set(title=kind, xlabel="signal-to-noise ratio (dB)", ylim=(0, 1))
        axis.invert_xaxis()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("F1 of V, DS2")
    axes[0].legend()
    save_figure(figure, path)


def other_lead(path: Path) -> Recording | None:
    """The record's lead V1, None without one."""
    from ecgcvx.errors import RecordError

    try:
        return read_recording(path, "V1", end=NOISY_SECONDS)
    except RecordError:
        return None


def run_proof(arguments: Namespace) -> None:
    """Prove gaps on 1,000 beats of V and 3,000 of N at betas from large to small, 100 s each."""
    windows, truth = beats_of(arguments, DS1)
    random = np.random.default_rng(0)
    drawn = [random.permutation(np.flatnonzero(truth == name))[:count] for name, count in (("V", 1000), ("N", 3000))]
    rows = np.sort(np.concatenate(drawn))
    part, there = windows.subset(rows), truth[rows]
    out = []
    for beta, taps in PROOF:
        program = program_of(part, there, "V", Setting(taps, beta), TrainOptions())
        started = time.process_time()
        machine = train_machine("V", program, ActiveSetSolver(gap=1e-3, rounds=40, confirm_starts=300))
        trained = time.process_time() - started
        assert machine.atoms is not None
        proved, bound = prove_machine(program, machine.atoms, 100.0)
        out.append({
            "beta": beta, "taps": taps, "filters": machine.network.neurons, "searched": machine.gap.relative,
            "proved": proved.relative, "factor": bound.factor, "cells": bound.cells, "status": bound.status,
            "training_seconds": trained, "seconds": time.process_time() - started - trained,
        })  # fmt: skip
        print(out[-1], flush=True)
        write(arguments.folder / "proof.json", out)


def run_seeds(arguments: Namespace) -> None:
    """The network for V in the setting chosen at two seeds, on DS2, as it comes from the program: V from p = .5 on."""
    windows, truth = beats_of(arguments, DS1)
    test_windows, test_truth = beats_of(arguments, DS2)
    X = test_windows.X
    out = []
    for seed in (0, 1):
        options = chosen(arguments, seed)
        program = program_of(windows, truth, "V", options.settings[0], options)
        started = time.process_time()
        machine = train_machine("V", program, options.solver)
        seconds = time.process_time() - started
        scores = machine.scores(X)
        found = measures(test_truth, np.where(scores > 0, "V", "N"), scores, test_windows.record, "V")
        found |= {"filters": machine.network.neurons, "gap": machine.gap.relative, "seconds": seconds, "seed": seed}
        found |= {"objective": machine.gap.primal, "parameters": machine.network.W1.size + machine.network.W2.size + 1}
        out.append(found)
        words = f"{found['filters']} filters, {found['parameters']} weights, gap {found['gap']:.1e}, {seconds:.1f} s"
        print(line(f"seed {seed}, p = .5", found, words), flush=True)
        write(arguments.folder / "seeds.json", out)


def run_stream(arguments: Namespace) -> None:
    """Stream ten minutes of three records of DS2 in chunks of 100 ms."""
    classifier = ConvexBeatClassifier.load(arguments.folder / "model")
    for name in STREAMED:
        recording = read_recording(arguments.database / name, "MLII", end=STREAMED_SECONDS)
        batch, beats = classifier.classify(recording), find_beats(recording)
        assert beats is not None
        known = dict(zip(batch.samples.tolist(), batch.classes, strict=True))
        rate, peaks = recording.sampling_frequency, beats.samples
        stream, found, chunk = BeatStream(classifier, rate), [], round(0.1 * rate)
        started = time.process_time()
        for first in range(0, len(recording.signal), chunk):
            here = peaks[(peaks >= first) & (peaks < first + chunk)].tolist()
            found += stream.push(recording.signal[first : first + chunk], here)
        seconds = time.process_time() - started
        same = np.mean([known.get(beat.sample) == beat.name for beat in found])
        delays = np.quantile([beat.delay for beat in found], [0.5, 0.95])
        print(
            f"{name}: {len(found)} beats, {same:.4f} as in the whole record, delay {delays[0]:.2f} s (median), "
            f"{delays[1]:.2f} s (95 %), {1e3 * seconds / len(found):.1f} ms a beat",
            flush=True,
        )


if __name__ == "__main__":
    main()
