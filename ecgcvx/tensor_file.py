"""Arrays and a head of facts as JSON in one safetensors file, with a digest over both. Nothing in it can execute code.

`Layout` serves model files, here, and checkpoints (`ecgcvx.checkpoint`).
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ecgcvx import __version__
from ecgcvx.errors import ModelError
from ecgcvx.files import atomic_write, settle
from ecgcvx.types import Array

FILE = "model.safetensors"  # in the output folder of a training

Tensors = Mapping[str, NDArray[Any]]
Head = Mapping[str, Any]


@dataclass(frozen=True)
class Layout:
    """How arrays and a head of facts lie in a file.

    name : of the head in the metadata of safetensors. plain : arrays are float64 and numbers of the head finite, and
    the digest takes the arrays as float64; else they keep their types, which are under the digest too.
    """

    name: str
    plain: bool = False

    def write(self, path: Path, head: Head, tensors: Tensors) -> None:
        """Write a file; one that is there is replaced whole or not at all."""
        from safetensors.numpy import save

        # safetensors writes the memory of an array as it lies, whatever its strides say.
        packed = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        data = save(packed, metadata={self.name: json.dumps(head, allow_nan=not self.plain)})
        atomic_write(path, lambda file: file.write(data))

    def read(self, path: Path) -> tuple[Any, dict[str, NDArray[Any]]]:
        """Return what JSON has as the head, None where there is none of this name, and the arrays.

        Raises FileNotFoundError, or ValueError for a file that is damaged or something else, from what was raised.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="numpy") as file:
                text = (file.metadata() or {}).get(self.name)
                tensors = {name: self._checked(file.get_tensor(name), name) for name in file.keys()}  # noqa: SIM118
            finite: dict[str, Any] = {"parse_constant": _refuse, "parse_float": _finite} if self.plain else {}
            head = None if text is None else json.loads(text, **finite)
        except FileNotFoundError:
            raise
        except (SafetensorError, OSError, TypeError, AttributeError, RecursionError, UnicodeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        return head, tensors

    def digest(self, head: Head, tensors: Tensors) -> str:
        """Return the SHA-256 of a head, in any order, and of all arrays."""
        found = hashlib.sha256(json.dumps(head, sort_keys=True, allow_nan=not self.plain).encode())
        for name, tensor in sorted(tensors.items()):
            kind = "" if self.plain else f"{tensor.dtype.str} "
            found.update(f"\n{name} {kind}{tensor.shape}\n".encode())
            found.update(np.ascontiguousarray(tensor, dtype="<f8" if self.plain else None).tobytes())
        return found.hexdigest()

    def _checked(self, tensor: NDArray[Any], name: str) -> NDArray[Any]:
        if self.plain and tensor.dtype != np.float64:
            raise TypeError(f"{name} has type {tensor.dtype}, not float64")
        return tensor


MODEL = Layout("ecgcvx", plain=True)


def write_tensors(path: Path, tensors: Mapping[str, Array], settings: Head) -> None:
    """Write arrays and settings of a model; a file that is there already is replaced whole or not at all."""
    MODEL.write(path, {"version": __version__, **settings, "digest": digest_of(tensors, settings)}, tensors)


def digest_of(tensors: Mapping[str, Array], settings: Head) -> str:
    """Return the SHA-256 of all arrays and settings of a model."""
    return MODEL.digest(settings, tensors)


def read_tensors(path: str | Path, maker: str) -> tuple[Path, dict[str, Array], dict[str, Any]]:
    """Read the file at a path, or that of an output folder; return its own path, arrays in float64, and metadata.

    maker : the command whose folder is wanted, for messages, e.g. 'ecgcvx fit'. The digest is for the caller to check.

    Raises ModelError when it is missing, damaged or not of this program.
    """
    file = Path(path)
    if os.path.isdir(file):  # a name that is too long is none; Path.is_dir raises
        file = file / FILE
    settle(file.parent)
    try:
        metadata, tensors = MODEL.read(file)
    except FileNotFoundError:
        raise ModelError(f"{file}: no such file; give the output folder of `{maker}`") from None
    except ValueError as error:
        raise ModelError(
            f"{file}: not a readable model file ({short(error.__cause__ or error)}); give the output folder of {maker}"
        ) from None
    if metadata is None:
        raise ModelError(f"{file}: a safetensors file, but not one of ecgcvx; give the output folder of {maker}")
    if not isinstance(metadata, dict):
        raise ModelError(f"{file}: not a readable model file (no JSON object); give the output folder of {maker}")
    return file, tensors, metadata


def short(error: BaseException) -> str:
    """A message on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _finite(text: str) -> float:
    """A JSON number as float; ValueError for one that is too large for it, which Python reads as infinite."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large")
    return value
