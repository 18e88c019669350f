"""sum: tensors of equal shape, and a number per channel, that an imported model adds up in float32 before it quantizes.

inputs   one or more int8 tensors [1, H, W, C]
output   [1, H, W, C]
source   DequantizeLinear of each, ONNX operator Add one after the other, QuantizeLinear

As in `guarded`, an integer line decides, unless it lies within a band around a step: then the float32 operations do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.errors import QuantError
from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Graph, Node, Quant
from mbn2c.ir.kernel import Packed, Params, ScalarKernel
from mbn2c.ir.window import Activation
from mbn2c.numerics import INT8_MAX, INT8_MIN
from mbn2c.ops.base.call import MICROSOFT, Declined, OnnxName
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.operator import QUANTIZED, OnnxOp, Operator, Shape, quant_of
from mbn2c.ops.base.packing import FLOAT_ARRAY, INT32, INT32_ARRAY, integers
from mbn2c.ops.base.prequantized.layers import call_done, limits, unfinished
from mbn2c.ops.base.prequantized.tables import as_int8, every_value
from mbn2c.ops.base.prequantized.values import (
    FOLD_FIRST,
    FileQuant,
    PrequantizedCall,
    PrequantizedImporter,
    Term,
    terms_of,
)
from mbn2c.ops.base.reading import along_channels, per_channel
from mbn2c.ops.base.spelling import spell_dequantize, spell_quantize

_HALF_ULP = 2.0**-24
# Results this far from zero point saturate, whatever the last bits are.
_SATURATED = 260.0
_LARGEST_GUESS = 2.0**30
_MOST_SHIFT = 24


@dataclass(frozen=True, eq=False)
class SumAttributes:
    """sum, int8 only, inputs (a, b, ...) of equal shape; see `ops/sum.py`.

    (sum of (x - zero_point) * multiplier + offset + 2^(shift - 1)) >> shift decides, unless that lies within `band` of
    a step: then float32 does.

    x_scales, y_scale  float32 values
    multipliers        of each input; line and all inputs fit 32 bits
    offsets            int64 [1], or with a bias [C]
    band               in units of 2^-shift of an output step
    low, high          the result is clamped to these int8 values
    bias               float32 [C], added in float32 too; or None
    bias_at            how many inputs are added up before it is; 0 without
    """

    x_scales: tuple[float, ...]
    y_scale: float
    multipliers: tuple[int, ...]
    offsets: np.ndarray
    shift: int
    band: int
    low: int = -128
    high: int = 127
    bias: np.ndarray | None = None
    bias_at: int = 0


def guard_sum(
    x_scales: Sequence[float], y_scale: float, bias: np.ndarray | None, bias_at: int, low: int, high: int, where: str
) -> SumAttributes:
    """The integer line of a float32 sum, and how far it may be from the truth.

    bias     float32 [C] or None
    bias_at  how many inputs are added up before it is
    raises   QuantError if the line needs more than 32 bits
    """
    ratios = np.array(x_scales, np.float64) / y_scale
    shifts = np.zeros(1) if bias is None else bias.astype(np.float64) / y_scale
    largest = 255 * ratios.sum() + np.abs(shifts).max()
    shift = min(_MOST_SHIFT, int(np.floor(np.log2(_LARGEST_GUESS / largest))))
    if shift < 1:
        raise QuantError(
            f"a sum whose inputs reach {largest:.3g} steps of its output", where=where, hint="its scales are wrong"
        )
    multipliers = np.rint(ratios * 2.0**shift)
    offsets = np.rint(shifts * 2.0**shift)
    line_error = 255 * np.abs(multipliers / 2.0**shift - ratios).sum() + np.abs(offsets / 2.0**shift - shifts).max()
    magnitudes = [255 * ratio for ratio in ratios]
    if bias is not None:
        magnitudes.insert(bias_at, float(np.abs(shifts).max()))
    # Each product and each partial sum rounded once; then the division.
    float_error = (sum(magnitudes) + np.cumsum(magnitudes)[1:].sum()) * 1.001 * _HALF_ULP + 2 * _SATURATED * _HALF_ULP
    band = int(np.ceil((line_error + float_error) * 2.0**shift)) + 2
    return SumAttributes(
        tuple(float(scale) for scale in x_scales),
        y_scale,
        tuple(int(number) for number in multipliers),
        offsets.astype(np.int64),
        shift,
        min(band, 1 << (shift - 1)),
        low,
        high,
        bias,
        bias_at,
    )


PARAMS = Params(
    "mbn_sum_params",
    (
        *integers("channels", "inputs", "shift", "band", "zero_point", "low", "high"),
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
    name = "sum"
    attributes = SumAttributes
    stages = frozenset((QUANTIZED,))
    sums_channels = True

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return {
            ("", "Add"): _add_in_float,
            (MICROSOFT, "QLinearAdd"): _import_qlinear_add,
        }

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
        return (ScalarKernel("sum", PARAMS, _pack),)

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


def run_sum(attributes: SumAttributes, centred: Sequence[np.ndarray], zero_point: int) -> np.ndarray:
    """int8 results.

    centred     int64 [..., C] each, zero point taken off
    zero_point  of the output
    """
    line = sum(x * multiplier for x, multiplier in zip(centred, attributes.multipliers, strict=True))
    line = np.asarray(line + attributes.offsets + (1 << (attributes.shift - 1)))
    value, rest = (line >> attributes.shift) + zero_point, line & ((1 << attributes.shift) - 1)
    near = (rest < attributes.band) | (rest >= (1 << attributes.shift) - attributes.band)
    near &= (value >= attributes.low - 1) & (value <= attributes.high + 1)
    in_float = np.rint(np.clip(in_steps(attributes, centred), -2 * _SATURATED, 2 * _SATURATED)) + zero_point
    return np.asarray(np.clip(np.where(near, in_float, value), attributes.low, attributes.high).astype(np.int8))


def in_steps(attributes: SumAttributes, centred: Sequence[np.ndarray]) -> np.ndarray:
    """The float32 result before rounding, in output steps.

    centred  int64 [1, H, W, C] each, zero point taken off
    """
    terms = [x.astype(np.float32) * np.float32(s) for x, s in zip(centred, attributes.x_scales, strict=True)]
    if attributes.bias is not None:
        terms.insert(attributes.bias_at, np.broadcast_to(attributes.bias, terms[0].shape))
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return np.asarray(total / np.float32(attributes.y_scale))


# --- how ONNX files spell it ---


def _add_in_float(call: PrequantizedCall) -> Value | Declined:
    """Add of a sum and one more tensor, or of a number per channel."""
    constants = [call.constant(index) for index in (0, 1) if call.is_constant(index)]
    if any(constant.size == 1 for constant in constants):
        return Declined("Add of one number is not supported")
    if not constants and not call.meaning(0).terms and not call.meaning(1).terms:
        return Declined("Add of two tensors is not supported")
    order = (1, 0) if call.is_constant(0) else (0, 1)
    x = call.value(order[0])
    first = terms_of(call, order[0])
    if call.is_constant(order[1]):
        second: tuple[Term, ...] = (per_channel(call, x, order[1]).astype(np.float32),)
    else:
        other = call.value(order[1])
        if x.shape != other.shape or x.groups != other.groups:
            raise call.refuse(
                f"{call.op} of tensors of shapes {list(x.shape)} and {list(other.shape)} is not supported",
                "only activations of equal shape and axis order can be added",
            )
        second = terms_of(call, order[1])
    if not first or not second:
        raise call.refuse(
            f"{call.op} reads a tensor that is not quantized", "quantize every layer of the model, in QDQ form"
        )
    # Float32 additions may be swapped, but not put together in another way.
    terms = (*first, *second) if len(second) == 1 else (*second, *first)
    tensors = [term for term in terms if isinstance(term, Value)]
    biases = [number for number, term in enumerate(terms) if not isinstance(term, Value)]
    if min(len(first), len(second)) > 1 or len(biases) > 1 or len({one.tensor for one in tensors}) < len(tensors):
        raise call.refuse(
            f"{call.op} of two sums, of two constants, or of a tensor twice, with nothing quantized in between",
            f"quantize the inputs of '{call.name}' too",
        )
    return _unfinished_sum(call, x, terms)


def _import_qlinear_add(call: PrequantizedCall) -> Value | Declined:
    """QLinearAdd of a tensor and a number per channel, where ONNX Runtime's results are those of the float32 sum.

    raises  ModelError if one of the 256 results of a channel is another
    """
    if not call.is_constant(0) and not call.is_constant(3):
        return Declined("QLinearAdd of two activations is not supported")
    at, other = (0, 3) if call.is_constant(0) else (3, 0)
    builder = call.builder
    x, meaning = call.integers_in(other)
    x_in_file, constant_in_file, y_in_file = (call.file_quant(k, k + 1) for k in (other + 1, at + 1, 6))
    builder.set_quant(call, x.tensor, x_in_file)
    codes = along_channels(call, x, at, call.constant(at).astype(np.float64)).astype(call.constant(at).dtype)
    bias = (codes.astype(np.float32) - np.float32(constant_in_file.file_zero_point)) * constant_in_file.scale
    scales = float(x_in_file.scale), float(y_in_file.scale)
    attributes = guard_sum(scales[:1], scales[1], bias, 1, INT8_MIN, INT8_MAX, call.where)
    node = call.node.renamed({other: "x", at: "constant"}, "y")
    every = every_value(meaning.unsigned)
    inputs = {"x": np.repeat(every, len(codes)), "constant": np.tile(codes, len(every))}
    theirs = as_int8(call.ask([node], inputs, "y"))
    levels = as_int8(every).astype(np.int64) - x_in_file.quant.zero_point
    centred = np.repeat(levels, len(codes)).reshape(-1, len(codes))
    differing = int((run_sum(attributes, [centred], y_in_file.quant.zero_point).reshape(-1) != theirs).sum())
    if differing:
        raise call.refuse(
            f"QLinearAdd of a constant is no float32 sum in ONNX Runtime, in {differing} of {theirs.size} results",
            FOLD_FIRST,
        )
    output = builder.activation(call.node.outputs[0], call.extents(x), call)
    builder.nodes.append(Node(call.name, Sum.name, (x.tensor,), (output,), attributes))
    builder.set_quant(call, output, y_in_file)
    return call_done(call, replace(x, tensor=output), y_in_file)


def _unfinished_sum(call: PrequantizedCall, like: Value, terms: tuple[Term, ...]) -> Value:
    builder = call.builder
    output = builder.activation(call.node.outputs[0], call.extents(like), call)
    tensors = [term.tensor for term in terms if isinstance(term, Value)]
    # Of the first two terms either may be said to come first.
    bias_at = next((max(1, number) for number, term in enumerate(terms) if not isinstance(term, Value)), 0)
    bias = next((term for term in terms if not isinstance(term, Value)), None)
    scales = [float(builder.quants[tensor].scale[0]) for tensor in tensors]

    def finish(y_in_file: FileQuant, activation: Activation | None) -> Node:
        builder.float_layers.append(call.name)
        low, high = limits(y_in_file, activation)
        attributes = guard_sum(scales, float(y_in_file.scale), bias, bias_at, low, high, call.where)
        return Node(call.name, Sum.name, tuple(tensors), (output,), attributes)

    value = unfinished(call, replace(like, tensor=output), finish)
    builder.meanings[call.node.outputs[0]] = replace(builder.meanings[call.node.outputs[0]], terms=terms)
    return value
