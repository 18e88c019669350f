"""Plan -> how many instructions one run of each step may take: what slices of an inference are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Call, Plan
from mbn2c.ops import OPERATORS

# Rates are fitted to whole inferences of many networks; a run may take that many times what they say.
MARGIN = 1.5
# What the loop over steps takes for each that it tries, and what a byte takes that is copied, converted or padded.
TRIED, A_BYTE = 150, 10


def call_bounds(plan: Plan, kernels: Mapping[str, Kernel]) -> list[int]:
    """Of each step, the instructions of its largest run: one row, or one piece of a row."""
    return [_bound(plan, kernels, call) for call in plan.calls]


def _bound(plan: Plan, kernels: Mapping[str, Kernel], call: Call) -> int:
    """All of a row's work for a piece of one, too: the shares of pieces are no promise."""
    buffer = plan.buffers[call.write]
    surrounding = TRIED + A_BYTE * buffer.pixel_bytes * (buffer.pad[1] + buffer.pad[3])
    if not call.node:
        return surrounding + A_BYTE * buffer.width * buffer.pixel_bytes
    if call.is_view:
        return surrounding
    node, graph = plan.graph.producer[call.write], plan.graph
    rates = [way.rates for way in kernels[call.node].ways]
    if (in_strip := kernels[call.node].rates_in_strip) is not None:
        rates.append(in_strip(node, graph))
    rows = graph.tensors[call.reads[0].tensor if call.accumulates else call.write].shape[1]
    made = graph.tensors[call.write].size_bytes // (1 if call.accumulates else rows)
    constants = [graph.tensors[name].data for name in node.inputs]
    weights = sum(data.size for data in constants if data is not None and data.ndim > 1)
    strip = buffer.strip_columns * buffer.pixel_bytes
    most = max(
        rate.mac * OPERATORS[node.op].macs(node, graph) / rows
        + rate.output * made
        + rate.run
        + (rate.weight + rate.lone * (rate.block - 1)) * weights
        for rate in rates
    )
    padded = A_BYTE * (2 * strip + (buffer.row_bytes if buffer.planar else 0))
    return surrounding + math.ceil(MARGIN * most) + padded
