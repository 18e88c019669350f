"""Models that users bring and that failed, or were refused with a wrong hint: what must happen, as tables.

Each kind is built here; the files of ../shared/faults that stand for it are read too where they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import onnx
import onnx.utils
import pytest
from networks import as_image, compare_with_onnx_runtime, int8_inputs, int8_model, quantized
from onnx import TensorProto
from onnx_models import Net
from quantized_zoo import NETS, Dialect, quantize
from shared import shared

from mbn2c.cli import main
from mbn2c.errors import ModelError
from mbn2c.frontend import import_model
from mbn2c.frontend.prequantized.model import import_prequantized
from mbn2c.network.lowered import import_lowered
from mbn2c.reference.run_graph import run_graph

# --- refused, in one message ---------------------------------------------------------------------


def _lp_pools_and_softmax() -> Net:
    net = Net(shape=(1, 3, 24, 24)).conv(3, 8)
    net.then("LpPool", kernel_shape=[2, 2], strides=[2, 2]).conv(8, 8).then("Softmax", axis=1)
    return net.conv(8, 8).then("LpPool", kernel_shape=[2, 2]).head(8)


def _attention_and_end() -> Net:
    """A softmax inside, one at the end: only the first one is wrong."""
    net = Net().conv(3, 8)
    linear = net.x
    net.then("Softmax", axis=1).node("Mul", linear, net.x)
    return net.conv(8, 8).head(8, classes=5).then("Softmax", axis=1)


def _two_heads(end: str) -> Net:
    """As detectors end: each head's map a list of boxes, all lists joined."""
    net = Net(shape=(1, 3, 24, 24)).conv(3, 8, strides=[2, 2]).relu6().conv(8, 8).relu6()
    features, heads = net.x, []
    for channels in (12, 6):
        net.x = features
        net.conv(8, channels).then("Transpose", perm=[0, 2, 3, 1]).then("Reshape", net.ints(1, -1, 6))
        heads.append(net.x)
    if end == "joined":
        net.node("Einsum", *heads, equation="nai,nbi->nabi")
        return net
    for head in heads:
        net.output(head)
    return net


def _upsampled_by_cubes() -> Net:
    net = Net(shape=(1, 3, 24, 24)).conv(3, 8, strides=[2, 2]).relu6().conv(8, 2, k=1)
    return net.then("Resize", "", net.weight([1.0, 1, 2, 2]), mode="cubic").output(shape=[1, 2, 24, 24])


def _arg_max() -> Net:
    """Of each column and channel the row: no classes."""
    return Net().conv(3, 8).conv(8, 5, k=1).then("ArgMax", axis=2).then("Cast", to=TensorProto.FLOAT)


def _flattened() -> Net:
    """An embedding of pixels."""
    return Net().conv(3, 8, strides=[2, 2]).relu6().conv(8, 4).then("Flatten")


def _joined_inside() -> Net:
    net = Net().conv(3, 8)
    features = net.x
    a, b = net.conv(8, 4, k=1).x, net.node("Relu", features)
    net.node("Einsum", a, b, equation="nahw,nbhw->nabh")
    return net.conv(4, 4).head(4)


# What it is, the first line, the places, pieces of the hint, and the tensors to cut at.
REFUSED: dict[str, tuple[Callable[[], Net], str, str, tuple[str, ...], list[str]]] = {
    "lp pools and softmax": (
        _lp_pools_and_softmax,
        "operator LpPool is not supported (nor Softmax)",
        "node 'n1', operator LpPool and 1 more, inside the network; node 'n3', operator Softmax, inside the network",
        ("Softmax: it may only end the network", "supported: convolution"),
        [],
    ),
    "attention and end": (
        _attention_and_end,
        "operator Softmax is not supported there",
        "node 'n1', operator Softmax, inside the network",
        ("it may only end the network",),
        [],
    ),
    "boxes joined": (
        lambda: _two_heads("joined"),
        "operator Einsum is not supported",
        "node 'n10', operator Einsum, behind the last layer",
        ("leave what is behind the last layer to your program",),
        ["t5", "t8"],
    ),
    "boxes as lists": (
        lambda: _two_heads("apart"),
        "Reshape: the axis order cannot be resolved; it needs a reshape of [1, 12, 12, 12] to [1, 288, 6] that cuts or "
        "mixes axes",
        "node 'n6', operator Reshape",
        ("check the Reshape and Transpose",),
        ["t5", "t8"],
    ),
    "upsampled by cubes": (
        _upsampled_by_cubes,
        "Resize with mode 'cubic', 'half_pixel', 'round_prefer_floor' is not supported",
        "node 'n3', operator Resize",
        ("use mode nearest or linear",),
        ["t2"],
    ),
    "boxes decoded": (
        lambda: _two_heads("joined").then("Sigmoid").then("Exp").then("LpPool", kernel_shape=[3]).output(shape=[1]),
        "operator Einsum is not supported (nor Exp, LpPool)",
        "node 'n10', operator Einsum, behind the last layer; node 'n12', operator Exp, behind the last layer; "
        "node 'n13', operator LpPool, behind the last layer",
        ("leave what is behind the last layer to your program",),
        ["t5", "t8"],
    ),
    "unknown kinds": (
        lambda: Net(opset=14).conv(3, 4).then("Erf").then("Sin").then("ThresholdedRelu").conv(4, 4).head(4),
        "operator Erf is not supported (nor Sin, ThresholdedRelu)",
        "node 'n1', operator Erf, inside the network; node 'n2', operator Sin, inside the network; "
        "node 'n3', operator ThresholdedRelu, inside the network",
        ("supported: convolution",),
        [],
    ),
    "arg max": (
        _arg_max,
        "operator ArgMax is not supported",
        "node 'n2', operator ArgMax, behind the last layer",
        ("mbn2c reports the best class itself",),
        ["t1"],
    ),
    "flattened": (
        _flattened,
        "the model has an output of shape [1, 144] that is a flattened feature map",
        "output 't3'",
        ("drop the Flatten",),
        ["t2"],
    ),
    "joined inside": (
        _joined_inside,
        "operator Einsum is not supported",
        "node 'n3', operator Einsum, inside the network",
        ("supported: convolution",),
        ["t1", "t2"],
    ),
}


def refusal(path: Path) -> ModelError:
    with pytest.raises(ModelError) as raised:
        import_model(path)
    assert raised.value.exit_code == 3 and "\n" not in raised.value.what + raised.value.where + raised.value.hint
    return raised.value


def cut_as_told(error: ModelError, path: Path) -> list[str]:
    """Do what the hint says and import what is left; returns where it was cut."""
    found = re.search(r"extract_model\('([^']*)', '([^']*)', (\[.*?\]), (\[.*?\])\)\"$", error.hint)
    if found is None:
        assert "extract_model" not in error.hint
        return []
    assert found[1] == path.name
    inputs, outputs = (re.findall("'([^']*)'", names) for names in found.group(3, 4))
    cut = path.with_name(found[2])
    onnx.utils.extract_model(str(path), str(cut), inputs, outputs)
    assert [port.outside for port in import_model(cut).outputs] == outputs
    return outputs


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_its_own_place_and_hint(name: str, tmp_path: Path) -> None:
    build, what, where, hints, cuts = REFUSED[name]
    path = tmp_path / "net.onnx"
    onnx.save(onnx.shape_inference.infer_shapes(build().model()), path)  # extract_model wants outputs with shapes
    error = refusal(path)
    assert (error.what, error.where) == (what, where)
    assert all(hint in error.hint for hint in hints), error.hint
    assert cut_as_told(error, path) == cuts


# Files of ../shared/faults that were refused once, for want of an operator.
COMPILED = (
    "avgpool_ceil",
    "avgpool_pad_cip0",
    "bgr_gather",
    "globalmaxpool",
    "group2",
    "leakyrelu",
    "mnist_maxpool",
    "prelu",
    "prelu_maxpool_hint",
    "seg_resize",
)


@pytest.mark.parametrize("name", COMPILED)
def test_shared_file_compiles(name: str) -> None:
    graph = quantized(import_lowered(shared(f"faults/{name}.onnx")))
    model = int8_model(graph)
    for values in int8_inputs(graph, 2):
        reference = run_graph(graph, {graph.inputs[0].tensor: values})
        assert compare_with_onnx_runtime(graph, reference, model(as_image(graph, values))) == ""


# Layers left in float32 by a quantizer that was told to: what the message names.
FLOAT_LAYERS = {
    "classifier": (("Gemm",), "1 layer is not quantized", "Gemm: 'n20'", "op_types_to_quantize hold Gemm"),
    "two kinds": (
        ("Gemm", "Conv"),
        "11 layers are not quantized",
        "Conv, Gemm: 'n0', 'n2', 'n4', 'n6' and 7 more",
        "Conv, Gemm",
    ),
}


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
@pytest.mark.parametrize("name", FLOAT_LAYERS)
def test_layers_left_in_float32_are_named(name: str, form: str, tmp_path: Path) -> None:
    kinds, what, where, hint = FLOAT_LAYERS[name]
    net = NETS["v2"]()
    excluded = [node.name for node in net.nodes if node.op_type in kinds]
    path = tmp_path / "model.onnx"
    path.write_bytes(quantize(net, Dialect(form), excluded))
    with pytest.raises(ModelError, match=what) as raised:
        import_prequantized(path)
    assert raised.value.where == where and hint in raised.value.hint and "QOperator" not in raised.value.hint


def test_shared_float_classifier_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(shared("faults/q_qdq_nofc.onnx"))]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert "1 layer is not quantized in this file: the weights are float32" in lines[0] and "'Gemm_48'" in lines[1]
    assert "quantize it too" in lines[2]
