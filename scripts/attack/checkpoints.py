"""Checkpoints of streams and of trainings: what is read is what was written; damage and other content are refused."""

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as tensors_of
from safetensors.numpy import save

from attack.common import main, pick, refusal
from attack.damage import damaged, hostile_json
from ecgcvx.atoms.family import Atoms
from ecgcvx.checkpoint import read_checkpoint
from ecgcvx.errors import ModelError, SolverError
from ecgcvx.forecaster import Forecaster
from ecgcvx.models import ReluNetwork
from ecgcvx.solvers.active_set import state as training
from ecgcvx.solvers.active_set.pricing import Bank
from ecgcvx.solvers.active_set.solution import Round
from ecgcvx.streaming import StreamPredictor
from ecgcvx.streaming.predictor import STATE_NAME
from ecgcvx.tensor_file import Layout
from ecgcvx.windows import Scaler

OF = "a problem"


@cache
def stream() -> tuple[Forecaster, bytes, dict[str, Any]]:
    """A model, the checkpoint of a stream of it after some samples, and its head."""
    random = np.random.default_rng(0)
    network = ReluNetwork(random.standard_normal((6, 3)), random.standard_normal(3))
    model = Forecaster(network, Scaler(0.0, 1.0), "II", 360.0, 5, 1, 1e-3)
    predictor = StreamPredictor(model)
    for value in random.standard_normal(50):
        predictor.push(float(value))
    return (model, *_bytes(lambda path: predictor.save(path), STATE_NAME))


@cache
def solver() -> tuple[training.State, bytes, dict[str, Any]]:
    """A state of a training, its checkpoint, and its head."""
    random = np.random.default_rng(0)
    atoms = Atoms(random.standard_normal((4, 3)), np.array([1, 1, -1, 1], np.int8))
    bank = Bank(atoms, random.standard_normal((4, 3, 3)))
    lines = tuple(Round(0.1 * k, 100, 1.0 / (k + 1), 0.1, 0.5, 4, 150, False) for k in range(3))
    state = training.State(0, atoms, atoms, bank, 1e-3, number=3, seconds=1.0, history=lines)
    return (state, *_bytes(lambda path: training.save_state(path, state, OF), training.NAME))


def _bytes(write: Any, name: str) -> tuple[bytes, dict[str, Any]]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        write(path)
        return path.read_bytes(), read_checkpoint(path, name)[0]


def try_one(random: np.random.Generator, folder: Path) -> str:
    """Go on from a checkpoint as written, damaged or forged."""
    streaming = bool(random.random() < 0.5)
    first, data, head = stream() if streaming else solver()
    what = pick(random, ("whole", "bytes", "bytes", "head"))
    if what == "bytes":
        data = damaged(random, data)
    elif what == "head":
        tensors, changed = tensors_of(data), hostile_json(random, head)
        name = STATE_NAME if streaming else training.NAME
        if isinstance(changed, dict):
            changed = changed | {"digest": Layout(name).digest(changed, tensors)}
        data = save(tensors, metadata={name: json.dumps(changed)})
    path = folder / "state.safetensors"
    path.write_bytes(data)
    try:
        if streaming:
            assert isinstance(first, Forecaster)
            resumed = StreamPredictor.resume(first, path)
            resumed.save(folder / "again.safetensors")
            same = (folder / "again.safetensors").read_bytes() == stream()[1]
        else:
            found = training.load_state(path, OF)
            training.save_state(folder / "again.safetensors", found, OF)
            same = (folder / "again.safetensors").read_bytes() == solver()[1]
    except (ModelError, SolverError) as error:
        said = str(error)
        assert what != "whole", f"refused: {said}"
        return refusal(error)
    assert same or what == "head", "went on from something else than what was written"
    return "read" if same else "forged and read"


if __name__ == "__main__":
    sys.exit(main(try_one, (__doc__ or "").splitlines()[0]))
