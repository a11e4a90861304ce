"""Model files: damage is refused; a file that is read holds the model that was written, or one that its digest names.

Half of the inputs are bytes of a file of some network with damage. In the other half somebody has changed metadata or
tensors and computed the digest anew: such a file is refused, or it is a model that gives forecasts.
"""

import hashlib
import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from attack.common import main, pick, refusal
from attack.damage import damaged, hostile_json, json_text
from ecgcvx.activations import QUADRATIC, RELU_LIKE
from ecgcvx.errors import ModelError
from ecgcvx.forecaster import Forecaster
from ecgcvx.model_file import digest, load
from ecgcvx.models import GatedNetwork, Model, PolynomialNetwork, ReluNetwork, Stack, Stage
from ecgcvx.models.batch_norm import FoldedNetwork
from ecgcvx.models.convolutional import ConvolutionalNetwork
from ecgcvx.models.three_layer import ThreeLayerNetwork
from ecgcvx.patches import Convolution
from ecgcvx.training_range import TrainingRange
from ecgcvx.windows import Scaler

WINDOW = 4
INPUTS = WINDOW + 1


@cache
def written() -> tuple[tuple[bytes, str, dict[str, Any], dict[str, np.ndarray]], ...]:
    """A file of every network: its bytes, digest, metadata and tensors."""
    random = np.random.default_rng(0)

    def weights(*shape: int) -> np.ndarray:
        return random.standard_normal(shape)

    relu = ReluNetwork(weights(INPUTS, 3), weights(3))
    second = Stage(weights(INPUTS + 3, 2), weights(2), ReluNetwork(weights(2, 2), weights(2)), 1e-3)
    lowest = Stage(weights(INPUTS, 3), weights(3), ReluNetwork(weights(3, 3), weights(3)), 1e-3)
    networks: dict[str, Model] = {
        "relu": relu,
        "gated": GatedNetwork(weights(INPUTS, 3), weights(3), weights(INPUTS, 3)),
        "polynomial": PolynomialNetwork(weights(INPUTS, 2), weights(2), RELU_LIKE),
        "quadratic": PolynomialNetwork(weights(INPUTS, 2), weights(2), QUADRATIC),
        "conv": ConvolutionalNetwork(weights(3, 2), weights(2), Convolution(2), INPUTS),
        "batchnorm": FoldedNetwork(weights(INPUTS, 3), weights(3), "after"),
        "three-layer": ThreeLayerNetwork(weights(2, 2, INPUTS), np.ones((2, 2)), weights(2), False),
        "stack": Stack(((lowest, second),)),
    }
    found = []
    for kind, network in networks.items():
        forecaster = Forecaster(network, Scaler(0.1, 0.5), "MLII", 360.0, WINDOW, 1, 1e-3, kind, "mV")
        metadata: dict[str, Any] = {
            "version": "0", "format": 4, "network": kind, "attributes": network.attributes(),
            "scaler": {"mean": 0.1, "scale": 0.5}, "lead": "MLII", "sampling_frequency": 360.0, "window": WINDOW,
            "horizon": 1, "beta": 1e-3, "unit": "mV",
        }  # fmt: skip
        found.append((pack(metadata, network.tensors()), digest(forecaster), metadata, network.tensors()))
        known = TrainingRange(-2.0, 2.0, np.eye(INPUTS)[:, :WINDOW], 3.0, np.ones(INPUTS))
        metadata |= {"format": 5, "training_range": {"low": -2.0, "high": 2.0, "limit": 3.0}}
        tensors = network.tensors() | {
            "training_range.whitening": known.whitening,
            "training_range.linear": known.linear,
        }
        own = digest(replace(forecaster, training_range=known))
        found.append((pack(metadata, tensors), own, metadata, tensors))
    return tuple(found)


def pack(metadata: Any, tensors: dict[str, np.ndarray], text: str | None = None) -> bytes:
    """A file with the digest that belongs to its content, written out from its definition."""
    if isinstance(metadata, dict):
        settings = {key: value for key, value in metadata.items() if key not in ("version", "digest")}
        content = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for name, tensor in sorted(tensors.items()):
            content.update(f"\n{name} {tensor.shape}\n".encode() + np.ascontiguousarray(tensor).tobytes())
        metadata = metadata | {"digest": content.hexdigest()}
    arrays = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    return bytes(save(arrays, metadata={"ecgcvx": json.dumps(metadata) if text is None else text}))


def hostile_tensors(random: np.random.Generator, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tensors with one of another shape, type or content, one more, or one less."""
    name = pick(random, tuple(tensors))
    tensor, found = tensors[name], dict(tensors)
    what = int(random.integers(7))
    if what == 0:
        del found[name]
    elif what == 1:
        found["more"] = tensor
    elif what == 2:
        found[name] = np.zeros(tuple(random.integers(0, 4, int(random.integers(4)))))
    elif what == 3:
        found[name] = tensor.astype(pick(random, ("f4", "i8", "u1", "?", "f2")))
    elif what == 4:
        found[name] = np.where(random.random(tensor.shape) < 0.5, pick(random, (np.nan, np.inf, 1e300, 1e-320)), tensor)
    elif what == 5:
        found[name] = tensor.T.copy()
    else:
        found[name] = np.concatenate([tensor, tensor]) if tensor.ndim else tensor
    return found


def try_one(random: np.random.Generator, folder: Path) -> str:
    """Load a model as written, damaged or forged."""
    data, own, metadata, tensors = pick(random, written())
    what, data = changed(random, data, metadata, tensors)
    file = folder / "model.safetensors"
    file.write_bytes(data)
    try:
        found = load(file)
    except ModelError as error:
        said = str(error)
        assert what != "whole", f"refused: {said}"
        return refusal(error)
    if what in ("whole", "bytes"):
        assert digest(found) == own, "another model than the one that was written"
        return "read"
    with np.errstate(all="ignore"):
        rows = np.ones((3, found.window + 1))
        assert found.network.predict(rows).shape == (3,)
    return "forged and read"


def changed(
    random: np.random.Generator, data: bytes, metadata: dict[str, Any], tensors: dict[str, np.ndarray]
) -> tuple[str, bytes]:
    """What is done to a file ('whole', 'bytes', 'metadata' or 'tensors'), and its bytes after that."""
    what = pick(random, ("whole", "bytes", "bytes", "bytes", "metadata", "metadata", "tensors"))
    if what == "bytes":
        return what, damaged(random, data)
    if what == "metadata":
        found = hostile_json(random, metadata)
        return what, pack(found, tensors, json_text(random, found) if random.random() < 0.2 else None)
    return what, pack(metadata, hostile_tensors(random, tensors)) if what == "tensors" else data


if __name__ == "__main__":
    sys.exit(main(try_one, (__doc__ or "").splitlines()[0]))
