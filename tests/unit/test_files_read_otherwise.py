"""Files that are not read quite as they are: an old opset, a batch, bytes for an image, ArgMax; each says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from float_graph import run_float
from onnx import ModelProto, TensorProto, helper
from onnx_models import Net, head_pool_flatten_gemm
from quantized_zoo import Dialect, quantize
from shared import shared

from mbn2c.cli import main
from mbn2c.frontend import import_model, model_bytes
from mbn2c.frontend.runtime import Oracle
from mbn2c.network.lowered import import_prequantized_lowered
from mbn2c.reference.run_graph import run_graph
from mbn2c.tasks.tails import apply_tail

SIZE = (3, 12, 12)


@dataclass(frozen=True)
class Read:
    """A file, and how it is read.

    alike  what the file makes of images, from what our network makes of one after the other
    twin   a file that ONNX Runtime runs, where it does not run this one
    """

    build: Callable[[], ModelProto]
    kind: str
    words: str
    alike: Callable[[np.ndarray], np.ndarray] = np.asarray
    twin: Callable[[], ModelProto] | None = None


def _batch_of_4(reshape: int) -> ModelProto:
    """PyTorch's view(4, -1), with the batch in it."""
    net = Net(shape=(4, *SIZE)).conv(3, 4, strides=[2, 2]).then("Relu").then("GlobalAveragePool")
    net.then("Reshape", net.ints(reshape, -1))
    return net.then("Gemm", net.random(5, 4), net.random(5), transB=1).output(shape=[4, 5]).model()


def _of_opset(opset: int) -> ModelProto:
    """Before opset 7 broadcasting must be asked for, and a batch norm says that it is not trained."""
    is_old = opset < 7
    net = Net(opset=opset, shape=(1, *SIZE), weights_are_inputs=is_old)
    scale = net.rng.normal(size=4)
    net.conv(3, 4).then(
        "Mul", net.weight(scale if is_old else scale.reshape(4, 1, 1)), **_if(is_old, broadcast=1, axis=1)
    )
    net.batch_norm(4, **_if(is_old, is_test=1)).then("Relu").then("Dropout", **_if(is_old, is_test=1))
    slopes = net.rng.normal(size=4)
    net.conv(4, 4).then("PRelu", net.weight(slopes if is_old else slopes.reshape(4, 1, 1)))
    net.then("GlobalAveragePool").then("Flatten")
    return net.then("Gemm", net.random(5, 4), net.random(5), transB=1, **_if(is_old, broadcast=1)).model()


def _if(is_so: bool, **attributes: int) -> dict[str, int]:
    return attributes if is_so else {}


def _of_bytes() -> ModelProto:
    net = Net(shape=(1, *SIZE), dtype=TensorProto.UINT8)
    net.then("Cast", to=TensorProto.FLOAT).then("Mul", net.weight(1 / 255)).conv(3, 4).head(4)
    model = net.model()
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    return model


def _arg_max(*behind: tuple[str, dict[str, int]], **attributes: int) -> ModelProto:
    net = head_pool_flatten_gemm().then("ArgMax", **attributes)
    for op, more in behind:
        net.then(op, **more)
    model = net.model()
    kind = TensorProto.INT32 if ("Cast", {"to": TensorProto.INT32}) in behind else TensorProto.INT64
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info(net.x, kind, None))
    return model


_DROPPED = "ArgMax at the end is left out"
READ = {
    "batch 4": Read(lambda: _batch_of_4(0), "batch", "batch of 4 images is compiled for one"),
    "batch 4 in a Reshape": Read(lambda: _batch_of_4(4), "batch", "batch of 4 images is compiled for one"),
    "opset 6": Read(
        lambda: _of_opset(6), "opset", "a file of opset 6, converted to opset 7", twin=lambda: _of_opset(13)
    ),
    "uint8": Read(_of_bytes, "input", "uint8 and cast to float32"),
    "ArgMax": Read(lambda: _arg_max(axis=1, keepdims=0), "choice", _DROPPED, lambda y: y.argmax(axis=1)),
    "ArgMax, Cast": Read(
        lambda: _arg_max(("Cast", {"to": TensorProto.INT32}), axis=-1),
        "choice",
        _DROPPED,
        lambda y: y.argmax(axis=1)[:, None],
    ),
}


@pytest.mark.parametrize("name", READ)
def test_it_is_read_as_another_file(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read, path = READ[name], tmp_path / "net.onnx"
    onnx.save(read.build(), path)
    graph = import_model(path)
    assert [note.kind for note in graph.notes] == [read.kind] and read.words in graph.notes[0].text
    file, one = Oracle((read.twin or read.build)().SerializeToString()), Oracle(model_bytes(path))
    assert (one.input_names, one.output_names) == (file.input_names, file.output_names)
    images = np.random.default_rng(3).integers(0, 255, (4, *SIZE))
    made = []
    for image in images[:, None].astype(np.float32):
        (wanted,) = one.run({"x": image}).values()
        (found,) = run_float(graph, {"x": image}).values()
        np.testing.assert_allclose(apply_tail(graph.outputs[0].tail, found), wanted, rtol=1e-4, atol=1e-4)
        made.append(read.alike(wanted))
    batch = 4 if read.kind == "batch" else 1
    kind = np.uint8 if read.kind == "input" else np.float32
    wholes = [file.run({"x": images[n : n + batch].astype(kind)}) for n in range(0, 4, batch)]
    expected = np.concatenate([next(iter(whole.values())) for whole in wholes])
    np.testing.assert_allclose(np.concatenate(made), expected, rtol=1e-4, atol=1e-4)
    assert main(["inspect", str(path)]) == 0
    assert read.words in capsys.readouterr().out


def test_a_quantized_batch_is_one_image(tmp_path: Path) -> None:
    net = Net(shape=(2, *SIZE)).conv(3, 4, strides=[2, 2]).then("Relu").conv(4, 4).then("GlobalAveragePool")
    path = tmp_path / "net.onnx"
    path.write_bytes(quantize(net, Dialect()))
    found = import_prequantized_lowered(path)
    assert [note.kind for note in found.graph.notes if note.is_of_file] == ["batch"]
    values = np.random.default_rng(1).integers(-128, 127, found.graph.tensors["x"].shape).astype(np.int8)
    assert run_graph(found.graph, {"x": values})


@pytest.mark.parametrize("name", ["argmax_end", "uint8_in_cast"])
def test_shared_file_is_read(name: str) -> None:
    graph = import_model(shared(f"faults/{name}.onnx"))
    assert [note.is_of_file for note in graph.notes] == [True]
