"""Numbers that verify and report share: shares with their confidence interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

_Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Share:
    """`hits` of `total`, as a fraction with its 95 % interval.

    source  Wilson, Probable inference (1927): right for small samples and shares near 0 or 1
    """

    hits: int
    total: int

    @property
    def value(self) -> float:
        return self.hits / self.total

    @property
    def interval(self) -> tuple[float, float]:
        n, p, z = self.total, self.value, _Z_95
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, centre - half), min(1.0, centre + half)


def paired_drop(losses: int, gains: int, total: int) -> tuple[float, float]:
    """How much accuracy the device loses against the float model on the same images, with the interval's upper end.

    losses  images only the float model gets right
    gains   images only the device gets right
    returns (drop, upper 95 % bound), fractions
    source  Newcombe, Interval estimation for the difference between paired proportions (1998), method 1 (Wald with
            both discordant counts raised by one half, so that none is certain)
    """
    drop = (losses - gains) / total
    b, c = losses + 0.5, gains + 0.5
    variance = (b + c - (b - c) ** 2 / total) / total**2
    return drop, drop + _Z_95 * math.sqrt(max(variance, 0.0))


def decibel(signal: float, noise: float) -> float | None:
    """Signal to noise ratio in dB; None where one of them is 0."""
    return round(10 * math.log10(signal / noise), 2) if signal > 0 and noise > 0 else None
