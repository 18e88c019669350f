"""What a build knows of one layer, typed: a part of the record."""

from __future__ import annotations

from dataclasses import dataclass

from mbn2c.report.time_facts import Range

Shape = tuple[int, ...]


@dataclass(frozen=True)
class LayerFacts:
    """One step but the input.

    reads               the steps that make its inputs, 0 for the network's input
    instructions        of one inference, estimated; cycles, ms: least and most, None as in `TimeFacts`
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
    sqnr_db: float | None
    activation_sqnr_db: float | None
    weights_sqnr_db: float | None
    noise_share: float | None
