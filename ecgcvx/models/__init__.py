"""Networks as plain weights: predict, tell which neurons are on, and turn into named arrays and back.

two_layer   what two-layer networks have in common
relu        ReluNetwork        f(x) = sum_j W2_j (x'W1_j)_+
gated       GatedNetwork       f(x) = sum_j W2_j 1[x'g_j >= 0] x'W1_j
polynomial  PolynomialNetwork  f(x) = sum_j W2_j s(x'W1_j)
stack       Stack              stages of ReLU networks, each on the ones below
convolutional   ConvolutionalNetwork   shared filters over the patches of a window
batch_norm      BatchNormNetwork       batch norm after the ReLU, and the plain network that it is
three_layer     ThreeLayerNetwork      f(x) = sum_j W2_j (sum_l e_jl (x'Z_jl)_+)_+
recovery, decomposition   networks of the variables of convex programs
maps        variables of networks, merging, balancing, gated to ReLU
units       neurons as gates and linear filters, for an interpretation

Nothing here knows how a network was trained.
"""

from ecgcvx.models.decomposition import neural_decomposition, polynomial_network_of
from ecgcvx.models.gated import GatedNetwork
from ecgcvx.models.model import Model
from ecgcvx.models.polynomial import PolynomialNetwork
from ecgcvx.models.recovery import gated_network_of, network_of, network_of_neurons
from ecgcvx.models.relu import ReluNetwork
from ecgcvx.models.stack import Stack, Stage
from ecgcvx.models.two_layer import TwoLayerNetwork

__all__ = [
    "GatedNetwork",
    "Model",
    "PolynomialNetwork",
    "ReluNetwork",
    "Stack",
    "Stage",
    "TwoLayerNetwork",
    "gated_network_of",
    "network_of",
    "network_of_neurons",
    "neural_decomposition",
    "polynomial_network_of",
]
