"""ONNX: a graph in float64 from windows (n, leads * window) in mV to forecasts (n,) in mV."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.export.parts import Part, asked, parts_of
from ecgcvx.files import atomic_write
from ecgcvx.types import Array

if TYPE_CHECKING:
    from ecgcvx.forecaster import Forecaster

OPSET = 17
IR_VERSION = 8  # the one that came with this opset: readers of later ones take it


def write(forecaster: "Forecaster", path: Path) -> list[Path]:
    """Write PATH.onnx, opset 17, input `window`, output `forecast`.

    Raises InputError where onnx is not installed, ModelError for a network that cannot be exported.
    """
    model = graph(forecaster)
    file = path.with_name(path.name + ".onnx")
    atomic_write(file, lambda out: out.write(model.SerializeToString()))
    return [file]


def graph(forecaster: "Forecaster") -> Any:
    """Return the ONNX model, checked by onnx."""
    try:
        import onnx
        from onnx import TensorProto, helper
    except ImportError:
        raise InputError("target = 'onnx': onnx is not installed; pip install 'ecgcvx[onnx]'") from None

    build = _Builder()
    members = parts_of(forecaster.network)
    scaler = forecaster.scaler
    means, scales = map(build.constant, scaler.columns(forecaster.window))
    z = build.node("Div", build.node("Sub", "window", means), scales)
    outputs = []
    for member in members:
        h, f = build.node("Pad", z, build.integers([0, 0, 0, 1]), build.constant(np.array(1.0))), ""
        for part in member:
            added, activations = _stage(build, part, h)
            f = added if not f else build.node("Add", f, added)
            if part is not member[-1]:
                h = build.node("Concat", h, activations, axis=1)
        outputs.append(f)
    total = outputs[0]
    for other in outputs[1:]:  # not Mean: onnxruntime has none in float64
        total = build.node("Add", total, other)
    total = build.node("Div", total, build.constant(np.array(float(len(outputs)))))
    mean, scale = (build.constant(np.array(number)) for number in (scaler.mean, scaler.scale))
    restored = build.node("Add", build.node("Mul", total, scale), mean)
    build.nodes.append(helper.make_node("Squeeze", [restored, build.integers([1])], ["forecast"]))
    made = helper.make_graph(
        build.nodes,
        "ecgcvx",
        [helper.make_tensor_value_info("window", TensorProto.DOUBLE, ["n", forecaster.network.inputs - 1])],
        [helper.make_tensor_value_info("forecast", TensorProto.DOUBLE, ["n"])],
        build.initialisers,
        doc_string=asked(forecaster),
    )
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="ecgcvx"
    )
    onnx.checker.check_model(model)
    return model


class _Builder:
    """Nodes and constants of a graph, named in turn."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initialisers: list[Any] = []

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        from onnx import helper

        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, values: Array) -> str:
        """Add a constant in float64; return its name."""
        return self._initialiser(np.asarray(values, dtype=np.float64))

    def integers(self, values: list[int]) -> str:
        """Add a constant of integers; return its name."""
        return self._initialiser(np.array(values, dtype=np.int64))

    def _initialiser(self, values: Any) -> str:
        from onnx import numpy_helper

        name = f"constant_{len(self.initialisers)}"
        self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name


def _stage(build: _Builder, part: Part, h: str) -> tuple[str, str]:
    """What a stage adds (n, 1), and its activations (n, m)."""
    phi = h if part.projection is None else build.node("MatMul", h, build.constant(part.projection))
    z = build.node("MatMul", phi, build.constant(part.W1))
    if part.gates is not None:
        heights = build.node("MatMul", phi, build.constant(part.gates))
        on = build.node("GreaterOrEqual", heights, build.constant(np.array(0.0)))
        a = build.node("Where", on, z, build.constant(np.array(0.0)))
    elif part.polynomial is not None:
        squared, linear, constant = (build.constant(np.array(number)) for number in part.polynomial)
        a = build.node("Mul", build.node("Add", build.node("Mul", z, squared), linear), z)
        a = build.node("Add", a, constant)
    else:
        a = build.node("Relu", z)
    f = build.node("MatMul", a, build.constant(part.W2[:, None]))
    if part.linear is not None:
        f = build.node("Add", f, build.node("MatMul", phi, build.constant(part.linear[:, None])))
    return f, a
