"""The staircase of a channel -> constants of two short integer forms, for cores without a 64-bit multiply-add.

Both begin with n = acc - low, so that n = 0 lies on the lowest stair:

short   (min(max(n, 0), span) * factor + offset) >> 24, the low byte of it, in wrapping 32-bit arithmetic. Exact where
        the multiplier has at most 24 fraction bits: within the clamp the product cannot leave 256 stairs.
long    ((n * factor) >> bits) - 128, saturated, where one factor without any rounding constant puts every stair that
        an input can reach where it belongs. Small multipliers are reciprocals of odd numbers, whose stairs lie half a
        unit away from any accumulator, so there is room for the factor's own rounding.

Source: the multipliers that `numerics.prove_scales` chooses from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbn2c.numerics import INT8_MAX, INT8_MIN

SHORT_BITS = 24
_NO_LIMIT = np.int64(2) ** 62
# A stair is thousands of accumulators wide where the first tries can fail; then only some stairs are in reach, and
# moving n by a few tilts the line through them into a place where the rounded factor fits.
_NUDGES = sorted(range(-16, 17), key=abs)
_STAIRS = np.arange(INT8_MIN + 1, INT8_MAX + 1, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Staircases:
    """The stairs of a layer's channels: out >= k from accumulator t_k on.

    multiplier   int64 [C], out = (acc * multiplier + (zero_point << shift) + 2^(shift - 1)) >> shift, saturated
    low, high    int64 [C], accumulators that inputs can reach, bias included
    """

    multiplier: np.ndarray
    shift: int
    zero_point: int
    low: np.ndarray
    high: np.ndarray

    def steps(self, level: int) -> np.ndarray:
        """t_k of a level, which may lie outside int8; int64 [C]."""
        target = (level << self.shift) - (self.zero_point << self.shift) - (1 << (self.shift - 1))
        return np.asarray(-(-target // self.multiplier))


@dataclass(frozen=True, eq=False)
class ShortForm:
    """int64 [C] each; where `holds` is False the other values mean nothing.

    `low` may be anything from first_low to last_low, low + span anything from first_high to last_high.
    """

    holds: np.ndarray
    factor: np.ndarray
    first_low: np.ndarray
    last_low: np.ndarray
    first_high: np.ndarray
    last_high: np.ndarray


@dataclass(frozen=True, eq=False)
class LongForm:
    """int64 [C] each; where `holds` is False, and where the short form holds, the other values mean nothing."""

    holds: np.ndarray
    factor: np.ndarray
    low: np.ndarray


def short_form(stairs: Staircases) -> ShortForm:
    """Constants of the short form but for the offset, which starts from `short_rounding`."""
    if stairs.shift > SHORT_BITS:
        unit = 1 << (stairs.shift - SHORT_BITS)
        holds, factor = stairs.multiplier % unit == 0, stairs.multiplier // unit
    else:
        holds, factor = np.ones(len(stairs.multiplier), bool), stairs.multiplier << (SHORT_BITS - stairs.shift)
    return ShortForm(
        holds,
        factor,
        stairs.steps(INT8_MIN),
        stairs.steps(INT8_MIN + 1) - 1,
        stairs.steps(INT8_MAX),
        stairs.steps(INT8_MAX + 1) - 1,
    )


def short_rounding(zero_point: int) -> int:
    """The offset of the short form is this plus low * factor; all of it modulo 2^32."""
    return (zero_point << SHORT_BITS) + (1 << (SHORT_BITS - 1))


def long_form(stairs: Staircases, bits: int) -> LongForm:
    """Search a factor and a low for each channel that has no short form.

    The search is the proof: all stairs in reach are compared.
    """
    channels = len(stairs.multiplier)
    result = LongForm(np.zeros(channels, bool), np.zeros(channels, np.int64), np.zeros(channels, np.int64))
    steps = np.stack([stairs.steps(int(level)) for level in _STAIRS], axis=1)
    width = np.rint(2.0**stairs.shift / stairs.multiplier).astype(np.int64)
    # Where few stairs are in reach, many factors would do; the one that fits all stairs keeps products small.
    wanted = np.rint(2.0 ** (bits - stairs.shift) * stairs.multiplier).astype(np.int64)
    target = (_STAIRS - INT8_MIN) << bits
    open_channels = np.flatnonzero(~short_form(stairs).holds)
    for nudge in _NUDGES:
        t = steps[open_channels]
        low = t[:, 0] - width[open_channels] + nudge
        lowest, highest = stairs.low[open_channels, None], stairs.high[open_channels, None]
        on = np.maximum(t, lowest) - low[:, None]  # the first accumulator that must be on the stair
        below = np.minimum(t - 1, highest) - low[:, None]  # the last that must not
        least = np.where(t <= highest, -(-target // np.maximum(on, 1)), 1).max(axis=1)
        limits = np.where((t > lowest) & (below > 0), -(-target // np.maximum(below, 1)) - 1, _NO_LIMIT)
        most = limits.min(axis=1)
        found = ((t > highest) | (on > 0)).all(axis=1) & (least <= most)
        done = open_channels[found]
        result.holds[done], result.low[done] = True, low[found]
        result.factor[done] = np.clip(wanted[done], least[found], most[found])
        open_channels = open_channels[~found]
        if not len(open_channels):
            break
    return result
