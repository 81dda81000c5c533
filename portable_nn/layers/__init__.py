"""Layers: each holds parameters and calls kernels; the maths is in the kernels."""

from portable_nn.layers.activations import ELU, GELU, Identity, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from portable_nn.layers.affine import Affine
from portable_nn.layers.dropout import Dropout
from portable_nn.layers.flatten import Flatten
from portable_nn.layers.layer import Layer, Run
from portable_nn.layers.matmul import MatMul
from portable_nn.layers.parameter import Parameter, Transposed
from portable_nn.layers.softmax import Softmax

__all__ = [
    "ELU",
    "GELU",
    "Affine",
    "Dropout",
    "Flatten",
    "Identity",
    "Layer",
    "LeakyReLU",
    "MatMul",
    "Parameter",
    "ReLU",
    "Run",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "Transposed",
]
