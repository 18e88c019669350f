"""Plain C99 kernels: the floor for every core, and the fallback of every other ISA."""

from __future__ import annotations

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Kernel, Packed, Rates
from mbn2c.ir.window import Window
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.operator import quant_of
from mbn2c.ops.base.requantize import Requantize

# Not fitted: a core with faster kernels leaves it the small layers, and one without has nothing to choose from.
RATES = Rates(1.0, 7.0, 140.0, 0.1, 0.5)


def folded_bias(node: Node, graph: Graph, channel_axis: int) -> np.ndarray:
    """Bias minus zero_point * sum(w), int32 [C]: kernels multiply raw int8 inputs.

    Padding holds the zero point, so the fold is exact at the border too.
    """
    x, weights, bias = node.inputs
    values = graph.constant(weights).astype(np.int64)
    others = tuple(axis for axis in range(values.ndim) if axis != channel_axis)
    folded = graph.constant(bias).astype(np.int64) - quant_of(graph, x).zero_point * values.sum(axis=others)
    assert np.abs(folded).max() < 2**31, f"bias of {node.name} leaves int32"
    return np.asarray(folded.astype(np.int32))


def requantize_fields(node: Node, graph: Graph) -> dict[str, int]:
    requantize: Requantize = node.attributes.requantize
    return {"shift": requantize.shift, "zero_point": quant_of(graph, node.outputs[0]).zero_point}


def _pack_window(node: Node, graph: Graph, channel_axis: int) -> Packed:
    window = OPERATORS[node.op].window(node)
    weights = graph.constant(node.inputs[1])
    arrays = {
        "weights": weights.reshape(-1),
        "bias": folded_bias(node, graph, channel_axis),
        "multiplier": node.attributes.requantize.multiplier.astype(np.int32),
    }
    fields: dict[str, int | str] = {
        "in_channels": graph.tensors[node.inputs[0]].shape[3],
        "out_channels": graph.tensors[node.outputs[0]].shape[3],
        **window_fields(window),
        **requantize_fields(node, graph),
        "weights": "weights",
        "bias": "bias",
        "multiplier": "multiplier",
    }
    return Packed(fields, arrays)


def window_fields(window: Window) -> dict[str, int]:
    """What every params struct of a window says of it."""
    return {
        "kernel_height": window.kernel[0],
        "kernel_width": window.kernel[1],
        "stride": window.stride[1],
        "dilation": window.dilation[1],
    }


def pack_conv2d(node: Node, graph: Graph) -> Packed:
    """Weights OHWI, as in the Graph."""
    return _pack_window(node, graph, 0)


def pack_depthwise_conv2d(node: Node, graph: Graph) -> Packed:
    """Weights HWC, as in the Graph."""
    return _pack_window(node, graph, 2)


def pack_add(node: Node, graph: Graph) -> Packed:
    attributes = node.attributes
    return Packed(
        {
            "channels": graph.tensors[node.outputs[0]].shape[3],
            "multiplier_a": attributes.multipliers[0],
            "multiplier_b": attributes.multipliers[1],
            "offset": attributes.offset,
            "shift": attributes.shift,
        }
    )


def pack_average_pool2d(node: Node, graph: Graph) -> Packed:
    window = OPERATORS[node.op].window(node)
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


def pack_lookup(node: Node, graph: Graph) -> Packed:
    table = np.array(node.attributes.table, np.int8)
    return Packed({"channels": graph.tensors[node.outputs[0]].shape[3], "table": "table"}, {"table": table})


def covers_input(node: Node, graph: Graph) -> bool:
    """Whether the window is the whole input, so that rows can be summed as they come, and nothing wants padding."""
    window = OPERATORS[node.op].window(node)
    readers = graph.consumers[node.inputs[0]] + graph.consumers[node.outputs[0]]
    is_unpadded = all(OPERATORS[reader.op].window(reader).pad == (0, 0, 0, 0) for reader in readers)
    return window.kernel == graph.tensors[node.inputs[0]].shape[1:3] and is_unpadded


def sum_bytes(node: Node, graph: Graph) -> int:
    """One int32 sum per channel."""
    return 4 * graph.tensors[node.outputs[0]].shape[3]


def _row(op: str, function: str, params: str, pack: object, **more: object) -> Kernel:
    source = f"scalar/{function}.c"
    return Kernel(op, "scalar", f"mbn_{function}_scalar", params, source, pack, RATES, **more)  # type: ignore[arg-type]


KERNELS = (
    _row("conv2d", "conv2d", "mbn_conv_params", pack_conv2d),
    _row("fully_connected", "conv2d", "mbn_conv_params", pack_conv2d),
    _row("depthwise_conv2d", "depthwise_conv2d", "mbn_conv_params", pack_depthwise_conv2d),
    _row("add", "add", "mbn_add_params", pack_add),
    _row(
        "average_pool2d",
        "global_average_pool",
        "mbn_pool_params",
        pack_average_pool2d,
        accepts=covers_input,
        scratch_bytes=sum_bytes,
        accumulates=True,
    ),
    _row("average_pool2d", "average_pool2d", "mbn_pool_params", pack_average_pool2d),
    _row("lookup", "lookup", "mbn_lookup_params", pack_lookup),
)
