"""Graphs as one line of text: `((x y *) b +)` in postfix, the order of the forward pass, `(+ (* x y) b)` in prefix.

An application stands in parentheses with its operands before (postfix) or after (prefix) the layer, which is
`+ - * /` or `^2` for arithmetic (`-` of one operand is Neg), else the call that makes it: `(x Affine(3, 2))`.
Every other word is an input, or the name of a value that came before:

- `(x y *)=p` names an application, so that `p` can be used again;
- `(x Split(2)).1=s` is the first output of several; the second is then `s.2`;
- `(y @affine1)` applies the layer of affine1 once more;
- `affine2.W=affine1.W^T` after the outputs ties a parameter to another, here to its transpose.

Several outputs stand one after the other; where they have names, each is followed by its own, `(h ReLU()):kind`. Steps
and inputs get the order of the text. Nothing in a text is executed or imported: layers come from a closed table.
"""

import ast
import inspect
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from portable_nn.layer_table import layer_table, tie
from portable_nn.layers import Layer
from portable_nn.layers.inputs import as_tuple
from portable_nn.layers.layer import describe
from portable_nn.layers.topology import Topology

__all__ = ["read", "write"]

_SIGNS = {("+", 2): "Add", ("-", 2): "Sub", ("*", 2): "Mul", ("/", 2): "Div", ("-", 1): "Neg"}
_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_WORD = rf"(?:[\w.]+|{_QUOTED})"
_INSIDE = rf"""(?:[^()'"]|{_QUOTED})"""
_TOKEN = re.compile(
    rf"""(?P<space>\s+)
    | (?P<open>\()
    | (?P<close>\)(?:\.(?P<output>\d+))?(?:=(?P<name>{_WORD}))?)
    | (?P<call>[^\W\d]\w*\((?:{_INSIDE}|\((?:{_INSIDE}|\({_INSIDE}*+\))*+\))*+\))
    | (?P<again>@{_WORD})
    | (?P<label>:{_WORD})
    | (?P<power>\^[-+.\w]+)
    | (?P<sign>[-+*/])
    | (?P<tie>(?P<own>{_WORD})=(?P<other>{_WORD})(?P<transposed>\^T)?)
    | (?P<word>{_WORD})""",
    re.VERBOSE,
)


class _Sharing(Protocol):
    def ties(self) -> Mapping[str, Mapping[str, Any]]: ...


class _Written(Protocol):
    """What is written: steps, and which parameters are tied to others."""

    @property
    def order(self) -> Topology: ...
    @property
    def sharing(self) -> _Sharing: ...


class _Node(Protocol):
    @property
    def name(self) -> str: ...


class _Buildable(Protocol):
    """An empty graph, in which that is built what a text says."""

    @property
    def order(self) -> Topology: ...
    def input(self, name: str) -> _Node: ...
    def apply(self, layer: Layer, nodes: Sequence[Any], name: str | None = None) -> Any: ...
    def output(self, /, *nodes: Any, **named: Any) -> None: ...


_Graph = TypeVar("_Graph", bound=_Buildable)


def write(graph: _Written, *, prefix: bool) -> str:
    """Return a graph in postfix or prefix notation."""
    order = graph.order.flat()
    steps = order.steps
    makers = {output: step for step in steps for output in step.outputs}
    uses = Counter(name for step in steps for name in step.inputs) + Counter(order.outputs)
    calls = Counter(id(step.layer) for step in steps)
    heads: dict[int, str] = {}
    written = Topology()
    begun: set[str] = set()

    def value(name: str) -> Generator[str, str, str]:
        step = makers.get(name)
        if step is None or step.name in begun:
            return _word(name)
        begun.add(step.name)
        operands = list[str]()
        for operand in step.inputs:
            operands.append((yield operand))
        head = heads.get(id(step.layer)) or _head(step.layer, len(operands))
        heads[id(step.layer)] = f"@{_word(step.name)}" if calls[id(step.layer)] > 1 else head
        used_again = sum(uses[output] for output in step.outputs) > 1 or calls[id(step.layer)] > 1
        named = used_again or step.name != written.default_name(step.layer)
        written.steps.append(step)
        inside = " ".join([head, *operands] if prefix else [*operands, head])
        which = f".{step.outputs.index(name) + 1}" if len(step.outputs) > 1 else ""
        return f"({inside}){which}" + (f"={_word(step.name)}" if named else "")

    labels = [""] * len(order.outputs) if order.output_names is None else [f":{_word(n)}" for n in order.output_names]
    outputs = [_nested(value, name) + label for name, label in zip(order.outputs, labels, strict=True)]
    ties = [
        f"{_word(name)}={_word(tied['to'])}{'^T' if tied['transposed'] else ''}"
        for name, tied in graph.sharing.ties().items()
    ]
    return " ".join(outputs + ties)


def _nested(value: Callable[[str], Generator[str, str, str]], name: str) -> str:
    """Return the text of a value, from a generator that asks for those of others; a stack of any depth will do."""
    stack, text = [value(name)], ""
    while stack:
        try:
            # What was asked for is sent; a generator that has just begun takes nothing.
            asked = stack[-1].send(text) if text else next(stack[-1])
        except StopIteration as end:
            stack.pop()
            text = str(end.value)
        else:
            stack.append(value(asked))
            text = ""
    return text


def read(graph: _Graph, text: str, classes: Iterable[type[Layer]], *, prefix: bool) -> _Graph:
    """Build in an empty graph what a text in postfix or prefix notation says, and return it.

    Raises
    ------
    ValueError
        If the text is wrong; the message says where and why.
    """
    reader = _Reader(graph, classes, prefix=prefix)
    position = 0
    try:
        while position < len(text):
            token = _TOKEN.match(text, position)
            if token is None:
                raise ValueError("this is no part of the notation")
            reader.take(token)
            position = token.end()
        reader.finish()
    except (ValueError, TypeError, KeyError, SyntaxError) as error:
        problem = f"there is no layer or parameter {error}" if isinstance(error, KeyError) else error
        at = position if reader.blamed is None else reader.blamed.start()
        raise ValueError(f"at character {at + 1}, {text[at : at + 20]!r}: {problem}") from error
    return graph


class _Reader:
    """Builds a graph token by token, the applications that are still open on a stack."""

    def __init__(self, graph: _Buildable, classes: Iterable[type[Layer]], *, prefix: bool):
        self.graph = graph
        self.table: dict[str, Any] = layer_table | {kind.__name__: kind for kind in classes}
        self.prefix = prefix
        self.values: dict[str, _Node] = {}
        self.layers: dict[str, Layer] = {}
        self.stack: list[list[_Node | re.Match[str]]] = [[]]
        """Nodes of the graph, and tokens that are layers."""
        self.labels: list[str] = []
        self.blamed: re.Match[str] | None = None
        """The layer to which an error belongs, if not to the token that was taken last."""

    def take(self, token: re.Match[str]) -> None:
        match token.lastgroup:
            case "space":
                pass
            case "open":
                self.stack.append([])
            case "close":
                self._close(token)
            case "word":
                self.stack[-1].append(self._value(_name(token["word"])))
            case "label":
                if len(self.stack) > 1 or len(self.stack[0]) != len(self.labels) + 1:
                    raise ValueError("the name of an output follows it, and all outputs need one, or none")
                self.labels.append(_name(token["label"][1:]))
            case "tie":
                tie(self.layers, _name(token["own"]), _name(token["other"]), transposed=bool(token["transposed"]))
            case _:
                if len(self.stack) == 1:
                    raise ValueError("a layer stands in parentheses, with its operands")
                self.stack[-1].append(token)

    def finish(self) -> None:
        if len(self.stack) > 1:
            raise ValueError(f"{len(self.stack) - 1} open parentheses are not closed")
        outputs = [node for node in self.stack[0] if not isinstance(node, re.Match)]
        if self.labels:
            self.graph.output(*outputs[len(self.labels) :], **dict(zip(self.labels, outputs, strict=False)))
        else:
            self.graph.output(*outputs)

    def _value(self, name: str) -> _Node:
        if name not in self.values:
            self.values[name] = self.graph.input(name)
        return self.values[name]

    def _close(self, token: re.Match[str]) -> None:
        parts = self.stack.pop()
        if not self.stack:
            raise ValueError("this parenthesis was not opened")
        head = parts.pop(0 if self.prefix else -1) if parts else None
        nodes = [part for part in parts if not isinstance(part, re.Match)]
        if not isinstance(head, re.Match) or len(nodes) < len(parts) or not nodes:
            place = "first" if self.prefix else "last"
            raise ValueError(f"parentheses need operands and one layer, which stands {place}")
        self.blamed = head
        layer = self._layer(head, len(nodes))
        made = as_tuple(self.graph.apply(layer, nodes, _name(token["name"]) if token["name"] else None))
        self.values |= {node.name: node for node in made}
        self.layers[self.graph.order.steps[-1].name] = layer
        which = token["output"]
        if len(made) == 1 and which:
            raise ValueError("this layer has one output, which takes no number")
        if len(made) > 1 and not 1 <= int(which or 0) <= len(made):
            raise ValueError(f"this layer has {len(made)} outputs: write .1 to .{len(made)} after the parenthesis")
        self.stack[-1].append(made[int(which or 1) - 1])
        self.blamed = None

    def _layer(self, head: re.Match[str], count: int) -> Layer:
        text = head[0]
        if head["again"]:
            layer = self.layers[_name(text[1:])]
        elif head["power"]:
            layer = self.table["Power"](_literal(text[1:]))
        elif head["sign"]:
            layer = self.table[_SIGNS[text, count]]() if (text, count) in _SIGNS else None
        else:
            layer = self._called(text)
        if layer is None or not layer.takes(count):
            raise ValueError(f"this layer does not take {count} operand{'s' * (count > 1)}")
        return layer

    def _called(self, text: str) -> Layer:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("this is no layer")
        kind = self.table[call.func.id]
        values = [_literal(argument) for argument in call.args]
        options = {str(keyword.arg): _literal(keyword.value) for keyword in call.keywords}
        # Only what `describe` writes: a namespace, say, would be imported.
        given = inspect.signature(kind).bind(*values, **options).arguments
        if not set(given) <= set(kind.options):
            raise ValueError(f"{call.func.id} has the options {', '.join(kind.options)}, got {', '.join(given)}")
        return kind(*values, **options)


def _head(layer: Layer, count: int) -> str:
    kind = type(layer).__name__
    sign = next((sign for (sign, operands), name in _SIGNS.items() if (name, operands) == (kind, count)), None)
    if kind == "Power":
        return "^" + repr(layer.config()["exponent"]).removesuffix(".0")
    return sign or describe(type(layer), layer.config())


def _word(name: str) -> str:
    return name if re.fullmatch(r"[\w.]+", name) else repr(name)


def _name(word: str) -> str:
    return ast.literal_eval(word) if word[0] in "'\"" else word


def _literal(text: str | ast.expr) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError):
        raise ValueError("options are numbers, strings, lists and booleans") from None
