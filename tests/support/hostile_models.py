"""A MobileNetV2 of 7 KB, and what is done to it: the faults of ../shared/faults, built in code."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx_models import Net
from quantized_zoo import Dialect, quantize


def small_mobilenet(shape: tuple[int, ...] = (1, 3, 16, 16)) -> ModelProto:
    """One inverted residual with batch norms and ReLU6, a pool and a dense layer."""
    net = Net(shape=shape).conv(3, 8, strides=[2, 2])
    net.batch_norm(8).relu6()
    short_cut = net.x
    net.conv(8, 16, 1).batch_norm(16).relu6().conv(16, 16, group=16).batch_norm(16).relu6()
    net.conv(16, 8, 1).batch_norm(8)
    net.node("Add", short_cut, net.x)
    return net.conv(8, 16, 1).relu6().head(16).model()


def _node(model: ModelProto, kind: str) -> NodeProto:
    return next(node for node in model.graph.node if node.op_type == kind)


def _with_weight(value: float, kind: str, index: int) -> Callable[[ModelProto], object]:
    """The first weight of a layer set to a value."""

    def change(model: ModelProto) -> None:
        name = _node(model, kind).input[index]
        tensor = next(each for each in model.graph.initializer if each.name == name)
        array = numpy_helper.to_array(tensor).copy()
        array.flat[0] = value
        tensor.CopyFrom(numpy_helper.from_array(array, name))

    return change


def _with_attribute(kind: str, name: str, value: float) -> Callable[[ModelProto], object]:
    return lambda model: _node(model, kind).attribute.append(helper.make_attribute(name, value))


def _same_output_twice(model: ModelProto) -> None:
    model.graph.output.append(model.graph.output[0])


def _constants(model: ModelProto, *nodes: NodeProto, feeds: str = "") -> None:
    """Nodes of constants before all others; `feeds`: a name whose value is added to the bias of the dense layer."""
    model.graph.initializer.append(numpy_helper.from_array(np.ones(1000, np.float32), "seed"))
    kept = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    if feeds:
        bias = next(node for node in kept if node.op_type == "Gemm").input[2]
        zero = [
            helper.make_node("ReduceSum", [feeds], ["sum"], keepdims=0),
            helper.make_node("Sub", ["sum", "sum"], ["zero"]),
            helper.make_node("Add", [bias, "zero"], ["bias"]),
        ]
        model.graph.node.extend(zero)
        next(node for node in kept if node.op_type == "Gemm").input[2] = "bias"
    model.graph.node.extend(kept)


def _concats(levels: int, *, live: bool) -> Callable[[ModelProto], object]:
    names = ["seed", *(f"c{level}" for level in range(levels))]
    nodes = [helper.make_node("Concat", [a, a], [b], axis=0) for a, b in itertools.pairwise(names)]
    return lambda model: _constants(model, *nodes, feeds=names[-1] if live else "")


def _outer_products(model: ModelProto) -> None:
    """[N, 1] x [1, N] of constants, by broadcasting: from 4 KB to a terabyte in five nodes."""
    column = helper.make_node("Unsqueeze", ["seed", "axis"], ["m0"])
    model.graph.initializer.append(numpy_helper.from_array(np.array([1]), "axis"))
    nodes = [column]
    for level in range(4):
        nodes += [
            helper.make_node("Transpose", [f"m{level}"], [f"turned{level}"]),
            helper.make_node("Mul", [f"m{level}", f"turned{level}"], [f"p{level}"]),
            helper.make_node("Flatten", [f"p{level}"], [f"m{level + 1}"], axis=2),
        ]
    _constants(model, *nodes, feeds="m4")


def _many_medium(model: ModelProto) -> None:
    """No constant is too large, but there are 300 of 2^24 elements, one made of the other."""
    model.graph.initializer.append(numpy_helper.from_array(np.array([1 << 24]), "length"))
    nodes = [helper.make_node("ConstantOfShape", ["length"], ["k0"])]
    nodes += [helper.make_node("Neg", [f"k{each}"], [f"k{each + 1}"]) for each in range(300)]
    _constants(model, *nodes, feeds="k300")


def _hidden_size(model: ModelProto) -> None:
    """A size that shape inference does not follow."""
    model.graph.initializer.append(numpy_helper.from_array(np.array([1e13]), "length"))
    nodes = [
        helper.make_node("Sqrt", ["length"], ["root"]),
        helper.make_node("Cast", ["root"], ["extent"], to=TensorProto.INT64),
        helper.make_node("Mul", ["extent", "extent"], ["square"]),
        helper.make_node("ConstantOfShape", ["square"], ["huge"]),
    ]
    _constants(model, *nodes, feeds="huge")


def _loop(model: ModelProto) -> None:
    """A loop of 2^62 rounds over constants."""
    inputs = [
        helper.make_tensor_value_info("round", TensorProto.INT64, []),
        helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        helper.make_tensor_value_info("state", TensorProto.FLOAT, [1000]),
    ]
    outputs = [
        helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        helper.make_tensor_value_info("next", TensorProto.FLOAT, [1000]),
    ]
    body = helper.make_graph([helper.make_node("Neg", ["state"], ["next"])], "body", inputs, outputs)
    model.graph.initializer.append(numpy_helper.from_array(np.array(1 << 62), "rounds"))
    _constants(model, helper.make_node("Loop", ["rounds", "", "seed"], ["looped"], body=body), feeds="looped")


def _nested_functions(levels: int, *, in_circle: bool = False) -> Callable[[ModelProto], object]:
    """f_k calls f_(k-1) ten times."""

    def change(model: ModelProto) -> None:
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid("bomb", 1)]
        for level in range(levels):
            inner = f"f{level - 1}" if level else ("f1" if in_circle else "Neg")
            domain = "bomb" if level or in_circle else ""
            names = ["x", *(f"y{each}" for each in range(9)), "y"]
            nodes = [helper.make_node(inner, [a], [b], domain=domain) for a, b in itertools.pairwise(names)]
            model.functions.append(helper.make_function("bomb", f"f{level}", ["x"], ["y"], nodes, opsets))
        model.opset_import.append(helper.make_opsetid("bomb", 1))
        _constants(model, helper.make_node(f"f{levels - 1}", ["seed"], ["exploded"], domain="bomb"), feeds="exploded")

    return change


def _many_nodes(model: ModelProto) -> None:
    """In reverse order, so that sorting them one by one would be quadratic."""
    nodes = [helper.make_node("Neg", [f"k{each}"], [f"k{each + 1}"]) for each in range(30_000)]
    nodes[0].input[0] = "seed"
    _constants(model, *reversed(nodes), feeds="k30000")


def _many_layers(model: ModelProto) -> None:
    """The last convolution 600 times more."""
    first, last = _node(model, "GlobalAveragePool"), model.graph.node[-1]
    tail = list(model.graph.node)[-3:]
    del model.graph.node[-3:]
    model.graph.initializer.append(numpy_helper.from_array(np.ones((16, 16, 1, 1), np.float32), "again"))
    names = [first.input[0], *(f"again{each}" for each in range(600))]
    model.graph.node.extend(helper.make_node("Conv", [a, "again"], [b]) for a, b in itertools.pairwise(names))
    tail[0].input[0] = names[-1]
    model.graph.node.extend(tail)
    assert model.graph.node[-1] == last


def _declared_input(*shape: int) -> Callable[[ModelProto], object]:
    def change(model: ModelProto) -> None:
        for dim, extent in zip(model.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
            dim.dim_value = extent

    return change


def _conv_pads(pad: int) -> Callable[[ModelProto], object]:
    def change(model: ModelProto) -> None:
        attribute = next(each for each in _node(model, "Conv").attribute if each.name == "pads")
        attribute.ints[:] = [pad] * 4

    return change


def _huge_external(model: ModelProto) -> None:
    """Bytes that are not there."""
    tensor = TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[1 << 40], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights.bin")
    model.graph.initializer.append(tensor)


def _location(text: str) -> Callable[[ModelProto], object]:
    def change(model: ModelProto) -> None:
        tensor = TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value=text)
        model.graph.initializer.append(tensor)

    return change


# What is done to the model, and a part of the one message it is refused with, exit code 3.
FAULTS: dict[str, tuple[Callable[[ModelProto], object], str]] = {
    "huge_weight": (_with_weight(1e30, "Conv", 1), "weights of up to 1e+30"),
    "nan_report": (_with_weight(2.6e19, "Gemm", 1), "weights of up to 2.6e+19"),
    "huge gamma": (_with_weight(1e25, "BatchNormalization", 1), "of up to"),
    "infinite bias": (_with_weight(math.inf, "Gemm", 2), "NaN or infinite"),
    "gemm_alpha_nan": (_with_attribute("Gemm", "alpha", math.nan), "attribute alpha is nan"),
    "gemm_beta_inf": (_with_attribute("Gemm", "beta", math.inf), "attribute beta is inf"),
    "epsilon nan": (_with_attribute("BatchNormalization", "epsilon", math.nan), "attribute epsilon is nan"),
    "same_output_twice": (_same_output_twice, "is named twice"),
    "bomb_concat": (_concats(37, live=False), "the model is too large"),
    "bomb_concat, live": (_concats(37, live=True), "the model is too large"),
    "concats without number": (_concats(70, live=False), "the model is too large"),
    "outer products": (_outer_products, "the model is too large"),
    "many medium constants": (_many_medium, "the model is too large"),
    "a size that only computing shows": (_hidden_size, "would make a constant of 1e+13 elements"),
    "a loop": (_loop, "Loop of constants is not supported"),
    "nested functions": (_nested_functions(12), "1,000,000,000,0"),
    "functions in a circle": (_nested_functions(2, in_circle=True), "calls itself"),
    "30,000 nodes": (_many_nodes, "the model has 30,0"),
    "600 layers": (_many_layers, "the network has 608 layers"),
    "a tall input": (_declared_input(1, 3, 100_000, 4), "rows together"),
    "a huge input": (_declared_input(1, 3, 1 << 20, 1 << 20), "the model is too large"),
    "a large input": (_declared_input(1, 3, 9000, 9000), "the model is too large"),
    "huge pads": (_conv_pads(1 << 20), "the model is too large"),
    "external weights of 4 TB": (_huge_external, "weights.bin"),
    "external location of 5,000 characters": (_location("a" * 5000), "a name of 5,000 characters"),
    "external location with a zero byte": (_location("a\0b"), "is missing"),
    "external location elsewhere": (_location("/etc/passwd"), "outside the model's folder"),
    "external location above": (_location("../model.onnx"), "outside the model's folder"),
}


def hostile(fault: str) -> bytes:
    model = small_mobilenet()
    FAULTS[fault][0](model)
    return bytes(model.SerializeToString())


def quantized_hostile(fault: str) -> bytes:
    """The same done to a prequantized model: ONNX Runtime sees it before anything is folded."""
    model = quantized_model()
    FAULTS[fault][0](model)
    return bytes(model.SerializeToString())


def quantized_model() -> ModelProto:
    """Convolution, pool and dense layer, quantized by ONNX Runtime."""
    net = Net(shape=(1, 3, 16, 16)).conv(3, 8, strides=[2, 2]).relu6().head(8)
    return onnx.load_model_from_string(quantize(net, Dialect(activations="uint8")))
