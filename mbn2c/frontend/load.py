"""A file the user names -> an ONNX model that is whole, in order and safe to hand to the ONNX tools.

Damaged files can crash native code, so everything that can be checked in Python is checked before the ONNX
checker sees the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TypeVar

import onnx
import onnx.inliner
from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from mbn2c.errors import ModelError
from mbn2c.files.user_files import read_bytes, regular_file
from mbn2c.frontend import limits
from mbn2c.frontend.dilations import to_dilations
from mbn2c.frontend.heads import rewrite_ends
from mbn2c.frontend.old_opsets import OLDEST_OPSET, to_known_opset
from mbn2c.frontend.one_image import check_images_are_apart, to_one_image
from mbn2c.frontend.order import drop_dead_nodes, sort_nodes, subgraphs
from mbn2c.ir.graph import Note
from mbn2c.ops.base.call import EXPORT_AGAIN

MAX_FILE_BYTES = 2**31 - 1  # protobuf's own limit
MAX_LOCATION = 255  # characters of the external weights' file name: more than file systems take
Result = TypeVar("Result")
DYNAMICALLY_QUANTIZED = (
    "DynamicQuantizeLinear",
    "MatMulInteger",
    "DynamicQuantizeMatMul",
    "MatMulIntegerToFloat",
)
_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "ConvInteger")

# Bits per element, and the typed field that may hold the elements instead of raw_data.
_BITS: dict[int, tuple[int, str]] = {
    TensorProto.FLOAT: (32, "float_data"),
    TensorProto.UINT8: (8, "int32_data"),
    TensorProto.INT8: (8, "int32_data"),
    TensorProto.UINT16: (16, "int32_data"),
    TensorProto.INT16: (16, "int32_data"),
    TensorProto.INT32: (32, "int32_data"),
    TensorProto.INT64: (64, "int64_data"),
    TensorProto.BOOL: (8, "int32_data"),
    TensorProto.FLOAT16: (16, "int32_data"),
    TensorProto.DOUBLE: (64, "double_data"),
    TensorProto.UINT32: (32, "uint64_data"),
    TensorProto.UINT64: (64, "uint64_data"),
    TensorProto.BFLOAT16: (16, "int32_data"),
}


@dataclass(frozen=True)
class Loaded:
    """A model of one image.

    notes     what was done to it that the user should know
    of_batch  the same with the file's own batch, if that is more than 1
    """

    model: ModelProto
    notes: tuple[Note, ...] = ()
    of_batch: ModelProto | None = None


def load_model(path: Path) -> Loaded:
    """Read an ONNX file with its external data; nodes come back sorted, local functions inlined, of one image.

    The ONNX checker has not seen it yet: `convert` asks it once it knows that all operators are supported.

    raises  UsageError  if there is no such file
            ModelError  if it is not a whole and consistent ONNX model
    """
    model = _parse(path)
    _check_opsets(model, path)
    if model.graph.sparse_initializer:
        raise ModelError("sparse weights are not supported", where=str(path), hint="store the weights densely")
    names = [tensor.name for tensor in model.graph.initializer]
    if len(set(names)) != len(names):
        raise ModelError("two weights have the same name", where=str(path), hint=EXPORT_AGAIN)
    for tensor in _tensors(model):
        _check_tensor(tensor, path)
    _load_external(model, path)
    limits.check_nodes(model, str(path))
    if model.functions:
        model = run_tool("the function inliner", str(path), lambda: onnx.inliner.inline_local_functions(model))
    sort_nodes(model.graph, str(path))
    model, of_opset = _of_a_known_opset(model, str(path))
    limits.check_sizes(model, str(path))
    drop_dead_nodes(model.graph)
    whole, of_dilations = to_dilations(model)
    model, of_ends = run_tool("reading its first and last nodes", str(path), lambda: rewrite_ends(whole))
    single, batch = to_one_image(model)
    return Loaded(single, (*of_opset, *of_dilations, *of_ends), model if batch > 1 else None)


def notes_of(loaded: Loaded) -> tuple[Note, ...]:
    """What to tell of a model that can be compiled.

    raises  ModelError if it works on several images together
    """
    if loaded.of_batch is None:
        return loaded.notes
    return (*loaded.notes, check_images_are_apart(loaded.of_batch, loaded.model))


def _of_a_known_opset(model: ModelProto, where: str) -> tuple[ModelProto, tuple[Note, ...]]:
    """Files older than OLDEST_OPSET in its words."""
    version = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if version >= OLDEST_OPSET:
        return model, ()
    found = run_tool("ONNX's version converter", where, lambda: to_known_opset(model))
    sort_nodes(found.graph, where)
    text = f"a file of opset {version}, converted to opset {OLDEST_OPSET} by ONNX's version converter"
    return found, (Note("opset", model.graph.name, text),)


def _parse(path: Path) -> ModelProto:
    where = str(path)
    not_onnx = "give a model exported to ONNX (torch.onnx.export, tf2onnx, keras model.export)"
    if regular_file(path, "model file", "name the .onnx file itself") > MAX_FILE_BYTES:
        raise ModelError("the file is larger than an ONNX file can be (2 GiB)", where=where, hint=not_onnx)
    content = read_bytes(path, "model file", not_onnx, MAX_FILE_BYTES)
    if not content:
        raise ModelError("the file is empty (0 bytes)", where=where, hint="copy or export it again")
    if path.suffix.lower() in (".tflite", ".h5", ".keras", ".pb", ".pt", ".pth", ".pt2", ".safetensors"):
        raise ModelError(f"a {path.suffix} file is not an ONNX model", where=where, hint=not_onnx)
    try:
        model = onnx.load_model_from_string(content)
    except Exception:  # protobuf's DecodeError; which other kinds depends on its version
        raise ModelError("not an ONNX model, or cut short: it cannot be parsed", where=where, hint=not_onnx) from None
    if not model.graph.node and not model.graph.output and not model.opset_import:
        raise ModelError("not an ONNX model: it holds no graph", where=where, hint=not_onnx)
    if not all(isinstance(text, str) for text in _strings(model)):
        raise ModelError("a name in the model is not valid text", where=where, hint=EXPORT_AGAIN)
    if not model.graph.node or not model.graph.output:
        raise ModelError("the model holds no layers, or names no output", where=where, hint=EXPORT_AGAIN)
    return model


def _check_opsets(model: ModelProto, path: Path) -> None:
    newest = onnx.defs.onnx_opset_version()
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions:
        raise ModelError("the model does not say which ONNX opset it uses", where=str(path), hint=EXPORT_AGAIN)
    if not 1 <= versions[0] <= newest:
        raise ModelError(
            f"opset {versions[0]} is not supported (supported: 1 to {newest})",
            where=str(path),
            hint="export with opset 13 to 21, or convert with onnx.version_converter",
        )


def _strings(model: ModelProto) -> Iterator[object]:
    """Every name of the model; protobuf hands out bytes where one is not UTF-8."""

    def of_graph(graph: GraphProto) -> Iterator[object]:
        for named in (*graph.initializer, *graph.input, *graph.output):
            yield named.name
        for node in graph.node:
            yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
            for attribute in node.attribute:
                yield attribute.name
                yield from (text for inner in subgraphs(attribute) for text in of_graph(inner))

    yield from (entry.domain for entry in model.opset_import)
    yield from of_graph(model.graph)
    for function in model.functions:
        yield from of_graph(GraphProto(node=function.node))


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every constant tensor of the model, in subgraphs and functions too."""

    def of_nodes(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
        for node in nodes:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
                for graph in subgraphs(attribute):
                    yield from graph.initializer
                    yield from of_nodes(graph.node)

    yield from model.graph.initializer
    yield from of_nodes(model.graph.node)
    for function in model.functions:
        yield from of_nodes(function.node)


def _check_tensor(tensor: TensorProto, path: Path) -> None:
    """Refuse a tensor whose bytes do not make its declared shape, and external data outside the model's folder."""
    where = f"weight '{tensor.name}' in {path}"
    if tensor.data_type not in _BITS:
        kinds = {number: name for name, number in TensorProto.DataType.items()}
        kind = kinds.get(tensor.data_type, str(tensor.data_type))
        raise ModelError(f"weights of type {kind} are not supported", where=where, hint="use float32 weights")
    bits, typed_field = _BITS[tensor.data_type]
    if any(extent < 0 for extent in tensor.dims):
        raise ModelError(f"a weight has the shape {list(tensor.dims)}", where=where, hint=EXPORT_AGAIN)
    elements = math.prod(tensor.dims)
    size_bytes = elements * bits // 8
    if tensor.data_location == TensorProto.EXTERNAL:
        _check_external(tensor, size_bytes, path, where)
        return
    found = len(tensor.raw_data) * 8 // bits if tensor.HasField("raw_data") else len(getattr(tensor, typed_field))
    exact = not tensor.HasField("raw_data") or len(tensor.raw_data) == size_bytes
    if found != elements or not exact:
        raise ModelError(
            f"a weight of shape {list(tensor.dims)} needs {elements:,} elements, the file holds {found:,}",
            where=where,
            hint=EXPORT_AGAIN,
        )


def _check_external(tensor: TensorProto, size_bytes: int, path: Path, where: str) -> None:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if len(location) > MAX_LOCATION:
        what = f"external weights in a file with a name of {len(location):,} characters"
        raise ModelError(what, where=where, hint=EXPORT_AGAIN)
    parts = PurePosixPath(location).parts + PureWindowsPath(location).parts
    if not location or ".." in parts or PurePosixPath(location).is_absolute() or PureWindowsPath(location).anchor:
        raise ModelError(
            f"external weights at '{location}' are outside the model's folder, which is not allowed",
            where=where,
            hint="keep the data file beside the model and store a plain file name",
        )
    folder = path.resolve().parent
    data = folder / location
    if not data.is_file():
        raise ModelError(
            f"the external weights file '{location}' is missing", where=where, hint="copy it beside the model"
        )
    if not data.resolve().is_relative_to(folder):
        raise ModelError(
            f"external weights at '{location}' lead outside the model's folder, which is not allowed",
            where=where,
            hint="replace the link with the file itself",
        )
    try:
        offset = int(entries.get("offset") or 0)
        length = int(entries.get("length") or size_bytes)
    except ValueError:
        raise ModelError("external weights with an offset that is no number", where=where, hint=EXPORT_AGAIN) from None
    if offset < 0 or length != size_bytes or offset + length > data.stat().st_size:
        raise ModelError(
            f"external weights need {size_bytes:,} bytes at offset {offset:,}; '{location}' has {length:,} for them "
            f"and {data.stat().st_size:,} in all",
            where=where,
            hint="model and data file do not belong together, or the data file is cut short; copy both again",
        )


def _load_external(model: ModelProto, path: Path) -> None:
    external = [tensor for tensor in _tensors(model) if tensor.data_location == TensorProto.EXTERNAL]
    declared = sum(math.prod(tensor.dims) * _BITS[tensor.data_type][0] // 8 for tensor in external)
    if declared > MAX_FILE_BYTES:  # many tensors may name the same bytes of one file
        raise ModelError(
            f"the external weights have {declared:,} bytes, more than a model can hold (2 GiB)", where=str(path)
        )
    if external:
        folder = str(path.resolve().parent)
        run_tool("reading external weights", str(path), lambda: onnx.load_external_data_for_model(model, folder))


def is_prequantized_operator(kind: str) -> bool:
    """Whether only a prequantized model has such nodes."""
    return kind in _QUANTIZED or kind in DYNAMICALLY_QUANTIZED or kind.startswith(("QLinear", "QGemm"))


def run_tool(what: str, where: str, run: Callable[[], Result]) -> Result:
    """Run one of ONNX's own tools; whatever it raises becomes one message."""
    try:
        return run()
    except Exception as error:  # the tools raise all kinds, RuntimeError and their own C++ exceptions among them
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = " ".join(lines[:2])[:300] or type(error).__name__
        raise ModelError(f"{what} refuses the model: {reason}", where=where, hint=EXPORT_AGAIN) from None
