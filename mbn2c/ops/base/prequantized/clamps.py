"""Clamps of quantized models: between a float32 layer and its QuantizeLinear they become part of the layer."""

from __future__ import annotations

import math

from mbn2c.ir.window import Activation
from mbn2c.ops.base.call import OnnxNode
from mbn2c.ops.base.prequantized.values import Meaning, PrequantizedCall
from mbn2c.ops.base.reading import FLOAT_MAX


def clamps(call: PrequantizedCall, meaning: Meaning) -> Activation | None:
    """The clamps between a float32 layer and its QuantizeLinear as one."""
    total: Activation | None = None
    for step in meaning.steps:
        found = _clamp_of(call, step)
        if found is None:
            raise call.refuse(
                f"{step.op_type} between a layer and its QuantizeLinear is not supported",
                "quantize the model again with each of its layers quantized",
            )
        total = total.then(found) if total else found
    return total


def _clamp_of(call: PrequantizedCall, step: OnnxNode) -> Activation | None:
    if step.op_type == "Relu":
        return Activation(0.0, math.inf)
    if step.op_type in ("Max", "Min") and len(step.inputs) == 2:
        end = float(call.builder.constants[step.inputs[1]].reshape(-1)[0])
        return Activation(end, math.inf) if step.op_type == "Max" else Activation(-math.inf, end)
    if step.op_type != "Clip":
        return None
    if len(step.inputs) == 1:
        low, high = step.attributes.get("min", -FLOAT_MAX), step.attributes.get("max", FLOAT_MAX)
        return Activation(low, high)
    ends = [-math.inf, math.inf]
    for index in (1, 2):
        if len(step.inputs) > index and step.inputs[index]:
            bound = call.builder.constants.get(step.inputs[index])
            if bound is None or bound.size != 1:
                return None
            ends[index - 1] = float(bound.reshape(-1)[0])
    return Activation(ends[0], ends[1])
