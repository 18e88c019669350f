"""Float Graph and images -> how much of a noise in each channel of each activation reaches the outputs.

The outputs' change is linear in a small noise: its gain is a row of the Jacobian, which one pass from the outputs back
to the input gives for one direction of the outputs. Random directions, a few images and their mean square give the
diagonal of the Gauss-Newton matrix, channel by channel.

Source: Dong et al., HAWQ-V2 (2020), who use the mean Hessian trace to say which layers need more bits; Hutchinson, A
stochastic estimator of the trace (1989) for the random directions.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ops import operator_of
from mbn2c.quantize.layers import run_float

_DIRECTIONS = 3
Gradients = dict[str, np.ndarray]


def noise_gains(graph: Graph, images: np.ndarray) -> dict[str, np.ndarray]:
    """float64 [C] per activation: noise of variance v per value adds v * gain[c] to the squared error of the outputs.

    images  float32 [N, H, W, C], as the network sees them
    """
    generator = np.random.default_rng(0)
    gains = {name: np.zeros(tensor.shape[3]) for name, tensor in graph.tensors.items() if tensor.data is None}
    for image in images:
        values = {graph.inputs[0].tensor: image[None]}
        for node in graph.nodes:
            arrays = [values[name] for name in node.inputs if name in values]
            values[node.outputs[0]] = run_float(node, graph, arrays)
        found: Gradients = {}
        for port in graph.outputs:
            shape = (_DIRECTIONS, *graph.tensors[port.tensor].shape[1:])
            signs = (2 * generator.integers(0, 2, shape) - 1).astype(np.float32)
            found[port.tensor] = found.get(port.tensor, 0) + signs
        for node in reversed(graph.nodes):
            _step_back(node, graph, values, found)
        for name, gradient in found.items():
            gains[name] += np.einsum("nhwc,nhwc->c", gradient, gradient) / (_DIRECTIONS * len(images))
    return gains


def _step_back(node: Node, graph: Graph, values: Mapping[str, np.ndarray], found: Gradients) -> None:
    """Add to the gradients of a node's inputs what comes from its output."""
    output = node.outputs[0]
    if output not in found:
        return
    operator, gradient = operator_of(node), found[output]
    activation = operator.activation(node)
    if activation is not None:
        y = values[output]
        gradient = gradient * ((y > np.float32(activation.low)) & (y < np.float32(activation.high)))
    names = operator.activations(node, graph)
    gradients = operator.gradient(node, graph, [values[name] for name in names], gradient)
    for name, back in zip(names, gradients, strict=True):
        found[name] = found[name] + back if name in found else back
