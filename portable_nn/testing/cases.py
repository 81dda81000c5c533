"""The conformance table: every layer and loss of the library, with inputs to check it on."""

from typing import Any

import numpy as np

from portable_nn import layers, random
from portable_nn.arrays import Place
from portable_nn.layers import Layer, Transposed
from portable_nn.testing.case import Case, Inputs
from portable_nn.testing.loss_cases import LOSS_CASES

__all__ = ["CASES", "Case"]


def _normal(*shape: int) -> Inputs:
    return _several(shape)


def _several(*shapes: tuple[int, ...]) -> Inputs:
    return lambda rng: tuple(np.asarray(rng.standard_normal(shape)) for shape in shapes)


def _wide(*shape: int) -> Inputs:
    return lambda rng: (4 * rng.standard_normal(shape),)


def _positive(*shapes: tuple[int, ...]) -> Inputs:
    return lambda rng: tuple(np.asarray(rng.uniform(0.5, 2.0, shape)) for shape in shapes)


def _whole_numbers(*shape: int) -> Inputs:
    return lambda rng: (rng.integers(0, 6, shape),)


CASES: dict[str, Case] = {
    "Affine": Case(lambda: layers.Affine(3, 4, b=_ones, seed=0), _normal(5, 3)),
    "Affine of images": Case(lambda: layers.Affine(12, 4, seed=0), _normal(5, 3, 2, 2)),
    "Affine without bias": Case(lambda: layers.Affine(3, 4, bias=False, seed=0), _normal(5, 3)),
    "MatMul": Case(lambda: layers.MatMul(3, 4, seed=0), _normal(5, 3)),
    "MatMul of sequences": Case(lambda: layers.MatMul(3, 4, seed=0), _normal(5, 2, 3)),
    "Identity": Case(layers.Identity, _normal(5, 3)),
    "ReLU": Case(layers.ReLU, _normal(5, 3)),
    "ReLU of images": Case(layers.ReLU, _normal(2, 3, 2, 2)),
    "LeakyReLU": Case(lambda: layers.LeakyReLU(0.1), _normal(5, 3)),
    "Sigmoid": Case(layers.Sigmoid, _normal(5, 3)),
    "Tanh": Case(layers.Tanh, _normal(5, 3)),
    "Softplus": Case(layers.Softplus, _normal(5, 3)),
    "ELU": Case(lambda: layers.ELU(0.7), _normal(5, 3)),
    "SiLU": Case(layers.SiLU, _normal(5, 3)),
    "GELU": Case(layers.GELU, _normal(20, 3)),
    "GELU by tanh": Case(lambda: layers.GELU(approximate="tanh"), _normal(20, 3)),
    "SELU": Case(layers.SELU, _normal(5, 3)),
    "CELU": Case(lambda: layers.CELU(0.7), _normal(5, 3)),
    "Mish": Case(layers.Mish, _normal(20, 3)),
    "Softsign": Case(layers.Softsign, _normal(5, 3)),
    "HardSigmoid": Case(layers.HardSigmoid, _wide(20, 3)),
    "HardSwish": Case(layers.HardSwish, _wide(20, 3)),
    "HardTanh": Case(lambda: layers.HardTanh(-0.5, 0.7), _normal(5, 3)),
    "ReLU6": Case(layers.ReLU6, _wide(20, 3)),
    "PReLU": Case(lambda: layers.PReLU(init=0.1), _normal(5, 3)),
    "PReLU of channels": Case(lambda: layers.PReLU(3), _normal(5, 3, 2, 2)),
    "Maxout": Case(lambda: layers.Maxout(3), _normal(5, 6)),
    "Maxout of channels": Case(lambda: layers.Maxout(2, axis=1), _normal(5, 4, 2, 3)),
    "GLU": Case(layers.GLU, _normal(5, 6)),
    "GLU of channels": Case(lambda: layers.GLU(axis=1), _normal(5, 4, 2, 3)),
    "SwiGLU": Case(layers.SwiGLU, _normal(5, 6)),
    "SwiGLU of sequences": Case(layers.SwiGLU, _normal(5, 3, 4)),
    "Softmax": Case(layers.Softmax, _normal(5, 3)),
    "Softmax of channels": Case(lambda: layers.Softmax(axis=1), _normal(5, 3, 2, 2)),
    "LogSoftmax": Case(layers.LogSoftmax, _normal(5, 3)),
    "LogSoftmax of channels": Case(lambda: layers.LogSoftmax(axis=-3), _normal(5, 3, 2, 2)),
    "Embedding": Case(lambda: layers.Embedding(7, 4, seed=0), _whole_numbers(5, 3)),
    "Embedding of one number a sample, none of it padding": Case(
        lambda: layers.Embedding(7, 4, padding_index=6, seed=0), _whole_numbers(9)
    ),
    "Flatten": Case(layers.Flatten, _normal(5, 2, 3)),
    "BatchNorm": Case(lambda: _drawn(layers.BatchNorm(3, momentum=0.3)), _normal(5, 3), batched=False),
    "BatchNorm of images": Case(lambda: _drawn(layers.BatchNorm(3, epsilon=0.1)), _normal(5, 3, 2, 2)),
    "BatchNorm, frozen statistics": Case(lambda: _drawn(layers.BatchNorm(3, frozen_statistics=True)), _normal(5, 3)),
    "LayerNorm": Case(lambda: _drawn(layers.LayerNorm(4)), _normal(5, 4)),
    "LayerNorm of sequences": Case(lambda: _drawn(layers.LayerNorm(4, epsilon=0.1)), _normal(5, 3, 4)),
    "LayerNorm over two axes": Case(lambda: _drawn(layers.LayerNorm((3, 4))), _normal(5, 2, 3, 4)),
    "RMSNorm": Case(lambda: _drawn(layers.RMSNorm(4)), _normal(5, 3, 4)),
    "RMSNorm over two axes": Case(lambda: _drawn(layers.RMSNorm((3, 4), epsilon=0.1)), _normal(5, 3, 4)),
    "GroupNorm": Case(lambda: _drawn(layers.GroupNorm(2, 6)), _normal(5, 6)),
    "GroupNorm of images": Case(lambda: _drawn(layers.GroupNorm(2, 4, epsilon=0.1)), _normal(5, 4, 3, 2)),
    "InstanceNorm": Case(lambda: _drawn(layers.InstanceNorm(3)), _normal(5, 3, 4)),
    "LocalResponseNorm": Case(lambda: layers.LocalResponseNorm(3, alpha=0.6), _normal(5, 4)),
    "LocalResponseNorm of images": Case(
        lambda: layers.LocalResponseNorm(4, alpha=0.6, beta=0.5, k=2.0), _normal(5, 7, 3, 2)
    ),
    "AlphaDropout": Case(lambda: layers.AlphaDropout(0.4, seed=0), _normal(5, 6)),
    "SpatialDropout": Case(lambda: layers.SpatialDropout(0.4, seed=0), _normal(5, 6, 2, 2)),
    "SpatialDropout of sequences": Case(lambda: layers.SpatialDropout(0.4, axis=-1, seed=0), _normal(5, 3, 6)),
    "GaussianNoise": Case(lambda: layers.GaussianNoise(0.3, seed=0), _normal(5, 6)),
    "Dropout": Case(lambda: layers.Dropout(0.4, seed=0), _normal(5, 6)),
    "Add": Case(layers.Add, _several((5, 3), (5, 3))),
    "Rescale": Case(lambda: layers.Rescale(2.5, -0.3), _normal(5, 3)),
    "Add, a row to each": Case(layers.Add, _several((5, 3), (3,)), batched=False),
    "Sub": Case(layers.Sub, _several((5, 3), (5, 3))),
    "Sub, a column and a row": Case(layers.Sub, _several((5, 1), (1, 3)), batched=False),
    "Mul": Case(layers.Mul, _several((5, 3), (5, 1))),
    "Mul of numbers": Case(layers.Mul, _several((), ()), batched=False),
    "Mul of a number and images": Case(layers.Mul, _several((), (5, 2, 3, 2)), batched=False),
    "Div": Case(layers.Div, _positive((5, 3), (5, 3))),
    "Div, a row by each": Case(layers.Div, _positive((3,), (5, 2, 1)), batched=False),
    "Power": Case(lambda: layers.Power(3), _normal(5, 3)),
    "Power, a root": Case(lambda: layers.Power(0.5), _positive((5, 3))),
    "Power of 0": Case(lambda: layers.Power(0), lambda rng: (np.zeros((5, 3)),)),
    "Power of 0, exponent 1": Case(lambda: layers.Power(1), lambda rng: (np.zeros((5, 3)),)),
    "Neg": Case(layers.Neg, _normal(5, 3)),
    "Exp": Case(layers.Exp, _normal(5, 3)),
    "Exp of a number": Case(layers.Exp, _normal(), batched=False),
    "Log": Case(layers.Log, _positive((5, 3))),
    "MatMul of two": Case(layers.MatMul, _several((5, 3), (3, 4)), batched=False),
    "MatMul of stacks": Case(layers.MatMul, _several((5, 2, 3), (5, 3, 4))),
    "MatMul of stacks that broadcast": Case(layers.MatMul, _several((5, 1, 2, 3), (2, 3, 4)), batched=False),
    "Sum": Case(layers.Sum, _normal(5, 3), batched=False),
    "Sum along axes": Case(lambda: layers.Sum((1, -1)), _normal(5, 3, 2, 2)),
    "Sum that keeps axes": Case(lambda: layers.Sum(1, keepdims=True), _normal(5, 3, 2)),
    "Mean": Case(lambda: layers.Mean((-1, 0)), _normal(5, 3, 2), batched=False),
    "Mean that keeps axes": Case(lambda: layers.Mean(1, keepdims=True), _normal(5, 3)),
    "Repeat": Case(lambda: layers.Repeat(2), _normal(1, 3), batched=False),
    "Repeat along an axis": Case(lambda: layers.Repeat(3, axis=-2), _normal(5, 2, 3)),
    "Branch": Case(lambda: layers.Branch(3), _normal(5, 3)),
    "Reshape": Case(lambda: layers.Reshape((3, 2, 2)), _normal(5, 12)),
    "Transpose": Case(layers.Transpose, _normal(5, 3, 2)),
    "Transpose of all axes": Case(lambda: layers.Transpose((0, 2, 3, 1)), _normal(5, 3, 2, 4)),
    "Concat": Case(layers.Concat, _several((5, 3), (5, 1), (5, 2))),
    "Concat along an axis": Case(lambda: layers.Concat(1), _several((5, 3, 2), (5, 1, 2))),
    "Split": Case(lambda: layers.Split(3), _normal(5, 6)),
    "Split by sizes": Case(lambda: layers.Split((1, 2), axis=1), _normal(5, 3, 2)),
} | LOSS_CASES


def _drawn(layer: Layer) -> Layer:
    """Return a layer with parameters, and statistics, other than those at first."""
    rng, place = random.generator(0, "statistics"), Place("numpy")
    for boxes in (layer.parameters, layer.states):
        for name, box in boxes.items():
            assert not isinstance(box, Transposed)
            values: Any = rng.uniform(0.5, 1.5, box.shape)
            box.set(values, place, name)
    layer.place = place
    return layer


def _ones(rng: Any, shape: tuple[int, ...]) -> Any:
    return np.ones(shape)
