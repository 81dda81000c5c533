"""Optimizers: rules that turn gradients into updates. The maths stands in `kernels/portable/updates.py`.

`update` works on arrays of any namespace. Beneath it `apply` is pure, for training steps that are compiled.
"""

import math
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any, ClassVar, TypeAlias

from portable_nn.arrays import namespace_of
from portable_nn.errors import NamespaceError, ShapeError
from portable_nn.kernels import Kernels, kernels_for
from portable_nn.schedules import Schedule, as_schedule

__all__ = ["SGD", "AdaGrad", "Adam", "AdamW", "Momentum", "Nesterov", "Optimizer", "RMSprop"]

Arrays: TypeAlias = list[Any]
Slots: TypeAlias = list[Arrays]
"""For each of an optimizer's slots, one array a parameter."""
Updated: TypeAlias = tuple[Arrays, Slots]
Numbers: TypeAlias = dict[str, float]
"""What changes from update to update and is known beforehand: the rate, and what is computed from it."""


class Optimizer:
    """A rule for updating parameters from their gradients.

    Parameters
    ----------
    lr : float or Schedule
        The learning rate, or a function from the number of updates made so far to it.
    weight_decay : float
        Adds weight_decay times the parameter to its gradient (L2; torch's meaning). AdamW takes it from the parameter
        instead (decoupled).
    clip_norm : float, optional
        Before the update all gradients are scaled so that the norm of all of them together is at most this.
    clip_value : float, optional
        Before that, each element is cut to [-clip_value, clip_value].

    Attributes
    ----------
    steps : int
        How many updates were made.
    state : dict
        For each parameter that was updated, by name or position, one array for each name in `slots`.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    slots: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        lr: float | Schedule,
        *,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ):
        self.schedule = as_schedule(lr)
        self.weight_decay = in_range("weight_decay", weight_decay, 0.0)
        self.clip_norm = None if clip_norm is None else in_range("clip_norm", clip_norm, 1e-30)
        self.clip_value = None if clip_value is None else in_range("clip_value", clip_value, 1e-30)
        self.steps = 0
        self.state: dict[Any, tuple[Any, ...]] = {}

    @property
    def lr(self) -> float:
        """The learning rate of the next update."""
        return float(self.schedule(self.steps))

    def update(
        self,
        params: MutableMapping[str, Any] | MutableSequence[Any],
        grads: Mapping[str, Any] | Sequence[Any],
    ) -> None:
        """Replace the arrays in `params`, a mapping or list, by updated ones; no array is written.

        `grads` is of the same kind; a mapping may leave out parameters, which then stay as they are.

        Raises
        ------
        ShapeError, NamespaceError, KeyError, TypeError
            If the two do not fit together. Nothing is changed then.
        """
        names = _matching_names(params, grads)
        old: list[Any] = [params[name] for name in names]
        new: list[Any] = [grads[name] for name in names]
        for name, p, g in zip(names, old, new, strict=True):
            _check_pair(name, p, g, self.state.get(name))
        if not names:
            return
        slots = self.slots_of(names, old)
        updated, slots = self.apply(kernels_for(namespace_of(old[0])), old, new, slots, self.numbers())
        for name, p in zip(names, updated, strict=True):
            params[name] = p
        self.advance(names, slots)

    def slots_of(self, names: Sequence[Any], params: Sequence[Any]) -> Slots:
        """Return the slots of these parameters, zeros where they were never updated."""
        rows = [self.state.get(name) or self._zeros_like(p) for name, p in zip(names, params, strict=True)]
        return [[row[i] for row in rows] for i in range(len(self.slots))]

    def numbers(self) -> Numbers:
        """Return what the next update needs to know of its place in the run."""
        return {"lr": self.lr}

    def apply(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated parameters and slots: a pure function."""
        if self.clip_value is not None:
            grads = kernels.clip_by_value(grads, self.clip_value)
        if self.clip_norm is not None:
            grads = kernels.clip_by_global_norm(grads, self.clip_norm)
        if self.weight_decay:
            params, grads = self._decayed(kernels, params, grads, numbers)
        return self.rule(kernels, params, grads, slots, numbers)

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated parameters and slots, by the optimizer's own rule."""
        raise NotImplementedError

    def advance(self, names: Sequence[Any], slots: Slots) -> None:
        """Note an update and keep its slots."""
        self.state.update({name: tuple(slot[i] for slot in slots) for i, name in enumerate(names)})
        self.steps += 1

    def _decayed(self, kernels: Kernels, params: Arrays, grads: Arrays, numbers: Numbers) -> tuple[Arrays, Arrays]:
        return params, kernels.add_l2(grads, params, self.weight_decay)

    def _zeros_like(self, parameter: Any) -> tuple[Any, ...]:
        return tuple(namespace_of(parameter).zeros_like(parameter) for _ in self.slots)


class SGD(Optimizer):
    """p - lr g. Robbins and Monro (1951)."""

    def __init__(self, lr: float | Schedule = 0.01, **options: Any):
        super().__init__(lr, **options)

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return p - lr g."""
        return kernels.sgd(params, grads, numbers["lr"]), []


class Momentum(Optimizer):
    """v = momentum v - lr g; p + v. Polyak (1964); the rate inside the velocity, as in Keras and scikit-learn.

    Torch keeps the rate outside: the same as long as it does not change.
    """

    slots = ("velocity",)
    kernel: ClassVar[str] = "momentum"

    def __init__(self, lr: float | Schedule = 0.01, momentum: float = 0.9, **options: Any):
        super().__init__(lr, **options)
        self.momentum = in_range("momentum", momentum, 0.0, 1.0)

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return p + v, or p looked ahead, and v."""
        params, velocity = getattr(kernels, self.kernel)(params, grads, slots[0], numbers["lr"], self.momentum)
        return params, [velocity]


class Nesterov(Momentum):
    """v = momentum v - lr g; p + momentum v - lr g. Sutskever et al. (ICML 2013), in torch's and Keras's variables."""

    kernel = "nesterov"


class AdaGrad(Optimizer):
    """h + g^2; p - lr g / (sqrt(h) + epsilon), epsilon outside the root as in torch. Duchi et al. (2011)."""

    slots = ("square_sum",)

    def __init__(self, lr: float | Schedule = 0.01, epsilon: float = 1e-10, **options: Any):
        super().__init__(lr, **options)
        self.epsilon = in_range("epsilon", epsilon, 0.0)

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated p and h."""
        params, square_sum = kernels.adagrad(params, grads, slots[0], numbers["lr"], self.epsilon)
        return params, [square_sum]


class RMSprop(Optimizer):
    """decay h + (1 - decay) g^2; p - lr g / (sqrt(h) + epsilon), as in torch. Tieleman and Hinton (2012)."""

    slots = ("square_mean",)

    def __init__(self, lr: float | Schedule = 0.01, decay: float = 0.99, epsilon: float = 1e-8, **options: Any):
        super().__init__(lr, **options)
        self.decay = in_range("decay", decay, 0.0, 1.0)
        self.epsilon = in_range("epsilon", epsilon, 0.0)

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated p and h."""
        params, square_mean = kernels.rmsprop(params, grads, slots[0], numbers["lr"], self.decay, self.epsilon)
        return params, [square_mean]


class Adam(Optimizer):
    """Steps of the running mean of g over the root of the running mean of g^2. Kingma and Ba (ICLR 2015), algorithm 1.

    beta1 and beta2 are the decays of the two means. With `epsilon_hat`, epsilon is added to the root before the bias
    correction, as at the end of section 2 of the paper, in Keras and scikit-learn; else after it, as in algorithm 1 and
    torch.
    """

    slots = ("mean", "square_mean")

    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        *,
        epsilon_hat: bool = False,
        **options: Any,
    ):
        super().__init__(lr, **options)
        self.beta1, self.beta2 = in_range("beta1", beta1, 0.0, 1.0), in_range("beta2", beta2, 0.0, 1.0)
        self.epsilon, self.epsilon_hat = in_range("epsilon", epsilon, 0.0), epsilon_hat

    def numbers(self) -> Numbers:
        """Return the rate, and rate and epsilon with the bias correction in them.

        With c = sqrt(1 - beta2^t): lr (m / (1 - beta1^t)) / (sqrt(v) / c + epsilon) is
        (lr c / (1 - beta1^t)) m / (sqrt(v) + c epsilon).
        """
        step = self.steps + 1
        root = math.sqrt(1.0 - self.beta2**step)
        lr = self.lr
        return {
            "lr": lr,
            "corrected_lr": lr * root / (1.0 - self.beta1**step),
            "epsilon": self.epsilon if self.epsilon_hat else self.epsilon * root,
        }

    def rule(self, kernels: Kernels, params: Arrays, grads: Arrays, slots: Slots, numbers: Numbers) -> Updated:
        """Return the updated p, m and v."""
        params, *means = kernels.adam(
            params, grads, *slots, numbers["corrected_lr"], self.beta1, self.beta2, numbers["epsilon"]
        )
        return params, means


class AdamW(Adam):
    """Adam with the weight decay taken from the parameters, not added to the gradients. Loshchilov and Hutter (2019).

    As in torch, the decay is lr times weight_decay.
    """

    def __init__(self, lr: float | Schedule = 1e-3, *args: Any, weight_decay: float = 0.01, **options: Any):
        super().__init__(lr, *args, weight_decay=weight_decay, **options)

    def _decayed(self, kernels: Kernels, params: Arrays, grads: Arrays, numbers: Numbers) -> tuple[Arrays, Arrays]:
        return kernels.decay(params, numbers["lr"] * self.weight_decay), grads


def in_range(name: str, value: float, low: float, below: float = math.inf) -> float:
    """Return `value` as a Python float (a NumPy scalar would promote float32 weights) if low <= value < below."""
    if not low <= value < below:
        raise ValueError(f"{name} needs to be in [{low}, {below}), got {value}")
    return float(value)


def _matching_names(params: Any, grads: Any) -> list[Any]:
    kinds: tuple[type[Any], type[Any]] = type(params), type(grads)
    if issubclass(kinds[0], MutableMapping) and issubclass(kinds[1], Mapping):
        unknown = [name for name in grads if name not in params]
        if unknown:
            raise KeyError(f"there are gradients for {unknown}, but parameters only for {list(params)}")
        return list(grads)
    if issubclass(kinds[0], MutableSequence) and issubclass(kinds[1], Sequence):
        if len(params) != len(grads):
            raise ShapeError(f"as many gradients as parameters are needed, got {len(grads)} for {len(params)}")
        return list(range(len(params)))
    raise TypeError(
        "parameters and gradients need to be two mappings or two lists, the parameters changeable, "
        f"got {kinds[0].__name__} and {kinds[1].__name__}"
    )


def _check_pair(name: Any, parameter: Any, gradient: Any, state: tuple[Any, ...] | None) -> None:
    if namespace_of(parameter) is not namespace_of(gradient):
        raise NamespaceError(f"parameter {name} and its gradient are arrays of two libraries")
    if parameter.shape != gradient.shape:
        raise ShapeError(f"the gradient of {name} needs shape {parameter.shape}, got {gradient.shape}")
    if state and state[0].shape != parameter.shape:
        raise ShapeError(
            f"this optimizer has updated a {name} of shape {state[0].shape}, now it has {parameter.shape}: "
            "a new network needs a new optimizer"
        )
