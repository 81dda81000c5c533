"""What the kernels of the module for CuPy are called with, and what they are held to. n = rows, m = columns."""

import math
from collections.abc import Callable
from functools import partial
from itertools import product
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from portable_nn.kernels import PORTABLE, PORTABLE_KERNELS
from portable_nn.kernels.fast import _cuda

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40]
HUGE = [3e38, -3e38]


class Drawer:
    """Random arrays in a memory layout, a tenth of their elements special."""

    def __init__(self, dtype, layout="contiguous", special=False):
        self.rng, self.dtype, self.layout, self.special = np.random.default_rng(0), dtype, layout, special

    def __call__(self, *shape, more=()):
        values = self.rng.standard_normal(shape)
        if self.special:
            values = np.where(self.rng.random(shape) < 0.1, self.rng.choice([*SPECIAL, *more], shape), values)
        return laid_out(values.astype(self.dtype), self.layout)

    def wide(self, *shape):
        """Return an array that may hold huge numbers: what x is where nothing is summed or multiplied by it."""
        return self(*shape, more=HUGE)

    def shares(self, *shape):
        return laid_out(self.rng.dirichlet(np.ones(shape[-1]), shape[:-1]).astype(self.dtype), self.layout)

    def counts(self, *shape):
        return laid_out(50.0 * self.rng.integers(0, 2, shape).astype(self.dtype), self.layout)

    def scales(self, size):
        return laid_out(self.rng.random(size).astype(self.dtype), self.layout)

    def labels(self, rows, classes):
        return laid_out(self.rng.integers(0, classes, rows), self.layout)

    def some_labels(self, rows, classes):
        return laid_out(self.rng.integers(-1, classes, rows), self.layout)


def laid_out(values, layout):
    """Return equal values in this memory layout."""
    if layout == "contiguous":
        return values
    if layout == "transposed":
        return values.T.copy().T
    wide = np.zeros((*values.shape[:-1], 2 * values.shape[-1]), values.dtype)
    wide[..., ::2] = values
    return wide[..., ::2]


def unwritten(result, layout):
    """Return memory for a result, in which it shows what is not written."""
    wrong = np.full_like(result, np.nan if result.dtype.kind == "f" else -77)
    return laid_out(wrong, layout if result.ndim else "contiguous")


def chained(first, second, taken=3):
    """Return what a fused kernel does: the kernel `second` of the result of `first`, which takes 3 arguments."""
    one, two = PORTABLE_KERNELS[first], PORTABLE_KERNELS[second]
    return lambda *arguments: two(one(*arguments[:taken]), *arguments[taken:])


def both(first, second):
    """Return what a paired kernel does: the result of the kernel `first`, and that of `second` of it."""
    one, two = PORTABLE_KERNELS[first], PORTABLE_KERNELS[second]
    return lambda *arguments: ((result := one(*arguments)), two(result))


def loss_and_gradients(kernels):
    """Return the function that gives the softmax loss and its gradients for several dout."""

    def function(*arguments, out=None):
        donated = {} if out is None else {"out": (out[0], (out[1],))}
        loss, saved = kernels.softmax_loss(*arguments, **donated)
        return loss, *(kernels.softmax_loss_gradient(dout, saved) for dout in (1.0, 0.5, np.asarray(2.0, loss.dtype)))

    return function


def loss_and_more(name, *, affine, summed):
    """Return the key of the kernel for a loss and what follows it, and what it does: (loss, dy) or (loss, dy, db)."""
    gradient, keeps = f"{name}_gradient", name == "softmax_loss"
    key = (name,) if keeps else (name, gradient)
    keys = [*(["affine"] if affine else []), "_".join(key), *(["affine_gradient_b"] if summed else [])]
    if affine:
        keys = ["affine", "_".join(keys[1:])]
    elif not summed:
        keys = list(key)

    def portable(*arguments):
        if affine:
            arguments = PORTABLE.affine(*arguments[:3]), *arguments[3:]
        loss = getattr(PORTABLE, name)(*arguments)
        loss, kept = loss if keeps else (loss, None)
        dy = getattr(PORTABLE, gradient)(1.0, *([kept] if keeps else arguments))
        return (loss, dy, PORTABLE.affine_gradient_b(dy)) if summed else (loss, dy)

    def flat(kernel):
        def function(*arguments, out=None):
            if out is not None:
                first = (out[0], (out[1],)) if keeps else out[:2]
                out = (first, out[2]) if summed else first
            result = kernel(*arguments, out=out)
            first, *sums = result if summed else (result,)
            return first[0], first[1][0] if keeps else first[1], *sums

        return function

    return tuple(keys), flat, portable


class Case(NamedTuple):
    """A kernel of the module, its portable form, and the arguments of both for a shape."""

    kernel: Callable[[Any], Callable[..., Any]]
    portable: Callable[..., Any]
    arguments: Callable[[Drawer, int, int], tuple[Any, ...]]


def case(name, arguments):
    return Case(attrgetter(name), PORTABLE_KERNELS[name], arguments)


def gathered(kernels):
    """Return the function that gives the rows of several arrays as a tuple."""

    def function(*arguments, out=None):
        *arrays, indices = arguments
        given = {} if out is None else {"out": list(out)}
        return tuple(kernels.gather(arrays, indices, **given))

    return function


ELEMENTWISE, SUMMED = {}, {}
_NUMBERS = {"leaky_relu": (0.1,), "elu": (1.3,), "celu": (1.3,), "hard_tanh": (-0.5, 0.8)}
for _name in _cuda.ACTIVATIONS:
    _numbers, _gradient = _NUMBERS.get(_name, ()), f"{_name}_gradient"
    _layer, _pair = ("affine", _name), (_gradient, "affine_gradient_b")
    ELEMENTWISE[_name] = case(_name, lambda draw, n, m, more=_numbers: (draw.wide(n, m), *more))
    ELEMENTWISE[_gradient] = case(_gradient, lambda draw, n, m, more=_numbers: (draw(n, m), draw.wide(n, m), *more))
    SUMMED[f"affine {_name}"] = Case(
        lambda fast, key=_layer: fast.FUSED[key],
        chained(*_layer),
        lambda draw, n, m, more=_numbers: (draw(n, 5), draw(5, m), draw(m), *more),
    )
    SUMMED[f"{_gradient} and sums"] = Case(
        lambda fast, key=_pair: fast.PAIRED[key], both(*_pair), ELEMENTWISE[_gradient].arguments
    )
    SUMMED[f"product, {_gradient} and sums"] = Case(
        lambda fast, key=("multiply", f"{_gradient}_affine_gradient_b"): fast.FUSED[key],
        lambda dy, factors, *more, key=_pair: both(*key)(dy * factors, *more),
        lambda draw, n, m, more=_numbers: (draw(n, m), draw.shares(n, m), draw.wide(n, m), *more),
    )
SUMMED |= {
    "affine": case("affine", lambda draw, n, m: (draw(n, 2, 3), draw(6, m), draw(m))),
    "affine without b": case("affine", lambda draw, n, m: (draw(n, 4), draw(4, m), None)),
    "affine tanh without b": Case(
        lambda fast: fast.FUSED["affine", "tanh"],
        chained("affine", "tanh"),
        lambda draw, n, m: (draw(n, 4), draw(4, m), None),
    ),
    "affine_gradient_x": case("affine_gradient_x", lambda draw, n, m: (draw(n, m), draw(6, m), (n, 2, 3))),
    "affine_gradient_W": case("affine_gradient_W", lambda draw, n, m: (draw(n, m), draw(n, 2, 3))),
    "affine_gradient_b": case("affine_gradient_b", lambda draw, n, m: (draw(n, m),)),
    "embedding": case("embedding", lambda draw, n, m: (draw(max(n, 1), m), draw.labels(2 * n, max(n, 1)))),
    "embedding of sequences": case(
        "embedding", lambda draw, n, m: (draw(max(n, 1), m), draw.labels(3 * n, max(n, 1)).reshape(n, 3))
    ),
    "embedding_gradient": case(
        "embedding_gradient", lambda draw, n, m: (draw(n, m), draw.labels(n, max(n // 3, 1)), max(n // 2, 1), None)
    ),
    "embedding_gradient of sequences": case(
        "embedding_gradient", lambda draw, n, m: (draw(n, 3, m), draw.labels(3 * n, 4).reshape(n, 3), 5, 2)
    ),
    "gaussian_noise": case("gaussian_noise", lambda draw, n, m: (draw(n, m), 0.3, (-5, 2**31 - 1, 4 * n, n), 3)),
    "dropout_mask": case("dropout_mask", lambda draw, n, m: (draw(n, m), 0.3, (-5, 2**31 - 1), 3)),
}


def normalized(kernel, shape, lying, *numbers, states=2):
    """Return the case of a kernel that normalizes, or of its gradient: the shapes of x, and of what lies along it."""

    def arguments(draw, n, m):
        parameters = [draw.scales(lying(n, m)) for _ in range(states)]
        x = draw(*shape(n, m))
        if not kernel.endswith("_gradient"):
            return (x, *parameters, *numbers)
        with np.errstate(all="ignore"):
            saved = PORTABLE_KERNELS[kernel.removesuffix("_gradient")](x, *parameters, *numbers)[1:3]
        return (draw(*shape(n, m)), x, *saved, parameters[0])

    return case(kernel, arguments)


for _end in ("", "_gradient"):
    SUMMED |= {
        f"batch_norm{_end}": normalized(
            f"batch_norm{_end}", lambda n, m: (n + 2, m), lambda n, m: (m,), 0.3, 1e-2, states=4
        ),
        f"batch_norm{_end} of images": normalized(
            f"batch_norm{_end}", lambda n, m: (3, n + 1, 2, 5), lambda n, m: (n + 1,), 0.3, 1e-2, states=4
        ),
        f"layer_norm{_end}": normalized(f"layer_norm{_end}", lambda n, m: (n, m), lambda n, m: (m,), 1e-2),
        f"layer_norm{_end} over two axes": normalized(
            f"layer_norm{_end}", lambda n, m: (n, 3, 2, 4), lambda n, m: (2, 4), 1e-2
        ),
        f"rms_norm{_end}": normalized(f"rms_norm{_end}", lambda n, m: (n, m), lambda n, m: (m,), 1e-2, states=1),
        f"group_norm{_end}": normalized(f"group_norm{_end}", lambda n, m: (n, 2 * m), lambda n, m: (2 * m,), 2, 1e-2),
        f"group_norm{_end} of images": normalized(
            f"group_norm{_end}", lambda n, m: (n, 6, 2, 5), lambda n, m: (6,), 3, 1e-2
        ),
    }
SUMMED["normalize"] = normalized("normalize", lambda n, m: (n, m, 2), lambda n, m: (m,), 1e-2, states=4)


def targets_of(name):
    """Return the method of a drawer for a loss's targets: counts that are far from exp(y), where nothing cancels."""
    return Drawer.counts if name == "poisson_error" else Drawer.shares


def more_of(name):
    """Return the function (draw, m) -> what a loss takes beside y, t and the scale."""
    if name == "quantile_error":
        return lambda draw, m: (draw.scales(m),)
    numbers = {"huber_error": (0.8,), "sigmoid_focal_loss": (1.5, 0.3, 0.7), "softmax_loss": (None, 0.1)}
    return lambda draw, m: numbers.get(name, ())


for _name in _cuda.ERRORS:
    _more, _targets = more_of(_name), targets_of(_name)
    SUMMED |= {
        _name: case(
            _name, lambda draw, n, m, more=_more, t=_targets: (draw(n, m), t(draw, n, m), 1 / max(n, 1), *more(draw, m))
        ),
        f"{_name} of weighted samples": case(
            _name,
            lambda draw, n, m, more=_more, t=_targets: (draw(n, m), t(draw, n, m), draw.scales(n), *more(draw, m)),
        ),
        f"{_name} of weighted elements": case(
            _name,
            lambda draw, n, m, more=_more, t=_targets: (draw(n, m), t(draw, n, m), draw.shares(n, m), *more(draw, m)),
        ),
        f"{_name}_gradient of weighted elements": case(
            f"{_name}_gradient",
            lambda draw, n, m, more=_more, t=_targets: (
                0.7,
                draw(n, m),
                t(draw, n, m),
                draw.shares(n, m),
                *more(draw, m),
            ),
        ),
        f"{_name}_gradient": case(
            f"{_name}_gradient",
            lambda draw, n, m, more=_more, t=_targets: (0.7, draw(n, m), t(draw, n, m), 1 / max(n, 1), *more(draw, m)),
        ),
        f"{_name}_gradient of weighted samples": case(
            f"{_name}_gradient",
            lambda draw, n, m, more=_more, t=_targets: (
                *(draw.scales(1).reshape(()), draw(n, m), t(draw, n, m), draw.scales(n)),
                *more(draw, m),
            ),
        ),
    }
for _name, _affine, _summed in product([*_cuda.ERRORS, "softmax_loss"], [False, True], [False, True]):
    if _name == "softmax_loss" and not (_affine or _summed):
        continue  # that is the loss itself
    _key, _flat, _portable = loss_and_more(_name, affine=_affine, summed=_summed)
    _more, _targets = more_of(_name), targets_of(_name)
    SUMMED[" and ".join(_key)] = Case(
        lambda fast, key=_key, flat=_flat, table="FUSED" if _affine else "PAIRED": flat(getattr(fast, table)[key]),
        _portable,
        lambda draw, n, m, more=_more, affine=_affine, t=_targets: (
            *((draw(n, 4), draw(4, m), draw(m)) if affine else (draw(n, m),)),
            *(t(draw, n, m), draw.scales(n) if m % 2 else 1 / max(n, 1), *more(draw, m)),
        ),
    )
_weighted = {
    "sigmoid_loss": lambda draw, n, m: (draw(n, m), draw.shares(n, m), draw.scales(n), draw.scales(m)),
    "sigmoid_loss of images": lambda draw, n, m: (
        *(draw(n, m, 2, 3), draw.shares(n, m, 2, 3), 1 / max(n, 1)),
        draw.scales(m).reshape(m, 1, 1),
    ),
}
for _name, _arguments in _weighted.items():
    SUMMED |= {
        f"{_name}, weighted yes": case("sigmoid_loss", _arguments),
        f"{_name}, weighted yes, gradient": case(
            "sigmoid_loss_gradient", lambda draw, n, m, arguments=_arguments: (0.7, *arguments(draw, n, m))
        ),
    }
_softmax = partial(Case, loss_and_gradients, loss_and_gradients(PORTABLE))
SUMMED |= {
    "softmax_loss": _softmax(lambda draw, n, m: (draw(n, m), draw.labels(n, m), 1 / max(n, 1), None, 0.0)),
    "softmax_loss of distributions": _softmax(lambda draw, n, m: (draw(n, m), draw.shares(n, m), 1.0, None, 0.0)),
    "softmax_loss, smooth": _softmax(lambda draw, n, m: (draw(n, m), draw.labels(n, m), draw.scales(n), None, 0.1)),
    "softmax_loss, weighted": _softmax(
        lambda draw, n, m: (draw(n, m), draw.shares(n, m), draw.scales(n), draw.scales(m), 0.2)
    ),
    "softmax_loss, some ignored": _softmax(
        lambda draw, n, m: (draw(n, m), draw.some_labels(n, m), draw.scales(n), draw.scales(m), 0.1)
    ),
    "softmax_loss, weighted labels": _softmax(
        lambda draw, n, m: (draw(n, m), draw.labels(n, m), 1.0, draw.scales(m), 0.0)
    ),
}
SUMMED |= {
    "mean_scale": case("mean_scale", lambda draw, n, m: (draw.scales(n), draw.scales(n))),
    "mean_scale of nothing": case("mean_scale", lambda draw, n, m: (draw.scales(n), 0 * draw.scales(n))),
    "class_share of labels": case("class_share", lambda draw, n, m: (draw.labels(n, m), draw.scales(m))),
    "class_share of labels, some ignored": case(
        "class_share", lambda draw, n, m: (draw.some_labels(n, m), draw.scales(m))
    ),
    "mean_scale of ones": case("mean_scale", lambda draw, n, m: (None, draw.scales(n), 1 / m)),
    "class_share": case("class_share", lambda draw, n, m: (draw.shares(n, m), draw.scales(m))),
    "class_share of weighted labels": case(
        "class_share", lambda draw, n, m: (draw.labels(n, m), draw.scales(m), draw.scales(n))
    ),
    "class_total of labels": case("class_total", lambda draw, n, m: (draw.labels(n, m), draw.scales(m))),
    "class_total, weighted": case(
        "class_total", lambda draw, n, m: (draw.shares(n, m), draw.scales(m), draw.scales(n))
    ),
    "total": case("total", lambda draw, n, m: (draw.scales(n * m),)),
    "total, a multiple": case("total", lambda draw, n, m: (draw.scales(n * m), 3.0)),
}
_gathered = partial(Case, gathered, gathered(PORTABLE))
SUMMED |= {
    "gather": _gathered(lambda draw, n, m: (draw(n, m), draw.labels(n, max(n, 1)))),
    "gather of x, t and weights": _gathered(
        lambda draw, n, m: (draw(n, m, 2), draw.labels(n, 7), draw.scales(n), draw.labels(2 * n, max(n, 1)))
    ),
    "gather of more than the kernel takes": _gathered(
        lambda draw, n, m: (draw(n, m), draw(n), draw(n, 2), draw(n, 3), draw.labels(n, 7), draw.labels(n, max(n, 1)))
    ),
}
CASES = ELEMENTWISE | SUMMED


class Far(NamedTuple):
    """A small launch, and a large one of which the last blocks do the same at the end of larger arrays."""

    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    launches: tuple[_cuda.Launch, _cuda.Launch]


FLAT = Far(((412,), (2**32 + 412,)), (((2, 1), (256, 1)), ((2**24 + 2, 1), (256, 1))))
ROWS = Far(((16, 32), (2**27 + 16, 32)), (((2, 1), (32, 8)), ((2**24 + 2, 1), (32, 8))))
COLUMNS = Far(((5, 40), (5, 2**30 + 40)), (_cuda.matrix_launch(5, 40), _cuda.matrix_launch(5, 2**30 + 40)))


def far(text):
    """Return the launches for the kernel of this text."""
    if "integer units" in text:  # of normalization: rows; or columns, of which each number is a unit
        return COLUMNS if "dgammas" in text else ROWS
    return FLAT if "integer size" in text else ROWS if "kernel_softmax_loss" in text else COLUMNS


def far_argument(kind, name, shape, launch, zeros):
    """Return a number, or `zeros`, for a parameter of a kernel that works on arrays of this shape."""
    share = launch[1][1] if len(shape) > 1 else 256
    numbers = {"size": math.prod(shape), "rows": shape[0], "columns": shape[-1], "share": share, "double": 0.5}
    # "count" is that of rows of a matrix, or of norms.
    numbers |= {"count": shape[0] if len(shape) > 1 else 1, "uses": shape[0], "padding": -1}
    numbers |= {"a_width": shape[-1], "b_width": 0, "c_width": 0, "k_width": 0}
    by_columns = shape[0] == 5
    if len(shape) > 1:  # units of normalization
        size = 1 if by_columns else shape[-1]
        numbers |= {"units": math.prod(shape) // size, "size": size, "stride": size, "length": size, "jump": 0}
        numbers["kinds"] = shape[-1] if by_columns else 1
    if kind in ("integer", "double"):
        return numbers.get(name, numbers.get(kind, 1))
    name = name.removesuffix("_or_null")
    if name in ("indices", "order"):
        return np.arange(shape[0])[::-1].copy()
    if (
        name in ("labels", "bs", "b_rows", "cs", "c_rows", "ks", "k_rows")
        or (name == "sums" and not by_columns)
        or (name == "b" and len(shape) == 1)
    ):
        return None
    if kind.endswith("double*"):
        return zeros((2 * launch[0][0],), "float64")
    vectors = dict.fromkeys(["b", "sums", "weights"], shape[1:]) | {"scales": shape[:1], "partials": launch[0][:1]}
    vectors |= dict.fromkeys(["gammas", "betas", "dgammas", "dbetas"], shape[1:] or (1,))
    if not by_columns:
        of_units = shape[:1] if len(shape) > 1 else (1,)
        names = ["centers", "inverses", "rests", "means", "variances", "new_means", "new_variances"]
        vectors |= dict.fromkeys(names, of_units)
    numbers = dict.fromkeys(["loss", "total", "ticket", "tickets", "douts", "quantiles", "positives"], (1,))
    return zeros((vectors | numbers).get(name, shape), "uint32" if kind == "unsigned*" else "float32")
