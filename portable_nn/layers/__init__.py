"""Layers: each holds parameters and calls kernels; the maths is in the kernels."""

from portable_nn.layers.activations import (
    CELU,
    ELU,
    GELU,
    SELU,
    Identity,
    Mish,
    Sigmoid,
    SiLU,
    Softplus,
    Softsign,
    Tanh,
)
from portable_nn.layers.affine import Affine
from portable_nn.layers.arithmetic import Add, Div, Exp, Log, Mul, Neg, Power, Rescale, Sub
from portable_nn.layers.dropout import AlphaDropout, Dropout, GaussianNoise, SpatialDropout
from portable_nn.layers.embedding import Embedding
from portable_nn.layers.flatten import Flatten
from portable_nn.layers.gates import GLU, SwiGLU
from portable_nn.layers.group_norm import GroupNorm, InstanceNorm
from portable_nn.layers.layer import Layer, Run
from portable_nn.layers.layer_norm import LayerNorm, RMSNorm
from portable_nn.layers.local_response_norm import LocalResponseNorm
from portable_nn.layers.matmul import MatMul
from portable_nn.layers.normalization import BatchNorm
from portable_nn.layers.parameter import Parameter, State, Transposed
from portable_nn.layers.piecewise import HardSigmoid, HardSwish, HardTanh, LeakyReLU, Maxout, PReLU, ReLU, ReLU6
from portable_nn.layers.reductions import Mean, Repeat, Sum
from portable_nn.layers.shapes import Branch, Concat, Reshape, Split, Transpose
from portable_nn.layers.softmax import LogSoftmax, Softmax

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Add",
    "Affine",
    "AlphaDropout",
    "BatchNorm",
    "Branch",
    "Concat",
    "Div",
    "Dropout",
    "Embedding",
    "Exp",
    "Flatten",
    "GaussianNoise",
    "GroupNorm",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Identity",
    "InstanceNorm",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "LocalResponseNorm",
    "Log",
    "LogSoftmax",
    "MatMul",
    "Maxout",
    "Mean",
    "Mish",
    "Mul",
    "Neg",
    "PReLU",
    "Parameter",
    "Power",
    "RMSNorm",
    "ReLU",
    "ReLU6",
    "Repeat",
    "Rescale",
    "Reshape",
    "Run",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpatialDropout",
    "Split",
    "State",
    "Sub",
    "Sum",
    "SwiGLU",
    "Tanh",
    "Transpose",
    "Transposed",
]
