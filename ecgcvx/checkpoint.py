"""Checkpoints: arrays and a head of facts in a safetensors file, with a digest over all of it.

A file that was cut off or changed since it was written is refused: what went on from it would be wrong in silence.
"""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ecgcvx.tensor_file import Layout, Tensors


def save_checkpoint(path: Path, name: str, head: dict[str, Any], tensors: Tensors) -> None:
    """Write a checkpoint; one that is there is replaced whole or not at all.

    name : of what it is a checkpoint of, which `read_checkpoint` asks for. head : facts that JSON can hold.
    """
    layout = Layout(name)
    layout.write(path, {**head, "digest": layout.digest(head, tensors)}, tensors)


def read_checkpoint(path: Path, name: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return head and arrays of a checkpoint.

    Raises FileNotFoundError, or ValueError saying in what way the file is damaged or something else.
    """
    layout = Layout(name)
    head, tensors = layout.read(path)
    if not isinstance(head, dict):  # as a file of something else has it
        raise ValueError("something else than a checkpoint")  # noqa: TRY004
    if head.pop("digest", None) != layout.digest(head, tensors):
        raise ValueError("its digest does not match its content")
    return head, tensors
