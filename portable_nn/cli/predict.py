"""`portable-nn predict`: what a saved network says about new samples. N = samples, O = outputs."""

import csv
import io
import math
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any, TextIO

from portable_nn.arrays import BACKENDS, namespace, to_numpy
from portable_nn.cli.arguments import output_file
from portable_nn.cli.console import Commands, say
from portable_nn.cli.samples import SETS, load_inputs
from portable_nn.cli.scaling import fold_remembered
from portable_nn.datasets.finite import Precision
from portable_nn.errors import CheckpointError, DataFileError, ShapeError
from portable_nn.layers.inputs import UNCAST
from portable_nn.losses import SigmoidWithLoss, SoftmaxWithLoss
from portable_nn.networks import Network, Sequential, load
from portable_nn.storage import replace
from portable_nn.testing import float64_enabled
from portable_nn.training import Trainer

__all__ = ["add_to"]

_WIDEST = 1_000
"""Up to so many features it is tried out how many a network takes, where no layer says."""


def add_to(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser(
        "predict", help="use a saved network", description="Print one predicted class a line, or the outputs."
    )
    parser.set_defaults(command=predict)
    parser.add_argument("network", metavar="NET.safetensors", help="as train --save wrote it")
    data = (
        f"FILE.csv, .npz or .npy, a file of images in IDX format, or the test images of {', '.join(SETS)} or a folder"
    )
    parser.add_argument("data", metavar="DATA", help=data)
    parser.add_argument("--output", type=output_file(".csv"), metavar="FILE.csv", help="write them there instead")
    parser.add_argument("--probabilities", action="store_true", help="print the probabilities of the classes too")
    parser.add_argument("--backend", choices=BACKENDS, default="numpy", help="(default: numpy)")


def predict(options: Namespace) -> int:
    """Print or write the predictions."""
    if options.output and any(_is_same(options.output, source) for source in (options.data, options.network)):
        raise ValueError(f"--output {options.output} would overwrite what is read")
    with float64_enabled(namespace(options.backend)):
        network = load(options.network, options.backend)
        _unscale(network, options.network)
        x = load_inputs(options.data, _width(network, options.network), _target(network), _precision(network))
        x = _uncast(network, x, options.data)
        header, rows = _answers(network, Trainer(network).predict(x), options)
    if options.output is None:
        _write(sys.stdout, [header, *rows] if options.probabilities else rows)
        return 0
    text = io.StringIO(newline="")
    _write(text, [header, *rows])
    replace(options.output, text.getvalue().encode())
    say(f"{len(rows):,} predictions written to {options.output}")
    return 0


def _unscale(network: Network, path: str) -> None:
    """Undo the scaling of a table in the network, if that is of a checkpoint of `train`, which has it before that."""
    try:
        if isinstance(network, Sequential):
            fold_remembered(network)
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        raise CheckpointError(f"{path}: its scaling does not fit its network: {error}") from error


def _is_same(output: Path, source: str) -> bool:
    return output.exists() and Path(source).exists() and output.samefile(source)


def _width(network: Network, path: str) -> int:
    """Return the number of features that the network takes."""
    order = network.order
    if len(order.inputs) > 1 or order.output_names is not None:
        names = ", ".join([*order.inputs, *(order.output_names or [])])
        raise CheckpointError(f"{path}: needed a network of one input, and one output without a name, got {names}")
    shape = network.input_shape()
    if shape is None and network.input_kinds[0] in UNCAST:
        fitting = [(width,) for width in range(1, _WIDEST + 1) if _fits(network, width)]
        shape = fitting[0] if len(fitting) == 1 else None
    if shape is None:
        raise CheckpointError(f"{path}: needed a network with a layer that fixes the number of features")
    return math.prod(shape)


def _fits(network: Network, width: int) -> bool:
    try:
        network.output_shape((1, width))
    except ShapeError:
        return False
    return True


def _uncast(network: Network, x: Any, data: str) -> Any:
    """Return the samples as whole numbers or booleans, where the network asks for them; DataFileError for others."""
    kind = network.input_kinds[0]
    if kind not in UNCAST:
        return x
    cast = x.astype("int64" if kind == "integral" else "bool")
    if (cast != x).any():
        needed = "whole numbers" if kind == "integral" else "zeros and ones"
        raise DataFileError(f"{data}: needed {needed}, as the network takes, got {x[cast != x][0]}")
    return cast


def _answers(network: Network, y: Any, options: Namespace) -> tuple[list[str], list[list[str]]]:
    """Return the names of the columns, and for each sample its row: class or outputs, probabilities behind."""
    kernels, rows = network.run().kernels, list[list[str]]()
    if wrong := sum(any(map(math.isnan, row)) for row in _as_lists(y)):
        raise ValueError(f"{options.network} gives NaN for {wrong} of {y.shape[0]} samples: it has no answer for them")
    if isinstance(network.loss_function, SoftmaxWithLoss):
        names = _class_names(network, y.shape[1], options.network)
        rows = [[names[label]] for label in _labels(y)]
        header, chances = ["class"], kernels.softmax(y)
    elif isinstance(network.loss_function, SigmoidWithLoss):
        names = [f"probability {i}" for i in range(math.prod(y.shape[1:]))]
        rows = [[str(int(value > 0)) for value in row] for row in _as_lists(y)]
        header, chances = [f"output {i}" for i in range(len(names))], kernels.sigmoid(y)
    elif options.probabilities:
        raise ValueError(f"--probabilities needs a network that classifies, {options.network} does not")
    else:
        return [f"output {i}" for i in range(math.prod(y.shape[1:]))], [_numbers(row) for row in _as_lists(y)]
    if options.probabilities:
        header += names
        rows = [row + _numbers(more) for row, more in zip(rows, _as_lists(chances), strict=True)]
    return header, rows


def _target(network: Network) -> int | str | None:
    target = network.notes.get("target")
    return target if isinstance(target, int | str) else None


def _precision(network: Network) -> Precision:
    is_wide = network.place.dtype_name == "float64" or network.input_kinds[0] in UNCAST
    return "float64" if is_wide else "float32"


def _class_names(network: Network, outputs: int, path: str) -> list[str]:
    names: Any = network.notes.get("classes") or range(outputs)
    if not hasattr(names, "__len__") or len(names) != outputs:
        raise CheckpointError(f"{path}: needed names for {outputs} classes, got {names}")
    return list(map(str, names))


def _labels(y: Any) -> list[int]:
    return to_numpy(y).argmax(axis=1).tolist()


def _as_lists(y: Any) -> list[list[float]]:
    return to_numpy(y).reshape(y.shape[0], -1).tolist()


def _numbers(row: list[float]) -> list[str]:
    return [f"{value:.7g}" for value in row]


def _write(file: TextIO, rows: list[list[str]]) -> None:
    csv.writer(file, lineterminator="\n").writerows(rows)
