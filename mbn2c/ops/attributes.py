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
    multiplier  int64 [C], the integer M; 0 where `form` is "float"
    shift       out = (acc * M + (zero_point << shift) + 2^(shift - 1)) >> shift, then saturated
    form        "mul32" (the sum fits 32 bits), "mulhi" (M << (32 - shift) fits 32 bits) or "float"
    """

    scale: np.ndarray
    multiplier: np.ndarray
    shift: int
    form: tuple[str, ...]


@dataclass(frozen=True)
class ConvAttributes:
    """conv2d, inputs (x, weights OHWI, bias O); depthwise_conv2d, inputs (x, weights HWC, bias C).

    depth_multiplier  output channels per input channel; output channel c reads input channel
                      c // depth_multiplier; always 1 for conv2d
    """

    window: Window = Window()
    depth_multiplier: int = 1
    activation: Activation | None = None
    requantize: Requantize | None = None


@dataclass(frozen=True)
class FullyConnectedAttributes:
    """fully_connected, inputs (x [1, 1, 1, I], weights OI, bias O)."""

    activation: Activation | None = None
    requantize: Requantize | None = None


@dataclass(frozen=True)
class AddAttributes:
    """add, inputs (a, b) of equal shape.

    multipliers  int8 form: out = (a * multipliers[0] + b * multipliers[1] + offset) >> shift, saturated
    """

    activation: Activation | None = None
    multipliers: tuple[int, int] = (0, 0)
    offset: int = 0
    shift: int = 0


@dataclass(frozen=True)
class AveragePool2dAttributes:
    """average_pool2d, input (x); a window without pads, or with pads that count as zeros.

    The global average pool is the window that covers the whole input.
    """

    window: Window = Window()
    requantize: Requantize | None = None


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
    """lookup, int8 only, input (x): out = table[x + 128], an elementwise function of one tensor."""

    table: tuple[int, ...]
    activation: Activation
