"""portable_nn: neural networks written once against the Python Array API standard.

The same layers, losses and optimizers train on NumPy, CuPy, torch, JAX and array-api-strict. Start with `Sequential` and
`Trainer`; `import portable_nn as pnn`.
"""

from portable_nn import datasets, initializers, kernels, random
from portable_nn.arrays import Array, Place, namespace_of, to_numpy
from portable_nn.errors import (
    BackendError,
    CheckpointError,
    DataFileError,
    DivergenceError,
    DTypeError,
    LabelError,
    MissingExtraError,
    NamespaceError,
    ShapeError,
)
from portable_nn.layers import (
    ELU,
    GELU,
    Affine,
    Dropout,
    Flatten,
    Identity,
    Layer,
    LeakyReLU,
    MatMul,
    Parameter,
    ReLU,
    Run,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
    Transposed,
)
from portable_nn.losses import Huber, Loss, MeanAbsoluteError, MeanSquaredError, SigmoidWithLoss, SoftmaxWithLoss
from portable_nn.networks import Network, Sequential, load
from portable_nn.optimizers import SGD, AdaGrad, Adam, AdamW, Momentum, Nesterov, Optimizer, RMSprop
from portable_nn.schedules import (
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    ReduceOnPlateau,
    Schedule,
    StepDecay,
    WarmUp,
)
from portable_nn.training import Callback, EarlyStopping, History, Trainer

__version__ = "0.1.0"
