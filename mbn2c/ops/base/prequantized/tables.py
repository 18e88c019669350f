"""Functions of one or two 8-bit values that ONNX Runtime is asked about: nodes and inputs of such questions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mbn2c.numerics import INT8_MAX, INT8_MIN
from mbn2c.ops.base.call import OnnxNode
from mbn2c.ops.base.prequantized.values import UNSIGNED_SHIFT, FileQuant, PrequantizedCall

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
