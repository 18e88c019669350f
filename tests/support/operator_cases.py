"""An operator's example -> its network: one input, what makes the other activations, the node, one output."""

from __future__ import annotations

from typing import Any

import numpy as np

from mbn2c.ir.graph import Graph, Node, Port, Quant, Tensor
from mbn2c.ir.window import Window
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.case import Case, Shape
from mbn2c.ops.base.operator import LOWERED, Operator

NCHW = (0, 3, 1, 2)


def graph_of(operator: Operator, case: Case, name: str) -> Graph:
    """The network of a case.

    returns  a float Graph, or an int8 one if the case has quantizations
    """
    is_float = not case.quants
    grown = _Grown(is_float, case)
    names = [grown.activation(index, shape) for index, shape in enumerate(case.shapes)]
    constants = [
        grown.constant(f"case.{index}", data)
        for index, data in enumerate(case.constants(np.random.default_rng(sum(map(sum, case.shapes)))))
    ]
    quant = case.quants[-1] if case.quants else None
    made = grown.append(operator.name, (*names, *constants), case.attributes, quant, name="case")
    if is_float and LOWERED in operator.stages and not operator.has_weights:
        # A sigmoid at the end of a network is no node of it.
        made = grown.pointwise(made, 3, "after")
    input_shape, output_shape = grown.tensors["input"].shape, grown.tensors[made].shape
    return Graph(
        name,
        grown.tensors,
        tuple(grown.nodes),
        (_port("input", "image", input_shape),),
        (_port(made, f"{made}_out", output_shape),),
    )


def network_around(operator: Operator, case: Case, name: str) -> Graph:
    """A float network in which 1x1 convolutions make what the case reads, and read what it makes."""
    grown = _Grown(True, case)
    names = [grown.pointwise("input", case.shapes[0][3], "made0")]
    for index, shape in enumerate(case.shapes[1:], 1):
        names.append(names[0] if case.repeats else grown.pointwise("input", shape[3], f"made{index}"))
    constants = [
        grown.constant(f"case.{index}", data)
        for index, data in enumerate(case.constants(np.random.default_rng(sum(map(sum, case.shapes)))))
    ]
    made = grown.append(operator.name, (*names, *constants), case.attributes, name="case")
    made = grown.pointwise(made, 3, "after")
    ports = (_port("input", "image", case.shapes[0]), _port(made, f"{made}_out", grown.tensors[made].shape))
    return Graph(name, grown.tensors, tuple(grown.nodes), ports[:1], ports[1:])


def _port(tensor: str, outside: str, shape: Shape) -> Port:
    return Port(tensor, outside, tuple(shape[axis] for axis in NCHW), NCHW)


class _Grown:
    """Tensors and nodes of a Graph so far."""

    def __init__(self, is_float: bool, case: Case) -> None:
        self.is_float, self.case = is_float, case
        self.generator = np.random.default_rng(len(case.shapes))
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self._add("input", case.shapes[0], case.quants[0] if case.quants else None)

    def activation(self, index: int, shape: Shape) -> str:
        """A tensor of the shape that differs from the others."""
        if index == 0 or self.case.repeats:
            return "input"
        if not self.is_float:
            table = tuple(int(entry) for entry in self.generator.permutation(256) - 128)
            attributes = OPERATORS["lookup"].attributes(table, None)
            return self.append("lookup", ("input",), attributes, self.case.quants[index])
        source, (_, height, width, _) = "input", self.tensors["input"].shape
        if shape[1:3] != (height, width):
            assert shape[1:3] == (1, 1), f"a case cannot make {shape} of its input"
            window = Window((height, width))
            source = self.append("average_pool2d", (source,), OPERATORS["average_pool2d"].attributes(window))
        return self.pointwise(source, shape[3], f"made{index}")

    def pointwise(self, source: str, channels: int, name: str) -> str:
        """A 1x1 convolution."""
        weights = self.generator.normal(size=(channels, 1, 1, self.tensors[source].shape[3]))
        bias = self.generator.normal(scale=0.3, size=channels)
        names = (source, self.constant(f"{name}.weight", weights), self.constant(f"{name}.bias", bias))
        return self.append("conv2d", names, OPERATORS["conv2d"].attributes())

    def constant(self, name: str, data: np.ndarray) -> str:
        data = np.ascontiguousarray(data, np.float32) if self.is_float else data
        self.tensors[name] = Tensor(name, data.shape, str(data.dtype), data)
        return name

    def append(
        self, op: str, inputs: tuple[str, ...], attributes: Any, quant: Quant | None = None, name: str = ""
    ) -> str:
        output = f"{op}_{len(self.nodes)}"
        node = Node(name or output, op, inputs, (output,), attributes)
        shape = OPERATORS[op].output_shape(node, [self.tensors[name].shape for name in inputs])
        assert shape is not None, f"the inputs of a case do not suit {op}"
        self._add(output, shape, quant)
        self.nodes.append(node)
        return output

    def _add(self, name: str, shape: Shape, quant: Quant | None) -> None:
        self.tensors[name] = Tensor(name, shape, "float32" if self.is_float else "int8", quant=quant)


def every_case() -> dict[str, tuple[Operator, Case]]:
    """All cases of all operators, by "operator words"."""
    return {
        f"{operator.name} {words}": (operator, case)
        for operator in OPERATORS.values()
        for words, case in operator.cases().items()
    }


def counterparts(a: Graph, b: Graph) -> dict[str, str]:
    """The tensors of `a` by name, with the name of the same one in `b`: two Graphs that have all in common but names.

    Of an int8 node it does not count what its clamp and its function were called, which lie in the numbers, and which
    of the integers that were proved equal requantize. A 1x1 convolution of one pixel and a fully connected layer are
    the same, and so are convolutions of one channel.

    raises  AssertionError that says what differs
    """
    assert len(a.nodes) == len(b.nodes), f"{[node.op for node in a.nodes]} against {[node.op for node in b.nodes]}"
    found = {port.tensor: other.tensor for port, other in zip(a.inputs, b.inputs, strict=True)}

    def follow(left: str, right: str) -> None:
        if left in found:
            assert found[left] == right, f"{left} is {found[left]} and {right}"
            return
        found[left] = right
        x, y = a.tensors[left], b.tensors[right]
        assert x.dtype == y.dtype and (x.quant is None) == (y.quant is None), f"{left}: {x.dtype}, {y.dtype}"
        if x.quant is not None and y.quant is not None:
            is_same = np.array_equal(x.quant.scale, y.quant.scale) and x.quant.zero_point == y.quant.zero_point
            assert is_same, f"{left}: {x.quant}, {y.quant}"
        if x.data is not None:
            assert y.data is not None and np.array_equal(x.data.reshape(-1), y.data.reshape(-1)), f"constant {left}"
            return
        assert x.shape == y.shape, f"{left}: {x.shape}, {y.shape}"
        one, other = a.producer[left], b.producer[right]
        assert _kind(a, one) == _kind(b, other), f"{one.name}, {one.op}: became {other.op}"
        wrong = _attribute_difference(one.attributes, other.attributes, _PROVED if x.quant is not None else ())
        assert wrong == "", f"{one.name}, {one.op}: {wrong}"
        for pair in zip(one.inputs, other.inputs, strict=True):
            follow(*pair)

    for port, other in zip(a.outputs, b.outputs, strict=True):
        follow(port.tensor, other.tensor)
    return found


# Words, and integers of which several do.
_PROVED = ("activation", "function", "multiplier", "multipliers", "offset", "shift", "form", "band")


def _kind(graph: Graph, node: Node) -> str:
    operator, shape = OPERATORS[node.op], graph.tensors[node.inputs[0]].shape
    is_pixel = operator.mixes_channels and shape[1:3] == (1, 1) and operator.window(node).is_pointwise
    is_plane = operator.has_weights and shape[3] == graph.tensors[node.outputs[0]].shape[3] == 1
    return "weighted" if is_pixel or is_plane else node.op


def _attribute_difference(one: Any, other: Any, left_out: tuple[str, ...]) -> str:
    for name in {**vars(one), **vars(other)} if one is not None and other is not None else ():
        if name in left_out or not (hasattr(one, name) and hasattr(other, name)):
            continue
        left, right = getattr(one, name), getattr(other, name)
        if hasattr(left, "__dataclass_fields__") and hasattr(right, "__dataclass_fields__"):
            if found := _attribute_difference(left, right, left_out):
                return f"{name}.{found}"
        elif not (left == right if isinstance(left, tuple) else np.array_equal(left, right)):
            return f"{name} {left}, {right}"
    return ""
