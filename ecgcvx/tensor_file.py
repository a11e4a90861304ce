"""Arrays and JSON settings in one safetensors file, with a digest over both. Nothing in it can execute code."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ecgcvx import __version__
from ecgcvx.errors import ModelError
from ecgcvx.files import atomic_write, settle
from ecgcvx.types import Array

FILE = "model.safetensors"  # in the output folder of a training


def write_tensors(path: Path, tensors: Mapping[str, Array], settings: Mapping[str, Any]) -> None:
    """Write arrays and settings; a file that is there already is replaced whole or not at all."""
    from safetensors.numpy import save as to_bytes

    # safetensors writes the memory of an array as it lies, whatever its strides say.
    packed = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    metadata = {"version": __version__, **settings, "digest": digest_of(tensors, settings)}
    data = to_bytes(packed, metadata={"ecgcvx": json.dumps(metadata, allow_nan=False)})
    atomic_write(path, lambda file: file.write(data))


def digest_of(tensors: Mapping[str, Array], settings: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all arrays and settings."""
    found = hashlib.sha256(json.dumps(settings, sort_keys=True, allow_nan=False).encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"\n{name} {tensor.shape}\n".encode())
        found.update(np.ascontiguousarray(tensor, dtype="<f8").tobytes())
    return found.hexdigest()


def read_tensors(path: str | Path, maker: str) -> tuple[Path, dict[str, Array], dict[str, Any]]:
    """Read the file at a path, or that of an output folder; return its own path, arrays in float64, and metadata.

    maker : the command whose folder is wanted, for messages, e.g. 'ecgcvx fit'. The digest is for the caller to check.

    Raises ModelError when it is missing, damaged or not of this program.
    """
    from safetensors import SafetensorError, safe_open

    file = Path(path)
    if file.is_dir():
        file = file / FILE
    settle(file.parent)
    try:
        with safe_open(str(file), framework="numpy") as model:
            text = (model.metadata() or {}).get("ecgcvx")
            tensors = {name: _double(model.get_tensor(name), name) for name in model.keys()}  # noqa: SIM118
        if text is None:
            raise ModelError(f"{file}: a safetensors file, but not one of ecgcvx; give the output folder of {maker}")
        metadata = json.loads(text, parse_constant=_refuse)
    except FileNotFoundError:
        raise ModelError(f"{file}: no such file; give the output folder of `{maker}`") from None
    except (SafetensorError, OSError, ValueError, TypeError, RecursionError, AttributeError) as error:
        raise ModelError(
            f"{file}: not a readable model file ({short(error)}); give the output folder of {maker}"
        ) from None
    if not isinstance(metadata, dict):
        raise ModelError(f"{file}: not a readable model file (no JSON object); give the output folder of {maker}")
    return file, tensors, metadata


def short(error: Exception) -> str:
    """A message on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


def _double(tensor: Any, name: str) -> Array:
    if tensor.dtype != np.float64:
        raise TypeError(f"{name} has type {tensor.dtype}, not float64")
    return np.asarray(tensor)


def _refuse(constant: str) -> Callable[[], None]:
    raise ValueError(f"{constant} is no JSON number")
