"""A build's record -> the curve of flash against agreement, from 8 bits to four, as a picture.

Where the task has no decisions to agree in, the SQNR of the outputs stands for agreement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mbn2c.report.html.drawing import kib, number, text_of_bytes
from mbn2c.report.html.plot import FRAME, HEIGHT, LEFT, TOP, WIDTH, LinearAxis
from mbn2c.report.record import WeightsPointFacts


@dataclass(frozen=True)
class DrawnNetwork:
    """One network of the curve."""

    x: str
    y: str
    flash: str
    layers: int
    sqnr: str
    agreement: str
    chosen: bool


def weights_curve(points: Sequence[WeightsPointFacts]) -> dict[str, object]:
    """What the template draws; without points nothing."""
    if not points:
        return {"points": []}
    agree = all(point.agreement is not None for point in points)
    heights = [100 * point.agreement if agree and point.agreement is not None else point.sqnr_db for point in points]
    across = LinearAxis.of([point.flash_bytes / 1024 for point in points], LEFT, LEFT + WIDTH)
    upward = LinearAxis.of(heights, TOP + HEIGHT, TOP)
    drawn = [
        DrawnNetwork(
            number(across.at(point.flash_bytes / 1024)),
            number(upward.at(height)),
            text_of_bytes(point.flash_bytes),
            point.layers,
            f"{point.sqnr_db:.1f}",
            "" if point.agreement is None else f"{100 * point.agreement:.1f}",
            point.chosen,
        )
        for point, height in zip(points, heights, strict=True)
    ]
    return {
        **FRAME,
        "points": drawn,
        "line": " ".join(f"{point.x},{point.y}" for point in drawn),
        "x_marks": across.marks(lambda value: kib(1024 * value)),
        "y_marks": upward.marks(lambda value: f"{value:.3g} %" if agree else f"{value:.3g} dB"),
        "what": "agreement" if agree else "SQNR",
    }
