"""Files of beat classifiers: damage is refused; a file that is read holds what was written or what its digest names."""

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load as tensors_of

from attack.common import main, pick, refusal
from attack.models import changed
from ecgcvx.classify import ConvexBeatClassifier
from ecgcvx.classify.machine import Machine, Setting
from ecgcvx.classify.novelty import Novelty
from ecgcvx.classify.windows import CONTEXT, LENGTH
from ecgcvx.errors import ModelError
from ecgcvx.evidence import Evidence, Gap
from ecgcvx.models.convolutional import ConvolutionalNetwork


@cache
def written() -> tuple[tuple[bytes, dict[str, Any], dict[str, np.ndarray]], ...]:
    """The files of a classifier of two classes and of one of three: bytes, metadata and tensors."""
    import tempfile

    random, setting, found = np.random.default_rng(0), Setting(9, 1e-3), []
    novelty = Novelty(random.standard_normal(LENGTH), np.eye(LENGTH)[:3], np.array([3.0, 2.0, 1.0]), 0.5, 2.0)
    for classes in (("N", "V"), ("N", "S", "V")):
        machines = tuple(
            Machine(
                name,
                ConvolutionalNetwork(
                    random.standard_normal((9 + CONTEXT, 2)), np.array([1.0, -1.0]), setting.convolution,
                    LENGTH + CONTEXT,
                ),
                0.1, Gap(1.0, 0.9, Evidence.SEARCHED, "20 starts"), "optimal",
            )
            for name in classes[1:]
        )  # fmt: skip
        classifier = ConvexBeatClassifier(classes, machines, novelty, setting, "MLII", {"patients": 3})
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.safetensors"
            classifier.save(path)
            with safe_open(path, framework="numpy") as file:
                metadata = json.loads(file.metadata()["ecgcvx"])
            found.append((path.read_bytes(), metadata, tensors_of(path.read_bytes())))
    return tuple(found)


def try_one(random: np.random.Generator, folder: Path) -> str:
    """Load a classifier as written, damaged or forged."""
    whole, metadata, tensors = pick(random, written())
    what, data = changed(random, whole, metadata, tensors)
    file = folder / "model.safetensors"
    file.write_bytes(data)
    try:
        found = ConvexBeatClassifier.load(file)
    except ModelError as error:
        said = str(error)
        assert what != "whole", f"refused: {said}"
        return refusal(error)
    if what in ("whole", "bytes"):
        found.save(folder / "again.safetensors")
        assert (folder / "again.safetensors").read_bytes() == whole, "another model than the one that was written"
        return "read"
    with np.errstate(all="ignore"):
        rows = np.ones((3, LENGTH + CONTEXT))
        assert all(machine.log_odds(rows).shape == (3,) for machine in found.machines)
        assert found.novelty.distances(rows[:, :LENGTH]).shape == (3,)
    return "forged and read"


if __name__ == "__main__":
    sys.exit(main(try_one, (__doc__ or "").splitlines()[0]))
