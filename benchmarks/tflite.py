"""int8 Graph -> .tflite of the same layers, scales and weights, and one inference of it in LiteRT.

LiteRT is no dependency: `pip install --target FOLDER ai-edge-litert flatbuffers`, then PYTHONPATH=FOLDER. A layer's
activation is no clamp of its own here: the range of the output's int8 values is the clamp, as in the Graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from mbn2c.ir.graph import Graph, Node, Tensor
from mbn2c.ir.window import Window
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.quants import quant_of, scale_of

VERSION = version("ai-edge-litert")
_TYPES = {"int8": schema.TensorType.INT8, "int32": schema.TensorType.INT32}


def to_tflite(graph: Graph) -> bytes:
    """A .tflite from int8 to int8. Raises SystemExit if a layer has no counterpart here."""
    writer = _Writer(graph)
    for port in graph.inputs:
        writer.add(graph.tensors[port.tensor])
    for node in graph.nodes:
        if node.op not in _LAYERS:
            raise SystemExit(f"{graph.name}: no layer of a .tflite is known for {node.op}")
        _LAYERS[node.op](writer, node)
    return writer.finish()


def litert_run(model: bytes, image: np.ndarray, threads: int = 1) -> tuple[Callable[[], object], np.ndarray]:
    """One inference of an int8 image in LiteRT, and what it makes of it, int8."""
    interpreter = Interpreter(model_content=model, num_threads=threads)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return interpreter.invoke, interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@dataclass
class _Writer:
    """The one subgraph of the model while its layers are added."""

    graph: Graph
    tensors: list[Any] = field(default_factory=list)
    layers: list[Any] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    # The first one is empty: that of all activations.
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])
    places: dict[str, int] = field(default_factory=dict)

    def add(self, tensor: Tensor, channel_axis: int = 0) -> int:
        """The index of a tensor's counterpart, made if it is a new one."""
        if tensor.name in self.places:
            return self.places[tensor.name]
        made = schema.TensorT()
        made.name, made.shape, made.type = tensor.name, list(tensor.shape), _TYPES[tensor.dtype]
        if tensor.quant is not None:
            scales = tensor.quant.scale.reshape(-1)
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale = scales.astype(np.float32)
            made.quantization.zeroPoint = np.full(len(scales), tensor.quant.zero_point, np.int64)
            made.quantization.quantizedDimension = channel_axis
        if tensor.data is not None:
            made.buffer = len(self.buffers)
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(tensor.data).tobytes(), np.uint8)
            self.buffers.append(buffer)
        self.places[tensor.name] = len(self.tensors)
        self.tensors.append(made)
        return self.places[tensor.name]

    def constant(self, name: str, values: np.ndarray) -> int:
        """The index of integers that have no scale."""
        return self.add(Tensor(name, values.shape, str(values.dtype), values))

    def layer(self, name: str, options: Any, inputs: list[int], output: Tensor) -> None:
        """Add one; `options` names its kind, and holds what else is known of it."""
        code = getattr(schema.BuiltinOperator, name)
        if code not in self.codes:
            self.codes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = self.codes.index(code), inputs, [self.add(output)]
        made.builtinOptions = options
        made.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self.layers.append(made)

    def finish(self) -> bytes:
        """The file."""
        subgraph, model = schema.SubGraphT(), schema.ModelT()
        subgraph.tensors, subgraph.operators = self.tensors, self.layers
        subgraph.inputs = [self.places[port.tensor] for port in self.graph.inputs]
        subgraph.outputs = [self.places[port.tensor] for port in self.graph.outputs]
        model.version, model.buffers, model.subgraphs = 3, self.buffers, [subgraph]
        model.operatorCodes = [_operator_code(code) for code in self.codes]
        builder = flatbuffers.Builder()
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _operator_code(code: int) -> Any:
    made = schema.OperatorCodeT()
    made.builtinCode, made.version = code, 3
    # Where older readers look; they know the first 127.
    made.deprecatedBuiltinCode = code
    return made


def _weighted(writer: _Writer, node: Node, shape: tuple[int, ...], channel_axis: int) -> list[int]:
    """The indices of weights, in the shape that TFLite wants, and of the bias."""
    graph = writer.graph
    weights, bias = (graph.tensors[name] for name in node.inputs[1:3])
    scales = quant_of(graph, weights.name).scale * scale_of(quant_of(graph, node.inputs[0]))
    assert weights.data is not None and weights.quant is not None
    as_wanted = Tensor(weights.name, shape, weights.dtype, weights.data, weights.quant)
    scaled = Tensor(bias.name, bias.shape, bias.dtype, bias.data, type(weights.quant)(scales))
    return [writer.add(as_wanted, channel_axis), writer.add(scaled)]


def _window(writer: _Writer, node: Node, options: Any) -> int:
    """Write strides and padding to the options; the index of the input, padded first if TFLite has no word for it."""
    graph, window = writer.graph, OPERATORS[node.op].window(node)
    options.strideH, options.strideW = window.stride
    options.dilationHFactor, options.dilationWFactor = window.dilation
    source = graph.tensors[node.inputs[0]]
    same = _same_pad(window, source.shape[1:3])
    options.padding = schema.Padding.SAME if window.pad == same else schema.Padding.VALID
    if window.pad in (same, (0, 0, 0, 0)):
        return writer.add(source)
    top, left, bottom, right = window.pad
    pads = writer.constant(f"{node.name}.pads", np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32))
    _, height, width, channels = source.shape
    shape = (1, height + top + bottom, width + left + right, channels)
    padded = Tensor(f"{node.name}.padded", shape, source.dtype, None, source.quant)
    writer.layer("PAD", schema.PadOptionsT(), [writer.add(source), pads], padded)
    return writer.add(padded)


def _same_pad(window: Window, size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """What TFLite pads where it is told SAME: (top, left, bottom, right)."""
    totals = [
        max(0, (-(-extent // stride) - 1) * stride + reach - extent)
        for extent, stride, reach in zip(size, window.stride, window.extent, strict=True)
    ]
    top, left = (total // 2 for total in totals)
    return top, left, totals[0] - top, totals[1] - left


def _conv2d(writer: _Writer, node: Node) -> None:
    options = schema.Conv2DOptionsT()
    weights = _weighted(writer, node, writer.graph.tensors[node.inputs[1]].shape, 0)
    writer.layer("CONV_2D", options, [_window(writer, node, options), *weights], writer.graph.tensors[node.outputs[0]])


def _depthwise_conv2d(writer: _Writer, node: Node) -> None:
    options = schema.DepthwiseConv2DOptionsT()
    options.depthMultiplier = node.attributes.depth_multiplier
    weights = _weighted(writer, node, (1, *writer.graph.tensors[node.inputs[1]].shape), 3)
    inputs = [_window(writer, node, options), *weights]
    writer.layer("DEPTHWISE_CONV_2D", options, inputs, writer.graph.tensors[node.outputs[0]])


def _fully_connected(writer: _Writer, node: Node) -> None:
    options, tensors = schema.FullyConnectedOptionsT(), writer.graph.tensors
    options.keepNumDims = True
    inputs = [writer.add(tensors[node.inputs[0]]), *_weighted(writer, node, tensors[node.inputs[1]].shape, 0)]
    writer.layer("FULLY_CONNECTED", options, inputs, tensors[node.outputs[0]])


def _add(writer: _Writer, node: Node) -> None:
    tensors = writer.graph.tensors
    writer.layer(
        "ADD", schema.AddOptionsT(), [writer.add(tensors[name]) for name in node.inputs], tensors[node.outputs[0]]
    )


def _mean(writer: _Writer, node: Node) -> None:
    options, tensors = schema.ReducerOptionsT(), writer.graph.tensors
    options.keepDims = True
    if OPERATORS[node.op].window(node).kernel != tensors[node.inputs[0]].shape[1:3]:
        raise SystemExit(f"{writer.graph.name}: {node.name} is no average of all pixels")
    axes = writer.constant("axes", np.array([1, 2], np.int32))
    writer.layer("MEAN", options, [writer.add(tensors[node.inputs[0]]), axes], tensors[node.outputs[0]])


_LAYERS: dict[str, Callable[[_Writer, Node], None]] = {
    "add": _add,
    "average_pool2d": _mean,
    "conv2d": _conv2d,
    "depthwise_conv2d": _depthwise_conv2d,
    "fully_connected": _fully_connected,
}
