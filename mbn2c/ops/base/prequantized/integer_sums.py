"""Sums of integers that a file requantizes position by position: our own spelling of what QLinearConv cannot say.

They end in Mul by a constant and QuantizeLinear of scale 1: rint(float32(sum) * multiplier) + zero point, saturated, as
QLinearConv's do, but with any multiplier at any position. Before it stands ConvInteger and a Cast, or a Cast and
products with matrices of whole numbers, whose sums float32 holds exactly.

source  ONNX operators ConvInteger, MatMul and QuantizeLinear
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mbn2c.ir.axes import NCHW, Value, labeled
from mbn2c.ir.graph import Graph, Node
from mbn2c.ops.base.call import Declined, OnnxName, OnnxNode
from mbn2c.ops.base.operator import OnnxOp
from mbn2c.ops.base.prequantized.values import (
    UNSIGNED_SHIFT,
    FinishSum,
    IntegerSum,
    Meaning,
    PrequantizedCall,
    PrequantizedImporter,
)
from mbn2c.ops.base.quants import quant_of

_CONVOLVED = ("ConvInteger", "Cast", "Mul")
_MULTIPLIED = ("Cast", "Sub", "MatMul", "MatMul", "Mul")
_FLOAT = 1  # TensorProto.FLOAT


# --- how we spell them ---


def spell_convolution_sum(
    graph: Graph,
    x: str,
    output: str,
    weights: tuple[str, np.ndarray],
    multiplier: np.ndarray,
    attributes: Mapping[str, Any],
) -> list[OnnxOp]:
    """int8 `x` -> int8 `output`.

    weights     (name, int8 OIHW)
    multiplier  float32 [1, C or 1, H, W]
    attributes  of the convolution
    """
    total, real = f"{output}__sum", f"{output}__float_sum"
    constants: dict[str, np.ndarray] = {f"{x}__zero_point": np.array(quant_of(graph, x).zero_point, np.int8)}
    constants[weights[0]] = weights[1]
    return [
        OnnxOp("ConvInteger", (x, weights[0], f"{x}__zero_point"), (total,), attributes, constants),
        OnnxOp("Cast", (total,), (real,), {"to": _FLOAT}),
        *_spell_end(graph, real, output, multiplier),
    ]


def spell_matrix_sum(
    graph: Graph, x: str, output: str, rows: np.ndarray, columns: np.ndarray, multiplier: np.float32
) -> list[OnnxOp]:
    """int8 `x` -> int8 `output`, each channel multiplied by `rows` from the left and by `columns`.T from the right.

    rows, columns  whole numbers, [H_out, H] and [W_out, W]
    """
    real, centred, left, right = (f"{output}__{what}" for what in ("float", "centred", "rows", "sum"))
    zero = {f"{output}__x_zero": np.array(quant_of(graph, x).zero_point, np.float32)}
    of_rows = {f"{output}__row_matrix": rows.astype(np.float32)}
    of_columns = {f"{output}__column_matrix": np.ascontiguousarray(columns.T, np.float32)}
    everywhere = np.full((1, 1, len(rows), len(columns)), multiplier, np.float32)
    return [
        OnnxOp("Cast", (x,), (real,), {"to": _FLOAT}),
        OnnxOp("Sub", (real, *zero), (centred,), {}, zero),
        OnnxOp("MatMul", (*of_rows, centred), (left,), {}, of_rows),
        OnnxOp("MatMul", (left, *of_columns), (right,), {}, of_columns),
        *_spell_end(graph, right, output, everywhere),
    ]


def _spell_end(graph: Graph, total: str, output: str, multiplier: np.ndarray) -> list[OnnxOp]:
    scaled = f"{output}__scaled"
    factors: dict[str, np.ndarray] = {f"{output}__multiplier": np.ascontiguousarray(multiplier, np.float32)}
    ends: dict[str, np.ndarray] = {
        f"{output}__one": np.array(1, np.float32),
        f"{output}__zero_point": np.array(quant_of(graph, output).zero_point, np.int8),
    }
    return [
        OnnxOp("Mul", (total, *factors), (scaled,), {}, factors),
        OnnxOp("QuantizeLinear", (scaled, *ends), (output,), {}, ends),
    ]


# --- how they are read again ---


def begin_sum(call: PrequantizedCall, x: Value, finish: FinishSum) -> Value:
    """Note the first node of a sum; its Graph node is made when its QuantizeLinear comes."""
    call.builder.sums[call.node.outputs[0]] = IntegerSum((call.node,), finish, call.meaning(0).unsigned)
    call.builder.meanings[call.node.outputs[0]] = Meaning(True)
    return x


def integer_sum_imports() -> dict[OnnxName, PrequantizedImporter]:
    """What follows the first node of a sum; asked before any operator, they decline whatever belongs to no sum."""
    return {
        **{("", op_type): _go_on for op_type in ("Cast", "Sub", "MatMul", "Mul")},
        ("", "QuantizeLinear"): _end,
    }


def _read_sum(call: PrequantizedCall) -> tuple[int, IntegerSum] | None:
    """Which input of a node is such a sum."""
    found = [index for index, name in enumerate(call.node.inputs) if name in call.builder.sums]
    return (found[0], call.builder.sums[call.node.inputs[found[0]]]) if len(found) == 1 else None


def _go_on(call: PrequantizedCall) -> Value | Declined:
    found = _read_sum(call)
    if found is None:
        return Declined()
    index, sums = found
    call.builder.sums[call.node.outputs[0]] = IntegerSum((*sums.steps, call.node), sums.finish, sums.unsigned)
    call.builder.meanings[call.node.outputs[0]] = Meaning(True)
    return call.value(index)


def _end(call: PrequantizedCall) -> Value | Declined:
    found = _read_sum(call)
    if found is None:
        return Declined()
    index, sums = found
    y_in_file = call.file_quant(1, 2)
    x, kinds = call.value(index), tuple(step.op_type for step in sums.steps)
    # ONNX Runtime removes the subtraction of 0.
    is_known = kinds in (_CONVOLVED, _MULTIPLIED, (_MULTIPLIED[0], *_MULTIPLIED[2:]))
    zero_point = _zero_point(call, sums.steps) - (UNSIGNED_SHIFT if sums.unsigned else 0) if is_known else 0.5
    if y_in_file.scale != 1 or zero_point != int(zero_point):
        raise call.refuse(f"{', '.join(kinds)} and QuantizeLinear with scale {y_in_file.scale:g} are not supported")
    call.builder.set_zero_point(call, x.tensor, int(zero_point))
    made = sums.finish(call, x, sums.steps, y_in_file.quant.zero_point)
    call.builder.set_zero_point(call, made.tensor, y_in_file.quant.zero_point)
    call.builder.meanings[call.node.outputs[0]] = Meaning(False, y_in_file.unsigned)
    call.builder.note_probe(call.node.outputs[0], made, y_in_file.unsigned)
    return made


def _zero_point(call: PrequantizedCall, steps: tuple[OnnxNode, ...]) -> float:
    """What the sum takes off its input, as the file has it."""
    if steps[0].op_type == "ConvInteger":
        return float(constant_of(call, steps[0], 2).reshape(-1)[0])
    return float(constant_of(call, steps[1], 1).reshape(-1)[0]) if steps[1].op_type == "Sub" else 0.0


def constant_of(call: PrequantizedCall, step: OnnxNode, index: int) -> np.ndarray:
    """Input `index` of a step, which must be a constant of the file."""
    name = step.inputs[index]
    if name not in call.builder.constants:
        raise call.refuse(f"{step.op_type} of two activations is not supported")
    return call.builder.constants[name]


def emit_sum(call: PrequantizedCall, op: str, x: Value, hwc: tuple[int, int, int], attributes: object) -> Value:
    """Add the node of a sum."""
    height, width, channels = hwc
    output = call.builder.activation(call.node.outputs[0], (1, height, width, channels), call)
    call.builder.nodes.append(Node(call.name, op, (x.tensor,), (output,), attributes))
    return labeled(output, (1, channels, height, width), NCHW)
