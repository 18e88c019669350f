"""The attributes of average_pool2d, which both of its imports make."""

from __future__ import annotations

from dataclasses import dataclass

from mbn2c.ir.window import Window
from mbn2c.ops.base.requantize import GuardedRequantize, Requantize


@dataclass(frozen=True)
class AveragePool2dAttributes:
    """average_pool2d, input (x); a window without pads, or with pads that count as zeros.

    The global average pool is the window that covers the whole input.
    """

    window: Window = Window()
    requantize: Requantize | GuardedRequantize | None = None
