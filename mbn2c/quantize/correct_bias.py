"""int8 Graph -> int8 Graph whose layers keep their mean output: analytic bias correction.

Rounding shifts the weights of a channel by dW, so its mean output by dW times the mean inputs, which calibration has
seen. The bias takes that shift back.

Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction (2019), section 4.2, with
observed means in place of those predicted from batch norms.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mbn2c.errors import QuantError
from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.window import Window
from mbn2c.numerics import ProvedScales
from mbn2c.ops import weighted_of
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.ops.base.weighted import Weighted
from mbn2c.quantize.calibrate import Observed


def correct_bias(graph: Graph, int8_graph: Graph, observed: Mapping[str, Observed]) -> Graph:
    """The int8 Graph with corrected biases.

    graph     the float Graph it was made from
    observed  of `graph`
    """
    quants = {name: tensor.quant for name, tensor in int8_graph.tensors.items() if tensor.quant is not None}
    nodes = []
    for node in int8_graph.nodes:
        operator, requantize = weighted_of(node), getattr(node.attributes, "requantize", None)
        if operator is not None and requantize is not None:
            w_quant = quant_of(int8_graph, node.inputs[1])
            w_scale = w_quant.scale
            proved = ProvedScales(
                w_scale,
                requantize.scale,
                requantize.multiplier,
                requantize.shift,
                np.zeros(len(w_scale), np.int64),
                w_quant.shares_multipliers,
            )
            weights, bias = (int8_graph.constant(name) for name in node.inputs[1:])
            step = scale_of(quants[node.inputs[0]]) * w_scale.astype(np.float64)
            shift = _mean_shift(operator, node, graph, int8_graph, observed[node.inputs[0]].channel_mean)
            corrected = (bias + np.rint(shift / step)).astype(np.int32)
            try:
                node, tensors = operator.quantize_with(node, quants, proved, weights, corrected)
                int8_graph = int8_graph.rebuild(tensors=tensors)
            except QuantError:
                # The proof of the scales does not reach so far: this layer keeps its bias.
                pass
        nodes.append(node)
    return int8_graph.rebuild(nodes=nodes)


def _mean_shift(operator: Weighted, node: Node, graph: Graph, int8_graph: Graph, mean: np.ndarray) -> np.ndarray:
    """What rounding the weights takes away from the mean output, float64 [C].

    mean  float64 [I], of the input's channels
    """
    weights = graph.constant(node.inputs[1]).astype(np.float64)
    rounded = int8_graph.constant(node.inputs[1]).astype(np.float64)
    w_scale = quant_of(int8_graph, node.inputs[1]).scale.astype(np.float64)
    inside = _share_inside(operator.window(node), graph.tensors[node.inputs[0]].shape)
    return operator.contribution(node, weights - operator.scale_outputs(rounded, w_scale), mean, inside)


def _share_inside(window: Window, shape: tuple[int, ...]) -> np.ndarray:
    """For each tap of a kernel the share of output pixels at which it reads the input, not padding; [KH, KW]."""
    sizes = window.output_size(shape[1], shape[2])
    shares = []
    for axis in range(2):
        start = np.arange(sizes[axis]) * window.stride[axis] - window.pad[axis]
        read = start[:, None] + np.arange(window.kernel[axis]) * window.dilation[axis]
        shares.append(((read >= 0) & (read < shape[1 + axis])).mean(axis=0))
    return np.outer(*shares)
