"""What exporters write for one thing ends in the same nodes: hard-swish, hard-sigmoid, SiLU, squeeze-and-excitation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_models import Net
from operator_cases import counterparts

from mbn2c.ir.graph import Graph
from mbn2c.network.lowered import import_lowered

Spell = Callable[[Net], object]
_SIXTH = float(np.float32(1 / 6))


def lowered(folder: Path, net: Net) -> Graph:
    path = folder / "net.onnx"
    onnx.save(net.model(), path)
    return import_lowered(path)


def _relu6(net: Net, kind: str = "Clip") -> Net:
    """Clip of inputs, attributes (before opset 11), or Relu and Min, or Max and Min."""
    if kind == "Clip":
        return net.then("Clip", min=0.0, max=6.0) if net.opset < 11 else net.relu6()
    return net.then(kind, *([net.weight(0.0)] if kind == "Max" else [])).then("Min", net.weight(6.0))


def _gate(net: Net, kind: str = "Clip") -> Net:
    """Clip(x + 3, 0, 6)."""
    return _relu6(net.then("Add", net.weight(3.0)), kind)


# --- gates of one tensor -------------------------------------------------------------------------


def _hard_sigmoid(net: Net) -> object:
    return net.then("HardSigmoid", alpha=_SIXTH, beta=0.5)


HARD_SIGMOID: dict[str, Spell] = {
    "PyTorch, HardSigmoid": _hard_sigmoid,
    "PyTorch before 1.10: / 6": lambda net: _gate(net).then("Div", net.weight(6.0)),
    "Keras: * (1 / 6)": lambda net: _gate(net).then("Mul", net.weight(_SIXTH)),
    "dynamo: Relu, Min": lambda net: _gate(net, "Relu").then("Div", net.weight(6.0)),
    "TensorFlow: Max, Min": lambda net: _gate(net, "Max").then("Mul", net.weight([_SIXTH])),
    "Clip(x / 6 + 1/2, 0, 1)": lambda net: (
        net.then("Mul", net.weight(_SIXTH)).then("Add", net.weight(0.5)).then("Clip", net.weight(0.0), net.weight(1.0))
    ),
}


def _times(net: Net, gate: Spell, swapped: bool = False) -> object:
    x = net.x
    gate(net)
    return net.node("Mul", *((net.x, x) if swapped else (x, net.x)))


def _sixth_of(net: Net, last: Spell, swapped: bool = False) -> object:
    _times(net, lambda one: _gate(one), swapped)
    return last(net)


def _x_by_six(net: Net) -> object:
    """tf2onnx: Mul(x, 1/6) * Clip(x + 3)."""
    x = net.x
    part = net.node("Mul", x, net.weight(_SIXTH))
    net.x = x
    _gate(net)
    return net.node("Mul", part, net.x)


HARD_SWISH: dict[str, Spell] = {
    "HardSwish, opset 14": lambda net: net.then("HardSwish"),
    "x * HardSigmoid(x)": lambda net: _times(net, _hard_sigmoid),
    "x * (Clip(x + 3) / 6)": lambda net: _times(net, HARD_SIGMOID["PyTorch before 1.10: / 6"]),
    "(Clip(x + 3) * (1 / 6)) * x": lambda net: _times(net, HARD_SIGMOID["Keras: * (1 / 6)"], swapped=True),
    "x * Clip(x + 3) / 6": lambda net: _sixth_of(net, lambda one: one.then("Div", one.weight(6.0))),
    "Clip(x + 3) * x * (1 / 6)": lambda net: _sixth_of(net, lambda one: one.then("Mul", one.weight(_SIXTH)), True),
    "(x * (1 / 6)) * Clip(x + 3)": _x_by_six,
    "dynamo: Relu, Min": lambda net: _times(net, HARD_SIGMOID["dynamo: Relu, Min"]),
    "x * Clip(x / 6 + 1/2, 0, 1)": lambda net: _times(net, HARD_SIGMOID["Clip(x / 6 + 1/2, 0, 1)"]),
}
SILU: dict[str, Spell] = {
    "x * Sigmoid(x)": lambda net: _times(net, lambda one: one.then("Sigmoid")),
    "Sigmoid(x) * x": lambda net: _times(net, lambda one: one.then("Sigmoid"), swapped=True),
    "Paddle swish: beta 1": lambda net: _times(net, lambda one: one.then("Mul", one.weight(1.0)).then("Sigmoid")),
}
FUNCTIONS = {
    f"{op}: {words}": (op, spell)
    for op, table in (("hard_sigmoid", HARD_SIGMOID), ("hard_swish", HARD_SWISH), ("silu", SILU))
    for words, spell in table.items()
}


def _network(spell: Spell, of: str, opset: int) -> Net:
    """A layer, the function, a layer; `of` a sum, no layer can take a part of the function."""
    net = Net(opset=opset).conv(3, 4)
    if of == "sum":
        net.node("Add", net.x, net.then("Relu").x)
    spell(net)
    return net.conv(4, 4)


@pytest.mark.parametrize("of", ["layer", "sum"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_one_node(name: str, of: str, tmp_path: Path) -> None:
    op, spell = FUNCTIONS[name]
    table = {"hard_sigmoid": HARD_SIGMOID, "hard_swish": HARD_SWISH, "silu": SILU}[op]
    usual = lowered(tmp_path, _network(next(iter(table.values())), of, 14))
    found = lowered(tmp_path, _network(spell, of, 14))
    counterparts(usual, found)
    # A layer before a hard-sigmoid is one itself: it has the slope in its weights, and the clamp.
    is_in_layer = (op, of) == ("hard_sigmoid", "layer")
    assert [node.op for node in usual.nodes].count(op) == (0 if is_in_layer else 1)
    assert len(usual.nodes) == 2 + (not is_in_layer) + 2 * (of == "sum")


# --- squeeze-and-excitation ----------------------------------------------------------------------


def _bias(net: Net, channels: int) -> str:
    return net.weight(net.rng.normal(0, 0.5, channels).reshape(1, channels, 1, 1))


def _convolution(net: Net, cin: int, cout: int) -> Net:
    return net.conv(cin, cout, k=1)


def _bias_apart(net: Net, cin: int, cout: int) -> Net:
    """Paddle: the bias as an Add of its own."""
    return net.conv(cin, cout, k=1, bias=False).then("Add", _bias(net, cout))


def _dense(net: Net, cin: int, cout: int) -> Net:
    return net.then("Gemm", net.random(cout, cin), net.random(cout), transB=1)


def _matrix(net: Net, cin: int, cout: int) -> Net:
    weights = net.rng.normal(0, 0.5, (cout, cin)).T
    return net.then("MatMul", net.weight(weights)).then("Add", net.random(cout))


def _pool_by_shape(net: Net) -> Net:
    """GlobalAveragePool, its batch asked for: Shape, Gather, Concat, Reshape to a vector."""
    net.then("GlobalAveragePool")
    pooled = net.x
    net.node("Gather", net.node("Shape", pooled), net.weight(0, np.int64), axis=0)
    net.then("Unsqueeze", net.ints(0))
    net.node("Reshape", pooled, net.node("Concat", net.x, net.ints(8), axis=0))
    return net


_KEPT = {"pool": lambda net: net.then("GlobalAveragePool"), "layer": _convolution, "back": lambda net: net}
_VECTOR = {"back": lambda net: net.then("Reshape", net.ints(-1, 8, 1, 1))}
# How the map is pooled, what its layers are, how the gate becomes a map again.
SE: dict[str, dict[str, Callable[..., Net]]] = {
    "GlobalAveragePool, Conv": {**_KEPT},
    "ReduceMean, Conv": {**_KEPT, "pool": lambda net: net.then("ReduceMean", axes=[2, 3])},
    "AveragePool of all, Conv": {**_KEPT, "pool": lambda net: net.then("AveragePool", kernel_shape=[6, 6])},
    "Paddle: bias apart": {**_KEPT, "layer": _bias_apart},
    "Flatten, Gemm, Reshape": {
        **_VECTOR,
        "pool": lambda net: net.then("GlobalAveragePool").then("Flatten"),
        "layer": _dense,
    },
    "ReduceMean to a vector, MatMul, Unsqueeze": {
        "pool": lambda net: net.then("ReduceMean", axes=[2, 3], keepdims=0),
        "layer": _matrix,
        "back": lambda net: net.then("Unsqueeze", net.ints(2, 3)),
    },
    "Shape, Gather, Reshape, Gemm": {**_VECTOR, "pool": _pool_by_shape, "layer": _dense},
}


def _squeezed(parts: dict[str, Callable[..., Net]], gate: Spell, residual: bool, swapped: bool = False) -> Net:
    net = Net(shape=(1, 3, 12, 12)).conv(3, 8, strides=[2, 2]).then("Relu")
    x = net.x
    parts["pool"](net)
    parts["layer"](net, 8, 4).then("Relu")
    parts["layer"](net, 4, 8)
    gate(net)
    parts["back"](net)
    net.node("Mul", *((net.x, x) if swapped else (x, net.x)))
    if residual:
        net.then("Add", x)
    return net.conv(8, 4, k=1)


@pytest.mark.parametrize("residual", [False, True], ids=["", "residual"])
@pytest.mark.parametrize("name", SE)
def test_squeeze_and_excitation_is_the_same(name: str, residual: bool, tmp_path: Path) -> None:
    """`residual`: Mul and Add of the same tensor, as PaddleOCR's detectors have it."""
    usual = lowered(tmp_path, _squeezed(SE["GlobalAveragePool, Conv"], _hard_sigmoid, residual))
    ops = "conv2d average_pool2d conv2d conv2d mul" + " add" * residual + " conv2d"
    assert " ".join(node.op for node in usual.nodes) == ops
    counterparts(usual, lowered(tmp_path, _squeezed(SE[name], _hard_sigmoid, residual, swapped=True)))


@pytest.mark.parametrize("name", HARD_SIGMOID)
def test_its_gate_is_in_its_last_layer(name: str, tmp_path: Path) -> None:
    usual = lowered(tmp_path, _squeezed(SE["GlobalAveragePool, Conv"], _hard_sigmoid, False))
    counterparts(usual, lowered(tmp_path, _squeezed(SE["Flatten, Gemm, Reshape"], HARD_SIGMOID[name], False)))


def test_paddle_s_gate_is_steeper(tmp_path: Path) -> None:
    """HardSigmoid with alpha 0.2, ONNX's own default: Clip(0.2 x + 0.5, 0, 1) in TensorFlow and old Keras."""

    def clip(net: Net) -> object:
        net.then("Mul", net.weight(0.2)).then("Add", net.weight(0.5))
        return net.then("Clip", net.weight(0.0), net.weight(1.0))

    one, other = (
        lowered(tmp_path, _squeezed(SE["GlobalAveragePool, Conv"], gate, True))
        for gate in (lambda net: net.then("HardSigmoid", alpha=0.2, beta=0.5), clip)
    )
    counterparts(one, other)
