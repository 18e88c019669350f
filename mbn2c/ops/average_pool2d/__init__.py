"""average_pool2d: the mean over a window; the global average pool is the window that covers the input.

input    x [1, H, W, C]; pads, where there are any, count as zeros
output   [1, H_out, W_out, C]
source   ONNX operators AveragePool and GlobalAveragePool; in int8 spelt as a depthwise QLinearConv with
         weights 1 and scale 1 / (KH * KW), whose arithmetic is defined
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Graph, Node, Quant, Tensor
from mbn2c.ir.kernel import Packed, Params, ScalarKernel
from mbn2c.ir.window import Window
from mbn2c.numerics import prove_scales
from mbn2c.ops.average_pool2d.attributes import AveragePool2dAttributes
from mbn2c.ops.average_pool2d.prequantized import prequantized_imports
from mbn2c.ops.base.call import Importer, OnnxCall, OnnxName
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.operator import (
    Bounds,
    OnnxOp,
    Operator,
    Shape,
    onnx_window,
    pad_real,
    pad_zero_point,
    quant_of,
    scale_of,
    spread,
    taps,
    windowed_shape,
    with_padding,
)
from mbn2c.ops.base.packing import INT32, covers_input, integers, requantize_fields, sum_bytes, window_fields
from mbn2c.ops.base.prequantized.values import PrequantizedImporter
from mbn2c.ops.base.reading import kernel_shape, read_reduction, read_window
from mbn2c.ops.base.requantize import first_channel, is_in_float
from mbn2c.ops.base.spelling import spell_qlinear_conv
from mbn2c.ops.base.weighted import acc_bound, prove_requantize, run_requantize

PARAMS = Params(
    "mbn_pool_params",
    (
        *integers("channels", "kernel_height", "kernel_width", "stride", "dilation", "shift", "zero_point"),
        (INT32, "bias", "minus the input zero point, once per summed pixel"),
        (INT32, "multiplier", ""),
    ),
)


def _pack(node: Node, graph: Graph) -> Packed:
    window: Window = node.attributes.window
    zero_point = quant_of(graph, node.inputs[0]).zero_point
    return Packed(
        {
            "channels": graph.tensors[node.outputs[0]].shape[3],
            **window_fields(window),
            **requantize_fields(node, graph),
            "bias": -zero_point * window.kernel[0] * window.kernel[1],
            "multiplier": int(node.attributes.requantize.multiplier[0]),
        }
    )


class AveragePool2d(Operator):
    """The mean over a window."""

    name = "average_pool2d"
    in_words = "average pool"
    attributes = AveragePool2dAttributes
    has_window = True
    sums_channels = True

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        return {
            ("", "AveragePool"): _import_average_pool,
            ("", "GlobalAveragePool"): _import_global_average_pool,
            ("", "ReduceMean"): _import_reduce_mean,
        }

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return prequantized_imports()

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        """Quantized, it reads a second tensor: the ones its Conv spelling needs, [KH, KW, 1]."""
        fits = len(shapes) == 1 or list(shapes[1:]) == [(*node.attributes.window.kernel, 1)]
        return windowed_shape(self.window(node), shapes[0], shapes[0][3]) if fits else None

    def is_channelwise(self, node: Node) -> bool:
        return True

    def cases(self) -> Mapping[str, Case]:
        def case(x: Shape, window: Window | None = None) -> Case:
            return Case((x,), AveragePool2dAttributes(window or Window((x[1], x[2]))))

        return {
            "global": case((1, 7, 5, 9)),
            "global, 1 pixel": case((1, 1, 1, 9)),
            "global, 40x40": case((1, 40, 40, 2)),
            "2x2 stride 2": case((1, 6, 7, 3), Window((2, 2), (2, 2))),
            "3x3, pads are zeros": case((1, 6, 7, 3), Window((3, 3), (2, 2), (1, 1, 1, 1))),
            "2x2, 1 channel": case((1, 6, 7, 1), Window((2, 2), (2, 2))),
            "global with pads": case((1, 3, 3, 4), Window((3, 3), (1, 1), (1, 1, 1, 1))),
        }

    def recognise(self, node: Node, graph: Graph) -> Graph | None:
        """An int8 depthwise convolution whose weights are ones of one scale, without bias: our own spelling."""
        requantize = getattr(node.attributes, "requantize", None)
        channels = graph.tensors[node.outputs[0]].shape[3]
        # Of one channel, ONNX does not say whether it is depthwise.
        is_depthwise = node.op == "depthwise_conv2d" or (
            node.op == "conv2d" and channels == graph.tensors[node.inputs[0]].shape[3] == 1
        )
        if requantize is None or not is_depthwise or node.attributes.depth_multiplier != 1 or is_in_float(requantize):
            return None
        weights, bias = (graph.tensors[name] for name in node.inputs[1:])
        assert weights.quant is not None
        scales = (weights.quant.scale, requantize.scale, requantize.multiplier)
        is_one = all((array == array[0]).all() for array in scales)
        if not is_one or (graph.constant(weights.name) != 1).any() or graph.constant(bias.name).any():
            return None
        ones = np.ones((*node.attributes.window.kernel, 1), np.int8)
        tensor = Tensor(f"{node.outputs[0]}__ones", ones.shape, "int8", ones, Quant(weights.quant.scale[:1]))
        pool = replace(
            node,
            op=self.name,
            inputs=(node.inputs[0], tensor.name),
            attributes=AveragePool2dAttributes(node.attributes.window, first_channel(requantize)),
        )
        return graph.rebuild(tensors=[tensor], nodes=[pool if one is node else one for one in graph.nodes])

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        """A pool over the whole input sums rows up as they come."""
        summed = ScalarKernel("global_average_pool", PARAMS, _pack, covers_input, sum_bytes, accumulates=True)
        return (summed, ScalarKernel("average_pool2d", PARAMS, _pack))

    def run_float(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        window = self.window(node)
        views = taps(pad_real(inputs[0], window), window)
        return np.asarray(sum(views[1:], views[0].copy()) / np.float32(len(views)))

    def gradient(
        self, node: Node, graph: Graph, inputs: Sequence[np.ndarray], gradient: np.ndarray
    ) -> Sequence[np.ndarray]:
        window = self.window(node)
        count = window.kernel[0] * window.kernel[1]
        return [spread(window, inputs[0].shape, [gradient / np.float32(count)] * count)]

    def bounds(self, node: Node, graph: Graph, inputs: Sequence[Bounds]) -> Bounds:
        return with_padding(inputs[0], self.window(node))

    def other_spellings(self, node: Node, graph: Graph) -> Mapping[str, list[OnnxOp]]:
        window = self.window(node)
        # The mean of one pixel is read as that pixel.
        if window.kernel != graph.tensors[node.inputs[0]].shape[1:3] or any(window.pad) or window.kernel == (1, 1):
            return {}
        mean = OnnxOp("ReduceMean", node.inputs, node.outputs, {"axes": [2, 3], "keepdims": 1})
        return {"GlobalAveragePool": [OnnxOp("GlobalAveragePool", node.inputs, node.outputs)], "ReduceMean": [mean]}

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        attributes = {name: value for name, value in onnx_window(self.window(node)).items() if name != "dilations"}
        return [OnnxOp("AveragePool", node.inputs, node.outputs, {**attributes, "count_include_pad": 1})]

    def spell_int8(self, node: Node, graph: Graph) -> list[OnnxOp]:
        x, ones = node.inputs
        channels = graph.tensors[x].shape[3]
        weights = (
            ones,
            np.ones((channels, 1, *self.window(node).kernel), np.int8),
            np.full(channels, scale_of(quant_of(graph, ones)), np.float32),
        )
        attributes = {**onnx_window(self.window(node)), "group": channels}
        return [spell_qlinear_conv(graph, x, node.outputs[0], weights, None, attributes)]

    def quantize(self, node: Node, graph: Graph, quants: Mapping[str, Quant]) -> tuple[Node, list[Tensor]]:
        x_quant, y_quant = quants[node.inputs[0]], quants[node.outputs[0]]
        ones = np.ones((*self.window(node).kernel, 1), np.int8)
        bound = acc_bound(ones, np.zeros(1, np.int64), x_quant, channel_axis=2)
        wanted = np.array([1 / ones.size])
        proved = prove_scales(scale_of(x_quant), wanted, scale_of(y_quant), y_quant.zero_point, bound)
        requantize = prove_requantize(
            proved.scale, proved.multiplier, proved.shift, y_quant.zero_point, bound, node.name
        )
        weights = Tensor(f"{node.outputs[0]}__ones", ones.shape, "int8", ones, Quant(proved.w_scale))
        quantized = replace(
            node,
            inputs=(node.inputs[0], weights.name),
            attributes=replace(node.attributes, requantize=requantize),
        )
        return quantized, [weights]

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        window = self.window(node)
        zero_point = quant_of(graph, node.inputs[0]).zero_point
        centred = pad_zero_point(inputs[0], window, zero_point).astype(np.int64) - zero_point
        accumulated = np.asarray(sum(taps(centred, window)))

        def terms(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            columns = np.stack([view.reshape(-1)[positions] for view in taps(centred, window)], axis=-1)
            return columns, np.ones_like(columns)

        y_zero_point = quant_of(graph, node.outputs[0]).zero_point
        return run_requantize(node.attributes.requantize, accumulated, y_zero_point, terms)


# --- how ONNX files spell it ---


def _import_global_average_pool(call: OnnxCall) -> Value:
    x = call.value(0)
    height, width, channels = call.as_nchw(x)
    attributes = AveragePool2dAttributes(Window(kernel=(height, width)))
    return call.emit_nchw(AveragePool2d.name, [x], (1, 1, channels), attributes)


def _import_average_pool(call: OnnxCall) -> Value:
    x = call.value(0)
    height, width, channels = call.as_nchw(x)
    window = read_window(call, kernel_shape(call), height, width)
    if window.dilation != (1, 1):
        raise call.refuse("AveragePool with dilations is not supported", "use a pool without dilations")
    if call.integer("ceil_mode", 0):
        top, left, bottom, right = window.pad
        span_height, span_width = window.extent
        ceiled = (
            -(-(height + top + bottom - span_height) // window.stride[0]) + 1,
            -(-(width + left + right - span_width) // window.stride[1]) + 1,
        )
        if ceiled != window.output_size(height, width):
            raise call.refuse("AveragePool with ceil_mode is not supported", "use an input size the stride divides")
    if any(window.pad) and not call.integer("count_include_pad", 0):
        raise call.refuse(
            "AveragePool whose padding is left out of the average is not supported",
            "use a pool without pads, or count_include_pad = 1",
        )
    shape = (*window.output_size(height, width), channels)
    return call.emit_nchw(AveragePool2d.name, [x], shape, AveragePool2dAttributes(window))


def _import_reduce_mean(call: OnnxCall) -> Value:
    """The mean over height, width or both."""
    x = call.value(0)
    window, value = read_reduction(call, x, 18)
    if window is None:
        return value
    _, height, width, channels = call.extents(x)
    pooled = (1, *window.output_size(height, width), channels)
    tensor = call.emit(AveragePool2d.name, [x], pooled, AveragePool2dAttributes(window))
    return replace(value, tensor=tensor)
