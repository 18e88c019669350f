"""Tiny ONNX models built in code: `Net` grows one node by node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import FunctionProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper


@dataclass
class Net:
    """An ONNX model growing node by node with random weights."""

    opset: int = 13
    shape: Sequence[int | str | None] = (1, 3, 12, 12)
    dtype: int = TensorProto.FLOAT
    nodes: list[NodeProto] = field(default_factory=list)
    weights: list[TensorProto] = field(default_factory=list)
    outputs: list[tuple[str, Sequence[int | str | None] | None]] = field(default_factory=list)
    functions: list[FunctionProto] = field(default_factory=list)
    domains: dict[str, int] = field(default_factory=dict)
    weights_are_inputs: bool = False

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(7)
        self.x = "x"

    def weight(self, array: Any, dtype: Any = np.float32) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def random(self, *shape: int, spread: float = 0.5) -> str:
        return self.weight(self.rng.normal(0, spread, shape))

    def ints(self, *numbers: int) -> str:
        return self.weight(numbers, np.int64)

    def node(self, op: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> str:
        """Append a node that reads `inputs`; returns (and remembers as self.x) its first output."""
        names = [f"t{len(self.nodes)}"] + [f"t{len(self.nodes)}_{extra}" for extra in range(1, outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=f"n{len(self.nodes)}", domain=domain, **attributes))
        self.x = names[0]
        return self.x

    def then(self, op: str, *more: str, **attributes: Any) -> Net:
        """Append a node to the last one; `more` are its further inputs."""
        self.node(op, self.x, *more, **attributes)
        return self

    def conv(self, cin: int, cout: int, k: int = 3, group: int = 1, bias: bool = True, **attributes: Any) -> Net:
        more = [self.random(cout, cin // group, k, k)] + ([self.random(cout)] if bias else [])
        if "auto_pad" not in attributes:
            attributes.setdefault("pads", [k // 2] * 4)
        return self.then("Conv", *more, group=group, **attributes)

    def batch_norm(self, channels: int, gamma: Any = None, beta: Any = None, **attributes: Any) -> Net:
        gamma = self.weight(gamma) if gamma is not None else self.random(channels, spread=1)
        beta = self.weight(beta) if beta is not None else self.random(channels, spread=1)
        mean, variance = self.random(channels), self.weight(self.rng.uniform(0.5, 2, channels))
        return self.then("BatchNormalization", gamma, beta, mean, variance, **attributes)

    def relu6(self) -> Net:
        return self.then("Clip", self.weight(0.0), self.weight(6.0))

    def split(self, *channels: int) -> str:
        """Cut the last node's channels; the other parts have the first one's name and _1, _2 behind it."""
        if self.opset < 13:
            return self.node("Split", self.x, outputs=len(channels), axis=1, split=channels)
        return self.node("Split", self.x, self.ints(*channels), outputs=len(channels), axis=1)

    def head(self, channels: int, classes: int = 5) -> Net:
        self.then("GlobalAveragePool").then("Flatten")
        return self.then("Gemm", self.random(classes, channels), self.random(classes), transB=1)

    def output(self, name: str | None = None, shape: Sequence[int | str | None] | None = None) -> Net:
        self.outputs.append((name or self.x, shape))
        return self

    def model(self) -> ModelProto:
        if not self.outputs:
            self.output()
        inputs = [helper.make_tensor_value_info("x", self.dtype, self.shape)]
        if self.weights_are_inputs:
            inputs += [helper.make_tensor_value_info(w.name, w.data_type, list(w.dims)) for w in self.weights]
        outputs = [helper.make_tensor_value_info(name, self.dtype, shape) for name, shape in self.outputs]
        graph = helper.make_graph(self.nodes, "tiny", inputs, outputs, self.weights)
        opsets = [helper.make_opsetid("", self.opset)]
        opsets += [helper.make_opsetid(domain, version) for domain, version in self.domains.items()]
        return helper.make_model(
            graph, opset_imports=opsets, functions=self.functions, ir_version=min(11, 3 + self.opset // 3)
        )


Build = Callable[[], Net]
DIALECTS: dict[str, tuple[Build, str | None]] = {}


def dialect(expected: str | None = None) -> Callable[[Build], Build]:
    """expected  the operators after the passes, in order; None where only the numbers count"""

    def register(build: Build) -> Build:
        DIALECTS[build.__name__] = (build, expected)
        return build

    return register


HEAD = "conv2d average_pool2d fully_connected"


def features(opset: int = 13, shape: Sequence[int | str | None] = (1, 3, 12, 12)) -> Net:
    return Net(opset, shape).conv(3, 4, strides=[2, 2]).then("Relu")
