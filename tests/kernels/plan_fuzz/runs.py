"""Training runs of one graph, by the plain walk and by steps that plan or compile, and whether the two are the same."""

import contextlib
import copy
import warnings
from functools import lru_cache

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import namespace
from portable_nn.kernels import PORTABLE
from portable_nn.kernels.fast import _mkl, _numpy_products
from portable_nn.layers import Run
from portable_nn.testing.backends import float64_enabled
from portable_nn.training.step import training_step

from . import users
from .graphs import CLASS_LOSSES, Inventor

__all__ = ["KINDS", "check", "judge"]

KINDS = {
    "numpy": ("numpy", False),
    "numba": ("numpy", True),
    "mkl": ("numpy", None),
    "torch": ("torch", False),
    "cupy": ("cupy", False),
    "jax": ("jax", True),
    "torch.compile": ("torch", True),
}
"""Backend, and whether to compile: as the seed says for None."""

TOLERANCE = {"float64": 1e-9, "float32": 2e-3}
ROUNDING = {"float64": 1e-14, "float32": 1e-6}

ALL_TO_MKL = {"_TINY": 0, "_SMALL": 0, "_LARGE": 0}
CUT = {"_TINY": 16, "_SMALL": 64, "_LARGE": 3000, "_SMALL_OF_DOTS": 16, "_LONG": 1, "_MANY": 6, "_LEAST": 4}
LIMITS = ({}, ALL_TO_MKL, CUT)
"""Of products: as they are, and so that those of small graphs take the ways of large ones."""


class Case:
    """A graph from a seed, how it is trained and on what.

    Parameters
    ----------
    seed : int
    plain : bool
        Without opaque parts, with fewer layers and shapes: for what compiles whole steps.
    """

    def __init__(self, seed, *, plain):
        self.seed = seed
        opaque, most = (False, 5) if plain else (seed % 4 != 0, 9)
        self.inventor = Inventor(np.random.default_rng(seed), opaque=opaque, most=most)
        self.rng, self.pick, self.chance = self.inventor.rng, self.inventor.pick, self.inventor.chance
        self.loss = self.a_loss()
        self.network = self.inventor.graph(self.loss)
        self.optimizer = self.an_optimizer()
        one, other = (int(n) for n in self.rng.choice([1, 2, 3, 5, 8], 2, replace=False))
        self.sizes = [one, one] if plain else self.pick([[one, other, one, one], [one, one, other, 1, one]])
        self.with_weight = self.pick([[True], [False], [False], [True, True, False]])
        self.with_floats = self.chance(0.5)
        self.batches = [self.batch(n, i) for i, n in enumerate(self.sizes)]
        self.dtype = "float32" if self.chance(0.2) else "float64"
        self.assigned_at, self.restored_at = (self.pick([None, None, None, 1, 2]) for _ in range(2))
        self.compile, self.limits = self.chance(0.5), self.pick(LIMITS)

    def a_loss(self):
        kinds = [
            pnn.SoftmaxWithLoss, pnn.SoftmaxWithLoss, pnn.SigmoidWithLoss, pnn.MeanSquaredError, pnn.MeanAbsoluteError,
            pnn.Huber, pnn.PoissonLoss, pnn.LogCosh, pnn.QuantileLoss, pnn.Hinge, pnn.SquaredHinge,
            pnn.SigmoidFocalLoss, pnn.SoftmaxFocalLoss, pnn.NegativeLogLikelihood, pnn.KLDivergence,
            pnn.CosineSimilarityLoss, *(kind for kind in users.LOSSES if self.inventor.allows(kind)),
        ]  # fmt: skip
        kind = self.pick(kinds)
        options = {}
        if issubclass(kind, pnn.Huber):
            options["delta"] = self.pick([1.0, 0.3])
        if issubclass(kind, pnn.SoftmaxWithLoss) and self.chance(0.4):
            options["label_smoothing"] = 0.1
        if kind is pnn.SigmoidWithLoss:
            options["pos_weight"] = self.pick([None, 2.0])
        if kind is pnn.QuantileLoss:
            options["quantiles"] = self.pick([0.5, 0.3])
        if issubclass(kind, CLASS_LOSSES) and kind is not pnn.KLDivergence and self.chance(0.3):
            options["ignore_label"] = self.pick([-100, -1, 0])
        return kind(self.pick(["mean", "mean", "sum"]), **options)

    def an_optimizer(self):
        lr = self.pick([0.02, 0.005, pnn.Exponential(0.02, factor=0.7)])
        options = {"weight_decay": self.pick([0.0, 0.0, 0.02]), "clip_norm": self.pick([None, None, 0.5])}
        options["clip_value"] = self.pick([None, None, 0.1])
        adaptive = {
            pnn.AdaGrad, pnn.RMSprop, pnn.Adam, pnn.AdamW, users.OwnAdam, pnn.Adadelta, pnn.Adamax, pnn.NAdam,
            pnn.RAdam, pnn.LAMB, pnn.ScheduleFreeAdamW,
        }  # fmt: skip
        kind = self.pick(
            [pnn.SGD, pnn.Momentum, pnn.Nesterov, pnn.LARS, *sorted(adaptive, key=repr), *users.OPTIMIZERS]
        )
        # LARS and LAMB make steps of full length of any gradient, also of one that is zero but for rounding.
        if kind in (pnn.LARS, pnn.LAMB) or not self.inventor.allows(kind):
            kind = pnn.SGD
        # With a tiny epsilon, a gradient that is zero but for rounding makes steps of full length.
        return kind(lr, **options, **({"epsilon": 0.01} if kind in adaptive else {}))

    def batch(self, n, i):
        """Return x, t and weights; of other layouts at times."""
        x = self.inventor.numbers((n, *self.inventor.x.shape[1:]))
        x = np.asfortranarray(x) if self.chance(0.1) else x
        shape = each = self.network.output_shape(x.shape)
        t = self.rng.uniform(0.0, 1.0, shape)
        if isinstance(self.loss, CLASS_LOSSES):
            axis = 1 if len(shape) > 3 else len(shape) - 1
            each = shape[:axis] + shape[axis + 1 :]
            if self.with_floats or isinstance(self.loss, pnn.KLDivergence):
                t = t / t.sum(axis=axis, keepdims=True)
            else:
                t = self.rng.integers(0, shape[axis], each)
                if self.loss.ignore_label is not None:
                    t[self.rng.random(t.shape) < 0.3] = self.loss.ignore_label
            if i == 0 and self.seed % 3 == 0 and not isinstance(self.loss, pnn.KLDivergence):
                self.loss.class_weight = self.rng.uniform(0.5, 2.0, shape[axis]).tolist()
        elif isinstance(self.loss, pnn.Hinge):
            t = np.where(t > 0.5, 1.0, -1.0)
        elif isinstance(self.loss, pnn.CosineSimilarityLoss):
            each = shape[:-1]
        elif shape[1:] == (1,) and self.with_floats:
            t = t[:, 0]
        of_differences = pnn.MeanSquaredError | pnn.MeanAbsoluteError | pnn.Huber | pnn.LogCosh | pnn.QuantileLoss
        signed = isinstance(self.loss, of_differences)
        if signed and i == 0 and t.shape == x.shape:
            t = x  # one array given twice, but not the next time
        weight = self.rng.uniform(0.5, 2.0, n) if self.with_weight[i % len(self.with_weight)] else None
        if weight is not None and self.chance(0.3) and not isinstance(self.loss, users.Fourth):
            weight = self.rng.uniform(0.5, 2.0, each)
        return x, t, weight

    def __str__(self):
        return (
            f"PORTABLE_NN_PLAN_SEED={self.seed}: {self.network.to_postfix()}\n"
            f"{self.loss!r}, {type(self.optimizer).__name__} {self.optimizer.__dict__}\n"
            f"batches of {self.sizes}, weights {self.with_weight}, {self.dtype}, parameters assigned before step "
            f"{self.assigned_at}, set back after {self.restored_at}; frozen: "
            f"{sorted(set(self.network.parameters) - set(self.network.trainable()))}; products: {self.limits}"
        )


class Plain:
    """Steps by the walk with portable kernels, as the judge of all other steps."""

    def __init__(self, network, optimizer):
        self.network, self.optimizer = network, optimizer

    def __call__(self, x, t, weight):
        network = self.network
        key = network.next_key() if network.is_random else None
        run = Run(network.place, PORTABLE, training=True, key=key)
        loss, grads = network.loss_and_gradients(run, network.arrays(), x, t, weight)
        self.optimizer.update(network.parameters, {name: grads[i] for name, i in network.trainable().items()})
        network.write_states(run.changed)
        return loss

    def predict(self, x):
        run = Run(self.network.place, PORTABLE)
        return self.network.forward_walk(run, self.network.arrays(), self.network.inputs(x))[0]

    def snapshot(self):
        state = {name: [np.array(slot) for slot in slots] for name, slots in self.optimizer.state.items()}
        return [np.array(array) for array in self.network.arrays()], state, self.optimizer.steps

    def restore(self, snapshot):
        arrays, state, self.optimizer.steps = snapshot
        self.network.set_arrays(arrays)
        self.optimizer.state = {name: tuple(slots) for name, slots in state.items()}


def results_of(case, network, optimizer, step, predict):
    """Return what a run leaves, by name: what it returned on its way is looked at last, when it must still be there."""
    results, given, taken = {}, [], None
    for i, batch in enumerate(case.batches):
        if case.assigned_at == i:
            name = list(network.parameters)[-1]
            network.parameters[name] = np.asarray(pnn.to_numpy(network.parameters[name])) * 0.5
            for name, array in network.states.items():
                network.states[name] = np.asarray(pnn.to_numpy(array)) * 0.5
        if case.restored_at == i:
            taken = step.snapshot()
        x, t, weight = network.batch(*batch)
        given += [(array, np.array(pnn.to_numpy(array))) for array in (x, t, weight) if array is not None]
        results[f"loss {i}"] = step(x, t, weight)
        if case.restored_at == i and case.restored_at % 2:
            step.restore(taken)
        for j in (0, i):
            results[f"prediction {i} {j}"] = predict(case.batches[j][0])
    for array, before in given:
        assert np.array_equal(pnn.to_numpy(array), before), "a batch was written over"
    slots = {f"{n} slot {i}": slot for n, state in optimizer.state.items() for i, slot in enumerate(state)}
    results |= dict(network.parameters) | dict(network.states) | slots | {"steps": np.asarray(optimizer.steps)}
    return {name: np.array(pnn.to_numpy(array), dtype="float64") for name, array in results.items()}


@lru_cache(maxsize=200)
def invented(seed, *, plain):
    return Case(seed, plain=plain)


@lru_cache(maxsize=200)
def expected(seed, *, plain):
    """Return the results of the plain walk."""
    case = invented(seed, plain=plain)
    return walked(case, case.network.to())


def walked(case, network):
    optimizer = copy.deepcopy(case.optimizer)
    step = Plain(network, optimizer)
    with np.errstate(all="ignore"):
        return results_of(case, network, optimizer, step, step.predict)


def stepped(case, kind):
    """Return the results of training steps and predictions as users get them."""
    backend, compile = KINDS[kind]
    with surroundings(case, kind):
        network = case.network.to(namespace(backend), dtype=case.dtype)
        optimizer = copy.deepcopy(case.optimizer)
        step = training_step(network, optimizer, compile=case.compile if compile is None else compile)
        return results_of(case, network, optimizer, step, network.predict)


@contextlib.contextmanager
def surroundings(case, kind):
    """Set what the kind of run needs for as long as it runs."""
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        stack.enter_context(np.errstate(all="ignore"))
        if kind == "mkl":
            limits = CUT if case.limits is CUT else ALL_TO_MKL
        else:
            limits = case.limits
            patch.setattr(_mkl, "product", lambda a, b, out: False)
        for name, limit in limits.items():
            patch.setattr(_numpy_products, name, limit)
        if kind == "jax":
            stack.enter_context(float64_enabled(namespace("jax")))
        if kind == "torch.compile":
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", DeprecationWarning)  # torch's own imports
            import torch

            stack.callback(torch._dynamo.reset)  # it compiles one function a few times only
        yield


def check(seed, kind):
    """Hold a run to the plain walk: return "same", or why nothing can be said; an AssertionError names the seed."""
    plain = kind in ("jax", "torch.compile")
    case = invented(seed, plain=plain)
    due = expected(seed, plain=plain)
    if not all(np.isfinite(array).all() for array in due.values()):
        return "not finite"
    try:
        found = stepped(case, kind)
    except Exception as error:
        error.add_note(f"{kind}, {case}")
        raise
    wrong = differences(found, due, TOLERANCE[case.dtype])
    if not wrong:
        return "same"
    if differences(walked(case, shaken(case)), due, TOLERANCE[case.dtype] / 20):
        return "ill-conditioned"
    raise AssertionError("\n".join([f"{kind}, {case}", *wrong]))


def shaken(case):
    """Return the network with parameters changed as rounding changes them, and a little more."""
    network, rng = case.network.to(), np.random.default_rng(0)
    for name, array in network.parameters.items():
        size = 10 * ROUNDING[case.dtype]
        network.parameters[name] = array + size * rng.normal(size=array.shape) * (1.0 + abs(array))
    return network


def differences(found, due, tolerance):
    """Return a line for each result that is not as due."""
    lines = [f"{name} is missing" for name in due.keys() ^ found.keys()]
    for name in due.keys() & found.keys():
        one, other = found[name], due[name]
        scale = max(np.abs(other).max(initial=0.0), 1e-2)
        if one.shape != other.shape:
            lines.append(f"{name} has shape {one.shape}, due is {other.shape}")
        elif not np.allclose(one, other, rtol=0, atol=tolerance * scale):
            lines.append(f"{name} is off by {np.abs(one - other).max()}: {one}, due is {other}")
    return sorted(lines)


def judge(outcomes):
    """Fail if too few runs could be judged: then the graphs are not worth inventing."""
    same = outcomes.count("same")
    assert same >= 0.9 * len(outcomes) - 2, f"of {len(outcomes)} graphs only {same} could be judged"
