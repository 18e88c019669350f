"""Models that users bring and that failed, or were refused with a wrong hint: what must happen, as tables.

Each kind is built here; the files of ../shared/faults that stand for it are read too where they are.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.utils
import pytest
from devices import assert_exact, build_folder, verify_on
from host_c import STRICT, compile_c, write_c
from host_c import Net as CNet
from onnx_models import Net
from quantized_zoo import NETS, Dialect, quantize
from shared import shared
from tiny_nets import tiny_nets

from mbn2c.cli import main
from mbn2c.commands.build import BuildOptions
from mbn2c.commands.verify import VerifyOptions
from mbn2c.errors import ModelError
from mbn2c.frontend import import_model
from mbn2c.frontend.prequantized.model import import_quantized
from mbn2c.frontend.runtime import Oracle
from mbn2c.network.inputs import input_spec, quantize_input
from mbn2c.ops.base.operator import quant_of, scale_of
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import load_board, load_core
from mbn2c.tasks.tails import apply_tail

# --- refused, in one message ---------------------------------------------------------------------


def _prelu_and_max_pool() -> Net:
    net = Net(shape=(1, 3, 24, 24)).conv(3, 8)
    net.then("PRelu", net.random(8, 1, 1)).then("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    return net.conv(8, 8).then("PRelu", net.weight([0.1])).head(8)


def _gate_and_end() -> Net:
    """A SiLU inside, a sigmoid at the end: only the first one is wrong."""
    net = Net().conv(3, 8)
    linear = net.x
    net.then("Sigmoid").node("Mul", linear, net.x)
    return net.conv(8, 8).head(8, classes=1).then("Sigmoid")


def _two_heads(end: str) -> Net:
    """As detectors end: each head's map a list of boxes, all lists joined."""
    net = Net(shape=(1, 3, 24, 24)).conv(3, 8, strides=[2, 2]).relu6().conv(8, 8).relu6()
    features, heads = net.x, []
    for channels in (12, 6):
        net.x = features
        net.conv(8, channels).then("Transpose", perm=[0, 2, 3, 1]).then("Reshape", net.ints(1, -1, 6))
        heads.append(net.x)
    if end == "joined":
        net.node("Concat", *heads, axis=1)
        return net
    for head in heads:
        net.output(head)
    return net


def _upsampled() -> Net:
    net = Net(shape=(1, 3, 24, 24)).conv(3, 8, strides=[2, 2]).relu6().conv(8, 2, k=1)
    return net.then("Resize", "", net.weight([1.0, 1, 2, 2]), mode="nearest").output(shape=[1, 2, 24, 24])


def _arg_max() -> Net:
    return Net().conv(3, 8).head(8).then("ArgMax", axis=1).output(shape=[1, 1])


def _flattened() -> Net:
    """An embedding of pixels."""
    return Net().conv(3, 8, strides=[2, 2]).relu6().conv(8, 4).then("Flatten")


def _joined_inside() -> Net:
    net = Net().conv(3, 8)
    features = net.x
    a, b = net.conv(8, 4, k=1).x, net.node("Relu", features)
    net.node("Concat", a, b, axis=1)
    return net.conv(12, 4).head(4)


def _other_channel_order() -> Net:
    net = Net()
    return net.then("Gather", net.ints(2, 1, 0), axis=1).conv(3, 4).head(4)


# What it is, the first line, the places, pieces of the hint, and the tensors to cut at.
REFUSED: dict[str, tuple[Callable[[], Net], str, str, tuple[str, ...], list[str]]] = {
    "prelu_maxpool": (
        _prelu_and_max_pool,
        "operator PRelu is not supported (nor MaxPool)",
        "node 'n1', operator PRelu and 1 more, inside the network; node 'n2', operator MaxPool, inside the network",
        ("PRelu: train with ReLU", "MaxPool: use a stride or an average pool"),
        [],
    ),
    "gate and end": (
        _gate_and_end,
        "operator Sigmoid is not supported there",
        "node 'n1', operator Sigmoid, inside the network",
        ("a gate inside the network", "MobileNetV1 or V2"),
        [],
    ),
    "boxes joined": (
        lambda: _two_heads("joined"),
        "operator Concat is not supported",
        "node 'n10', operator Concat, behind the last layer",
        ("let each tensor that it puts together be an output of its own",),
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
    "upsampled": (
        _upsampled,
        "operator Resize is not supported",
        "node 'n3', operator Resize, behind the last layer",
        ("let the small map be the output",),
        ["t2"],
    ),
    "boxes decoded": (
        lambda: _two_heads("joined").then("Sigmoid").then("Exp").then("MaxPool", kernel_shape=[3]).output(shape=[1]),
        "operator Concat is not supported (nor Exp, MaxPool)",
        "node 'n10', operator Concat, behind the last layer; node 'n12', operator Exp, behind the last layer; "
        "node 'n13', operator MaxPool, behind the last layer",
        ("Concat: let each tensor", "Exp, MaxPool: leave what is behind the last layer to your program"),
        ["t5", "t8"],
    ),
    "unknown kinds": (
        lambda: Net(opset=14).conv(3, 4).then("Erf").then("Sin").then("HardSwish").conv(4, 4).head(4),
        "operator Erf is not supported (nor Sin, HardSwish)",
        "node 'n1', operator Erf, inside the network; node 'n2', operator Sin, inside the network; "
        "node 'n3', operator HardSwish, inside the network",
        ("HardSwish: MobileNetV3 is not supported yet; use MobileNetV1 or V2; supported: convolution",),
        [],
    ),
    "arg max": (
        _arg_max,
        "operator ArgMax is not supported",
        "node 'n4', operator ArgMax, behind the last layer",
        ("mbn2c reports the best class itself",),
        ["t3"],
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
        "operator Concat is not supported",
        "node 'n3', operator Concat, inside the network",
        ("networks that put tensors together",),
        ["t1", "t2"],
    ),
    "other channel order": (
        _other_channel_order,
        "Gather of an activation is not supported",
        "node 'n0', operator Gather",
        ("feed the image in that order",),
        [],
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


# Files of ../shared/faults: the operator, its node, a piece of the hint.
SHARED = {
    "mnist_maxpool": ("MaxPool", "MaxPool_3", "average pool"),
    "concat": (
        "Concat",
        "Concat_29",
        "extract_model('concat.onnx', 'concat_cut.onnx', ['in'], ['clip_75', 'clip_95'])",
    ),
    "prelu": ("PRelu", "PRelu_2", "ReLU or ReLU6"),
    "prelu_maxpool_hint": ("PRelu", "MaxPool_3", "PRelu: train with ReLU or ReLU6 in its place; MaxPool: use a stride"),
    "leakyrelu": ("LeakyRelu", "LeakyRelu_2", "ReLU or ReLU6"),
    "group2": ("convolution in 2 groups", "Conv_11", "group = 1"),
    "globalmaxpool": ("GlobalMaxPool", "GlobalMaxPool_28", "global average pool"),
    "avgpool_ceil": ("AveragePool with ceil_mode", "AveragePool_28", "an input size the stride divides"),
    "avgpool_pad_cip0": ("AveragePool whose padding", "AveragePool_3", "count_include_pad = 1"),
    "seg_resize": ("Resize", "Resize_21", "['conv_68']"),
    "argmax_end": ("ArgMax", "ArgMax_14", "['gemm_42']"),
    "uint8_in_cast": ("input of type uint8", "in", "--input uint8"),
    "bgr_gather": ("Gather", "Gather_0", "feed the image in that order"),
}


@pytest.mark.parametrize("name", SHARED)
def test_shared_file_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    operator, node, hint = SHARED[name]
    path = tmp_path / f"{name}.onnx"
    path.write_bytes(shared(f"faults/{name}.onnx").read_bytes())
    assert main(["inspect", str(path)]) == 3
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert not printed.out and [line[:6] for line in lines] == ["error:", "where:", "try:  "]
    assert operator in lines[0] and f"'{node}'" in lines[1] and hint in lines[2], printed.err
    assert "use a classifier" not in printed.err
    cut_as_told(refusal(path), path)


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
        import_quantized(path)
    assert raised.value.where == where and hint in raised.value.hint and "QOperator" not in raised.value.hint


def test_shared_float_classifier_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(shared("faults/q_qdq_nofc.onnx"))]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert "1 layer is not quantized in this file: the weights are float32" in lines[0] and "'Gemm_48'" in lines[1]
    assert "quantize it too" in lines[2]


# --- what a model ends with: split off, offered to host and C -------------------------------------


def _keras(classes: int) -> Net:
    """Rescaling, a convolution, Dense with a sigmoid: channels last outside, as tf2onnx writes it."""
    net = Net(shape=(None, 12, 12, 3), opset=15)
    net.then("Mul", net.weight(1 / 127.5)).then("Add", net.weight(-1.0)).then("Transpose", perm=[0, 3, 1, 2])
    net.conv(3, 8, strides=[2, 2]).relu6().then("ReduceMean", axes=[2, 3], keepdims=0)
    return net.then("MatMul", net.random(8, classes)).then("Add", net.random(classes)).then("Sigmoid")


def _multi_task() -> Net:
    """A yes or no, attributes, and a map of scores: a sigmoid on each."""
    net = Net(shape=(1, 3, 12, 12)).conv(3, 8, strides=[2, 2]).relu6()
    features = net.x
    net.head(8, classes=1).then("Sigmoid").output()
    net.x = features
    net.head(8, classes=4).then("Sigmoid").output()
    net.x = features
    return net.conv(8, 2, k=1).then("Sigmoid").then("Transpose", perm=[0, 2, 3, 1]).output()


TAILED: dict[str, tuple[Callable[[], Net], list[str]]] = {
    "Keras, one class": (lambda: _keras(1), ["sigmoid"]),
    "Keras, several labels": (lambda: _keras(5), ["sigmoid"]),
    "several outputs": (_multi_task, ["sigmoid"] * 3),
}


def built(folder: Path, model: Path, shape: tuple[int, ...], core: str, board: str | None = None) -> tuple[Any, Path]:
    """Built with a few inputs, which are left for verify."""
    images = folder / "images.npz"
    np.savez(images, np.random.default_rng(4).uniform(0, 255, (4, *shape)).astype(np.float32))
    options = BuildOptions(
        model=model, core=load_core(core), board=load_board(board) if board else None, calib=str(images), name="net",
        effort="fast",
    )  # fmt: skip
    return build_folder(folder / "out", options), images


@pytest.mark.parametrize("name", TAILED)
def test_sigmoid_at_the_end_is_left_to_the_host(name: str, tmp_path: Path) -> None:
    """The device returns logits, exactly; their sigmoid is what the file says, within int8."""
    build, tails = TAILED[name]
    model = tmp_path / "model.onnx"
    onnx.save(build().model(), model)
    shape = (12, 12, 3) if "Keras" in name else (3, 12, 12)
    output, images = built(tmp_path, model, shape, "host")
    graph = output.graph
    assert [port.tail for port in graph.outputs] == tails == [one["tail"] for one in output.report["outputs"]]
    assert_exact(verify_on(output, "host", tmp_path / "firmware", VerifyOptions(images)), 4)
    original = Oracle(model)
    for values in np.load(images)["arr_0"][:, None]:
        wanted = original.run({original.input_names[0]: values})
        found = run_graph(graph, {graph.inputs[0].tensor: quantize_input(graph, input_spec(graph), values)})
        for port in graph.outputs:
            quant = quant_of(graph, port.tensor)
            step = float(scale_of(quant))
            said = apply_tail(port.tail, (found[port.tensor].astype(float) - quant.zero_point) * step)
            # A sigmoid is at most a quarter as steep as its logits, on which int8 leaves an error of some steps.
            assert np.abs(said.reshape(-1) - wanted[port.outside].reshape(-1)).mean() < step
    header = (output.path / "net.h").read_text()
    functions = ["net_sigmoid"] if len(tails) == 1 else [f"net_sigmoid{number}" for number in range(len(tails))]
    assert re.findall(r"void (net_sigmoid\w*)\(const int8_t \*output, float \*probabilities\);", header) == functions


def test_shared_keras_sigmoid_is_exact_on_a_board(tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    board = load_board("qemu-mps2-an385")
    assert board.emulator is not None
    for program in (board.emulator.program, "arm-none-eabi-gcc"):
        need_tool(program)
    model = shared("faults/keras_rescale_sigmoid.onnx")
    output, images = built(tmp_path, model, (96, 96, 3), "cortex-m3", board.name)
    assert [port.tail for port in output.graph.outputs] == ["sigmoid"]
    assert_exact(verify_on(output, board.name, tmp_path / "firmware", VerifyOptions(images, limit=2)), 2)


_PRINT_TAILS = """#include <stdio.h>
#include <string.h>
#include "two_tails.h"

int main(void)
{
    int8_t output[TWO_TAILS_OUTPUT_BYTES];
    float found[TWO_TAILS_OUTPUT_BYTES];
    for (int value = -128; value < 128; value++) {
        memset(output, -value - 1, sizeof output);
        output[0] = (int8_t)value;
        output[TWO_TAILS_OUTPUT1_OFFSET] = (int8_t)value;
        two_tails_softmax0(output, found);
        two_tails_sigmoid1(output, found + TWO_TAILS_OUTPUT1_OFFSET);
        for (int i = 0; i < TWO_TAILS_OUTPUT_BYTES; i++) {
            printf("%a\\n", (double)found[i]);
        }
    }
    return 0;
}
"""


def test_softmax_and_sigmoid_on_an_emulated_core(tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    """Every int8 value, as the host computes it in float64."""
    core = load_core("aarch64")
    for program in (f"{core.prefix}gcc", "qemu-aarch64"):
        need_tool(program)
    net: CNet = tiny_nets()["two_tails"]
    sources = [*write_c(tmp_path, [net]), "main.c"]
    (tmp_path / "main.c").write_text(_PRINT_TAILS)
    compile_c(tmp_path, sources, "-O2", *STRICT, "-static", "-o", "tails", compiler=f"{core.prefix}gcc")
    done = subprocess.run(["qemu-aarch64", "tails"], cwd=tmp_path, capture_output=True, text=True, check=True)
    graph = net.plan.graph
    sizes = [graph.tensors[port.tensor].size_bytes for port in graph.outputs]
    found = np.array([float.fromhex(line) for line in done.stdout.split()]).reshape(256, sum(sizes))
    for value, row in zip(range(-128, 128), found, strict=True):
        for port, ours in zip(graph.outputs, np.split(row, sizes[:1]), strict=True):
            codes = np.full(len(ours), -value - 1)
            codes[0] = value
            quant = quant_of(graph, port.tensor)
            real = (codes - quant.zero_point) * float(scale_of(quant))
            assert np.allclose(ours, apply_tail(port.tail, real), rtol=1e-5, atol=1e-30), (value, port.outside)
