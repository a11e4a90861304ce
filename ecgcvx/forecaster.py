"""A network with what it needs to forecast a recording in mV, and its file: safetensors with JSON metadata."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecgcvx import __version__
from ecgcvx.activations import Polynomial
from ecgcvx.errors import InputError, ModelError
from ecgcvx.files import atomic_write
from ecgcvx.networks import Network
from ecgcvx.records import Recording
from ecgcvx.stacks.network import Stack, Stage
from ecgcvx.types import Array
from ecgcvx.windows import Scaler, Windows, all_windows, split_windows

FORMAT = 1
FORMAT_POLYNOMIAL = 2  # with an activation, which a reader of format 1 alone would take for a ReLU
FORMAT_STACK = 3  # of stages, each with a projection and a linear part


@dataclass(frozen=True, eq=False)
class Forecaster:
    """A network, its scaler (mV), and the recording it was made for.

    lead and sampling_frequency (Hz) name the signal that it takes; window and horizon are in samples; beta is the
    weight of the penalty that it was trained with, of a stack that of its last stage.
    """

    network: Network | Stack
    scaler: Scaler
    lead: str
    sampling_frequency: float
    window: int
    horizon: int
    beta: float

    @property
    def two_layers(self) -> Network:
        """The network; ModelError when it is a stack."""
        if isinstance(self.network, Stack):
            raise ModelError("model: it is a stack of networks; this takes a single two-layer network")
        return self.network

    def predict(self, recording: Recording) -> Array:
        """Return the forecast of every sample (samples,) in mV, made `horizon` samples before it; NaN where none is.

        Raises ModelError when the recording has another sampling frequency, InputError when it holds no whole window.
        """
        if not np.isclose(recording.sampling_frequency, self.sampling_frequency, rtol=1e-6):
            raise ModelError(
                f"{recording.name}: sampled at {recording.sampling_frequency:g} Hz, but the model was trained at "
                f"{self.sampling_frequency:g} Hz; resample the record or train on it"
            )
        windows = all_windows(recording.signal, self.scaler, self.window, self.horizon)
        out = np.full(len(recording.signal), np.nan)
        out[windows.targets] = self.scaler.restore(self.network.predict(windows.X))
        return out

    def training_windows(self, recording: Recording, train_fraction: float) -> Windows:
        """Return the windows that it was trained on.

        Raises ModelError when the training part of the recording is not the one that the scaler belongs to.
        """
        split = split_windows(recording.signal, self.window, self.horizon, train_fraction)
        same = np.allclose([split.scaler.mean, split.scaler.scale], [self.scaler.mean, self.scaler.scale], rtol=1e-9)
        if not same or recording.sampling_frequency != self.sampling_frequency:
            raise ModelError(
                f"{recording.name}: its training part is not what the model was trained on; give the record, lead, "
                "start, end and train fraction of the fit"
            )
        return split.train


def save(forecaster: Forecaster, path: Path) -> None:
    """Write a model file; a file that is there already is replaced whole or not at all."""
    from safetensors.numpy import save as to_bytes

    network = forecaster.network
    metadata: dict[str, Any] = {
        "format": FORMAT,
        "version": __version__,
        "scaler": asdict(forecaster.scaler),
        **{name: getattr(forecaster, name) for name in ("lead", "sampling_frequency", "window", "horizon", "beta")},
    }
    if isinstance(network, Stack):
        metadata |= {"format": FORMAT_STACK, "betas": [[stage.beta for stage in member] for member in network.members]}
        tensors = _stack_tensors(network)
    else:
        tensors = {"W1": network.W1, "W2": network.W2}
        if network.gates is not None:
            tensors["gates"] = network.gates
        if network.polynomial is not None:
            metadata |= {"format": FORMAT_POLYNOMIAL, "activation": {"polynomial": list(network.polynomial)}}
    data = to_bytes(tensors, metadata={"ecgcvx": json.dumps(metadata)})
    atomic_write(path, lambda file: file.write(data))


def load(path: Path) -> Forecaster:
    """Read a model file, or the model of an output folder.

    Raises ModelError when it is missing, damaged, not of this program or of a newer one.
    """
    file = path / "model.safetensors" if path.is_dir() else path
    tensors, metadata = _read(file)
    if metadata.get("format") not in (FORMAT, FORMAT_POLYNOMIAL, FORMAT_STACK):
        raise ModelError(
            f"{file}: model format {metadata.get('format')}, this version reads {FORMAT} to {FORMAT_STACK}; "
            "update ecgcvx or fit again"
        )
    try:
        network: Network | Stack
        if metadata["format"] == FORMAT_STACK:
            network = _stack_of(tensors, metadata["betas"])
            inputs = network.inputs
        else:
            polynomial = None
            if metadata["format"] == FORMAT_POLYNOMIAL:
                a, b, c = (float(number) for number in metadata["activation"]["polynomial"])
                polynomial = Polynomial(a, b, c)
            network = Network(tensors["W1"], tensors["W2"], tensors.get("gates"), polynomial)
            inputs = len(network.W1)
        forecaster = Forecaster(
            network,
            Scaler(float(metadata["scaler"]["mean"]), float(metadata["scaler"]["scale"])),
            str(metadata["lead"]),
            float(metadata["sampling_frequency"]),
            int(metadata["window"]),
            int(metadata["horizon"]),
            float(metadata["beta"]),
        )
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise ModelError(f"{file}: damaged model ({type(error).__name__}: {error}); fit again") from None
    if inputs != forecaster.window + 1:
        raise ModelError(f"{file}: the network has {inputs} inputs for windows of {forecaster.window}; fit again")
    return forecaster


def _stack_tensors(stack: Stack) -> dict[str, Array]:
    return {
        f"{k}.{s}.{name}": tensor
        for k, member in enumerate(stack.members)
        for s, stage in enumerate(member)
        for name, tensor in (
            ("projection", stage.projection), ("linear", stage.linear), ("W1", stage.network.W1),
            ("W2", stage.network.W2),
        )
    }  # fmt: skip


def _stack_of(tensors: dict[str, Array], betas: list[list[float]]) -> Stack:
    def stage(k: int, s: int, beta: float) -> Stage:
        projection, linear, W1, W2 = (tensors[f"{k}.{s}.{name}"] for name in ("projection", "linear", "W1", "W2"))
        return Stage(projection, linear, Network(W1, W2), beta)

    return Stack(
        tuple(tuple(stage(k, s, float(beta)) for s, beta in enumerate(member)) for k, member in enumerate(betas))
    )


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="numpy") as model:
            text = (model.metadata() or {}).get("ecgcvx")
            tensors = {name: model.get_tensor(name).astype(np.float64) for name in model.keys()}  # noqa: SIM118
        if text is None:
            raise ModelError(f"{file}: a safetensors file, but not one of ecgcvx; give the output folder of a fit")
        return tensors, json.loads(text)
    except FileNotFoundError:
        raise ModelError(f"{file}: no such file; give the output folder of `ecgcvx fit`") from None
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise ModelError(f"{file}: not a readable model file ({error}); give the output folder of a fit") from None
