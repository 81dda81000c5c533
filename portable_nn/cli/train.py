"""`portable-nn train`: train a network of affine layers on images or on a table."""

import contextlib
import importlib.util
import math
import time
from argparse import Namespace
from pathlib import Path

from portable_nn import layers, optimizers
from portable_nn.arrays import BACKENDS, PRECISIONS, Place, move, namespace, to_numpy
from portable_nn.cli.arguments import column, count, fraction, metric, natural, output_file, positive, share, size
from portable_nn.cli.console import Commands, Parser, say
from portable_nn.cli.samples import SETS, Samples, load_samples
from portable_nn.cli.scaling import Scaling, dtype_of, fold_remembered, remember_scaling
from portable_nn.cli.scores import confusions, listed, r_squared
from portable_nn.errors import DivergenceError, MissingExtraError
from portable_nn.losses import MeanSquaredError, SoftmaxWithLoss
from portable_nn.networks import Sequential
from portable_nn.schedules import Cosine
from portable_nn.testing import float64_enabled
from portable_nn.training import Trainer

__all__ = ["add_to"]

_ACTIVATIONS: dict[str, type[layers.Layer]] = {
    "relu": layers.ReLU,
    "leaky-relu": layers.LeakyReLU,
    "prelu": layers.PReLU,
    "relu6": layers.ReLU6,
    "elu": layers.ELU,
    "celu": layers.CELU,
    "selu": layers.SELU,
    "silu": layers.SiLU,
    "mish": layers.Mish,
    "hard-swish": layers.HardSwish,
    "gelu": layers.GELU,
    "softplus": layers.Softplus,
    "softsign": layers.Softsign,
    "tanh": layers.Tanh,
    "sigmoid": layers.Sigmoid,
}

_OPTIMIZERS: dict[str, tuple[type[optimizers.Optimizer], float]] = {
    "adam": (optimizers.Adam, 4e-3),
    "adamw": (optimizers.AdamW, 4e-3),
    "rmsprop": (optimizers.RMSprop, 2e-3),
    "adagrad": (optimizers.AdaGrad, 2e-2),
    "sgd": (optimizers.SGD, 0.05),
    "momentum": (optimizers.Momentum, 2e-2),
    "nesterov": (optimizers.Nesterov, 2e-2),
    "adadelta": (optimizers.Adadelta, 2.0),
    "adamax": (optimizers.Adamax, 8e-3),
    "nadam": (optimizers.NAdam, 4e-3),
    "radam": (optimizers.RAdam, 8e-3),
    "lion": (optimizers.Lion, 1e-3),
    "lamb": (optimizers.LAMB, 1e-2),
    "lars": (optimizers.LARS, 5.0),
    "adafactor": (optimizers.Adafactor, 2e-2),
    "muon": (optimizers.Muon, 4e-3),
}
"""The optimizers, each with the learning rate that its run begins with."""

_MANY_SAMPLES = 10_000
"""From here on a larger network and larger batches pay."""

_UPDATES = 2000
"""What the default number of epochs aims at, if that takes 10 to 200 of them."""


def add_to(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser("train", help="train a network", description="Train a network and measure it.")
    parser.set_defaults(command=train)
    data = f"{', '.join(SETS)}, a folder of IDX files, FILE.csv or FILE.npz (default: digits)"
    parser.add_argument("data", nargs="?", default="digits", metavar="DATA", help=data)
    group = parser.add_argument_group("tables")
    group.add_argument("--target", type=column, metavar="COLUMN", help="name or index of what to predict (default: -1)")
    group.add_argument("--test-fraction", type=fraction, metavar="SHARE", help="kept for the test (default: 0.2)")
    group.add_argument("--regression", action="store_true", help="predict whole numbers as quantities, not as classes")
    group = parser.add_argument_group("network")
    sizes = "of the hidden layers (default: 128 128, or 512 512 from 10,000 samples on)"
    group.add_argument("--hidden", nargs="*", type=size, metavar="SIZE", help=sizes)
    group.add_argument("--activation", choices=_ACTIVATIONS, default="relu", help="(default: relu)")
    rate = "after each hidden layer (default: 0.2)"
    group.add_argument("--dropout", type=share, default=0.2, metavar="RATE", help=rate)
    _add_training(parser)
    group = parser.add_argument_group("place")
    group.add_argument("--backend", choices=BACKENDS, default="numpy", help="(default: numpy)")
    group.add_argument("--device", help="such as cpu or cuda:0 (default: the backend's own)")
    dtypes = "bfloat16 and float16 are what is computed in (default: float32 if it holds a table's digits)"
    group.add_argument("--dtype", choices=PRECISIONS, help=dtypes)
    group = parser.add_argument_group("output")
    group.add_argument("--save", type=output_file(".safetensors"), metavar="NET.safetensors", help="keep the network")
    kept = "write checkpoints of the run, after every epoch"
    group.add_argument("--checkpoint", metavar="FOLDER", help=kept)
    group.add_argument("--resume", action="store_true", help="go on from the newest checkpoint, if there is one")
    measured = "such as f1: shown, told and drawn beside loss and accuracy; while training of targets that are scaled"
    group.add_argument("--metrics", nargs="+", type=metric, default=[], metavar="NAME", help=measured)
    curves = "draw loss, accuracy and metrics by epoch"
    group.add_argument("--plot", type=output_file(".png", ".svg", ".pdf"), metavar="FILE.png", help=curves)
    group.add_argument("--quiet", action="store_true", help="no progress, no table")


def _add_training(parser: Parser) -> None:
    group = parser.add_argument_group("training")
    group.add_argument("--optimizer", choices=_OPTIMIZERS, default="adam", help="(default: adam)")
    rates = ", ".join(f"{name} {lr:g}" for name, (_, lr) in _OPTIMIZERS.items())
    group.add_argument("--lr", type=positive, help=f"first learning rate, falling along a cosine (default: {rates})")
    samples = "samples (default: 32, or 128 from 10,000 on)"
    group.add_argument("--batch-size", type=count, metavar="N", help=samples)
    several = "batches whose gradients are added up for one update: large batches in little memory (default: 1)"
    group.add_argument("--accumulate", type=count, default=1, metavar="K", help=several)
    epochs = f"(default: about {_UPDATES:,} updates in 10 to 200 epochs)"
    group.add_argument("--epochs", type=count, metavar="N", help=epochs)
    decides = "decides weights, order of batches and dropout, not the test samples (default: 0)"
    group.add_argument("--seed", type=natural, default=0, metavar="N", help=decides)
    limit = "a loss of a batch above this counts as infinite"
    group.add_argument("--loss-limit", type=positive, default=math.inf, metavar="LOSS", help=limit)
    back = "how often to go back and on with half the rate if the loss becomes NaN or infinite (default: 0)"
    group.add_argument("--recoveries", type=natural, default=0, metavar="N", help=back)


def train(options: Namespace) -> int:
    """Train, save, report and draw; return 130 if Ctrl-C cut it short."""
    if options.plot and importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError.of("matplotlib", "plot", "--plot")
    xp = namespace(options.backend)
    precision = str(options.dtype)
    # There is one: reading may take long. JAX is told of float64 later.
    Place(xp, options.device, "float32" if precision in ("None", "float64") else precision)
    samples = _samples(options)
    with float64_enabled(xp) if options.dtype == "float64" else contextlib.nullcontext():
        _complete(options, samples)
        network = _network(options, samples, Place(xp, options.device, options.dtype))
        if not options.quiet:
            say(f"{options.data}: {samples}; {network.place}")
            say(_description(options, network))
        trainer, seconds = _trained(options, samples, network)
        unsaved = _saved(network, options.save)
        history = trainer.history
        _report(options, samples, trainer, f"{_epochs(len(history.get('loss', [])))} in {seconds:.1f} s")
    if history.stopped:
        say(history.stopped)
    if unsaved is not None:
        raise OSError(f"the network could not be saved in {options.save}: {unsaved.strerror or unsaved}")
    if options.save:
        say(f"network saved in {options.save}")
    if options.plot and len(history):
        history.plot(options.plot)
        say(f"curves drawn in {options.plot}")
    elif options.plot:
        say("no curves drawn: no epoch was finished")
    return 130 if history.stopped else 0


def _samples(options: Namespace) -> Samples:
    """Load the samples, and decide on a data type that holds them, if the user left it open."""
    samples = load_samples(
        options.data,
        target=options.target,
        test_fraction=options.test_fraction,
        regression=options.regression,
        dtype="float64" if options.dtype in (None, "float64") else "float32",
    )
    if options.dtype is None:
        tables = [samples.x, *([samples.t] if samples.classes is None else [])]
        options.dtype = dtype_of(*tables) if samples.is_table else "float32"
    return samples


def _saved(network: Sequential, path: Path | None) -> OSError | None:
    """Save the network, if there is a path; return why that failed, if it did: the score is to be told all the same."""
    try:
        if path is not None:
            network.save(path)
    except OSError as error:
        return error
    return None


def _complete(options: Namespace, samples: Samples) -> None:
    """Decide what the user left open."""
    many = len(samples.x) >= _MANY_SAMPLES
    if options.hidden is None:
        options.hidden = [512, 512] if many else [128, 128]
    options.lr = options.lr or _OPTIMIZERS[options.optimizer][1]
    options.batch_size = options.batch_size or (128 if many else 32)
    options.batches = -(-len(samples.x) // (options.batch_size * options.accumulate))
    options.epochs = options.epochs or min(max(10, round(_UPDATES / options.batches)), 200)


def _network(options: Namespace, samples: Samples, place: Place) -> Sequential:
    width, stack = samples.x.shape[1], list[layers.Layer]()
    for outputs in options.hidden:
        stack += [layers.Affine(width, outputs), _ACTIVATIONS[options.activation]()]
        stack += [layers.Dropout(options.dropout)] if options.dropout else []
        width = outputs
    stack.append(layers.Affine(width, 1 if samples.classes is None else len(samples.classes)))
    loss = MeanSquaredError() if samples.classes is None else SoftmaxWithLoss()
    network = Sequential(*stack, loss=loss, seed=options.seed, xp=place.xp, device=place.device, dtype=place.precision)
    if samples.classes is not None:
        network.notes["classes"] = samples.classes
    if options.target is not None:
        network.notes["target"] = options.target
    return network


def _description(options: Namespace, network: Sequential) -> str:
    sizes = [layer.inputs for layer in network.layers if isinstance(layer, layers.Affine)]
    shape = "-".join(map(str, [*sizes, network.output_shape((1, sizes[0]))[1]]))
    parameters = sum(int(to_numpy(array).size) for array in network.parameters.values())
    dropout = f", dropout {options.dropout:g}" if options.hidden and options.dropout else ""
    several = f"{options.accumulate} x " if options.accumulate > 1 else ""
    return (
        f"{shape}{f', {options.activation}' if options.hidden else ''}{dropout}, {parameters:,} parameters; "
        f"{options.optimizer}, learning rate {options.lr:g} falling to 0, {_epochs(options.epochs)}, "
        f"batches of {several}{options.batch_size}, seed {options.seed}"
    )


def _epochs(number: int) -> str:
    return "1 epoch" if number == 1 else f"{number:,} epochs"


def _trained(options: Namespace, samples: Samples, network: Sequential) -> tuple[Trainer, float]:
    """Train the network, so that it takes and gives what the data hold; return the trainer and the seconds taken."""
    inputs = Scaling(samples.x) if samples.is_table else None
    outputs = Scaling(samples.t) if samples.classes is None else None
    x, x_test = (x if inputs is None else inputs(x) for x in (samples.x, samples.x_test))
    t, t_test = (t if outputs is None else outputs(t) for t in (samples.t, samples.t_test))
    optimizer = _OPTIMIZERS[options.optimizer][0](Cosine(options.lr, steps=options.epochs * options.batches))
    remember_scaling(network, inputs, outputs)
    # The result begins with the accuracy of classes, which a trainer with metrics of its own is to be asked for.
    metrics = [*([] if samples.classes is None else ["accuracy"]), *options.metrics]
    trainer = Trainer(network, optimizer, metrics=list(dict.fromkeys(metrics)) if options.metrics else None)
    started = time.perf_counter()
    try:
        trainer.fit(
            move(x, network.place),
            t,
            epochs=options.epochs,
            batch_size=options.batch_size,
            accumulate=options.accumulate,
            validation_data=(move(x_test, network.place), t_test),
            progress=not options.quiet,
            checkpoint=options.checkpoint,
            resume=options.resume,
            loss_limit=options.loss_limit,
            recoveries=options.recoveries,
        )
    except DivergenceError as error:
        what = str(error).partition(";")[0]
        raise DivergenceError(f"{what}: try --lr lower than {options.lr:g}") from None
    seconds = time.perf_counter() - started
    fold_remembered(network)
    return trainer, seconds


def _report(options: Namespace, samples: Samples, trainer: Trainer, effort: str) -> None:
    scores = trainer.evaluate(samples.x_test, samples.t_test)
    y = to_numpy(trainer.predict(samples.x_test))
    if samples.classes is None:
        r2 = f"R^2 {r_squared(samples.t_test, y):.4f}"
        say(f"test loss {scores['loss']:.4g} (mean squared error), {r2}{listed(scores, options.metrics)}; {effort}")
        return
    right = round(scores["accuracy"] * len(samples.t_test))
    say(
        f"test accuracy {scores['accuracy']:.4f} ({right:,} of {len(samples.t_test):,}), "
        f"loss {scores['loss']:.4f}{listed(scores, options.metrics)}; {effort}"
    )
    if not options.quiet:
        say(confusions(samples.t_test.tolist(), y.argmax(axis=1).tolist(), samples.classes))
