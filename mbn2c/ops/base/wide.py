"""Layers that read or make an int16 activation: their requantization, and how the exported model spells it.

No quantized ONNX operator has int16 activations with defined arithmetic, so the exported model spells such a layer in
operators whose results cannot depend on who computes them, and the integer form of the device is the same by
construction; there is no staircase to be proved. With int8 weights w and whole numbers x

    out = clamp(floor(acc * (M * 2^-shift) + 0.5) + zero_point),  acc = sum(w * x) + bias

- The sum is a float32 Conv of whole numbers. Where it may reach 2^24, float32 would round it; then x is split into
  two halves, x = R * high + low, whose sums stay below, and the two results are put together in float64.
- M has at most 21 bits and |acc| at most 31, so their product, and that with 0.5 added, is exact in float64.

What has no weights computes another whole number of its inputs, exact in float64, and ends in the same line: a product,
the largest value, the value itself. A function of a value is made of straight lines between two entries of a table,
see `segments`.

Any order of additions, fused multiply-adds and any number of threads give the same. Source: design.md, section 13.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mbn2c.errors import QuantError
from mbn2c.ir.graph import Graph, Quant
from mbn2c.ir.window import Activation
from mbn2c.numerics import INT32_MAX, ProvedScales
from mbn2c.ops.base.operator import OnnxOp
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.ops.base.requantize import WideRequantize

MULTIPLIER_BITS = 21
# The high word of a product is the result. Multipliers with fewer bits only scale weights that are small beside a step.
_LONGEST_SHIFT = 32
# Of those who have no such kernel: with half a step and a zero point added, float64 still holds the product.
_LONGEST_SCALAR_SHIFT = 44
# float32 and float64 hold every whole number below.
_FLOAT32_WHOLE, _FLOAT64_WHOLE = 2**24, 2**53
# Where a layer's weights could carry the accumulator beyond 32 bits, they are made so much smaller than they must be:
# fitted weights are not those that were looked at.
_SLACK = 9 / 8


def is_wide(quants: Iterable[Quant]) -> bool:
    """Whether one of these activations is int16."""
    return any(quant.bits == 16 for quant in quants)


def choose_wide_scales(x: Quant, w_scale: np.ndarray, y: Quant, acc_bound: np.ndarray) -> ProvedScales:
    """Weight scales just above the wanted ones whose multipliers are integers, and whose accumulators fit 32 bits.

    w_scale    float64 [C], wanted
    acc_bound  int64 [C], of the accumulator's magnitude at these scales
    raises     QuantError if a layer's values are far finer than its output's
    """
    ratio = float(scale_of(x)) / float(scale_of(y))
    wanted = ratio * w_scale * np.maximum(1.0, acc_bound * (_SLACK / INT32_MAX))
    shift = min(MULTIPLIER_BITS - int(np.floor(np.log2(wanted.max()))) - 1, _LONGEST_SHIFT)
    if shift < 1:
        raise QuantError(
            f"a layer's values are {wanted.max():.3g} times finer than its output's: int16 holds neither",
            hint="its weights are far larger than what is left after its activation; train or export the model again",
        )
    multiplier = np.clip(np.ceil(np.ldexp(wanted, shift)), 1, 2**MULTIPLIER_BITS - 1)
    scale = np.ldexp(multiplier, -shift)
    return ProvedScales(
        (scale / ratio).astype(np.float32),
        scale.astype(np.float32),
        multiplier.astype(np.int64),
        shift,
        np.ones(len(scale), np.int64),
    )


def wide_line(ratio: float, acc_bound: int, y: Quant, activation: Activation | None = None) -> WideRequantize:
    """The requantization of whole numbers that are `ratio` output steps each, and none beyond `acc_bound`.

    raises  QuantError if they are far more than the output can hold
    """
    shift = min(MULTIPLIER_BITS - int(np.floor(np.log2(ratio))) - 1, _LONGEST_SCALAR_SHIFT)
    if shift < 1:
        raise QuantError(f"its inputs are {ratio:.3g} times coarser than its output", hint="leave it in int8")
    multiplier = np.clip(np.rint(np.ldexp([ratio], shift)), 1, 2**MULTIPLIER_BITS - 1).astype(np.int64)
    assert acc_bound <= INT32_MAX, f"{acc_bound} leaves 32 bits"
    return WideRequantize(multiplier, shift, *clamp_codes(y, activation))


def wide_reach(x: Quant) -> int:
    """The greatest magnitude of a value less its zero point."""
    return max(x.highest - x.zero_point, x.zero_point - x.lowest)


def centred(x: Quant, values: np.ndarray) -> np.ndarray:
    """int8 or int16 values less their zero point: int64."""
    return values.astype(np.int64) - x.zero_point


def wide_requantize(
    proved: ProvedScales, y: Quant, activation: Activation | None, acc_bound: np.ndarray, where: str
) -> WideRequantize:
    """The requantization of a layer with these scales.

    raises  QuantError naming the layer if its accumulators can leave 32 bits
    """
    if (acc_bound > INT32_MAX).any():
        raise QuantError("accumulators of this layer can overflow 32 bits", where=where, hint="leave it in int8")
    assert (acc_bound * proved.multiplier < _FLOAT64_WHOLE // 2).all(), f"{where}: a product leaves float64"
    return WideRequantize(proved.multiplier, proved.shift, *clamp_codes(y, activation))


def clamp_codes(y: Quant, activation: Activation | None) -> tuple[int, int]:
    """Between which values an output stays: those of its type, and where its activation ends."""
    if activation is None:
        return y.lowest, y.highest
    ends = np.array([activation.low, activation.high]) / float(scale_of(y)) + y.zero_point
    low, high = np.clip(np.rint(ends), y.lowest, y.highest)
    return int(low), int(high)


def run_wide(requantize: WideRequantize, accumulated: np.ndarray, y: Quant) -> np.ndarray:
    """Accumulators, int [..., C], within int32, to int8 or int16."""
    rounding = 1 << (requantize.shift - 1)
    value = ((accumulated.astype(np.int64) * requantize.multiplier + rounding) >> requantize.shift) + y.zero_point
    return as_codes(value, requantize.low, requantize.high, y)


def as_codes(values: np.ndarray, low: int, high: int, y: Quant) -> np.ndarray:
    """Whole numbers, clamped, in the output's type."""
    return np.clip(values, low, high).astype(y.dtype)


# --- how the exported model spells it ---


def spell_wide_conv(
    graph: Graph,
    names: tuple[str, str],
    weights: tuple[str, np.ndarray],
    bias: np.ndarray,
    attributes: Mapping[str, Any],
    requantize: WideRequantize,
) -> list[OnnxOp]:
    """A convolution.

    names    of x and of the output
    weights  (name, int8 OIHW)
    bias     int32 [C]
    """
    x, output = names
    quant = quant_of(graph, x)
    spelled = [*spell_whole(graph, x, f"{output}__x")]
    reach = int(np.abs(weights[1].astype(np.int64)).reshape(len(weights[1]), -1).sum(axis=1).max())
    largest = wide_reach(quant)
    name, kernel = weights[0], weights[1].astype(np.float32)

    def conv(source: str, to: str) -> list[OnnxOp]:
        summed = OnnxOp("Conv", (source, name), (f"{to}__float",), dict(attributes), {name: kernel})
        return [summed, spell_cast(f"{to}__float", to, np.float64)]

    acc = f"{output}__acc"
    if reach * largest < _FLOAT32_WHOLE:
        spelled += conv(f"{output}__x", f"{output}__products")
    else:
        # The halves of an int16 are a signed and an unsigned byte; of an int8, less its zero point, a few bits each.
        radix = 256 if quant.bits == 16 else 16
        assert reach * max(radix, largest // radix + 1) < _FLOAT32_WHOLE, f"{output}: a sum leaves float32"
        spelled += _spell_halves(f"{output}__x", (f"{output}__upper", f"{output}__lower"), radix)
        spelled += conv(f"{output}__upper", f"{output}__upper_sum") + conv(f"{output}__lower", f"{output}__lower_sum")
        spelled.append(spell_by(f"{output}__upper_sum", f"{output}__upper_part", "Mul", np.float64(radix)))
        parts = (f"{output}__upper_part", f"{output}__lower_sum")
        spelled.append(OnnxOp("Add", parts, (f"{output}__products",)))
    spelled.append(spell_by(f"{output}__products", acc, "Add", bias.astype(np.float64).reshape(1, -1, 1, 1)))
    return spelled + spell_requantize(graph, acc, output, requantize)


def spell_whole(graph: Graph, x: str, output: str, dtype: type = np.float32) -> list[OnnxOp]:
    """int8 or int16 `x` less its zero point, as whole numbers in floating point."""
    zero_point = quant_of(graph, x).zero_point
    if zero_point == 0:
        return [spell_cast(x, output, dtype)]
    return [spell_cast(x, f"{output}__raw", dtype), spell_by(f"{output}__raw", output, "Sub", dtype(zero_point))]


def spell_requantize(graph: Graph, acc: str, output: str, requantize: WideRequantize) -> list[OnnxOp]:
    """float64 `acc` -> clamp(floor(acc * scale + 0.5) + zero_point) as int8 or int16."""
    scaled = spell_by(acc, f"{output}__scaled", "Mul", steps_per_unit(requantize).reshape(1, -1, 1, 1))
    return [scaled, *spell_rounded(graph, f"{output}__scaled", output, (requantize.low, requantize.high))]


def steps_per_unit(requantize: WideRequantize) -> np.ndarray:
    """Output steps per unit of the accumulator, exact: float64 [C]."""
    return np.ldexp(requantize.multiplier.astype(np.float64), -requantize.shift)


def spell_rounded(graph: Graph, steps: str, output: str, ends: tuple[int, int]) -> list[OnnxOp]:
    """float64 `steps` above the zero point -> clamp(floor(steps + 0.5) + zero_point); ends: low, high."""
    # With a whole number added first or last, the floor is the same.
    half = np.float64(quant_of(graph, output).zero_point + 0.5)
    moved = spell_by(steps, f"{output}__half", "Add", half)
    return [moved, *spell_floored(graph, f"{output}__half", output, ends)]


def spell_floored(graph: Graph, real: str, output: str, ends: tuple[int, int]) -> list[OnnxOp]:
    """float64 `real` -> clamp(floor(real)) as int8 or int16; ends: low, high."""
    floor = OnnxOp("Floor", (real,), (f"{output}__floor",))
    limits = {f"{output}__{word}": np.array(end, np.float64) for word, end in zip(("low", "high"), ends, strict=True)}
    clip = OnnxOp("Clip", (f"{output}__floor", *limits), (f"{output}__clipped",), {}, limits)
    return [floor, clip, spell_cast(f"{output}__clipped", output, np.dtype(graph.tensors[output].dtype).type)]


def spell_by(x: str, output: str, op_type: str, constant: np.ndarray | np.generic) -> OnnxOp:
    """`x` and a constant, added, subtracted or multiplied."""
    name = f"{output}__by"
    return OnnxOp(op_type, (x, name), (output,), {}, {name: np.asarray(constant)})


def spell_cast(x: str, output: str, dtype: type) -> OnnxOp:
    """ONNX Cast."""
    return OnnxOp("Cast", (x,), (output,), {"to": _TENSOR_TYPES[np.dtype(dtype).name]})


def _spell_halves(x: str, outputs: tuple[str, str], radix: int) -> list[OnnxOp]:
    """Whole float32 `x` -> floor(x / radix), and what is left."""
    high, low = outputs
    return [
        spell_by(x, f"{high}__exact", "Mul", np.float32(1 / radix)),
        OnnxOp("Floor", (f"{high}__exact",), (high,)),
        spell_by(high, f"{high}__whole", "Mul", np.float32(radix)),
        OnnxOp("Sub", (x, f"{high}__whole"), (low,)),
    ]


# onnx.TensorProto's numbers, since only `frontend` knows that package.
_TENSOR_TYPES = {"float32": 1, "int8": 3, "int16": 5, "int32": 6, "float64": 11}
