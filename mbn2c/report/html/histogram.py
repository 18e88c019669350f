"""What a layer's output held -> a small picture: how often (logarithmic), and the range that its int8 values cover."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

from mbn2c.report.layers import LayerFacts

# Of the picture, in its own units; bars stand above the line of the range.
WIDTH, HEIGHT = 320, 100
_BARS, _LINE = 84, 92


@dataclass(frozen=True)
class Histogram:
    """Paths: the bars as one outline, the range with its ends; words: the same in numbers."""

    bars: str
    range: str
    words: str


def histogram(layer: LayerFacts) -> Histogram | None:
    """None where no images were seen."""
    seen = layer.seen
    if seen is None:
        return None
    low, high = min(seen.low, layer.low), max(seen.high, layer.high)
    scale = WIDTH / max(high - low, 1e-30)
    step = (seen.high - seen.low) / len(seen.thousandths)
    bars = f"M{_at((seen.low - low) * scale)},{_BARS}"
    for number, share in enumerate(seen.thousandths, start=1):
        top = _BARS * (1 - log(1 + share) / log(1001))
        bars += f"V{_at(max(top, 0))}H{_at((seen.low + step * number - low) * scale)}"
    left, right = _at((layer.low - low) * scale), _at((layer.high - low) * scale)
    ends = f"M{left},{_LINE}H{right}M{left},0V{HEIGHT}M{right},0V{HEIGHT}"
    words = f"held {seen.low:.3g} to {seen.high:.3g}, range {layer.low:.3g} to {layer.high:.3g}"
    return Histogram(f"{bars}V{_BARS}Z", ends, f"{words}, beyond it {100 * seen.beyond:.2g} %")


def _at(value: float) -> str:
    return f"{value:.0f}"
