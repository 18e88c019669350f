"""How ONNX files spell it: DepthToSpace, and ConvTranspose as a convolution whose channels become blocks of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mbn2c.ir.axes import NCHW, Value, labeled, unblocked
from mbn2c.ir.graph import Node
from mbn2c.ir.window import Window
from mbn2c.ops.base.call import Declined, Importer, OnnxCall, OnnxName
from mbn2c.ops.base.convolution import Convolution
from mbn2c.ops.base.layer import Layer, emit_float
from mbn2c.ops.base.prequantized.values import PrequantizedCall, PrequantizedImporter
from mbn2c.ops.base.reading import kernel_shape
from mbn2c.ops.conv2d import layer_of_any
from mbn2c.ops.depth_to_space.attributes import DepthToSpaceAttributes

DEPTH_TO_SPACE = "depth_to_space"


def onnx_imports() -> Mapping[OnnxName, Importer]:
    """Of DepthToSpace."""
    return {("", "DepthToSpace"): _import, ("", "ConvTranspose"): _import_conv_transpose}


def prequantized_imports() -> Mapping[OnnxName, PrequantizedImporter]:
    """Of DepthToSpace."""
    return {("", "DepthToSpace"): _import_prequantized}


def _read(call: OnnxCall, x: Value) -> tuple[DepthToSpaceAttributes, tuple[int, int, int]]:
    """The attributes, and (H, W, C) of the output."""
    block, mode = call.integer("blocksize", 0), call.text("mode", "DCR")
    height, width, channels = call.as_nchw(x)
    if block < 2 or channels % block**2 or mode not in ("DCR", "CRD"):
        raise call.refuse(f"DepthToSpace by {block}, mode {mode}, of {channels} channels is not supported")
    attributes = DepthToSpaceAttributes((block, block), is_channels_first=mode == "CRD")
    return attributes, (height * block, width * block, channels // block**2)


def _import(call: OnnxCall) -> Value:
    x = call.value(0)
    attributes, (height, width, channels) = _read(call, x)
    return _moved(call, x, attributes, labeled("", (1, channels, height, width), NCHW))


def _import_prequantized(call: PrequantizedCall) -> Value | Declined:
    """Of integers, or of the float32 numbers that they stand for."""
    x, meaning = call.value(0), call.meaning(0)
    if meaning.is_real and len(meaning.steps) != 1:
        return Declined(f"{call.op} in float32 of something that is not quantized is not supported")
    attributes, (height, width, channels) = _read(call, x)
    return _moved(call, x, attributes, labeled("", (1, channels, height, width), NCHW))


def import_blocks(call: OnnxCall, value: Value, block: tuple[int, int], is_channels_first: bool) -> Value:
    """Reshape, Transpose and Reshape, of which `value` is what the last one makes."""
    return _moved(call, value, DepthToSpaceAttributes(block, is_channels_first=is_channels_first), unblocked(value, ""))


def _moved(call: OnnxCall, x: Value, attributes: DepthToSpaceAttributes, made: Value) -> Value:
    """`made` with the tensor that the node makes of x."""
    (rows, columns), (_, height, width, channels) = attributes.block, call.extents(x)
    name, shape = call.node.outputs[0], (1, height * rows, width * columns, channels // attributes.parts)
    if isinstance(call, PrequantizedCall):
        output = call.builder.activation(name, shape, call)
    else:
        output = call.builder.add_activation(name, shape)
    call.builder.nodes.append(Node(call.name, DEPTH_TO_SPACE, (x.tensor,), (output,), attributes))
    made = replace(made, tensor=output)
    if isinstance(call, PrequantizedCall):
        meaning = call.meaning(0)
        call.builder.tie(call, x.tensor, output)
        call.builder.meanings[name] = meaning
        if not meaning.is_real:
            call.builder.note_probe(name, made, meaning.unsigned)
    return made


# --- ConvTranspose ---


def _import_conv_transpose(call: OnnxCall) -> Value:
    """Output pixel stride * t + phase - pad sees input pixels t, t - 1, ... through taps phase, phase + stride, ...: a
    convolution of ceil(kernel / stride) taps makes all phases as channels. No multiplication is by a stuffed zero.

    source  ONNX operator ConvTranspose: output size stride * (H - 1) + kernel + output_padding - pads
    """
    x = call.value(0)
    height, width, channels = call.as_nchw(x)
    weights, group, stride = call.floats(1), call.integer("group", 1), _stride(call)
    if weights.ndim != 4 or weights.shape[0] != channels or channels % group or 0 in weights.shape:
        raise call.refuse(f"ConvTranspose: weights of shape {list(weights.shape)} do not suit {channels} channels")
    kernel = kernel_shape(call, weights.shape[2:])
    if kernel != weights.shape[2:]:
        raise call.refuse(f"ConvTranspose: kernel_shape {list(kernel)} but weights of shape {list(weights.shape)}")
    outputs = weights.shape[1] * group
    bias = call.floats(2) if call.has(2) else np.zeros(outputs)
    if bias.shape != (outputs,):
        raise call.refuse(f"ConvTranspose: bias of shape {list(bias.shape)} for {outputs} output channels")
    begin, sizes = _borders(call, kernel, stride, (height, width))
    taps = [-(-size // step) for size, step in zip(kernel, stride, strict=True)]
    made = [-(-(size + before) // step) for size, before, step in zip(sizes, begin, stride, strict=True)]
    pads = [extent - have for extent, have in zip(made, (height, width), strict=True)]
    if min(pads) < 0:
        raise call.refuse("ConvTranspose with pads as wide as its window is not supported", "use smaller pads")
    # Taps of zero for pixels that output_padding adds beyond what any input pixel reaches.
    taps = [max(tap, pad + 1) for tap, pad in zip(taps, pads, strict=True)]
    is_channels_first = group > 1
    window = Window((taps[0], taps[1]), pad=(taps[0] - 1, taps[1] - 1, pads[0], pads[1]))
    phases = _by_phase(weights, group, stride, taps, is_channels_first)
    attributes = DepthToSpaceAttributes(stride, is_channels_first=is_channels_first)
    spread = np.repeat(bias, attributes.parts) if is_channels_first else np.tile(bias, attributes.parts)
    blocks = (made[0], made[1], outputs * attributes.parts)
    layer = layer_of_any(Convolution(x, phases, group, window, blocks))
    assert isinstance(layer, Layer)
    part = "" if attributes.parts == 1 and tuple(made) == tuple(sizes) and not any(begin) else "conv"
    value = emit_float(call, layer, x, spread, part)
    if not part:
        return value
    ends = [have * step - before - size for have, step, before, size in zip(made, stride, begin, sizes, strict=True)]
    if attributes.parts == 1:
        raise call.refuse("ConvTranspose without stride that crops is not supported", "use a convolution")
    cropped = replace(attributes, crop=(begin[0], begin[1], ends[0], ends[1]))
    return call.emit_nchw(DEPTH_TO_SPACE, [value], (sizes[0], sizes[1], outputs), cropped)


def _stride(call: OnnxCall) -> tuple[int, int]:
    strides = [int(number) for number in call.attributes.get("strides", (1, 1))]
    dilations = [int(number) for number in call.attributes.get("dilations", (1, 1))]
    if len(strides) != 2 or min(strides) < 1 or dilations != [1, 1]:
        raise call.refuse(
            f"ConvTranspose with strides {strides}, dilations {dilations} is not supported", "use no dilation"
        )
    return strides[0], strides[1]


def _borders(
    call: OnnxCall, kernel: tuple[int, int], stride: tuple[int, int], extents: tuple[int, int]
) -> tuple[list[int], list[int]]:
    """What is cropped at (top, left), and (height, width) of the output."""
    more = [int(number) for number in call.attributes.get("output_padding", (0, 0))]
    wanted = [int(number) for number in call.attributes.get("output_shape", ())][-2:]
    auto_pad = call.text("auto_pad", "NOTSET")
    spans = zip(extents, kernel, stride, more, strict=True)
    full = [step * (size - 1) + span + add for size, span, step, add in spans]
    if auto_pad in ("SAME_UPPER", "SAME_LOWER") and not wanted:
        wanted = [step * size for step, size in zip(stride, extents, strict=True)]
    if wanted:
        total = [max(size - want, 0) for size, want in zip(full, wanted, strict=True)]
        begin = [one // 2 if auto_pad == "SAME_UPPER" else one - one // 2 for one in total]
        return begin, wanted
    pads = [int(number) for number in call.attributes.get("pads", (0, 0, 0, 0))]
    if auto_pad not in ("NOTSET", "", "VALID") or len(pads) != 4 or min(pads + more) < 0:
        raise call.refuse(f"ConvTranspose: auto_pad '{auto_pad}', pads {pads}, output_padding {more}")
    pads = [0, 0, 0, 0] if auto_pad == "VALID" else pads
    sizes = [size - pads[axis] - pads[axis + 2] for axis, size in enumerate(full)]
    if min(sizes) < 1:
        raise call.refuse(f"ConvTranspose: pads {pads} leave nothing")
    return pads[:2], sizes


def _by_phase(
    weights: np.ndarray, group: int, stride: tuple[int, int], taps: list[int], is_channels_first: bool
) -> np.ndarray:
    """Weights [I, O / group, KH, KW] -> OIHW of a convolution whose output channels are the phases, too."""
    inputs, outputs, height, width = weights.shape
    whole = np.zeros((inputs, outputs, taps[0] * stride[0], taps[1] * stride[1]))
    whole[:, :, :height, :width] = weights
    # [group, input, output, tap, phase, tap, phase], the last tap first: it sees the input pixel furthest back.
    split = whole.reshape(group, inputs // group, outputs, taps[0], stride[0], taps[1], stride[1])
    split = split[:, :, :, ::-1, :, ::-1]
    order = (0, 2, 4, 6, 1, 3, 5) if is_channels_first else (0, 4, 6, 2, 1, 3, 5)
    return np.ascontiguousarray(split.transpose(order)).reshape(-1, inputs // group, *taps)
