"""Checkpoints: arrays and a head of facts in a safetensors file, with a digest over all of it.

A file that was cut off or changed since it was written is refused: what went on from it would be wrong in silence.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgcvx.files import atomic_write

Tensors = Mapping[str, NDArray[Any]]


def save_checkpoint(path: Path, name: str, head: dict[str, Any], tensors: Tensors) -> None:
    """Write a checkpoint; one that is there is replaced whole or not at all.

    name : of what it is a checkpoint of, which `read_checkpoint` asks for. head : facts that JSON can hold.
    """
    from safetensors.numpy import save

    # safetensors writes the memory of an array as it lies, whatever its strides say.
    arrays = {key: np.ascontiguousarray(array) for key, array in tensors.items()}
    data = save(arrays, metadata={name: json.dumps({**head, "digest": _digest(head, arrays)})})
    atomic_write(path, lambda file: file.write(data))


def read_checkpoint(path: Path, name: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return head and arrays of a checkpoint.

    Raises FileNotFoundError, or ValueError saying in what way the file is damaged or something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            text = (file.metadata() or {}).get(name)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        head = None if text is None else json.loads(text)
        if not isinstance(head, dict):  # as a file of something else has it
            raise ValueError("something else than a checkpoint")  # noqa: TRY004
        if head.pop("digest", None) != _digest(head, tensors):
            raise ValueError("its digest does not match its content")
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, TypeError, AttributeError, RecursionError, UnicodeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    return head, tensors


def _digest(head: dict[str, Any], tensors: Tensors) -> str:
    found = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for key, array in sorted(tensors.items()):
        found.update(f"\n{key} {array.dtype.str} {array.shape}\n".encode())
        found.update(array.tobytes())
    return found.hexdigest()
