"""What a build knows of one layer, typed: a part of the record."""

from __future__ import annotations

from dataclasses import dataclass

from mbn2c.report.time_facts import Range

Shape = tuple[int, ...]


@dataclass(frozen=True)
class SeenFacts:
    """What a layer's output held on the calibration images, as the int8 network holds it (channels equalized).

    low, high   the least and the greatest value
    thousandths of the values in equal parts between them, at least 1 where any lies; of large outputs a part is counted
    beyond      the share of the values outside of the layer's range
    """

    low: float
    high: float
    thousandths: tuple[int, ...]
    beyond: float


@dataclass(frozen=True)
class LayerFacts:
    """One step but the input.

    reads               the steps that make its inputs, 0 for the network's input
    instructions        of one inference, estimated; cycles, ms: least and most, None as in `TimeFacts`
    low, high           the range: the least and the greatest value that its output can be
    seen                what its output held; None without calibration images
    sqnr_db             of its output against the float one, errors before it included; None: no float model, no error
    activation_sqnr_db  of rounding its output alone; weights_sqnr_db: of its weights
    noise_share         of its rounding in the noise at the outputs
    """

    step: int
    name: str
    op: str
    kernel: str
    reads: tuple[int, ...]
    inputs: tuple[Shape, ...]
    output: Shape
    macs: int
    parameters: int
    instructions: int
    cycles: tuple[int, int] | None
    ms: Range | None
    live_bytes: int
    weight_bytes: int
    weight_bytes_read: int
    scale: float
    zero_point: int
    low: float
    high: float
    seen: SeenFacts | None
    sqnr_db: float | None
    activation_sqnr_db: float | None
    weights_sqnr_db: float | None
    noise_share: float | None
