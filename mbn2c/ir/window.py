"""Geometry shared by convolutions and pooling: a window sliding over height and width."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """A sliding window; every pair is (height, width).

    pad  (top, left, bottom, right), in pixels; padded pixels read as real 0.0
    """

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    @property
    def extent(self) -> tuple[int, int]:
        """Input rows and columns one output pixel spans, dilation included."""
        return (
            (self.kernel[0] - 1) * self.dilation[0] + 1,
            (self.kernel[1] - 1) * self.dilation[1] + 1,
        )

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the output; smaller than 1 where the window does not fit.

        source: ONNX operator Conv, output_shape with floor rounding
        """
        top, left, bottom, right = self.pad
        extent_height, extent_width = self.extent
        return (
            (height + top + bottom - extent_height) // self.stride[0] + 1,
            (width + left + right - extent_width) // self.stride[1] + 1,
        )

    def places(self, axis: int, position: int) -> tuple[int, ...]:
        """The input rows (axis 0) or columns (axis 1) of output row or column `position`; pads lie outside of it."""
        first = position * self.stride[axis] - self.pad[axis]
        return tuple(first + k * self.dilation[axis] for k in range(self.kernel[axis]))

    @property
    def is_pointwise(self) -> bool:
        """Whether an output pixel reads the input pixel in its place and no other."""
        return self.kernel == (1, 1) and self.stride == (1, 1) and self.pad == (0, 0, 0, 0)


@dataclass(frozen=True)
class Activation:
    """A clamp to [low, high] in real numbers: ReLU is (0, inf), ReLU6 is (0, 6)."""

    low: float
    high: float

    @property
    def name(self) -> str:
        """As layers are listed: "relu", "relu6" or the limits."""
        if self.low == 0 and self.high == 6:
            return "relu6"
        if self.low == 0 and self.high == float("inf"):
            return "relu"
        return f"clamp({self.low:g}, {self.high:g})"

    def then(self, later: Activation) -> Activation:
        """One clamp that does what this and then `later` do."""
        low = min(max(self.low, later.low), later.high)
        high = min(max(self.high, later.low), later.high)
        return Activation(low, high)
