"""max_pool2d: the largest value in a window; the global one is the window that covers the input.

input    x [1, H, W, C]; pads are never the largest
output   [1, H_out, W_out, C]
source   ONNX operators MaxPool and GlobalMaxPool; in int8 the MaxPool of int8 tensors, since quantization keeps order;
         with int16 the MaxPool of whole float32 numbers, see `base.wide`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.ir.axes import NCHW, Value, labeled
from mbn2c.ir.graph import Graph, Node, Quant, Tensor
from mbn2c.ir.kernel import Packed, Params, PixelStride, ScalarKernel, always
from mbn2c.ir.window import Window
from mbn2c.numerics import INT8_MIN
from mbn2c.ops.base.call import Declined, Importer, OnnxCall, OnnxName
from mbn2c.ops.base.case import Case, same_window
from mbn2c.ops.base.copying import copy_table, is_table, looked_up, packed_with_table
from mbn2c.ops.base.moving import Tied
from mbn2c.ops.base.operator import OnnxOp
from mbn2c.ops.base.packing import INT8_ARRAY, INT32, WIDE_FIELDS, integers, wide_fields
from mbn2c.ops.base.prequantized.values import PrequantizedCall, PrequantizedImporter
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.ops.base.reading import read_pool_window, read_reduction
from mbn2c.ops.base.requantize import WideRequantize
from mbn2c.ops.base.spelling import spell_dequantize, spell_quantize
from mbn2c.ops.base.wide import (
    centred,
    is_wide,
    run_wide,
    spell_cast,
    spell_requantize,
    spell_whole,
    wide_line,
    wide_reach,
)
from mbn2c.ops.base.windows import Bounds, Shape, onnx_window, spread, taps, windowed_shape


@dataclass(frozen=True)
class MaxPool2dAttributes:
    """max_pool2d, input (x).

    table       int8 form: what each largest value becomes, for -128 first; None where x has the output's scale and zero
                point, as it has unless another reader of the output wanted another one
    requantize  of the largest value less its zero point, where x or the output is int16
    """

    window: Window = Window()
    table: tuple[int, ...] | None = None
    requantize: WideRequantize | None = None


_PLACE_FIELDS = (
    *integers("height", "width", "kernel_height", "kernel_width", "stride_height", "stride_width"),
    *integers("dilation_height", "dilation_width", "top", "left"),
)
PARAMS = Params(
    "mbn_max_pool_params",
    (
        *integers("channels"),
        (INT32, "in_bytes", "from an input pixel to the next"),
        (INT32, "out_bytes", "from an output pixel to the next"),
        *_PLACE_FIELDS,
        (INT8_ARRAY, "table", "of the largest value, for -128 first; 0: there is none"),
    ),
)
S16_PARAMS = Params(
    "mbn_max_pool_s16_params",
    (*integers("channels"), *_PLACE_FIELDS, *integers("zero_point_in", "multiplier"), *WIDE_FIELDS),
)


def pack(node: Node, graph: Graph) -> Packed:
    """PARAMS; they serve every kernel of the operator."""
    fields: dict[str, int | str | PixelStride] = {
        "channels": graph.tensors[node.inputs[0]].shape[3],
        "in_bytes": PixelStride(node.inputs[0]),
        "out_bytes": PixelStride(node.outputs[0]),
        **_place_fields(node, graph),
    }
    return packed_with_table(fields, node.attributes.table)


def _pack_wide(node: Node, graph: Graph) -> Packed:
    """S16_PARAMS; no arrays."""
    return Packed(
        {
            "channels": graph.tensors[node.inputs[0]].shape[3],
            **_place_fields(node, graph),
            "zero_point_in": quant_of(graph, node.inputs[0]).zero_point,
            "multiplier": int(node.attributes.requantize.multiplier[0]),
            **wide_fields(node, graph),
        }
    )


def _place_fields(node: Node, graph: Graph) -> dict[str, int]:
    """Which pixels of the input a window has."""
    window: Window = node.attributes.window
    _, height, width, _ = graph.tensors[node.inputs[0]].shape
    fields = {"height": height, "width": width}
    for name, pair in (("kernel", window.kernel), ("stride", window.stride), ("dilation", window.dilation)):
        fields |= {f"{name}_height": pair[0], f"{name}_width": pair[1]}
    return {**fields, "top": window.pad[0], "left": window.pad[1]}


class MaxPool2d(Tied):
    """The largest value in a window."""

    name = "max_pool2d"
    in_words = "max pool"
    attributes = MaxPool2dAttributes

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        return {("", "MaxPool"): _import, ("", "GlobalMaxPool"): _import, ("", "ReduceMax"): _import_reduce_max}

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return {("", "MaxPool"): _import_prequantized, ("", "GlobalMaxPool"): _import_prequantized}

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        return windowed_shape(self.window(node), shapes[0], shapes[0][3]) if len(shapes) == 1 else None

    def takes_zeros(self, node: Node, graph: Graph, source: str) -> bool:
        """Where nothing is below 0, a zero is the largest no sooner than a pad is."""
        maker = graph.producer.get(source)
        clamp = None if maker is None else getattr(maker.attributes, "activation", None)
        return clamp is not None and clamp.low >= 0

    def scaled_alike(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return node.inputs[:1]

    def is_channelwise(self, node: Node) -> bool:
        return True

    def takes_int16(self, node: Node) -> bool:
        return True

    def check_attributes(self, node: Node, graph: Graph) -> str:
        return "" if is_table(node.attributes.table) else "the table does not map int8 to int8"

    def cases(self) -> Mapping[str, Case]:
        def case(x: Shape, window: Window | None = None) -> Case:
            return Case((x,), MaxPool2dAttributes(window or Window((x[1], x[2]))))

        return {
            "global": case((1, 7, 5, 9)),
            "2x2 stride 2": case((1, 6, 7, 3), Window((2, 2), (2, 2))),
            "3x3 stride 2, pads": case((1, 7, 8, 5), same_window(3, 2)),
            "3x3 stride 2 beyond the border": case((1, 8, 8, 4), Window((3, 3), (2, 2), (0, 0, 1, 1))),
            "5x5 stride 1, pads": case((1, 6, 5, 2), same_window(5, 1)),
            "3x2 dilation 2x3": case((1, 8, 9, 3), Window((3, 2), (1, 2), (2, 1, 1, 0), (2, 3))),
            "3x3, 32 channels": case((1, 6, 6, 32), Window((3, 3), (2, 2))),
            "1x1 stride 2": case((1, 5, 6, 4), Window((1, 1), (2, 2))),
        }

    # --- float32 ---

    def run_float(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return _largest(inputs[0], node.attributes.window, -np.inf)

    def gradient(
        self, node: Node, graph: Graph, inputs: Sequence[np.ndarray], gradient: np.ndarray
    ) -> Sequence[np.ndarray]:
        """All of it goes to the first of the largest."""
        window: Window = node.attributes.window
        views = np.stack(taps(_padded(inputs[0], window, -np.inf), window))
        first = views.argmax(axis=0)
        return [spread(window, inputs[0].shape, (gradient * (first == tap) for tap in range(len(views))))]

    def bounds(self, node: Node, graph: Graph, inputs: Sequence[Bounds]) -> Bounds:
        return inputs[0]

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        return [OnnxOp("MaxPool", node.inputs, node.outputs, onnx_window(node.attributes.window))]

    def other_spellings(self, node: Node, graph: Graph) -> Mapping[str, list[OnnxOp]]:
        window: Window = node.attributes.window
        shape = graph.tensors[node.inputs[0]].shape
        if window.kernel == shape[1:3] and not any(window.pad):
            largest = OnnxOp("ReduceMax", node.inputs, node.outputs, {"axes": [2, 3], "keepdims": 1})
            return {"GlobalMaxPool": [OnnxOp("GlobalMaxPool", node.inputs, node.outputs)], "ReduceMax": [largest]}
        if window.pad != (0, 0, 1, 1):
            return {}
        attributes = {**onnx_window(window), "pads": [0, 0, 0, 0], "ceil_mode": 1}
        same = {name: value for name, value in onnx_window(window).items() if name != "pads"}
        return {
            "ceil_mode": [OnnxOp("MaxPool", node.inputs, node.outputs, attributes)],
            "SAME": [OnnxOp("MaxPool", node.inputs, node.outputs, {**same, "auto_pad": "SAME_UPPER"})],
        }

    # --- int8 ---

    def quantize(self, node: Node, graph: Graph, quants: Mapping[str, Quant]) -> tuple[Node, list[Tensor]]:
        x, y = quants[node.inputs[0]], quants[node.outputs[0]]
        if is_wide((x, y)):
            line = wide_line(float(scale_of(x)) / float(scale_of(y)), wide_reach(x), y)
            return replace(node, attributes=replace(node.attributes, requantize=line)), []
        table = copy_table(x, y)
        return replace(node, attributes=replace(node.attributes, table=table)), []

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        x, y = quant_of(graph, node.inputs[0]), quant_of(graph, node.outputs[0])
        largest = _largest(inputs[0], node.attributes.window, np.iinfo(x.dtype).min)
        if node.attributes.requantize is not None:
            return run_wide(node.attributes.requantize, centred(x, largest), y)
        return looked_up(node.attributes.table, largest)

    def run_row(self, node: Node, graph: Graph, windows: Sequence[np.ndarray], y: int, x: int) -> np.ndarray:
        """The pads among the windows hold the zero point, which might be the largest: they are left out."""
        window: Window = node.attributes.window
        _, height, width, _ = graph.tensors[node.inputs[0]].shape
        found = windows[0].copy()
        lowest = np.iinfo(found.dtype).min
        left = x * window.stride[1] - window.pad[1]
        columns = np.arange(left, left + found.shape[2])
        rows = np.array(window.places(0, y))
        found[:, (rows < 0) | (rows >= height)] = lowest
        found[:, :, (columns < 0) | (columns >= width)] = lowest
        tight = replace(window, stride=(1, window.stride[1]), pad=(0, 0, 0, 0), dilation=(1, window.dilation[1]))
        return self.run(replace(node, attributes=replace(node.attributes, window=tight)), graph, [found])[0, 0]

    def spell_int8(self, node: Node, graph: Graph) -> list[OnnxOp]:
        x, output, requantize = node.inputs[0], node.outputs[0], node.attributes.requantize
        if requantize is not None:
            whole, largest, acc = (f"{output}__{word}" for word in ("x", "largest", "acc"))
            pool = OnnxOp("MaxPool", (whole,), (largest,), onnx_window(node.attributes.window))
            spelled = [*spell_whole(graph, x, whole), pool, spell_cast(largest, acc, np.float64)]
            return spelled + spell_requantize(graph, acc, output, requantize)
        if node.attributes.table is None:
            return [OnnxOp("MaxPool", (x,), (output,), onnx_window(node.attributes.window))]
        # Dequantizing keeps order and quantizing does: the pool may stand between them.
        read, real = spell_dequantize(graph, x, node.name)
        largest = f"{output}__real"
        pool = OnnxOp("MaxPool", (real,), (largest,), onnx_window(node.attributes.window))
        return [read, pool, spell_quantize(largest, output, quant_of(graph, output))]

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        plain = ScalarKernel("max_pool2d", PARAMS, pack, reads_slices=always, writes_slices=True, wants_place=True)
        return (plain, ScalarKernel("max_pool2d", S16_PARAMS, _pack_wide, takes_int16=True, wants_place=True))


def needs_no_border(node: Node, graph: Graph) -> bool:
    """Whether a kernel may take pads as they lie in memory, and has no table to apply."""
    no_pad_is_larger = not any(node.attributes.window.pad) or quant_of(graph, node.inputs[0]).zero_point == INT8_MIN
    return no_pad_is_larger and node.attributes.table is None


def _padded(x: np.ndarray, window: Window, lowest: float) -> np.ndarray:
    """NHWC `x` in pads of a value that is never the largest."""
    top, left, bottom, right = window.pad
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=lowest)


def _largest(x: np.ndarray, window: Window, lowest: float) -> np.ndarray:
    views = taps(_padded(x, window, lowest), window)
    largest = views[0].copy()
    for view in views[1:]:
        np.maximum(largest, view, out=largest)
    return largest


# --- how ONNX files spell it ---


def _read(call: OnnxCall, x: Value) -> tuple[Window, tuple[int, int, int]]:
    """The window, and (H, W, C) of the output."""
    height, width, channels = call.as_nchw(x)
    window = Window((height, width)) if call.op == "GlobalMaxPool" else read_pool_window(call, height, width)[0]
    return window, (*window.output_size(height, width), channels)


def _import(call: OnnxCall) -> Value:
    x = call.value(0)
    window, extents = _read(call, x)
    return call.emit_nchw(MaxPool2d.name, [x], extents, MaxPool2dAttributes(window))


def _import_reduce_max(call: OnnxCall) -> Value:
    """The largest over height, width or both."""
    x = call.value(0)
    window, value = read_reduction(call, x, 18)
    if window is None:
        return value
    _, height, width, channels = call.extents(x)
    pooled = (1, *window.output_size(height, width), channels)
    return replace(value, tensor=call.emit(MaxPool2d.name, [x], pooled, MaxPool2dAttributes(window)))


# --- how quantized ones do ---


def _import_prequantized(call: PrequantizedCall) -> Value | Declined:
    """Of integers, or of the float32 numbers that they stand for: the same integers are the largest.

    source  ONNX operator MaxPool on int8 and uint8
    """
    x, meaning = call.value(0), call.meaning(0)
    if meaning.is_real and len(meaning.steps) != 1:
        return Declined(f"{call.op} in float32 of something that is not quantized is not supported")
    window, (height, width, channels) = _read(call, x)
    extents = (1, height, width, channels)
    output = call.builder.activation(call.node.outputs[0], extents, call)
    call.builder.nodes.append(Node(call.name, MaxPool2d.name, (x.tensor,), (output,), MaxPool2dAttributes(window)))
    call.builder.tie(call, x.tensor, output)
    call.builder.meanings[call.node.outputs[0]] = meaning
    made = labeled(output, (1, channels, height, width), NCHW)
    if not meaning.is_real:
        call.builder.note_probe(call.node.outputs[0], made, meaning.unsigned)
    return made
