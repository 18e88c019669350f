"""An operator's example -> its network: one input, what makes the other activations, the node, one output."""

from __future__ import annotations

from typing import Any

import numpy as np

from mbn2c.ir.graph import Graph, Node, Port, Quant, Tensor
from mbn2c.ir.window import Window
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.case import Case, Shape
from mbn2c.ops.base.operator import Operator

NCHW = (0, 3, 1, 2)


def graph_of(operator: Operator, case: Case, name: str) -> Graph:
    """The network of a case.

    returns  a float Graph, or an int8 one if the operator exists in int8 only
    """
    is_float = not case.quants
    grown = _Grown(is_float, case)
    names = [grown.activation(index, shape) for index, shape in enumerate(case.shapes)]
    constants = [
        grown.constant(f"case.{index}", data)
        for index, data in enumerate(case.constants(np.random.default_rng(sum(map(sum, case.shapes)))))
    ]
    made = grown.append(operator.name, (*names, *constants), case.attributes, case.quants[-1] if case.quants else None)
    input_shape, output_shape = grown.tensors["input"].shape, grown.tensors[made].shape
    return Graph(
        name,
        grown.tensors,
        tuple(grown.nodes),
        (_port("input", "image", input_shape),),
        (_port(made, f"{made}_out", output_shape),),
    )


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
        weights = self.generator.normal(size=(shape[3], 1, 1, self.tensors[source].shape[3]))
        bias = self.generator.normal(scale=0.3, size=shape[3])
        names = (source, self.constant(f"made{index}.weight", weights), self.constant(f"made{index}.bias", bias))
        return self.append("conv2d", names, OPERATORS["conv2d"].attributes())

    def constant(self, name: str, data: np.ndarray) -> str:
        data = np.ascontiguousarray(data, np.float32) if self.is_float else data
        self.tensors[name] = Tensor(name, data.shape, str(data.dtype), data)
        return name

    def append(self, op: str, inputs: tuple[str, ...], attributes: Any, quant: Quant | None = None) -> str:
        output = f"{op}_{len(self.nodes)}"
        node = Node(output, op, inputs, (output,), attributes)
        shape = OPERATORS[op].output_shape(node, [self.tensors[name].shape for name in inputs])
        assert shape is not None, f"the inputs of a case do not suit {op}"
        self._add(output, shape, quant)
        self.nodes.append(node)
        return output

    def _add(self, name: str, shape: Shape, quant: Quant | None) -> None:
        self.tensors[name] = Tensor(name, shape, "float32" if self.is_float else "int8", quant=quant)
