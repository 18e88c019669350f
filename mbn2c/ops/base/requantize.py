"""How accumulators become int8: attributes that several operators have."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False)
class Requantize:
    """How an int32 accumulator becomes int8, per output channel; see `numerics`.

    scale       float32 [C], the multiplier m ONNX Runtime uses
    multiplier  int64 [C], the integer M
    shift       out = (acc * M + (zero_point << shift) + 2^(shift - 1)) >> shift, then saturated
    form        "mul32" (the sum fits 32 bits), "mulhi" (M << (32 - shift) fits 32 bits) or "mul64"
    """

    scale: np.ndarray
    multiplier: np.ndarray
    shift: int
    form: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FloatSum:
    """How ONNX Runtime computes a layer that it leaves in float32 between DequantizeLinear and QuantizeLinear.

    x_scale, y_scale  float32 values
    w_scale           float32 [C]
    bias              float32 [C]
    order             "fma": one fused multiply-add after the other in blocks of `block` products, each block added
                      to the sum, the bias last; "fours": four products, added up, then added to the sum that
                      starts as the bias
    block             products per block of "fma"
    """

    x_scale: float
    y_scale: float
    w_scale: np.ndarray
    bias: np.ndarray
    order: str
    block: int


@dataclass(frozen=True)
class FloatMean:
    """How ONNX Runtime averages `count` pixels of a channel in float32.

    x_scale, y_scale  float32 values
    lanes             1: one pixel after the other. 4: four partial sums, pixel i in sum i % 4, added up as
                      (0 + 2) + (1 + 3), what is left over at last
    unroll            with 2, every second group of four pixels has partial sums of its own
    is_aligned        the groups of four begin where a multiple of four floats lies before them in the whole tensor,
                      channel by channel; pixels before are left over too
    zero_point        added before rounding, not after it; as the file has it
    """

    x_scale: float
    y_scale: float
    count: int
    lanes: int = 1
    unroll: int = 1
    is_aligned: bool = False
    zero_point: int = 0


@dataclass(frozen=True, eq=False)
class GuardedRequantize:
    """How the int32 accumulator of a prequantized layer, whose scales are fixed, becomes int8; see `guarded`.

    (acc * multiplier + 2^(shift - 1)) >> shift decides, unless that lies within `band` of a step: then ONNX
    Runtime's own float32 arithmetic does.

    multiplier  int64 [C], below 2^31
    shift       1 to 31
    band        int64 [C], in units of 2^-shift of an output step
    scale       float32 [C], m of QLinearConv: rint(float32(acc) * m); unused with `float_sum`
    low, high   the result is clamped to these int8 values
    float_sum   for convolutions and dense layers that ONNX Runtime sums in float32
    float_mean  for averages that it computes in float32
    """

    multiplier: np.ndarray
    shift: int
    band: np.ndarray
    scale: np.ndarray
    low: int = -128
    high: int = 127
    float_sum: FloatSum | None = None
    float_mean: FloatMean | None = None


@dataclass(frozen=True, eq=False)
class WideRequantize:
    """How the int32 accumulator of a layer that reads or makes int16 becomes its output; see `wide`.

    multiplier  int64 [C], positive, below 2^21
    shift       out = ((acc * M + 2^(shift - 1)) >> shift) + zero_point, clamped to low and high
    low, high   of the output's type, or where its clamp lies
    """

    multiplier: np.ndarray
    shift: int
    low: int
    high: int

    @property
    def scale(self) -> np.ndarray:
        """float32 [C], output steps per unit of the accumulator."""
        return np.asarray(np.ldexp(self.multiplier.astype(np.float64), -self.shift).astype(np.float32))


AnyRequantize = Requantize | GuardedRequantize | WideRequantize


def is_in_float(requantize: AnyRequantize) -> bool:
    """Whether ONNX Runtime sums or averages in float32 before it."""
    return isinstance(requantize, GuardedRequantize) and (
        requantize.float_sum is not None or requantize.float_mean is not None
    )


def first_channel(requantize: AnyRequantize) -> AnyRequantize:
    """That of the first output channel, for an operator that has one for all."""
    if isinstance(requantize, WideRequantize):
        return replace(requantize, multiplier=requantize.multiplier[:1])
    first = replace(requantize, scale=requantize.scale[:1], multiplier=requantize.multiplier[:1])
    return replace(first, band=first.band[:1]) if isinstance(first, GuardedRequantize) else first
