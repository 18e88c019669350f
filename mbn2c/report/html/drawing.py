"""Numbers -> coordinates and words of a picture."""

from __future__ import annotations

import re
from dataclasses import dataclass

# About how many marks an axis has.
TICKS = 6


@dataclass(frozen=True)
class Mark:
    """A place on an axis, or a loop's stripe: where it is, how wide, and what stands there."""

    at: str
    text: str
    width: str = ""
    title: str = ""


def y_of(arena: int, value: float, top: float, height: float) -> float:
    """The y of an address or a size; 0 is at the bottom."""
    return top + height * (1 - value / arena)


def ticks(most: int) -> list[int]:
    """Round sizes from 0 to `most` bytes, for an axis."""
    step = int(round_step(max(most / TICKS, 16), 2))
    return list(range(0, most + 1, step))


def round_step(step: float, base: int) -> float:
    """The next round number: 1, 2 or 5 times a power of ten, or a power of two."""
    power = 1.0
    while power * base <= step:
        power *= base
    while power > step:
        power /= base
    return next(power * factor for factor in ((1, 2) if base == 2 else (1, 2, 5, 10)) if power * factor >= step)


def number(value: float) -> str:
    """A coordinate."""
    return f"{value:.1f}"


def kib(value: float) -> str:
    """As short as an axis wants it."""
    if value < 1024:
        return f"{value:.0f} B"
    return f"{value / 1024:.3g} KiB" if value < 2**20 else f"{value / 2**20:.3g} MiB"


def text_of_bytes(value: int | None) -> str:
    """With its KiB, or what stands there before compilation."""
    if value is None:
        return "not compiled"
    return f"{value:,} B" if value < 1024 else f"{value:,} B ({value / 1024:,.1f} KiB)"


def name_parts(name: str) -> list[str]:
    """A layer's name, cut where a line may end."""
    return re.findall(r"[^/.]*[/.]+|[^/.]+", name)


def share_text(value: int, whole: int) -> str:
    """ "4.6 % of 128 KiB"."""
    return f"{100 * value / whole:.1f} % of {kib(whole)}"
