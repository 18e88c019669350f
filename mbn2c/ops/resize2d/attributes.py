"""The attributes of resize2d, and where in the input its output's rows and columns lie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from mbn2c.ir.row_map import RowMap
from mbn2c.ops.base.requantize import Requantize

NEAREST, LINEAR = "nearest", "linear"
# With a larger denominator, weights are rounded to parts of this: far below what int8 shows.
LARGEST_DENOMINATOR = 256
TRANSFORMS = ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel")
ROUNDINGS = ("floor", "round_prefer_floor", "round_prefer_ceil", "ceil")


@dataclass(frozen=True)
class Resize2dAttributes:
    """resize2d, input (x).

    size        (height, width) of the output
    mode        "nearest", or "linear" in both directions
    transform   ONNX's coordinate_transformation_mode
    rounding    ONNX's nearest_mode, of the mode "nearest"
    table       int8 form of "nearest": what each value becomes, for -128 first; None where it stays itself
    requantize  int8 form of "linear", one multiplier
    """

    size: tuple[int, int]
    mode: str = NEAREST
    transform: str = "half_pixel"
    rounding: str = "round_prefer_floor"
    table: tuple[int, ...] | None = None
    requantize: Requantize | None = None

    @property
    def words(self) -> str:
        """As the Graph is printed."""
        return f"{self.mode} {self.transform} to {self.size[0]}x{self.size[1]}"

    def axis(self, axis: int, extent: int) -> Axis:
        """Along height (0) or width (1), of an input of that extent."""
        return Axis(extent, self.size[axis], self.mode, self.transform, self.rounding)


@dataclass(frozen=True)
class Axis:
    """Height or width: where each output position lies between the input positions.

    source  ONNX operator Resize
    """

    before: int
    after: int
    mode: str
    transform: str
    rounding: str

    @property
    def line(self) -> tuple[int, int, int]:
        """(numerator, phase, denominator): output position y lies at (y * numerator + phase) / denominator."""
        before, after = self.before, self.after
        if self.transform == "asymmetric":
            return before, 0, after
        if after == 1 and self.transform != "half_pixel":
            return 0, 0, 1
        if self.transform == "align_corners":
            return before - 1, 0, after - 1
        return 2 * before, before - after, 2 * after

    @property
    def row_map(self) -> RowMap:
        """The positions that one output position needs: the nearest, or the two around it."""
        numerator, phase, denominator = self.line
        count = 1
        if self.mode == LINEAR:
            count = 2
        elif self.rounding == "ceil":
            phase += denominator - 1
        elif self.rounding != "floor":
            # floor((2 s + 1) / 2), or ceil((2 s - 1) / 2).
            numerator, phase, denominator = 2 * numerator, 2 * phase + denominator, 2 * denominator
            phase -= 1 if self.rounding == "round_prefer_floor" else 0
        divisor = math.gcd(numerator, phase, denominator)
        numerator, phase, denominator = numerator // divisor, phase // divisor, denominator // divisor
        return RowMap(count, numerator, denominator, phase, lowest=0, highest=self.before - 1)

    @property
    def places(self) -> list[Fraction]:
        """Where the output positions lie, beyond no end of the input."""
        numerator, phase, denominator = self.line
        exact = (Fraction(y * numerator + phase, denominator) for y in range(self.after))
        return [min(max(place, Fraction(0)), Fraction(self.before - 1)) for place in exact]

    @property
    def nearest(self) -> list[int]:
        """The input position that each output position is."""
        numerator, phase, denominator = self.line
        half = Fraction(1, 2)
        found = []
        for y in range(self.after):
            place = Fraction(y * numerator + phase, denominator)
            rounded = {
                "floor": math.floor(place),
                "ceil": math.ceil(place),
                "round_prefer_floor": math.ceil(place - half),
                "round_prefer_ceil": math.floor(place + half),
            }[self.rounding]
            found.append(min(max(rounded, 0), self.before - 1))
        return found

    @property
    def nearest_in_float(self) -> list[int]:
        """The same as ONNX Runtime finds it, in float32."""
        y = np.arange(self.after, dtype=np.float32)
        scale = np.float32(self.after) / np.float32(self.before)
        if self.transform == "align_corners":
            last = np.float32(max(self.after - 1, 1))
            place = y * np.float32(self.before - 1) / last if self.after > 1 else y * 0
        elif self.transform == "asymmetric":
            place = y / scale
        elif self.transform == "pytorch_half_pixel" and self.after == 1:
            place = y * 0
        else:
            place = (y + np.float32(0.5)) / scale - np.float32(0.5)
        floor, half = np.floor(place), np.float32(0.5)
        rounded = {
            "floor": floor,
            "ceil": np.ceil(place),
            "round_prefer_floor": np.where(place - floor == half, floor, np.floor(place + half)),
            "round_prefer_ceil": np.floor(place + half),
        }[self.rounding]
        return [int(one) for one in np.clip(rounded, 0, self.before - 1)]

    @property
    def parts(self) -> int:
        """What the weights of two neighbours add up to."""
        exact = math.lcm(*(place.denominator for place in self.places))
        return min(exact, LARGEST_DENOMINATOR)

    @property
    def weights(self) -> list[tuple[int, int]]:
        """For each output position the lower neighbour, and the weight of the upper one of `parts`."""
        total = self.parts
        found = []
        for place in self.places:
            lower = math.floor(place)
            found.append((lower, round((place - lower) * total)))
        return found

    @property
    def matrix(self) -> np.ndarray:
        """The weights as a matrix of whole numbers: int64 [after, before]."""
        matrix = np.zeros((self.after, self.before), np.int64)
        for y, (lower, weight) in enumerate(self.weights):
            matrix[y, lower] += self.parts - weight
            matrix[y, min(lower + 1, self.before - 1)] += weight
        return matrix
