"""Functions of one or two 8-bit values that ONNX Runtime is asked about: nodes and inputs of such questions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mbn2c.ir.window import Activation
from mbn2c.numerics import INT8_MAX, INT8_MIN
from mbn2c.ops.base.call import OnnxNode
from mbn2c.ops.base.prequantized.layers import limits
from mbn2c.ops.base.prequantized.values import UNSIGNED_SHIFT, FileQuant, Meaning, PrequantizedCall

_LEVELS = INT8_MAX - INT8_MIN + 1


def every_value(unsigned: bool) -> np.ndarray:
    """The 256 values of int8 or uint8, in ascending order."""
    if unsigned:
        return np.arange(_LEVELS, dtype=np.uint8)
    return np.arange(INT8_MIN, INT8_MAX + 1).astype(np.int8)


def pairs(unsigned_a: bool, unsigned_b: bool) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of two 8-bit values, the first one slower."""
    return np.repeat(every_value(unsigned_a), _LEVELS), np.tile(every_value(unsigned_b), _LEVELS)


def as_int8(values: np.ndarray) -> np.ndarray:
    """int8 or uint8 of the file -> int8 as the Graph has it."""
    if values.dtype == np.uint8:
        return (values.astype(np.int16) - UNSIGNED_SHIFT).astype(np.int8)
    return values.astype(np.int8)


def chained(steps: Sequence[OnnxNode], source: str, prefix: str) -> tuple[list[OnnxNode], str]:
    """Copies of elementwise nodes, each reading the one before; returns them and the last one's output."""
    nodes, name = [], source
    for number, step in enumerate(steps):
        made = f"{prefix}{number}"
        nodes.append(step.renamed({0: name}, made))
        name = made
    return nodes, name


def quantize_node(y_in_file: FileQuant, source: str, output: str) -> tuple[OnnxNode, dict[str, np.ndarray]]:
    """QuantizeLinear as the file has it for an output, and the constants that it reads."""
    constants = {"probe_scale": np.array(y_in_file.scale, np.float32), "probe_zero_point": y_in_file.file_zero_point}
    return OnnxNode("QuantizeLinear", "", "", (source, *constants), (output,)), constants


def lookup_table(call: PrequantizedCall, steps: Sequence[OnnxNode], unsigned: bool, y_in_file: FileQuant) -> np.ndarray:
    """All results of a chain from DequantizeLinear to QuantizeLinear: int8 [256], for -128 first."""
    nodes, last = chained(steps, "x", "step")
    quantize, more = quantize_node(y_in_file, last, "y")
    found = call.ask([*nodes, quantize], {"x": every_value(unsigned)}, "y", more)
    return as_int8(found)


def qlinear_pairs(call: PrequantizedCall, a: Meaning, b: Meaning) -> np.ndarray:
    """All results of QLinearAdd and its kin, which reads a at 0 and b at 3: int8 [256, 256], a and b from -128 on."""
    node = call.node.renamed({0: "a", 3: "b"}, "y")
    values_a, values_b = pairs(a.unsigned, b.unsigned)
    return as_int8(call.ask([node], {"a": values_a, "b": values_b}, "y")).reshape(_LEVELS, _LEVELS)


def float_pairs(call: PrequantizedCall, y_in_file: FileQuant, activation: Activation | None) -> np.ndarray:
    """Likewise, of a float32 node of two tensors between DequantizeLinear and QuantizeLinear, clamped."""
    (_, steps_a), (_, steps_b) = call.real_steps(0), call.real_steps(1)
    nodes_a, last_a = chained(steps_a, "a", "left")
    nodes_b, last_b = chained(steps_b, "b", "right")
    both = call.node.renamed({0: last_a, 1: last_b}, "both")
    quantize, constants = quantize_node(y_in_file, "both", "y")
    values_a, values_b = pairs(call.meaning(0).unsigned, call.meaning(1).unsigned)
    found = call.ask([*nodes_a, *nodes_b, both, quantize], {"a": values_a, "b": values_b}, "y", constants)
    return np.clip(as_int8(found), *limits(y_in_file, activation)).reshape(_LEVELS, _LEVELS)
