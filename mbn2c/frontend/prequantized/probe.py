"""Questions to ONNX Runtime about single nodes: every result of a small domain, or the order of a float32 sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from mbn2c.frontend.nodes import proto_of
from mbn2c.frontend.prequantized.values import UNSIGNED_SHIFT, GivenQuant
from mbn2c.frontend.runtime import Oracle
from mbn2c.ir.axes import CHANNEL, Value
from mbn2c.numerics import INT8_MAX, INT8_MIN
from mbn2c.ops.base.call import OnnxNode
from mbn2c.ops.base.guarded import float_dot, lane_sum
from mbn2c.ops.base.requantize import FloatMean

_LEVELS = INT8_MAX - INT8_MIN + 1
_SAMPLED_OUTPUTS = 512
Constants = Mapping[str, np.ndarray]


def run_nodes(
    nodes: Sequence[OnnxNode],
    inputs: Mapping[str, np.ndarray],
    output: str,
    constants: Constants,
    opsets: dict[str, int],
) -> np.ndarray:
    """What ONNX Runtime computes for some nodes, each as it is written."""
    used = {name for node in nodes for name in node.inputs} - set(inputs)
    graph = helper.make_graph(
        [proto_of(node) for node in nodes],
        "probe",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in inputs.items()
        ],
        [helper.make_empty_tensor_value_info(output)],
        [numpy_helper.from_array(constants[name], name) for name in sorted(used) if name in constants],
    )
    versions = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    model = helper.make_model(graph, opset_imports=versions, ir_version=min(onnx.IR_VERSION, 10))
    return Oracle(model.SerializeToString(), threads=1, as_written=True).run(inputs, [output])[output]


def chained(steps: Sequence[OnnxNode], source: str, prefix: str) -> tuple[list[OnnxNode], str]:
    """Copies of elementwise nodes, each reading the one before; returns them and the last one's output."""
    nodes, name = [], source
    for number, step in enumerate(steps):
        made = f"{prefix}{number}"
        nodes.append(step.renamed({0: name}, made))
        name = made
    return nodes, name


def every_value(unsigned: bool) -> np.ndarray:
    """The 256 values of int8 or uint8, in ascending order."""
    if unsigned:
        return np.arange(_LEVELS, dtype=np.uint8)
    return np.arange(INT8_MIN, INT8_MAX + 1).astype(np.int8)


def as_int8(values: np.ndarray) -> np.ndarray:
    if values.dtype == np.uint8:
        return (values.astype(np.int16) - UNSIGNED_SHIFT).astype(np.int8)
    return values.astype(np.int8)


def quantize_node(given: GivenQuant, source: str, output: str) -> tuple[OnnxNode, dict[str, np.ndarray]]:
    constants = {"probe_scale": np.array(given.scale, np.float32), "probe_zero_point": given.file_zero_point}
    return OnnxNode("QuantizeLinear", "", "", (source, *constants), (output,)), constants


def lookup_table(
    steps: Sequence[OnnxNode], unsigned: bool, given: GivenQuant, constants: Constants, opsets: dict[str, int]
) -> np.ndarray:
    """All results of a chain from DequantizeLinear to QuantizeLinear: int8 [256], for -128 first."""
    nodes, last = chained(steps, "x", "step")
    quantize, more = quantize_node(given, last, "y")
    found = run_nodes([*nodes, quantize], {"x": every_value(unsigned)}, "y", {**constants, **more}, opsets)
    return as_int8(found)


def pairs(unsigned_a: bool, unsigned_b: bool) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of two 8-bit values, the first one slower."""
    return np.repeat(every_value(unsigned_a), _LEVELS), np.tile(every_value(unsigned_b), _LEVELS)


def sum_order(
    node: OnnxNode,
    inputs: Mapping[str, np.ndarray],
    products: tuple[np.ndarray, np.ndarray],
    bias: np.ndarray,
    opsets: dict[str, int],
) -> tuple[str, int] | None:
    """In which order ONNX Runtime sums a float32 layer, found by trying: (order, block) of FloatSum, or None.

    inputs    the node's inputs, float32
    products  x and w of some outputs, float32 [N, K], in ONNX's order
    bias      float32 [N]
    opsets    of the model
    """
    found = run_nodes([node], inputs, node.outputs[0], {}, opsets).reshape(-1)
    positions = sampled(found.size)
    x, w = products
    length = x.shape[1]
    blocks = sorted({min(block, length) for block in (length, 128, 256, 512, 64)}, reverse=True)
    for order, block in [("fma", block) for block in blocks] + [("fours", 4)]:
        if np.array_equal(float_dot(x, w, bias, order, block), found[positions]):
            return order, block
    return None


def mean_order(
    node: OnnxNode, x: Value, extents: tuple[int, int], constants: Constants, opsets: dict[str, int]
) -> FloatMean | None:
    """In which order ONNX Runtime averages height and width in float32, found by trying, or None.

    extents  channels, pixels
    """
    channels, count = extents
    real = np.random.default_rng(0).uniform(-1, 1, x.shape).astype(np.float32)
    found = run_nodes([node], {node.inputs[0]: real}, node.outputs[0], constants, opsets).reshape(-1)
    if x.order and x.order[0] != CHANNEL and channels > 1:
        rows = real.reshape(count, channels).T
    else:
        rows = real.reshape(channels, count)
    for lanes, unroll, is_aligned in ((1, 1, False), (4, 1, False), (4, 2, True)):
        mean = FloatMean(1.0, 1.0, count, lanes, unroll, is_aligned)
        if np.array_equal(lane_sum(rows, np.arange(channels), mean) / np.float32(count), found):
            return mean
    return None


def sampled(count: int) -> np.ndarray:
    """Which outputs of a layer are compared, spread over all of it."""
    if count <= _SAMPLED_OUTPUTS:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, _SAMPLED_OUTPUTS).astype(np.int64))
