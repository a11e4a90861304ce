"""A fitted model for use without ecgcvx: one module a target, each with `write(forecaster, path) -> files`.

    numpy    arrays in one .npz file
    c        a C99 header and source: float32, no malloc, one function
    onnx     a graph in float64; needs the extra `ecgcvx[onnx]`
    torch    a state dict and the module that it belongs to; needs torch

All of them take a window in mV, oldest sample first, and return the forecast in mV: the scaler is part of the model.
Of joined leads they take the windows of all leads at the same samples, one lead after another in the order of
`Forecaster.leads`, that of the forecast last (`ecgcvx.windows`); each lead has its own mean and scale.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ecgcvx.errors import InputError

if TYPE_CHECKING:
    from ecgcvx.forecaster import Forecaster

TARGETS = {"numpy": "arrays", "c": "c_source", "onnx": "onnx_graph", "torch": "torch_module"}


def export(forecaster: "Forecaster", target: str, path: str | Path) -> list[Path]:
    """Write a model for a target and return the files.

    target : 'numpy', 'c', 'onnx' or 'torch'. path : of the files, without ending.

    Raises InputError for another target and where its library is missing, ModelError for a network that cannot be
    exported.
    """
    if target not in TARGETS:
        raise InputError(f"target = {target!r}: choose one of {', '.join(TARGETS)}")
    found: list[Path] = import_module(f"ecgcvx.export.{TARGETS[target]}").write(forecaster, Path(path))
    return found
