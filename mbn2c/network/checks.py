"""The float Graph against the user's model, the int8 Graph against ONNX Runtime: what every build checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mbn2c.errors import InternalError
from mbn2c.frontend.export import onnx_names, to_onnx_float, with_outputs
from mbn2c.frontend.runtime import Oracle
from mbn2c.ir.graph import Graph, Quant
from mbn2c.network.inputs import Inputs, quantize_input
from mbn2c.ops.base.quants import codes_of, quant_of, scale_of
from mbn2c.reference.run_graph import run_graph
from mbn2c.tasks.statistics import decibel
from mbn2c.tasks.tails import apply_tail

# Images on which every tensor of the reference is compared with ONNX Runtime during a build, and SQNR is measured.
CHECKED_IMAGES = 4
# The lowered Graph must compute what the user's file computes; float32 rounding alone stays far below this.
_LARGEST_FLOAT_ERROR = 1e-3


def compare_float(graph: Graph, lowered: Oracle, original: Oracle, inputs: Inputs) -> None:
    """Import and passes must not change what the model computes.

    raises  InternalError if they did
    """
    values = inputs.first(1)[0]
    ours = lowered.run({graph.inputs[0].outside: values})
    theirs = original.run({original.input_names[0]: values})
    expected = [theirs[name] for name in original.output_names]
    for port, wanted in zip(graph.outputs, expected, strict=True):
        got = apply_tail(port.tail, ours[port.outside])
        error = float(np.abs(got.reshape(-1) - wanted.reshape(-1)).max())
        if not error <= _LARGEST_FLOAT_ERROR * max(1.0, float(np.abs(wanted).max())):
            raise InternalError(
                f"the imported network differs from the model by {error:.3g} in float32",
                where=f"output {port.outside}",
                hint="this is a bug in mbn2c; please report it with the model",
            )


@dataclass(frozen=True)
class Sqnr:
    """Signal to quantization noise of each tensor in dB; None without noise or signal.

    total     what the int8 network makes, against the float one
    rounding  the float tensor rounded to the int8 tensor's scale: what this tensor alone loses
    """

    total: Mapping[str, float | None] = field(default_factory=dict)
    rounding: Mapping[str, float | None] = field(default_factory=dict)


def compare_with_oracle(graph: Graph, quantized: Graph, int8_model: bytes, inputs: Inputs) -> Sqnr:
    """Every tensor of the integer reference against ONNX Runtime on some images.

    raises  InternalError naming the first tensor that differs
    """
    names, outside = onnx_names(graph), graph.inputs[0].outside
    floats = Oracle(with_outputs(to_onnx_float(graph), names.values()))
    integers = Oracle(with_outputs(int8_model, names.values()))
    signal, noise, rounding = (dict.fromkeys(names, 0.0) for _ in range(3))
    for values in inputs.first(CHECKED_IMAGES):
        real, oracle = floats.run({outside: values}), integers.run({outside: values})
        reference = run_graph(quantized, {graph.inputs[0].tensor: quantize_input(quantized, inputs.spec, values)})
        for tensor, name in names.items():
            ours = reference[tensor].transpose(0, 3, 1, 2)
            differing = int((ours != oracle[name]).sum())
            if differing:
                raise InternalError(
                    f"the integer reference differs from ONNX Runtime in {differing} of {ours.size} bytes",
                    where=f"tensor {tensor}",
                    hint="this is a bug in mbn2c, or a CPU on which ONNX Runtime saturates; `make test` tells",
                )
            quant = quant_of(quantized, tensor)
            signal[tensor] += float((real[name].astype(np.float64) ** 2).sum())
            noise[tensor] += _squared_error(ours, quant, real[name])
            rounding[tensor] += _squared_error(codes_of(quant, real[name]), quant, real[name])
    return Sqnr(
        {tensor: decibel(signal[tensor], noise[tensor]) for tensor in names},
        {tensor: decibel(signal[tensor], rounding[tensor]) for tensor in names},
    )


def _squared_error(codes: np.ndarray, quant: Quant, real: np.ndarray) -> float:
    error = (codes.astype(np.float64) - quant.zero_point) * float(scale_of(quant)) - real
    return float((error**2).sum())
