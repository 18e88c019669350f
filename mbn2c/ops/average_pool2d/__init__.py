"""average_pool2d: the mean over a window; the global average pool is the window that covers the input.

input    x [1, H, W, C]; pads, where there are any, are zeros, and count as pixels or do not
output   [1, H_out, W_out, C]
source   ONNX operators AveragePool and GlobalAveragePool; in int8 spelt as a depthwise QLinearConv with
         weights 1 and scale 1 / (KH * KW), whose arithmetic is defined; where pads do not count, as an integer sum
         that is multiplied position by position
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Graph, Node, Quant, Tensor
from mbn2c.ir.kernel import Packed, Params, ScalarKernel
from mbn2c.ir.window import Window
from mbn2c.numerics import prove_scales
from mbn2c.ops.average_pool2d.attributes import AveragePool2dAttributes, Pad, entries, read_average_pool
from mbn2c.ops.average_pool2d.border import BORDER_PARAMS, at_the_border, leaves_pads_out, pack_border
from mbn2c.ops.average_pool2d.prequantized import prequantized_imports
from mbn2c.ops.base.call import Importer, OnnxCall, OnnxName
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.operator import OnnxOp, Operator
from mbn2c.ops.base.packing import (
    INT32,
    PIXEL_STRIDE,
    WIDE_FIELDS,
    covers_input,
    integers,
    pixel_stride,
    requantize_fields,
    sum_bytes,
    wide_fields,
    window_fields,
)
from mbn2c.ops.base.prequantized.integer_sums import spell_convolution_sum
from mbn2c.ops.base.prequantized.values import PrequantizedImporter
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.ops.base.reading import read_reduction
from mbn2c.ops.base.requantize import AnyRequantize, WideRequantize, first_channel, is_in_float
from mbn2c.ops.base.spelling import spell_qlinear_conv
from mbn2c.ops.base.weighted import acc_bound, prove_requantize, run_requantize
from mbn2c.ops.base.wide import choose_wide_scales, is_wide, spell_wide_conv, wide_requantize
from mbn2c.ops.base.windows import (
    Bounds,
    Shape,
    onnx_window,
    pad_real,
    pad_zero_point,
    spread,
    taps,
    windowed_shape,
    with_padding,
)

_WINDOW = integers("channels", "kernel_height", "kernel_width", "stride", "dilation")
PARAMS = Params(
    "mbn_pool_params",
    (
        *integers("channels"),
        PIXEL_STRIDE,
        *integers("kernel_height", "kernel_width", "stride", "dilation", "shift", "zero_point"),
        (INT32, "bias", "minus the input zero point, once per summed pixel"),
        (INT32, "multiplier", ""),
    ),
)


S16_PARAMS = Params("mbn_pool_s16_params", (*_WINDOW, *WIDE_FIELDS, *PARAMS.members[-2:]))


def pack(node: Node, graph: Graph) -> Packed:
    """PARAMS of a pool, or S16_PARAMS; no arrays."""
    window: Window = node.attributes.window
    zero_point = quant_of(graph, node.inputs[0]).zero_point
    is_wide = isinstance(node.attributes.requantize, WideRequantize)
    return Packed(
        {
            "channels": graph.tensors[node.outputs[0]].shape[3],
            **({} if is_wide else pixel_stride(node)),
            **window_fields(window),
            **(wide_fields if is_wide else requantize_fields)(node, graph),
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
        """Quantized, it reads a second tensor: the ones its QLinearConv spelling needs, [KH, KW, 1]."""
        fits = len(shapes) == 1 or list(shapes[1:]) == [(*node.attributes.window.kernel, 1)]
        return windowed_shape(self.window(node), shapes[0], shapes[0][3]) if fits else None

    def check_attributes(self, node: Node, graph: Graph) -> str:
        attributes = node.attributes
        fits = all(0 <= less <= pad for less, pad in zip(attributes.uncounted, attributes.window.pad, strict=True))
        return "" if fits else f"{attributes.uncounted} of its pads do not count"

    def multipliers(self, node: Node, graph: Graph) -> tuple[int, ...]:
        """Where pads do not count, one for each number of pixels."""
        if node.attributes.counts_all:
            return super().multipliers(node, graph)
        return (len(entries(node.attributes, *graph.tensors[node.inputs[0]].shape[1:3])[0]),)

    def is_channelwise(self, node: Node) -> bool:
        return True

    def takes_int16(self, node: Node) -> bool:
        return bool(node.attributes.counts_all)

    def cases(self) -> Mapping[str, Case]:
        def case(x: Shape, window: Window | None = None, uncounted: Pad = (0, 0, 0, 0)) -> Case:
            return Case((x,), AveragePool2dAttributes(window or Window((x[1], x[2])), uncounted=uncounted))

        return {
            "global": case((1, 7, 5, 9)),
            "global, 1 pixel": case((1, 1, 1, 9)),
            "global, 40x40": case((1, 40, 40, 2)),
            "2x2 stride 2": case((1, 6, 7, 3), Window((2, 2), (2, 2))),
            "3x3, pads are zeros": case((1, 6, 7, 3), Window((3, 3), (2, 2), (1, 1, 1, 1))),
            "2x2, 1 channel": case((1, 6, 7, 1), Window((2, 2), (2, 2))),
            "global with pads": case((1, 3, 3, 4), Window((3, 3), (1, 1), (1, 1, 1, 1))),
            "3x3, pads do not count": case((1, 6, 7, 3), Window((3, 3), (1, 2), (1, 1, 1, 1)), (1, 1, 1, 1)),
            "2x2 stride 2 beyond the border": case((1, 5, 7, 4), Window((2, 2), (2, 2), (0, 0, 1, 1)), (0, 0, 1, 1)),
            "5x3, some pads count": case((1, 8, 5, 2), Window((5, 3), (2, 1), (2, 1, 3, 1)), (1, 0, 2, 1)),
            "global, pads do not count": case((1, 3, 2, 4), Window((5, 4), (1, 1), (1, 1, 1, 1)), (1, 1, 1, 1)),
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
        summed = ScalarKernel("global_average_pool", PARAMS, pack, covers_input, sum_bytes, accumulates=True)
        border = ScalarKernel(
            "average_pool2d_border", BORDER_PARAMS, pack_border, leaves_pads_out, writes_slices=True, wants_place=True
        )
        plain = ScalarKernel("average_pool2d", PARAMS, pack, writes_slices=True)
        wide = [replace(one, params=S16_PARAMS, takes_int16=True, writes_slices=False) for one in (summed, plain)]
        return (summed, border, plain, *wide)

    def run_float(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        window = self.window(node)
        views = taps(pad_real(inputs[0], window), window)
        return np.asarray(sum(views[1:], views[0].copy()) / self._divisors(node, inputs[0].shape))

    def gradient(
        self, node: Node, graph: Graph, inputs: Sequence[np.ndarray], gradient: np.ndarray
    ) -> Sequence[np.ndarray]:
        window = self.window(node)
        shares = gradient / self._divisors(node, inputs[0].shape)
        return [spread(window, inputs[0].shape, [shares] * (window.kernel[0] * window.kernel[1]))]

    def _divisors(self, node: Node, x: Shape) -> np.ndarray:
        """How many pixels each output is the mean of: float32 [H_out, W_out, 1]."""
        counts, which = entries(node.attributes, x[1], x[2])
        return np.asarray(counts[which][..., None].astype(np.float32))

    def bounds(self, node: Node, graph: Graph, inputs: Sequence[Bounds]) -> Bounds:
        return with_padding(inputs[0], replace(self.window(node), pad=node.attributes.counted_pad))

    def other_spellings(self, node: Node, graph: Graph) -> Mapping[str, list[OnnxOp]]:
        window = self.window(node)
        if node.attributes.uncounted == window.pad == (0, 0, 1, 1):
            beyond = {**_pool_attributes(window, (0, 0, 0, 0)), "ceil_mode": 1, "count_include_pad": 1}
            return {"ceil_mode": [OnnxOp("AveragePool", node.inputs, node.outputs, beyond)]}
        # The mean of one pixel is read as that pixel.
        if window.kernel != graph.tensors[node.inputs[0]].shape[1:3] or any(window.pad) or window.kernel == (1, 1):
            return {}
        mean = OnnxOp("ReduceMean", node.inputs, node.outputs, {"axes": [2, 3], "keepdims": 1})
        return {"GlobalAveragePool": [OnnxOp("GlobalAveragePool", node.inputs, node.outputs)], "ReduceMean": [mean]}

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        window, uncounted = self.window(node), node.attributes.uncounted
        if node.attributes.counts_all:
            attributes = {**_pool_attributes(window, window.pad), "count_include_pad": 1}
            return [OnnxOp("AveragePool", node.inputs, node.outputs, attributes)]
        x, before = node.inputs[0], []
        if any(node.attributes.counted_pad):
            top, left, bottom, right = node.attributes.counted_pad
            x, pads = f"{node.outputs[0]}__padded", f"{node.outputs[0]}__pads"
            amounts = {pads: np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)}
            before = [OnnxOp("Pad", (node.inputs[0], pads), (x,), {}, amounts)]
        return [*before, OnnxOp("AveragePool", (x,), node.outputs, _pool_attributes(window, uncounted))]

    def spell_int8(self, node: Node, graph: Graph) -> list[OnnxOp]:
        x, output = node.inputs[0], node.outputs[0]
        _, height, width, channels = graph.tensors[x].shape
        ones = np.ones((channels, 1, *self.window(node).kernel), np.int8)
        attributes = {**onnx_window(self.window(node)), "group": channels}
        requantize = node.attributes.requantize
        if not node.attributes.counts_all:
            _, which = entries(node.attributes, height, width)
            multiplier = requantize.scale[which][None, None]
            return spell_convolution_sum(graph, x, output, (f"{output}__ones", ones), multiplier, attributes)
        name = node.inputs[1]
        if isinstance(requantize, WideRequantize):
            bias = np.zeros(channels, np.int32)
            return spell_wide_conv(graph, (x, output), (name, ones), bias, attributes, requantize)
        scales = np.full(channels, scale_of(quant_of(graph, name)), np.float32)
        return [spell_qlinear_conv(graph, x, output, (name, ones, scales), None, attributes)]

    def quantize(self, node: Node, graph: Graph, quants: Mapping[str, Quant]) -> tuple[Node, list[Tensor]]:
        x_quant, y_quant = quants[node.inputs[0]], quants[node.outputs[0]]
        ones = np.ones((*self.window(node).kernel, 1), np.int8)
        bound = acc_bound(ones, np.zeros(1, np.int64), x_quant, channel_axis=2)
        counts, _ = entries(node.attributes, *graph.tensors[node.inputs[0]].shape[1:3])
        wanted, bound = 1 / counts, np.repeat(bound, len(counts))
        requantize: AnyRequantize
        if is_wide((x_quant, y_quant)):
            proved = choose_wide_scales(x_quant, wanted, y_quant, bound)
            requantize = wide_requantize(proved, y_quant, None, bound, node.name)
        else:
            proved = prove_scales(scale_of(x_quant), wanted, scale_of(y_quant), y_quant.zero_point, bound)
            requantize = prove_requantize(
                proved.scale, proved.multiplier, proved.shift, y_quant.zero_point, bound, node.name
            )
        quantized = replace(node, attributes=replace(node.attributes, requantize=requantize))
        if not node.attributes.counts_all:
            return quantized, []
        weights = Tensor(f"{node.outputs[0]}__ones", ones.shape, "int8", ones, Quant(proved.w_scale))
        return replace(quantized, inputs=(node.inputs[0], weights.name)), [weights]

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        window = self.window(node)
        zero_point = quant_of(graph, node.inputs[0]).zero_point
        centred = pad_zero_point(inputs[0], window, zero_point).astype(np.int64) - zero_point
        accumulated = np.asarray(sum(taps(centred, window)))

        def terms(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            columns = np.stack([view.reshape(-1)[positions] for view in taps(centred, window)], axis=-1)
            return columns, np.ones_like(columns)

        y_quant = quant_of(graph, node.outputs[0])
        if node.attributes.counts_all:
            return run_requantize(node.attributes.requantize, accumulated, y_quant, terms)
        _, which = entries(node.attributes, *inputs[0].shape[1:3])
        return at_the_border(node, accumulated, which, y_quant.zero_point)

    def collect(self, node: Node, graph: Graph, scratch: np.ndarray, pixels: Sequence[np.ndarray]) -> None:
        sums = scratch.view("<i4")
        sums += pixels[0].sum(axis=0, dtype=np.int32)

    def collected(self, node: Node, graph: Graph, scratch: np.ndarray) -> np.ndarray:
        _, height, width, _ = graph.tensors[node.inputs[0]].shape
        centred = scratch.view("<i4").astype(np.int64) - quant_of(graph, node.inputs[0]).zero_point * height * width
        return run_requantize(node.attributes.requantize, centred, quant_of(graph, node.outputs[0]))

    def run_row(self, node: Node, graph: Graph, windows: Sequence[np.ndarray], y: int, x: int) -> np.ndarray:
        if node.attributes.counts_all:
            return super().run_row(node, graph, windows, y, x)
        window, source = self.window(node), graph.tensors[node.inputs[0]]
        tight = Window(window.kernel, (1, window.stride[1]), dilation=(1, window.dilation[1]))
        centred = windows[0].astype(np.int64) - quant_of(graph, source.name).zero_point
        accumulated = np.asarray(sum(taps(centred, tight)))[0, 0]
        _, which = entries(node.attributes, *source.shape[1:3])
        which = which[y, x : x + len(accumulated)]
        return at_the_border(node, accumulated, which, quant_of(graph, node.outputs[0]).zero_point)


def _pool_attributes(window: Window, pads: Pad) -> dict[str, Any]:
    """Of ONNX's AveragePool."""
    attributes = {name: value for name, value in onnx_window(window).items() if name != "dilations"}
    return {**attributes, "pads": list(pads)}


# --- how ONNX files spell it ---


def _import_global_average_pool(call: OnnxCall) -> Value:
    x = call.value(0)
    height, width, channels = call.as_nchw(x)
    attributes = AveragePool2dAttributes(Window(kernel=(height, width)))
    return call.emit_nchw(AveragePool2d.name, [x], (1, 1, channels), attributes)


def _import_average_pool(call: OnnxCall) -> Value:
    x = call.value(0)
    height, width, channels = call.as_nchw(x)
    attributes = read_average_pool(call, height, width)
    shape = (*attributes.window.output_size(height, width), channels)
    return call.emit_nchw(AveragePool2d.name, [x], shape, attributes)


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
