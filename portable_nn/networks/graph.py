"""Computational graphs: values that flow from the inputs through layers to the outputs, derivatives that flow back."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from portable_nn.arrays import Namespace
from portable_nn.layers import Layer, Run
from portable_nn.layers.layer import Arrays, as_tuple
from portable_nn.layers.weights import draw
from portable_nn.losses import Loss
from portable_nn.networks import drawing, explanation, feeds, notation, pictures
from portable_nn.networks.network import Network, Tape
from portable_nn.networks.parts import check_instance, warn_of_two_in_a_row
from portable_nn.networks.steps import Node, Step, Steps, output_box

__all__ = ["Graph"]


class Graph(Network):
    """A network in any layout, built by calling layers on nodes, or a formula to be differentiated.

    Fan-out adds gradients. Layers that share a Parameter, or the transpose of one, share it here too, and so does a
    layer that is called twice. A loss is a layer of y, t and perhaps sample weights; labels have no gradient.

    Parameters
    ----------
    loss, seed, xp, device, dtype : optional
        As in `Network`.

    Raises
    ------
    TypeError
        If the loss is no Loss.

    Attributes
    ----------
    order : Steps
        The names of inputs and outputs, and the layers between them.
    values, gradients : dict of str to array
        After `forward`, every value by name; after `backward`, the derivative by every value and parameter.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> g = pnn.Graph(dtype="float64")
    >>> apple, n, tax = g.input("apple"), g.input("n"), g.input("tax")
    >>> g.output(pnn.Mul()(pnn.Mul()(apple, n), tax))
    >>> print(f"{g.forward(apple=100.0, n=2.0, tax=1.1):.6g}")
    220
    >>> g.backward()
    >>> {name: f"{g.gradients[name]:.6g}" for name in ("apple", "n", "tax")}
    {'apple': '2.2', 'n': '110', 'tax': '200'}
    """

    def __init__(
        self,
        *,
        loss: Loss | None = None,
        seed: int | None = None,
        xp: str | Namespace | None = None,
        device: Any = None,
        dtype: str | None = None,
    ):
        if loss is not None:
            check_instance(type(self).__name__, "loss", loss, Loss, "pnn.SoftmaxWithLoss(), say")
        self._options: dict[str, Any] = {"loss": loss, "seed": seed, "xp": xp, "device": device, "dtype": dtype}
        self.order = Steps()
        self.values: dict[str, Any] = {}
        self.gradients: dict[str, Any] = {}
        self._tape: Tape = None

    what = "node"
    """What errors call a step."""

    # Building it.

    def input(self, name: str) -> Node:
        """Return the node of a new input.

        Raises
        ------
        ValueError
            If the name is taken, or the graph has its output already.
        """
        self.order.add_input(name)
        return Node(self, name)

    def apply(self, layer: Layer, nodes: Sequence[Node], name: str | None = None) -> Any:
        """Return the node of what `layer` gives for `nodes`, a tuple for several outputs; `layer(*nodes)` calls this.

        Raises
        ------
        TypeError
            If `layer` is no Layer.
        ValueError
            If a node is of another graph, the name is taken, or the graph has its output already.
        """
        check_instance(f"{type(self).__name__}.apply", "layer", layer, Layer, "pnn.Affine(64, 10), say")
        for node in nodes:
            if node.graph is not self:
                raise ValueError(f"the node {node.name} is of another graph")
        step = self.order.add(layer, [node.name for node in nodes], name)
        made = [Node(self, output) for output in step.outputs]
        return tuple(made) if len(made) > 1 else made[0]

    def output(self, *nodes: Node) -> None:
        """Say which nodes are the outputs, and make the network: draw what has no value yet.

        Raises
        ------
        ValueError
            If there is no output, an input or another node leads to none, or the graph has its output already.
        """
        self.order.finish([node.name for node in nodes])
        self._last_uses = self.order.last_uses()
        super().__init__({step.name: step.layer for step in self.order.steps}, **self._options)
        last = [step.layer for step in self.order.steps if {*step.outputs} & {*self.order.outputs}]
        warn_of_two_in_a_row(self.loss_function, last)
        self._options = {}  # they hold a device, which not every library can copy
        draw(self._layers, self.place, self.seed)

    # Running it, as a formula.

    def forward(self, **arrays: Any) -> Any:
        """Return the output, a tuple for several; `values` then has every value by name.

        Parameters
        ----------
        **arrays : arrays or numbers
            One for each input; labels as the loss takes them.

        Raises
        ------
        TypeError
            If an input is missing or misnamed.
        ShapeError, DTypeError, LabelError, NamespaceError
            If an array does not fit; the message names the node.
        """
        if not self.order.outputs:
            raise ValueError("the graph has no output yet: call output(node)")
        x = feeds.inputs(self.order, arrays, self.place, self.what)
        run = self.run(training=True)
        values, self._tape = self._walk(run, self.arrays(), x)
        self.values, self.gradients = values, {}
        return self._outputs(values)

    def backward(self, *douts: Any) -> None:
        """Find the derivative of the output by every value and parameter: `gradients` has them by name.

        Parameters
        ----------
        *douts : arrays or numbers
            One for each output, in its shape; 1 for a single number, if left out.

        Raises
        ------
        RuntimeError
            If there was no forward pass.
        ShapeError
            If a derivative has another shape than its output, or is left out for an array.
        """
        if self._tape is None:
            raise RuntimeError("this graph needs a forward pass before backward")
        arrays = feeds.derivatives({name: self.values[name] for name in self.order.outputs}, douts, self.place)
        by_value, by_edge, grads = self._back(self.run(), self.arrays(), self._tape, arrays)
        self.gradients = by_value | dict(zip(self.parameters, grads, strict=True))
        self._edge_gradients = by_edge

    def to_mermaid(self) -> str:
        """Return the graph in the language of Mermaid, values and derivatives on its arrows where they are known."""
        return drawing.to_mermaid(self)

    def to_dot(self) -> str:
        """Return the graph in the language of Graphviz, with the labels of `to_mermaid`."""
        return drawing.to_dot(self)

    def draw(self, path: Any = None) -> Any:
        """Return a picture, a matplotlib Figure, and write it to `path` (png, svg, pdf); needs the extra "plot"."""
        return pictures.draw(self, path)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return pictures.mimebundle(self)

    def explain(self) -> str:
        """Return the chain rule as a table, an arrow a row; RuntimeError before forward and backward."""
        return explanation.explain(self, self._tape)

    def to_postfix(self) -> str:
        """Return the forward pass in postfix notation, `((x y *) b +)`; `networks.notation` explains it."""
        return notation.write(self, prefix=False)

    def to_prefix(self) -> str:
        """Return the backward pass, from the outputs to the inputs, in prefix notation: `(+ (* x y) b)`."""
        return notation.write(self, prefix=True)

    @staticmethod
    def from_postfix(text: str, classes: Iterable[type[Layer]] = (), **options: Any) -> "Graph":
        """Return the graph of a text, with `classes` of your own; a ValueError says what is wrong and where."""
        return notation.read(Graph(**options), text, classes, prefix=False)

    @staticmethod
    def from_prefix(text: str, classes: Iterable[type[Layer]] = (), **options: Any) -> "Graph":
        """Return the graph of a text in prefix notation, as `from_postfix` does."""
        return notation.read(Graph(**options), text, classes, prefix=True)

    def edges(self) -> list[tuple[str, str, str, Any, Any]]:
        """Return for each arrow where it begins and ends, its value's name, the value, and the derivative along it."""
        makers = {output: step.name for step in self.order.steps for output in step.outputs}
        by_edge: Mapping[tuple[str, int], Any] = getattr(self, "_edge_gradients", {}) if self.gradients else {}
        inner = [
            (makers.get(value, value), step.name, value, self.values.get(value), by_edge.get((step.name, i)))
            for step in self.order.steps
            for i, value in enumerate(step.inputs)
        ]
        outer = [
            (makers.get(value, value), output_box(value), value, self.values.get(value), by_edge.get(("", i)))
            for i, value in enumerate(self.order.outputs)
        ]
        return inner + outer

    # Running it, as a network.

    def forward_walk(self, run: Run, params: Sequence[Any], x: Any) -> tuple[Any, Tape]:
        """Return the output, and what each layer kept."""
        values, tape = self._walk(run, params, [x], forget=True)
        return self._outputs(values), tape

    def backward_walk(self, run: Run, params: Sequence[Any], tape: Tape, dy: Any) -> list[Any]:
        """Return the gradients of the parameters, found from the last layer to the first."""
        return self._back(run, params, tape, [dy])[2]

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the output."""
        return self.order.shapes([shape], self.what)[self.order.outputs[0]]

    def layout(self) -> dict[str, Any]:
        """Return inputs, steps and outputs by name; each layer by its first name."""
        names = {id(layer): name for name, layer in self.wiring.distinct_layers.items()}
        steps = [
            {"name": s.name, "layer": names[id(s.layer)], "inputs": list(s.inputs), "outputs": list(s.outputs)}
            for s in self.order.steps
        ]
        return {"kind": "Graph", "inputs": self.order.inputs, "steps": steps, "outputs": self.order.outputs}

    def _walk(
        self, run: Run, params: Sequence[Any], x: Sequence[Any], *, forget: bool = False
    ) -> tuple[dict[str, Any], Tape]:
        values = dict(zip(self.order.inputs, x, strict=True))
        tape: list[tuple[Step, Arrays, Any]] = []
        for step in self.order.steps:
            layer_params = self.wiring.layer_params(step.name, run.kernels, params)
            y, kept = run.forward(step.layer, layer_params, *[values[name] for name in step.inputs])
            if run.training:
                tape.append((step, layer_params, kept))
            if len(step.outputs) == 1:
                values[step.outputs[0]] = y
            else:
                values.update(zip(step.outputs, y, strict=True))
            for name in self._last_uses.get(step.name, ()) if forget else ():
                del values[name]
        return values, tape

    def _back(
        self, run: Run, params: Sequence[Any], tape: Tape, douts: Sequence[Any]
    ) -> tuple[dict[str, Any], dict[tuple[str, int], Any], list[Any]]:
        """Return the derivatives by value, by arrow (a step and the position of its input), and by parameter."""
        by_value: dict[str, Any] = {}
        by_edge: dict[tuple[str, int], Any] = {("", i): dout for i, dout in enumerate(douts)}
        grads: list[Any] = [None] * len(params)

        def add(name: str, derivative: Any) -> None:
            by_value[name] = run.kernels.add(by_value[name], derivative) if name in by_value else derivative

        for name, dout in zip(self.order.outputs, douts, strict=True):
            add(name, dout)
        for step, layer_params, kept in reversed(tape):
            dys = [by_value[name] for name in step.outputs]
            dx, layer_grads = run.backward(step.layer, layer_params, kept, *dys)
            self.wiring.add_gradients(step.name, run.kernels, grads, layer_grads)
            for i, derivative in zip(step.differentiated, as_tuple(dx), strict=True):
                by_edge[step.name, i] = derivative
                add(step.inputs[i], derivative)
        return by_value, by_edge, grads

    def _outputs(self, values: Mapping[str, Any]) -> Any:
        outputs = [values[name] for name in self.order.outputs]
        return tuple(outputs) if len(outputs) > 1 else outputs[0]

    def __getstate__(self) -> dict[str, Any]:
        # A copy, here or elsewhere, starts without what the last passes left behind.
        return self.__dict__ | {"values": {}, "gradients": {}, "_tape": None, "_edge_gradients": {}}

    def __repr__(self) -> str:
        if self.order.outputs:
            return super().__repr__()
        return f"{type(self).__name__} of {', '.join(self.order.values()) or 'nothing'}, without an output yet"
