"""Sums of integers that a file requantizes position by position: ConvInteger, Cast, Mul by a constant, QuantizeLinear
of scale 1. Our own spelling of what QLinearConv cannot say, since its multiplier is one number per channel.

source  ONNX operators ConvInteger and QuantizeLinear: rint(float32(sum) * multiplier) + zero point, saturated
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Graph, Node
from mbn2c.ops.base.call import Declined, OnnxName
from mbn2c.ops.base.operator import OnnxOp, quant_of
from mbn2c.ops.base.prequantized.values import FinishSum, Meaning, PrequantizedCall, PrequantizedImporter

SUM = "ConvInteger"
_FLOAT = 1  # TensorProto.FLOAT


def spell_integer_sum(
    graph: Graph,
    x: str,
    output: str,
    weights: tuple[str, np.ndarray],
    multiplier: np.ndarray,
    attributes: Mapping[str, Any],
) -> list[OnnxOp]:
    """int8 `x` -> int8 `output`, requantized position by position.

    weights     (name, int8 OIHW)
    multiplier  float32 [1, C or 1, H, W]
    attributes  of the convolution
    """
    total, real, scaled = f"{output}__sum", f"{output}__float_sum", f"{output}__scaled"
    zero: dict[str, np.ndarray] = {
        f"{x}__zero_point": np.array(quant_of(graph, x).zero_point, np.int8),
        weights[0]: weights[1],
    }
    factors: dict[str, np.ndarray] = {f"{output}__multiplier": np.ascontiguousarray(multiplier, np.float32)}
    ends: dict[str, np.ndarray] = {
        f"{output}__one": np.array(1, np.float32),
        f"{output}__zero_point": np.array(quant_of(graph, output).zero_point, np.int8),
    }
    return [
        OnnxOp(SUM, (x, weights[0], f"{x}__zero_point"), (total,), attributes, zero),
        OnnxOp("Cast", (total,), (real,), {"to": _FLOAT}),
        OnnxOp("Mul", (real, *factors), (scaled,), {}, factors),
        OnnxOp("QuantizeLinear", (scaled, *ends), (output,), {}, ends),
    ]


def begin_sum(call: PrequantizedCall, value: Value, finish: FinishSum) -> Value:
    """Note a ConvInteger whose node is made when its QuantizeLinear comes; its place in the order is kept."""
    call.builder.nodes.append(Node(call.name, "", (), (value.tensor,)))
    call.builder.sums[value.tensor] = finish
    call.builder.meanings[call.node.outputs[0]] = Meaning(True, steps=(call.node,))
    return value


def integer_sum_imports() -> dict[OnnxName, PrequantizedImporter]:
    """What follows a ConvInteger, for every operator that is spelt with one."""
    return {("", "Cast"): _go_on, ("", "Mul"): _go_on, ("", "QuantizeLinear"): _end}


def _go_on(call: PrequantizedCall) -> Value | Declined:
    if call.is_constant(0) or call.value(0).tensor not in call.builder.sums:
        return Declined()
    meaning = call.meaning(0)
    call.builder.meanings[call.node.outputs[0]] = Meaning(True, steps=(*meaning.steps, call.node))
    return call.value(0)


def _end(call: PrequantizedCall) -> Value | Declined:
    x, builder = call.value(0), call.builder
    if x.tensor not in builder.sums:
        return Declined()
    steps = call.meaning(0).steps
    y_in_file = call.file_quant(1, 2)
    multiplier = builder.constants.get(steps[-1].inputs[1]) if len(steps) == 3 else None
    if [step.op_type for step in steps] != [SUM, "Cast", "Mul"] or multiplier is None or y_in_file.scale != 1:
        raise call.refuse(f"{SUM} that is not cast, scaled by constants and quantized with scale 1 is not supported")
    position = next(number for number, node in enumerate(builder.nodes) if x.tensor in node.outputs)
    builder.nodes[position] = builder.sums.pop(x.tensor)(multiplier, y_in_file.quant.zero_point)
    builder.meanings[call.node.outputs[0]] = Meaning(False, y_in_file.unsigned)
    builder.note_probe(call.node.outputs[0], x, y_in_file.unsigned)
    return x
