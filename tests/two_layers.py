"""A two-layer network of whichever kind its weights make it."""

from ecgcvx.models import GatedNetwork, PolynomialNetwork, ReluNetwork


def two_layers(W1, W2, gates=None, polynomial=None):
    if gates is not None:
        return GatedNetwork(W1, W2, gates)
    return ReluNetwork(W1, W2) if polynomial is None else PolynomialNetwork(W1, W2, polynomial)
