"""The trained classifier of beats: a convolutional network for each class but the first, calibrated, in one file."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ecgcvx.beats import Beats, counts_of
from ecgcvx.classify.classes import UNKNOWN, check_classes
from ecgcvx.classify.machine import Machine, Setting
from ecgcvx.classify.novelty import Novelty
from ecgcvx.classify.windows import CONTEXT, LENGTH, BeatWindows, beat_windows
from ecgcvx.errors import ModelError
from ecgcvx.evidence import Evidence, Gap
from ecgcvx.json_values import number, text
from ecgcvx.models.convolutional import ConvolutionalNetwork
from ecgcvx.patches import Convolution
from ecgcvx.records import Recording
from ecgcvx.tensor_file import digest_of, read_tensors, short, write_tensors
from ecgcvx.types import Array, Progress

FORMAT = 4
LONGEST_TEXT = 1000  # characters
MOST_CLASSES = 4


@dataclass(frozen=True, eq=False)
class ClassifiedBeats:
    """n beats of a recording with their classes.

    samples : (n,) R peaks in samples of the recording. classes : (n,) of those of the classifier, 'Q' where the beat is
    like nothing in training. probabilities : (n, classes) calibrated on people that a training did not see; those of
    unknown beats say little. unknown : (n,). distances : (n,) by which it is decided, 1 and more: unknown. source :
    'annotations' or 'detector', of the R peaks. windows : what was classified. left_out : beats over a gap or an end.
    """

    samples: NDArray[np.int64]
    classes: NDArray[np.str_]
    probabilities: Array
    unknown: NDArray[np.bool_]
    distances: Array
    source: str
    windows: BeatWindows
    left_out: int

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def counts(self) -> dict[str, int]:
        """Number of beats of every class, most frequent first."""
        return counts_of(self.classes)


@dataclass(frozen=True, eq=False)
class ConvexBeatClassifier:
    """Tells the beats of people apart that it never saw. No medical device.

        classifier = ConvexBeatClassifier.train([read_recording(f"mitdb/{n}") for n in (106, 119, 208, 223)])
        found = classifier.classify(read_recording("mitdb/200"))

    classes : N, S, V or F, the usual one first. machines : one for each class but the first, against all others.
    novelty : what tells unknown beats. lead : of its training. training : what is known of it, as JSON has it.

    With z_k the calibrated log-odds of class k against the others and z = 0 for the first class, the probabilities are
    p_k = exp(z_k) / sum_j exp(z_j), and a beat is of the class whose z_k exceeds its threshold most, else of the first.
    """

    classes: tuple[str, ...]
    machines: tuple[Machine, ...]
    novelty: Novelty
    setting: Setting
    lead: str
    training: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def train(
        recordings: Sequence[Recording], classes: Sequence[str] = ("N", "V"), *, progress: Progress | None = None,
        **options: Any,
    ) -> "ConvexBeatClassifier":  # fmt: skip
        """Train on annotated recordings, taken as one patient each; options are those of `TrainOptions`.

        Raises InputError for recordings that cannot be used: without annotations, of one class only, paced, or with
        too few beats.
        """
        from ecgcvx.classify.training import TrainOptions, train

        return train(recordings, TrainOptions(classes=tuple(classes), **options), progress).classifier

    @property
    def filters(self) -> int:
        """Number of filters of all machines."""
        return sum(machine.network.neurons for machine in self.machines)

    @property
    def parameters(self) -> int:
        """Number of weights of all machines, with offsets and calibrations."""
        return sum(machine.network.W1.size + machine.network.W2.size + 3 for machine in self.machines)

    def log_odds(self, windows: BeatWindows) -> Array:
        """Return the calibrated log-odds (n, classes - 1) of every class but the first."""
        X = windows.X
        return np.stack([machine.log_odds(X) for machine in self.machines], axis=1)

    def probabilities(self, log_odds: Array) -> Array:
        """Return the probabilities (n, classes) for log-odds (n, classes - 1)."""
        z = np.concatenate([np.zeros((len(log_odds), 1)), log_odds], axis=1)
        p = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(p / p.sum(axis=1, keepdims=True))

    def decide(self, log_odds: Array) -> NDArray[np.str_]:
        """Return the class (n,) for log-odds (n, classes - 1)."""
        above = log_odds - np.array([machine.threshold for machine in self.machines])
        best = np.argmax(above, axis=1)
        return np.where(above[np.arange(len(above)), best] > 0, np.array(self.classes[1:])[best], self.classes[0])

    def classify(self, recording: Recording, beats: Beats | None = None) -> ClassifiedBeats:
        """Classify the beats of a recording, by default those of its annotation or of the detector.

        Raises InputError for a recording without beats, or sampled too slowly.
        """
        from ecgcvx.beats import find_beats

        beats = find_beats(recording) if beats is None else beats
        windows = beat_windows(recording, beats)
        assert beats is not None  # or there were no windows
        log_odds = self.log_odds(windows)
        distances = self.novelty.distances(windows.signal) / self.novelty.limit
        unknown = distances > 1
        classes = np.where(unknown, UNKNOWN, self.decide(log_odds))
        return ClassifiedBeats(
            windows.samples, classes, self.probabilities(log_odds), unknown, distances, beats.source, windows,
            len(beats) - len(windows),
        )  # fmt: skip

    def save(self, path: str | Path) -> None:
        """Write the file of the classifier, safetensors with a digest."""
        write_tensors(Path(path), _tensors(self), _settings(self))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a classifier from its file or the output folder of its training.

        Raises ModelError when it is missing, damaged, changed since it was written, or something else.
        """
        file, tensors, metadata = read_tensors(path, "ecgcvx classify train")
        if "classes" not in metadata:
            raise ModelError(f"{file}: no classifier of beats; give the output folder of `ecgcvx classify train`")
        if metadata.get("format") != FORMAT:
            raise ModelError(
                f"{file}: format {metadata.get('format')!r} of a classifier, this version reads {FORMAT}; update ecgcvx"
            )
        try:
            found = cls(**_fields(tensors, metadata))
            changed = metadata.get("digest") != digest_of(_tensors(found), _settings(found))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise ModelError(f"{file}: damaged classifier ({short(error)}); train again") from None
        if changed or set(_tensors(found)) != set(tensors):
            raise ModelError(f"{file}: its digest does not match its content: the file was changed; train again")
        return found


def _tensors(classifier: ConvexBeatClassifier) -> dict[str, Array]:
    novelty = classifier.novelty
    out = {"novelty.mean": novelty.mean, "novelty.axes": novelty.axes, "novelty.variances": novelty.variances}
    for machine in classifier.machines:
        out |= {f"{machine.name}.W1": machine.network.W1, f"{machine.name}.W2": machine.network.W2}
    return out


def _settings(classifier: ConvexBeatClassifier) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "classes": list(classifier.classes),
        "lead": classifier.lead,
        "setting": asdict(classifier.setting),
        "novelty": {"rest": classifier.novelty.rest, "limit": classifier.novelty.limit},
        "machines": {
            machine.name: {
                **{name: getattr(machine, name) for name in ("offset", "slope", "shift", "threshold", "status")},
                "gap": {**asdict(machine.gap), "evidence": machine.gap.evidence.value},
            }
            for machine in classifier.machines
        },
        "training": classifier.training,
    }


def _fields(tensors: dict[str, Array], metadata: dict[str, Any]) -> dict[str, Any]:
    """The fields of a classifier; KeyError, TypeError, ValueError or InputError for what does not fit."""
    classes = check_classes(metadata["classes"])
    setting = Setting(**metadata["setting"])
    return {
        "classes": classes,
        "machines": tuple(_machine(name, tensors, metadata["machines"][name], setting) for name in classes[1:]),
        "novelty": _novelty(tensors, metadata["novelty"]),
        "setting": setting,
        "lead": text(metadata["lead"], "lead", longest=LONGEST_TEXT),
        "training": dict(metadata["training"]),
    }


def _machine(name: str, tensors: dict[str, Array], known: dict[str, Any], setting: Setting) -> Machine:
    convolution: Convolution = setting.convolution
    network = ConvolutionalNetwork(tensors[f"{name}.W1"], tensors[f"{name}.W2"], convolution, LENGTH + CONTEXT)
    primal, dual = (number(known["gap"][key], key) for key in ("primal", "dual"))
    detail, whose = (text(known["gap"][key], key, longest=LONGEST_TEXT) for key in ("detail", "whose"))
    gap = Gap(primal, dual, Evidence(known["gap"]["evidence"]), detail, whose)
    offset, slope, shift, threshold = (number(known[key], key) for key in ("offset", "slope", "shift", "threshold"))
    status = text(known["status"], "status", longest=LONGEST_TEXT)
    return Machine(name, network, offset, gap, status, slope, shift, threshold)


def _novelty(tensors: dict[str, Array], known: dict[str, Any]) -> Novelty:
    mean, axes, variances = (tensors[f"novelty.{name}"] for name in ("mean", "axes", "variances"))
    if mean.shape != (LENGTH,) or axes.shape != (*variances.shape, LENGTH) or not (variances > 0).all():
        raise ValueError(f"novelty of shapes {mean.shape}, {axes.shape}, {variances.shape}")
    rest, limit = (number(known[name], name, positive=True) for name in ("rest", "limit"))
    if not all(np.isfinite(array).all() for array in (mean, axes, variances)):
        raise ValueError("novelty: a number that is not finite")
    return Novelty(mean, axes, variances, rest, limit)
