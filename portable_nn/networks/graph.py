"""Computational graphs: values that flow from the inputs through layers to the outputs, derivatives that flow back."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from portable_nn.arrays import Namespace
from portable_nn.layers import Layer
from portable_nn.layers.inputs import check_values
from portable_nn.layers.topology import Tape, output_box
from portable_nn.losses import Loss
from portable_nn.networks import arguments
from portable_nn.networks.network import Network
from portable_nn.networks.node import Node
from portable_nn.networks.parts import check_instance, for_outputs, warn_of_two_in_a_row
from portable_nn.rendering import drawing, explanation, notation, pictures

__all__ = ["Graph"]


class Graph(Network):
    """A network in any layout, built by calling layers on nodes, or a formula to be differentiated.

    Fan-out adds gradients. Layers that share a Parameter, or the transpose of one, share it here too, and so does a
    layer that is called twice. A loss is a layer of y, t and perhaps sample weights; labels have no gradient.

    Parameters
    ----------
    loss, loss_weights, seed, xp, device, dtype : optional
        As in `Network`.

    Raises
    ------
    TypeError, ValueError
        If the loss is no Loss.

    Attributes
    ----------
    order : Topology
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

    Inputs and outputs have names, by which they are trained and predicted with:

    >>> losses = {"kind": pnn.SoftmaxWithLoss(), "age": pnn.MeanSquaredError()}
    >>> g = pnn.Graph(loss=losses, loss_weights={"age": 0.1}, seed=0)
    >>> h = pnn.Add()(pnn.Affine(8, 4)(g.input("image")), pnn.Affine(2, 4)(g.input("table")))
    >>> g.output(kind=pnn.Affine(4, 3)(h), age=pnn.Affine(4, 1)(h))
    >>> y = g.predict({"image": [[0.0] * 8] * 5, "table": [[0.0] * 2] * 5})
    >>> y["kind"].shape, y["age"].shape
    ((5, 3), (5, 1))
    """

    def __init__(
        self,
        *,
        loss: Loss | Mapping[str, Loss] | None = None,
        loss_weights: Mapping[str, float] | None = None,
        seed: int | None = None,
        xp: str | Namespace | None = None,
        device: Any = None,
        dtype: str | None = None,
    ):
        super().__init__(loss=loss, loss_weights=loss_weights, seed=seed, xp=xp, device=device, dtype=dtype)
        self.values: dict[str, Any] = {}
        self.gradients: dict[str, Any] = {}
        self._edge_gradients: dict[tuple[str, int], Any] = {}
        self._tape: Tape | None = None

    what = "node"

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

    def chain(self, layers: Sequence[Layer], node: Node) -> Node:
        """Return the node of what `layers` give one after the other, named by their positions "0", "1", ...

        Raises
        ------
        TypeError
            If one is no Layer.
        ValueError
            If there is none, or one has several outputs.
        """
        if not layers:
            raise ValueError(f"{type(self).__name__} needs at least one layer")
        for i, layer in enumerate(layers):
            check_instance(type(self).__name__, f"layer {i}", layer, Layer, "pnn.Affine(64, 10), say")
            if layer.output_count > 1:
                raise ValueError(f"layer {i}: {layer!r} has {layer.output_count} outputs; use a Graph")
            node = self.apply(layer, [node], str(i))
        return node

    def output(self, /, *nodes: Node, **named: Node) -> None:
        """Say which nodes are the outputs, perhaps by names, and draw what has no value yet.

        Raises
        ------
        TypeError
            If something is no node.
        ValueError
            If there is no output, only some have names, an input or another node leads to none, the graph has its
            output already, or the loss is not one for these outputs.
        """
        if nodes and named:
            raise ValueError(f"all outputs need names, or none, got {len(nodes)} without and {', '.join(named)}")
        owner, names, nodes = type(self).__name__, list(named) or None, (*nodes, *named.values())
        for node in nodes:
            check_instance(f"{owner}.output", "each output", node, Node, "layer(node)")
        outputs = [node.name for node in nodes]
        loss = for_outputs(owner, self.loss_function, outputs, names)
        self.order.finish(outputs, names)
        if loss is not self.loss_function:
            self.loss_function = loss
        self.complete()
        makers = {output: step.layer for step in self.order.steps for output in step.outputs}
        warn_of_two_in_a_row(loss, [makers.get(name) for name in outputs])

    # Running it, as a formula.

    def forward(self, *inputs: Any, **arrays: Any) -> Any:
        """Return the output, a tuple for several, a mapping if they have names; `values` then has every value by name.

        States are written.

        Parameters
        ----------
        *inputs, **arrays : arrays or numbers
            One for each input, in order or by name; labels as the loss takes them.

        Raises
        ------
        TypeError
            If an input is missing or misnamed.
        ShapeError, DTypeError, LabelError, NamespaceError
            If an array does not fit; the message names the node.
        """
        if not self.order.outputs:
            raise ValueError("the graph has no output yet: call output(node)")
        arrays |= dict(zip(self.order.inputs, inputs, strict=False))
        x = arguments.inputs(self.order, arrays, self.place, self.what, self.input_kinds)
        check_values(self, x)
        run = self.run(training=True)
        self.values, self.gradients = dict(zip(self.order.inputs, x, strict=True)), {}
        self._tape = self.walk(run, self.pass_arrays(), self.values)
        self.write_states(run.changed)
        return self.named(self.outputs_of(self.values))

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
        arrays = arguments.derivatives({name: self.values[name] for name in self.order.outputs}, douts, self.place)
        run = self.run()
        self._edge_gradients = {("", i): dout for i, dout in enumerate(arrays)}
        by_value, grads = self.walk_back(run, self._tape, arrays, self._edge_gradients)
        self.gradients = by_value | dict(zip(self.parameters, self.sharing.collected(run.kernels, grads), strict=True))

    def to_mermaid(self, *, expand_nested: bool = False) -> str:
        """Return the graph in the language of Mermaid, values and derivatives on its arrows where they are known.

        With `expand_nested`, networks among its layers are subgraphs of their layers; else each is one box.
        """
        return drawing.to_mermaid(self, expand_nested=expand_nested)

    def to_dot(self, *, expand_nested: bool = False) -> str:
        """Return the graph in the language of Graphviz, with the labels and subgraphs of `to_mermaid`."""
        return drawing.to_dot(self, expand_nested=expand_nested)

    def draw(self, path: Any = None, *, expand_nested: bool = False) -> Any:
        """Return a picture, a matplotlib Figure, and write it to `path` (png, svg, pdf); needs the extra "plot".

        With `expand_nested`, networks among the layers are frames around their layers.
        """
        return pictures.draw(self, path, expand_nested=expand_nested)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return pictures.mimebundle(self)

    def explain(self) -> str:
        """Return the chain rule as a table, an arrow a row; RuntimeError before forward and backward."""
        return explanation.explain(self, self._tape)

    def to_postfix(self) -> str:
        """Return the forward pass in postfix notation, `((x y *) b +)`; `rendering.notation` explains it."""
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
        by_edge: Mapping[tuple[str, int], Any] = self._edge_gradients if self.gradients else {}
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

    def layout(self) -> dict[str, Any]:
        """Return inputs, steps and outputs by name; each layer by its first name."""
        names = self.order.first_names()
        steps = [
            {"name": s.name, "layer": names[id(s.layer)], "inputs": list(s.inputs), "outputs": list(s.outputs)}
            for s in self.order.steps
        ]
        outputs: dict[str, Any] = {"outputs": self.order.outputs}
        if self.order.output_names is not None:
            outputs["output_names"] = self.order.output_names
        return {"kind": "Graph", "inputs": self.order.inputs, "steps": steps} | outputs

    def __getstate__(self) -> dict[str, Any]:
        # A copy, here or elsewhere, starts without what the last passes left behind.
        return self.__dict__ | {"values": {}, "gradients": {}, "_tape": None, "_edge_gradients": {}}

    def __repr__(self) -> str:
        if self.order.outputs:
            return super().__repr__()
        return f"{type(self).__name__} of {', '.join(self.order.values()) or 'nothing'}, without an output yet"
