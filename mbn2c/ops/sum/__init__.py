"""sum: tensors of equal shape, and a number per channel, that an imported model adds up in float32 before it quantizes.

inputs   one or more int8 tensors [1, H, W, C]
output   [1, H, W, C]
source   DequantizeLinear of each, ONNX operator Add one after the other, QuantizeLinear

`arithmetic` says how, `prequantized` how files spell it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mbn2c.ir.graph import Graph, Node, Quant
from mbn2c.ir.kernel import Packed, Params, ScalarKernel
from mbn2c.ops.base.call import OnnxName
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.operator import QUANTIZED, OnnxOp, Operator
from mbn2c.ops.base.packing import FLOAT_ARRAY, INT32, INT32_ARRAY, PIXEL_STRIDE, integers, pixel_stride
from mbn2c.ops.base.prequantized.values import PrequantizedImporter
from mbn2c.ops.base.quants import quant_of
from mbn2c.ops.base.spelling import spell_dequantize, spell_quantize
from mbn2c.ops.base.windows import Shape
from mbn2c.ops.sum.arithmetic import SumAttributes, guard_sum, run_sum
from mbn2c.ops.sum.prequantized import prequantized_imports

PARAMS = Params(
    "mbn_sum_params",
    (
        *integers("channels"),
        PIXEL_STRIDE,
        *integers("inputs", "shift", "band", "zero_point", "low", "high"),
        (INT32, "bias_at", "the bias comes after so many inputs; 0: there is none"),
        (INT32_ARRAY, "multipliers", "of each input"),
        (INT32_ARRAY, "offsets", "input zero points, half a step and the bias; of each channel if there is a bias"),
        (INT32_ARRAY, "zero_points", "of each input"),
        (FLOAT_ARRAY, "float_scales", "of each input, and of the output"),
        (FLOAT_ARRAY, "float_bias", ""),
    ),
)


def _pack(node: Node, graph: Graph) -> Packed:
    attributes: SumAttributes = node.attributes
    zero_points = [quant_of(graph, name).zero_point for name in node.inputs]
    centre = sum(zero * multiplier for zero, multiplier in zip(zero_points, attributes.multipliers, strict=True))
    arrays = {
        "multipliers": np.array(attributes.multipliers, np.int32),
        "offsets": (attributes.offsets - centre + (1 << (attributes.shift - 1))).astype(np.int32),
        "zero_points": np.array(zero_points, np.int32),
        "float_scales": np.array([*attributes.x_scales, attributes.y_scale], np.float32),
    }
    if attributes.bias is not None:
        arrays["float_bias"] = attributes.bias
    names: dict[str, int | str] = {name: name for name in arrays}
    return Packed(
        {
            "channels": graph.tensors[node.outputs[0]].shape[3],
            **pixel_stride(node),
            "inputs": len(node.inputs),
            "shift": attributes.shift,
            "band": attributes.band,
            "zero_point": quant_of(graph, node.outputs[0]).zero_point,
            "low": attributes.low,
            "high": attributes.high,
            "bias_at": attributes.bias_at,
            **names,
            **({} if attributes.bias is not None else {"float_bias": 0}),
        },
        arrays,
    )


class Sum(Operator):
    """Tensors that an imported model adds up in float32."""

    name = "sum"
    attributes = SumAttributes
    stages = frozenset((QUANTIZED,))
    sums_channels = True

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return prequantized_imports()

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        return shapes[0] if shapes and all(shape == shapes[0] for shape in shapes) else None

    def cases(self) -> Mapping[str, Case]:
        scales = tuple(float(np.float32(scale)) for scale in (0.02, 0.013, 0.031))
        given = zip((*scales, 0.04), (3, -5, 0, 7), strict=True)
        quants = tuple(Quant(np.array([scale], np.float32), zero_point) for scale, zero_point in given)
        bias = np.array([0.5, -0.25, 0.1], np.float32)
        shape = (1, 3, 4, 3)

        def case(inputs: int, bias: np.ndarray | None, bias_at: int) -> Case:
            attributes = guard_sum(scales[:inputs], float(np.float32(0.04)), bias, bias_at, -128, 127, self.name)
            return Case((shape,) * inputs, attributes, quants=(*quants[:inputs], quants[3]))

        return {"of three": case(3, None, 0), "of two and a bias": case(2, bias, 1)}

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        return (ScalarKernel("sum", PARAMS, _pack, writes_slices=True),)

    def spell_int8(self, node: Node, graph: Graph) -> list[OnnxOp]:
        attributes: SumAttributes = node.attributes
        output = node.outputs[0]
        spelled, terms = [], []
        for number, name in enumerate(node.inputs):
            read, real = spell_dequantize(graph, name, f"{node.name}__{number}")
            spelled.append(read)
            terms.append(real)
        constants: dict[str, np.ndarray] = {}
        if attributes.bias is not None:
            constants[f"{node.name}__bias"] = attributes.bias.reshape(1, -1, 1, 1)
            terms.insert(attributes.bias_at, f"{node.name}__bias")
        total = terms[0]
        for number, term in enumerate(terms[1:]):
            made = f"{output}__real{number}"
            spelled.append(OnnxOp("Add", (total, term), (made,), {}, constants))
            total = made
        quantized = f"{output}__unclamped"
        spelled.append(spell_quantize(total, quantized, quant_of(graph, output)))
        ends = {
            f"{output}__low": np.array(attributes.low, np.int8),
            f"{output}__high": np.array(attributes.high, np.int8),
        }
        return [*spelled, OnnxOp("Clip", (quantized, *ends), (output,), {}, ends)]

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        centred = [
            x.astype(np.int64) - quant_of(graph, name).zero_point for x, name in zip(inputs, node.inputs, strict=True)
        ]
        return run_sum(node.attributes, centred, quant_of(graph, node.outputs[0]).zero_point)
