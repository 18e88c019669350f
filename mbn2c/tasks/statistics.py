"""Numbers that verify and report share: shares with their confidence interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Share:
    """`hits` of `total`, as a fraction with its 95 % interval; neither need be whole, see `clustered_share`.

    source  Wilson, Probable inference (1927): right for small samples and shares near 0 or 1
    """

    hits: float
    total: float

    @property
    def value(self) -> float:
        """`hits` divided by `total`, which must not be 0."""
        return self.hits / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end of the 95 % interval, within 0 and 1."""
        n, p, z = self.total, self.value, _Z_95
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, centre - half), min(1.0, centre + half)


def clustered_share(hits: Sequence[int], each: int) -> Share:
    """The share of hits where every image gives `each` answers, which are not independent of each other.

    The answers count as so many independent ones as give the variance found between images: from the number of images
    (also where no two images differ) to that of all answers.

    source  Korn and Graubard, Confidence intervals for proportions with small expected number of positive counts
            estimated from survey data (1998): the effective sample size in place of the real one
    """
    images, total = len(hits), sum(hits)
    if each == 1:
        return Share(total, images)
    shares = [hit / each for hit in hits]
    p = total / (images * each)
    between = sum((share - p) ** 2 for share in shares) / max(1, images - 1)
    effective = p * (1 - p) / (between / images) if between > 0 else images
    effective = min(max(effective, images), images * each)
    return Share(p * effective, effective)


def mean_interval(values: Sequence[float], low: float, high: float) -> tuple[float, float] | None:
    """The 95 % interval of a mean, by the normal law, within `low` and `high`; None for fewer than two values."""
    if len(values) < 2:
        return None
    mean = sum(values) / len(values)
    half = _Z_95 * math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
    return max(low, mean - half), min(high, mean + half)


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


def drop_text(drop: float, upper: float) -> str:
    """What became of the accuracy, where that is too little: both as `paired_drop` returns them."""
    bound = f"{100 * upper:.2f} % with 95 % confidence"
    if is_gain(100 * drop):
        return f"accuracy gains {-100 * drop:.2f} %, but may drop by up to {bound}"
    return f"accuracy drops by {100 * abs(drop):.2f} %, at most {bound}"


def is_gain(drop: float) -> bool:
    """Whether a drop, in per cent, is none but a gain, to the digits that are printed."""
    return round(drop, 2) < 0


def decibel(signal: float, noise: float) -> float | None:
    """Signal to noise ratio in dB; None where one of them is 0."""
    return round(10 * math.log10(signal / noise), 2) if signal > 0 and noise > 0 else None
