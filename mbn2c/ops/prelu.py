"""prelu: y = x for x >= 0, else slope * x, with a slope for each channel; with one for all it is a leaky_relu.

inputs   x [1, H, W, C], slope [C]
output   the same shape
source   He et al., Delving Deep into Rectifiers (2015); ONNX operator PRelu between DequantizeLinear and
         QuantizeLinear; all 256 values of each channel are compared
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.errors import QuantError
from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Graph, Node, Quant, Tensor
from mbn2c.ir.kernel import Packed, Params, ScalarKernel
from mbn2c.ir.window import Activation
from mbn2c.numerics import INT8_MAX, INT8_MIN, INT32_MAX, quantize_linear
from mbn2c.ops.base.call import Declined, Importer, OnnxCall, OnnxName, OnnxNode
from mbn2c.ops.base.case import Case, Constants
from mbn2c.ops.base.levels import INT8_LEVELS, real_levels
from mbn2c.ops.base.operator import OnnxOp, Operator
from mbn2c.ops.base.packing import INT8_ARRAY, INT32, INT32_ARRAY, PIXEL_STRIDE, integers, pixel_stride
from mbn2c.ops.base.prequantized.layers import limits, unfinished
from mbn2c.ops.base.prequantized.tables import as_int8, chained, every_value, quantize_node
from mbn2c.ops.base.prequantized.values import FileQuant, PrequantizedCall, PrequantizedImporter
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.ops.base.reading import per_channel
from mbn2c.ops.base.spelling import spell_dequantize, spell_quantize
from mbn2c.ops.base.windows import Bounds, Shape

# A line that may be one too high is this many output steps above the truth; float32 errs by less.
_RAISED = 2e-4
# Where one input step is more output steps than there are, any larger number saturates as well.
_LARGEST_RATIO = 512.0
_FARTHEST = 1e30  # infinity times a slope of 0 would be no number
_BITS_BYTES = 32  # of one channel: a bit for each value


@dataclass(frozen=True)
class PreluAttributes:
    """prelu, inputs (x, slope [C]); a third one, int8 [32 * C], where no line is exact.

    multiplier, multipliers  int8 form: (v * m + 2^(shift - 1) + raised) >> shift, plus zero point and saturated, of
                             v = x - its zero point; m is the multiplier for v >= 0, else that of the channel. Where bit
                             x % 8 of byte 32 * c + x / 8 of the third input is set (x counted from -128), one less
    raised                   0 without a third input
    """

    multiplier: int = 0
    multipliers: tuple[int, ...] = ()
    shift: int = 1
    raised: int = 0


PARAMS = Params(
    "mbn_prelu_params",
    (
        *integers("channels"),
        PIXEL_STRIDE,
        *integers("zero_point_x", "multiplier"),
        (INT32_ARRAY, "multipliers", "of values below zero, for each channel"),
        (INT32, "raised", "added to half a step"),
        *integers("shift", "zero_point"),
        (INT8_ARRAY, "lower", "a bit for each value of each channel: the result is one less; 0: there are none"),
    ),
)


def _pack(node: Node, graph: Graph) -> Packed:
    attributes: PreluAttributes = node.attributes
    arrays = {"multipliers": np.array(attributes.multipliers, np.int32)}
    if len(node.inputs) == 3:
        arrays["lower"] = graph.constant(node.inputs[2])
    return Packed(
        {
            "channels": graph.tensors[node.outputs[0]].shape[3],
            **pixel_stride(node),
            "zero_point_x": quant_of(graph, node.inputs[0]).zero_point,
            "multiplier": attributes.multiplier,
            "multipliers": "multipliers",
            "raised": attributes.raised,
            "shift": attributes.shift,
            "zero_point": quant_of(graph, node.outputs[0]).zero_point,
            "lower": "lower" if len(node.inputs) == 3 else 0,
        },
        arrays,
    )


def _slopes(*values: float) -> Constants:
    return lambda generator: [np.array(values, np.float32)]


def _case_of_ties() -> Case:
    """int8 from the start: scales of 1 to 2, so that every second value lies between two results."""
    slope, x, y = (
        np.array([0.25, -0.5], np.float32),
        Quant(np.array([0.5], np.float32), -7),
        Quant(np.array([1.0], np.float32), 3),
    )
    fitted = fit_lines(_table(slope, x, y), slope, x, y)
    assert fitted is not None and fitted[1] is not None
    constants = [slope, fitted[1]]
    return Case(((1, 3, 4, 2),), fitted[0], lambda generator: constants, quants=(x, y))


class Prelu(Operator):
    """A ReLU with a trained slope below zero, one for each channel."""

    name = "prelu"
    in_words = "PReLU"
    attributes = PreluAttributes

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        return {("", "PRelu"): _import_prelu}

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return {("", "PRelu"): _prelu_in_float}

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        channels = shapes[0][3]
        fits = list(shapes[1:]) in ([(channels,)], [(channels,), (_BITS_BYTES * channels,)])
        return shapes[0] if fits else None

    def cases(self) -> Mapping[str, Case]:
        return {
            "of 5 channels": Case(((1, 3, 4, 5),), PreluAttributes(), _slopes(0.25, 0.1, 0.0, 1.0, 0.013)),
            "of slopes of any sign": Case(((1, 3, 4, 3),), PreluAttributes(), _slopes(-0.5, 2.5, 0.3)),
            "of ties": _case_of_ties(),
            "of a pixel": Case(((1, 1, 1, 2),), PreluAttributes(), _slopes(0.2, -0.1)),
        }

    def constants(self, node: Node) -> tuple[str, ...]:
        return node.inputs[1:]

    def scaled_alike(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return node.inputs[:1]

    def is_channelwise(self, node: Node) -> bool:
        return True

    def parameters(self, node: Node, graph: Graph) -> int:
        return len(graph.constant(node.inputs[1]))

    def check_attributes(self, node: Node, graph: Graph) -> str:
        a: PreluAttributes = node.attributes
        is_one_each = len(a.multipliers) == graph.tensors[node.outputs[0]].shape[3]
        largest = max((abs(m) for m in (a.multiplier, *a.multipliers)), default=0)
        fits = 1 <= a.shift <= 30 and _fits_int32(largest, a.shift, a.raised)
        return "" if is_one_each and fits else "the multipliers are not one for each channel, or leave int32"

    # --- float32 ---

    def run_float(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return _prelu(inputs[0], graph.constant(node.inputs[1]))

    def gradient(
        self, node: Node, graph: Graph, inputs: Sequence[np.ndarray], gradient: np.ndarray
    ) -> Sequence[np.ndarray]:
        return [gradient * np.where(inputs[0] >= 0, np.float32(1), graph.constant(node.inputs[1]))]

    def bounds(self, node: Node, graph: Graph, inputs: Sequence[Bounds]) -> Bounds:
        low, high = (np.clip(bound, -_FARTHEST, _FARTHEST) for bound in inputs[0])
        ends = [_prelu(end, graph.constant(node.inputs[1])) for end in (low, high, np.clip(0.0, low, high))]
        return np.min(ends, axis=0), np.max(ends, axis=0)

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        return [self._spell(node.inputs[0], node.outputs[0], node, graph)]

    def _spell(self, x: str, y: str, node: Node, graph: Graph) -> OnnxOp:
        slope = {node.inputs[1]: graph.constant(node.inputs[1]).reshape(-1, 1, 1)}
        return OnnxOp("PRelu", (x, *slope), (y,), {}, slope)

    def keep_outputs(self, node: Node, graph: Graph, keep: np.ndarray) -> dict[str, np.ndarray]:
        return {node.inputs[1]: graph.constant(node.inputs[1])[keep]}

    # --- int8 ---

    def quantize(self, node: Node, graph: Graph, quants: Mapping[str, Quant]) -> tuple[Node, list[Tensor]]:
        x, y, slope = quants[node.inputs[0]], quants[node.outputs[0]], graph.constant(node.inputs[1])
        fitted = fit_lines(_table(slope, x, y), slope, x, y)
        if fitted is None:
            raise QuantError(f"no exact integer form for a PReLU with scales {scale_of(x):.9g} -> {scale_of(y):.9g}")
        attributes, bits = fitted
        if bits is None:
            return replace(node, attributes=attributes), []
        corrections = Tensor(f"{node.name}.corrections", bits.shape, "int8", bits)
        return replace(node, inputs=(*node.inputs, corrections.name), attributes=attributes), [corrections]

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        (x,) = inputs
        x_zero, y_zero = (quant_of(graph, name).zero_point for name in (node.inputs[0], node.outputs[0]))
        result = _run_lines(node.attributes, x.astype(np.int64) - x_zero, y_zero)
        if len(node.inputs) == 2:
            return result
        bits = graph.constant(node.inputs[2]).view(np.uint8).reshape(-1, _BITS_BYTES)
        is_lower = np.unpackbits(bits, axis=1, bitorder="little")
        return result - is_lower[np.arange(x.shape[3]), x.astype(np.int64) - INT8_MIN].astype(np.int8)

    def spell_int8(self, node: Node, graph: Graph) -> list[OnnxOp]:
        output = node.outputs[0]
        read, x = spell_dequantize(graph, node.inputs[0], node.name)
        real = f"{output}__real"
        return [read, self._spell(x, real, node, graph), spell_quantize(real, output, quant_of(graph, output))]

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        return (ScalarKernel("prelu", PARAMS, _pack, writes_slices=True),)


def _prelu(x: np.ndarray, slope: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, x, x * slope)


# --- the integer form ---


def _table(slope: np.ndarray, x: Quant, y: Quant) -> np.ndarray:
    """The float32 results of all values: int8 [256, C], for -128 first."""
    return quantize_linear(_prelu(real_levels(x)[:, None], slope), scale_of(y), y.zero_point)


def fit_lines(
    table: np.ndarray, slope: np.ndarray, x: Quant, y: Quant
) -> tuple[PreluAttributes, np.ndarray | None] | None:
    """Two lines for each channel that meet at the zero point and give the results of a table, or one more.

    table    int8 [256, C], for -128 first
    slope    float32 [C]
    returns  attributes, and int8 [32 * C] with a bit where the lines are one too high; None if they miss by more
    """
    ratio = float(scale_of(x)) / float(scale_of(y))
    ratios = np.clip(np.array([ratio, *(slope.astype(np.float64) * ratio)]), -_LARGEST_RATIO, _LARGEST_RATIO)
    centred = (INT8_LEVELS - x.zero_point)[:, None] + np.zeros(len(slope), np.int64)
    for raised in (0.0, _RAISED):
        for shift in range(22, 9, -1):
            multipliers, lift = np.rint(ratios * 2.0**shift).astype(np.int64), round(raised * 2**shift)
            if not _fits_int32(int(np.abs(multipliers).max()), shift, lift):
                continue
            found = PreluAttributes(int(multipliers[0]), tuple(int(m) for m in multipliers[1:]), shift, lift)
            excess = _run_lines(found, centred, y.zero_point).astype(np.int64) - table
            if not excess.any():
                return replace(found, raised=0) if raised == 0 else found, None
            if raised and excess.min() >= 0 and excess.max() <= 1:
                return found, np.packbits(excess.T.astype(bool), axis=1, bitorder="little").reshape(-1).view(np.int8)
    return None


def _fits_int32(largest: int, shift: int, raised: int) -> bool:
    return (INT8_MAX - INT8_MIN) * largest + (1 << (shift - 1)) + raised <= INT32_MAX


def _run_lines(attributes: PreluAttributes, centred: np.ndarray, zero_point: int) -> np.ndarray:
    """int8 results of int64 [..., C] centred values, without corrections."""
    multipliers = np.where(centred >= 0, attributes.multiplier, np.array(attributes.multipliers, np.int64))
    half = (1 << (attributes.shift - 1)) + attributes.raised
    value = ((centred * multipliers + half) >> attributes.shift) + zero_point
    return np.clip(value, INT8_MIN, INT8_MAX).astype(np.int8)


# --- how ONNX files spell it ---


def _import_prelu(call: OnnxCall) -> Value:
    """source  ONNX operator PRelu: the slope is broadcast to x"""
    x = call.value(0)
    return call.emit_like(Prelu.name, x, PreluAttributes(), [("slope", per_channel(call, x, 1))])


# --- how quantized ones do ---


def _prelu_in_float(call: PrequantizedCall) -> Value | Declined:
    """PRelu in float32 between DequantizeLinear and QuantizeLinear; of 256 values of each channel ONNX Runtime says the
    results. With one slope it is a table, as any other function."""
    if not call.is_constant(1) or call.constant(1).size == 1:
        return Declined()
    (x, steps), slope = call.real_steps(0), per_channel(call, call.value(0), 1).astype(np.float32)
    unsigned = call.meaning(0).unsigned
    output = call.builder.activation(call.node.outputs[0], call.extents(x), call)

    def finish(y_in_file: FileQuant, activation: Activation | None) -> Node:
        nodes, last = chained(steps, "x", "step")
        quantize, constants = quantize_node(y_in_file, "both", "y")
        values = np.repeat(every_value(unsigned)[:, None], len(slope), axis=1)
        prelu = OnnxNode("PRelu", "", "", (last, "probe_slope"), ("both",))
        found = call.ask([*nodes, prelu, quantize], {"x": values}, "y", {**constants, "probe_slope": slope})
        table = np.clip(as_int8(found), *limits(y_in_file, activation))
        fitted = fit_lines(table, slope, call.builder.quants[x.tensor], y_in_file.quant) if len(steps) == 1 else None
        if fitted is None:
            raise call.refuse(f"{call.op}: no exact integer form for its scales", "quantize the model again")
        inputs = [x.tensor, call.builder.add_constant(f"{call.name}.slope", slope)]
        if fitted[1] is not None:
            inputs.append(call.builder.add_quantized(f"{call.name}.corrections", fitted[1], None))
        return Node(call.name, Prelu.name, tuple(inputs), (output,), fitted[0])

    return unfinished(call, replace(x, tensor=output), finish)
