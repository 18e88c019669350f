"""Layers are called as their author calls them, where the exporter only numbered the nodes."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest
from onnx import NodeProto, helper
from onnx_models import Net
from shared import shared

from mbn2c.commands.build import BuildOptions, build
from mbn2c.frontend import import_model
from mbn2c.frontend.names import layer_name
from mbn2c.passes import run_passes
from mbn2c.report.json import read_record
from mbn2c.targets import load_core

NORM = "torch.nn.modules.batchnorm.BatchNorm2d', 'aten.batch_norm.default"
RELU = "torch.nn.modules.activation.ReLU6', 'aten.hardtanh.default"
LIST = "torch.nn.modules.container.Sequential', 'aten.mean.dim"


def node(op: str, name: str, inputs: str, **metadata: str) -> NodeProto:
    made = helper.make_node(op, inputs.split(), ["out"], name)
    for key, words in metadata.items():
        made.metadata_props.add(key=f"pkg.torch.onnx.{key}", value=f"['{words}']")
    return made


# Weights of the file are those that begin with "w" or end with ":0" or ".weight".
CASES = {
    "weights say whose they are": (
        node("Conv", "node_Conv_8", "x f.3.0.weight", name_scopes="', 'f', 'f.3', 'f.3.1', 'bn", class_hierarchy=NORM),
        "f.3.0",
    ),
    "a weight's name may be anything": (
        node("Conv", "node_Conv_8", "x w_8", name_scopes="', 'f', 'f.3', 'conv2d_7", class_hierarchy="User', 'aten.c"),
        "f.3.conv2d",
    ),
    "a layer without weights": (
        node("Clip", "n4", "x", name_scopes="', 'f', 'f.2', 'relu_3", class_hierarchy=RELU),
        "f.2",
    ),
    "a function in a module": (
        node(
            "Add", "node_add_3", "x y", name_scopes="', 'f', 'f.4', 'add_3", class_hierarchy="User', 'aten.add.Tensor"
        ),
        "f.4.add",
    ),
    "a function in a list of modules": (
        node("ReduceMean", "node_mean", "x", name_scopes="', 'head', 'mean", class_hierarchy=LIST),
        "head.mean",
    ),
    "a function of the model itself": (node("Add", "node_add_3", "x y", name_scopes="', 'add_3"), "add_3"),
    "no scopes": (node("Add", "node_add_3", "x y", name_scopes="add_3"), "node_add_3"),
    "scopes that are no list": (node("Add", "node_add_3", "x y", name_scopes="((((("), "node_add_3"),
    "Keras, folded batch norm": (node("Conv", "Conv__231", "x m/c/convolution/merged_input:0 b"), "m/c/convolution"),
    "Keras, dense": (node("MatMul", "MatMul__7", "x m/dense/MatMul/ReadVariableOp:0"), "m/dense/MatMul"),
    "Keras, a weight of no layer": (node("Conv", "Conv__231", "x wfold__434:0"), "Conv__231"),
    "what is read is no weight": (node("Conv", "Conv__231", "x m/c/convolution/merged_input"), "Conv__231"),
    "a name of its own": (node("Conv", "m/c_1/depthwise", "x m/other/convolution/merged_input:0"), "m/c_1/depthwise"),
    "a name with underscores": (node("Conv", "block__a", "x m/other/convolution/merged_input:0"), "block__a"),
    "no name": (node("Conv", "", "x w"), "Conv_out"),
}


@pytest.mark.parametrize("case", CASES)
def test_name(case: str) -> None:
    one, name = CASES[case]
    weights = [given for given in one.input if given.startswith("w") or given.endswith((":0", ".weight"))]
    assert layer_name(one, weights) == name


def scoped(one: NodeProto, weight: str, *scopes: str) -> None:
    """As the dynamo exporter says where a node comes from; weight: its new name."""
    one.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=str(["", *scopes]))
    if weight:
        one.input[1] = weight


def numbered_by_torch() -> onnx.ModelProto:
    """A convolution with ReLU, one without, and the sum of both."""
    net = Net(opset=18).conv(3, 4, bias=False).then("Relu")
    before = net.x
    net.conv(4, 4, k=1, bias=False).then("Add", before)
    weights = ("body.0.0.weight", "body.1.weight")
    for tensor, name in zip(net.weights, weights, strict=True):
        tensor.name = name
    first, relu, second, add = net.nodes
    scoped(first, weights[0], "body", "body.0", "body.0.1", "batch_norm")
    scoped(relu, "", "body", "body.0", "body.0.2", "relu")
    scoped(second, weights[1], "body", "body.2", "batch_norm_1")
    scoped(add, "", "body", "add_7")
    return net.model()


def test_layers_of_a_file_are_called_as_their_modules(tmp_path: Path) -> None:
    onnx.save(numbered_by_torch(), tmp_path / "net.onnx")
    graph = run_passes(import_model(tmp_path / "net.onnx"))
    assert [one.name for one in graph.nodes] == ["body.0.0", "body.1", "body.add"]


def test_names_are_the_same_everywhere(tmp_path: Path) -> None:
    """In C, in report and page; the exported model keeps the names of the file's tensors."""
    onnx.save(numbered_by_torch(), tmp_path / "net.onnx")
    bundle = build(BuildOptions(model=tmp_path / "net.onnx", core=load_core("cortex-m4"), calib="random", name="net"))
    record, page = read_record(bundle["report.json"]), bundle["report.html"].decode().replace("<wbr>", "")
    names = ["body.0.0", "body.1", "body.add"]
    assert [layer.name for layer in record.layers] == names
    assert [name for name in names if f">{name}</a>" in page] == names
    assert [name for name in names if f": {name}, " in bundle["net.c"].decode()] == names
    for file in ("net.c", "report.json", "report.html"):
        assert not re.search(r"\bn[0-3]\b", bundle[file].decode()), file


@pytest.mark.parametrize(
    ("file", "names", "last"),
    [
        ("pt_dynamo_op18_v2", "features.0.0 features.1.conv.0.0 features.1.conv.1 features.2.conv.0.0", "head.fc"),
        ("pt_dynamo_default_v2_mean_dynbatch", "features.0.0 features.1.conv.0.0 features.1.conv.1", "head.fc"),
        (
            "keras_tf2onnx_op13_v2_nhwc",
            "functional_1_1/Conv1_1/convolution functional_1_1/expanded_conv_depthwise_1/depthwise",
            "functional_1_1/dense_1_1/MatMul",
        ),
        (
            "keras3_native_v2_nhwc",
            "functional_11_1/Conv1_1/convolution functional_11_1/expanded_conv_depthwise_1/depthwise",
            "functional_11_1/dense_10_1/MatMul",
        ),
        ("pt_legacy_op11_v2", "/features/features.0/features.0.0/Conv", "/head/fc/Gemm"),
    ],
)
def test_exporters_names(file: str, names: str, last: str) -> None:
    graph = run_passes(import_model(shared(f"models/exporters/{file}.onnx")))
    found = [one.name for one in graph.nodes]
    assert (found[: len(names.split())], found[-1]) == (names.split(), last)
    assert len(set(found)) == len(found) and not [name for name in found if "__" in name or name.startswith("node_")]
