"""The networks that ecgcvx trains, by name: one line each. Nothing is imported before it is used."""

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from ecgcvx.errors import InputError

if TYPE_CHECKING:
    from ecgcvx.kinds.kind import NetworkKind
    from ecgcvx.models import Model


class Entry(NamedTuple):
    """Where a network lives: its `NetworkKind`, whose fields are its options, and the class of its weights."""

    kind: str
    model: str


REGISTRY: dict[str, Entry] = {
    "relu": Entry("ecgcvx.kinds.relu:Relu", "ecgcvx.models.relu:ReluNetwork"),
    "gated": Entry("ecgcvx.kinds.gated:Gated", "ecgcvx.models.gated:GatedNetwork"),
    "polynomial": Entry("ecgcvx.kinds.polynomial:PolynomialKind", "ecgcvx.models.polynomial:PolynomialNetwork"),
    "quadratic": Entry("ecgcvx.kinds.polynomial:Quadratic", "ecgcvx.models.polynomial:PolynomialNetwork"),
    "conv": Entry("ecgcvx.kinds.convolutional:ConvolutionalKind", "ecgcvx.models.convolutional:ConvolutionalNetwork"),
    "batchnorm": Entry("ecgcvx.kinds.batch_norm:BatchNormKind", "ecgcvx.models.batch_norm:FoldedNetwork"),
    "three-layer": Entry("ecgcvx.kinds.three_layer:ThreeLayerKind", "ecgcvx.models.three_layer:ThreeLayerNetwork"),
    "stack": Entry("ecgcvx.kinds.stack:StackKind", "ecgcvx.models.stack:Stack"),
}


def kind_class(name: str) -> "type[NetworkKind]":
    """Return the `NetworkKind` of a name; InputError for an unknown one."""
    found: type[NetworkKind] = _named(_entry(name).kind)
    return found


def model_class(name: str) -> "type[Model]":
    """Return the class of the weights of a network; InputError for an unknown name."""
    found: type[Model] = _named(_entry(name).model)
    return found


def _entry(name: str) -> Entry:
    if name not in REGISTRY:
        raise InputError(f"network = {name!r}: choose one of {', '.join(REGISTRY)}")
    return REGISTRY[name]


def _named(path: str) -> type:
    module, _, name = path.partition(":")
    found: type = getattr(import_module(module), name)
    return found
