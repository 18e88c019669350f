"""The attribute classes of all operators, float32 and int8 alike.

An operator's meaning stands in its own file; its attributes stand here because the importer, the
passes and the planner all speak them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbn2c.ir.window import Activation, Window


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
    """How the int32 accumulator of an imported layer, whose scales are given, becomes int8; see `ops/guarded.py`.

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


@dataclass(frozen=True)
class ConvAttributes:
    """conv2d, inputs (x, weights OHWI, bias O); depthwise_conv2d, inputs (x, weights HWC, bias C).

    depth_multiplier  output channels per input channel; output channel c reads input channel
                      c // depth_multiplier; always 1 for conv2d
    """

    window: Window = Window()
    depth_multiplier: int = 1
    activation: Activation | None = None
    requantize: Requantize | GuardedRequantize | None = None


@dataclass(frozen=True)
class FullyConnectedAttributes:
    """fully_connected, inputs (x [1, 1, 1, I], weights OI, bias O)."""

    activation: Activation | None = None
    requantize: Requantize | GuardedRequantize | None = None


@dataclass(frozen=True)
class AddAttributes:
    """add, inputs (a, b) of equal shape; an imported add may have a third input, int8 [8192].

    multipliers  int8 form: out = (a * multipliers[0] + b * multipliers[1] + offset) >> shift, saturated; where bit
                 b % 8 of byte (a * 256 + b) / 8 of the third input is set (a and b counted from -128), one less
    """

    activation: Activation | None = None
    multipliers: tuple[int, int] = (0, 0)
    offset: int = 0
    shift: int = 0


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


@dataclass(frozen=True)
class AveragePool2dAttributes:
    """average_pool2d, input (x); a window without pads, or with pads that count as zeros.

    The global average pool is the window that covers the whole input.
    """

    window: Window = Window()
    requantize: Requantize | GuardedRequantize | None = None


@dataclass(frozen=True)
class ClampAttributes:
    """clamp, input (x): ReLU, ReLU6, Clip. Passes fuse it into its producer; alone it becomes a lookup."""

    activation: Activation


@dataclass(frozen=True)
class ScaleShiftAttributes:
    """scale_shift, inputs (x, scale C, shift C): y = x * scale + shift per channel, float32 only.

    origin  what it was in the ONNX file: "BatchNormalization", "Mul", "Add", "Mul+Add"
    """

    origin: str


@dataclass(frozen=True)
class PadAttributes:
    """pad, input (x): constant padding, float32 only; passes fold it into the consumer.

    pad  (top, left, bottom, right)
    """

    pad: tuple[int, int, int, int]
    value: float = 0.0


@dataclass(frozen=True)
class LookupAttributes:
    """lookup, int8 only, input (x): out = table[x + 128], an elementwise function of one tensor.

    activation  the clamp it stands for; None for another function of an imported model
    """

    table: tuple[int, ...]
    activation: Activation | None
