"""Damaged ONNX files and files that are none: each is refused in words."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx_models import DIALECTS
from refusals import assert_refused
from shared import SHARED

from mbn2c.errors import Mbn2cError, UsageError
from mbn2c.frontend import import_model
from mbn2c.passes import run_passes

BROKEN = SHARED / "models" / "exporters" / "broken"


def _good() -> ModelProto:
    return DIALECTS["head_softmax"][0]().model()


def _damage(change: Callable[[ModelProto], object]) -> Callable[[], bytes]:
    def make() -> bytes:
        model = _good()
        change(model)
        return bytes(model.SerializeToString())

    return make


def _raw(model: ModelProto, edit: Callable[[bytes], bytes]) -> None:
    tensor = model.graph.initializer[0]
    tensor.raw_data = edit(tensor.raw_data)


def _cycle(model: ModelProto) -> None:
    model.graph.node[0].input[0] = model.graph.node[2].output[0]


def _length_of_nothing(model: ModelProto) -> None:
    """As an embedding ends, without what its length is of."""
    last = model.graph.output[0].name
    model.graph.node.append(helper.make_node("ReduceL2", [], ["length"], axes=[1]))
    model.graph.node.append(helper.make_node("Div", [last, "length"], ["unit"]))
    model.graph.output[0].name = "unit"


def _external(location: str, **entries: str) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **entries}.items():
            tensor.external_data.add(key=key, value=value)

    return change


DAMAGED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "0 bytes"),
    "png": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(200), "not an ONNX model"),
    "text": (lambda: b"hello, this is not a model\n" * 20, "not an ONNX model"),
    "zeros": (lambda: bytes(1000), "not an ONNX model"),
    "no nodes": (_damage(lambda m: m.graph.ClearField("node")), "no layers"),
    "no outputs": (_damage(lambda m: m.graph.ClearField("output")), "no layers"),
    "the length of nothing": (_damage(_length_of_nothing), "reading its first and last nodes refuses"),
    "no opset": (_damage(lambda m: m.ClearField("opset_import")), "which ONNX opset"),
    "no input": (_damage(lambda m: m.graph.ClearField("input")), "'x' is made by no node"),
    "input without shape": (
        _damage(lambda m: m.graph.input[0].type.tensor_type.ClearField("shape")),
        "no declared shape",
    ),
    "cycle": (_damage(_cycle), "form a cycle"),
    "own output": (_damage(lambda m: m.graph.node[1].input.__setitem__(0, m.graph.node[1].output[0])), "a cycle"),
    "dangling input": (_damage(lambda m: m.graph.node[1].input.__setitem__(0, "gone")), "'gone' is made by no node"),
    "missing weight": (_damage(lambda m: m.graph.initializer.pop()), "is made by no node"),
    "missing output": (_damage(lambda m: setattr(m.graph.output[0], "name", "gone")), "output 'gone'"),
    "two makers": (_damage(lambda m: m.graph.node.append(m.graph.node[0])), "two nodes make"),
    "two weights of one name": (_damage(lambda m: m.graph.initializer.append(m.graph.initializer[0])), "same name"),
    "raw data short": (_damage(lambda m: _raw(m, lambda raw: raw[:-8])), "the file holds"),
    "raw data long": (_damage(lambda m: _raw(m, lambda raw: raw + b"1234")), "the file holds"),
    "raw data in the middle of a number": (_damage(lambda m: _raw(m, lambda raw: raw[:-3])), "the file holds"),
    "no data": (_damage(lambda m: m.graph.initializer[0].ClearField("raw_data")), "the file holds 0"),
    "negative dims": (_damage(lambda m: m.graph.initializer[0].dims.__setitem__(0, -4)), "has the shape"),
    "huge dims": (_damage(lambda m: m.graph.initializer[0].dims.__setitem__(0, 2**62)), "the file holds"),
    "string weights": (_damage(lambda m: setattr(m.graph.initializer[0], "data_type", TensorProto.STRING)), "STRING"),
    "unknown weight type": (_damage(lambda m: setattr(m.graph.initializer[0], "data_type", 77)), "type 77"),
    "external path upwards": (_damage(_external("../weights.bin")), "outside the model's folder"),
    "external path upwards later": (_damage(_external("a/../../weights.bin")), "outside the model's folder"),
    "external absolute path": (_damage(_external("/etc/passwd")), "outside the model's folder"),
    "external windows path": (_damage(_external("..\\weights.bin")), "outside the model's folder"),
    "external drive": (_damage(_external("C:\\weights.bin")), "outside the model's folder"),
    "external without location": (_damage(_external("")), "outside the model's folder"),
    "external missing": (_damage(_external("weights.bin")), "'weights.bin' is missing"),
    "external short": (_damage(_external("short.bin")), "need 432 bytes at offset 0"),
    "external offset": (_damage(_external("long.bin", offset="999999")), "at offset 999,999"),
    "external negative offset": (_damage(_external("long.bin", offset="-4")), "at offset -4"),
    "external offset of letters": (_damage(_external("long.bin", offset="many")), "offset that is no number"),
    "external other length": (_damage(_external("long.bin", length="4")), "has 4 for them"),
    "external link outside": (_damage(_external("link.bin")), "lead outside"),
    "name that is not text": (
        lambda: _damage(lambda m: setattr(m.graph.node[0], "name", "NAME"))().replace(b"NAME", b"\xff\xfe\xff\xfe"),
        "not",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(432))
    (folder / "short.bin").write_bytes(bytes(100))
    (folder / "long.bin").write_bytes(bytes(1000))
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    make, message = DAMAGED[name]
    (folder / "net.onnx").write_bytes(make())
    assert_refused(folder / "net.onnx", message, capfd)


def test_external_data_beside_the_model(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(_good(), path, save_as_external_data=True, location="net.bin", size_threshold=0)
    assert len(path.read_bytes()) < 1500
    assert import_model(path).nodes[0].op == "conv2d"


def test_typed_data_short(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = _good()
    tensor = model.graph.initializer[0]
    numbers = numpy_helper.to_array(tensor).ravel().tolist()
    tensor.ClearField("raw_data")
    tensor.float_data.extend(numbers[:-1])
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    assert_refused(path, "needs 108 elements, the file holds 107", capfd)


def test_no_such_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert_refused(tmp_path / "gone.onnx", "no such model file", capfd, UsageError)


def test_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert_refused(tmp_path, "a folder, not a file", capfd, UsageError)


def test_other_format(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.tflite").write_bytes(struct.pack("<I4s", 28, b"TFL3") + bytes(100))
    assert_refused(tmp_path / "net.tflite", ".tflite", capfd)


@pytest.mark.parametrize("tenths", range(1, 10))
def test_truncated(tenths: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content = _good().SerializeToString()
    (tmp_path / "net.onnx").write_bytes(content[: len(content) * tenths // 10])
    assert_refused(tmp_path / "net.onnx", "", capfd)


@pytest.mark.parametrize("seed", range(20))
def test_bytes_changed_at_random(seed: int, tmp_path: Path) -> None:
    """Whatever the damage: a Graph or one of our errors."""
    content = _good().SerializeToString()
    path = tmp_path / "net.onnx"
    chance = random.Random(seed)
    for _ in range(25):
        damaged = bytearray(content)
        for _ in range(chance.choice((1, 1, 2, 5))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            run_passes(import_model(path))
        except Mbn2cError as error:
            assert error.exit_code in (2, 3)


@pytest.mark.skipif(not BROKEN.is_dir(), reason="../shared/models is not there")
@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.onnx")), ids=lambda path: path.stem)
def test_broken_file(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert_refused(path, "", capfd)
