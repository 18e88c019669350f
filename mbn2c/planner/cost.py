"""Calls -> how many instructions they will take, and how many bytes of weights they read.

A formula with the rates of each kernel, fitted by least squares to counts of the emulator (`mbn2c bench` of three
networks in plans with pieces of many widths). What differs between schedules is how often a kernel is called,
what every call does once per weight and not per pixel, pixels that do not fill a block of the kernel, the bytes that
strips move, and that a depthwise convolution that wants planar rows gets none from a strip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mbn2c.ir.graph import Graph
from mbn2c.ir.kernel import Kernel, Rates
from mbn2c.ir.plan import Call, Plan
from mbn2c.kernels.sections import Sections
from mbn2c.ops import OPERATORS
from mbn2c.planner.columns import Extent, Strip

# Instructions of one more piece of an input row, besides the bytes that move. No kernel makes it, so no kernel's rates
# tell: mbn_rows.h finds its place, and a few bytes are copied. 141 (RV32IMC) to 215 (Cortex-M0+) were counted.
_INPUT_PIECE = 180


@dataclass(frozen=True)
class Surroundings:
    """What the cost of a call depends on besides the call.

    kernels  by node name, as chosen before anything was known of strips
    extents  columns of every activation
    strips   of the tensors that stream in pieces
    slow     node -> price of a byte of its weights that a run reads, above what the rates say of memory without
             waiting, where there is one: what makes several rows in one run pay
    """

    graph: Graph
    kernels: Mapping[str, Kernel]
    extents: Mapping[str, Extent]
    strips: Mapping[str, Strip]
    slow: Mapping[str, float] = field(default_factory=dict)


def plan_instructions(plan: Plan, kernels: Mapping[str, Kernel], slow: Mapping[str, float] | None = None) -> float:
    """Estimate for one inference; slow: as in `Surroundings`."""
    around = replace(surroundings_of(plan, kernels), slow=slow or {})
    return sum(call_instructions(call, around) for call in plan.calls)


def node_instructions(plan: Plan, kernels: Mapping[str, Kernel]) -> dict[str, float]:
    """`plan_instructions` of each node, by name."""
    around = surroundings_of(plan, kernels)
    found: dict[str, float] = {}
    for call in plan.calls:
        found[call.node] = found.get(call.node, 0.0) + call_instructions(call, around)
    return found


def surroundings_of(plan: Plan, kernels: Mapping[str, Kernel]) -> Surroundings:
    """Of all calls of a Plan."""
    buffers = plan.buffers.items()
    return Surroundings(
        plan.graph,
        kernels,
        {name: Extent(buffer.pad[1], buffer.width, buffer.pad[3]) for name, buffer in buffers},
        {
            name: Strip(buffer.slots, buffer.strip_columns, buffer.kept)
            for name, buffer in buffers
            if buffer.strip_columns
        },
    )


def call_instructions(call: Call, around: Surroundings) -> float:
    """Estimate for one call in one inference; the input's counts as 0 where its rows come whole."""
    graph = around.graph
    runs = runs_of(call, graph)
    if not call.node:
        # Its reader's kernel says what core this is, and so what moving a byte costs.
        readers = graph.consumers[call.write]
        if not readers:
            return 0.0
        moved = around.kernels[readers[0].name].rates.moved
        return moved * moved_bytes(call, around) + _INPUT_PIECE * (runs - graph.tensors[call.write].shape[1])
    node = graph.producer[call.write]
    rates = _rates(call, around)
    if call.is_view:
        return rates.run * runs
    _, height, width, channels = graph.tensors[call.write].shape
    work = rates.mac * OPERATORS[node.op].macs(node, graph) + rates.output * height * width * channels
    lone = rates.lone * height * sum(-count % rates.block for count in _pixel_counts(call, around))
    calls = (rates.run + rates.weight * weight_bytes(call, graph)) * runs + lone * weight_bytes(call, graph)
    slow = around.slow.get(call.node, 0.0) * weight_bytes_read(call, graph)
    return work + calls + slow + rates.moved * moved_bytes(call, around)


def _rates(call: Call, around: Surroundings) -> Rates:
    """Of the kernel that will run the call."""
    kernel, node = around.kernels[call.node], around.graph.producer[call.write]
    if kernel.rates_in_strip is not None and any(read.tensor in around.strips for read in call.reads):
        return kernel.rates_in_strip(node, around.graph)
    return kernel.rates


def _pixel_counts(call: Call, around: Surroundings) -> list[int]:
    """How many pixels of a row each run makes, or sums up."""
    extent = around.extents[call.reads[0].tensor if call.accumulates else call.write]
    left = 0 if call.accumulates else extent.left
    stops = [min(end - left, extent.width) for end in call.pieces] or [extent.width]
    return [stop - start for start, stop in zip([0, *stops[:-1]], stops, strict=True)]


def runs_of(call: Call, graph: Graph) -> int:
    """How often the kernel is called in one inference: once for each row, or each piece of one."""
    tensor = call.reads[0].tensor if call.accumulates else call.write
    return graph.tensors[tensor].shape[1] * max(1, len(call.pieces))


def executed_macs(plan: Plan) -> int:
    """Multiply-accumulates that the calls of a Plan execute in one inference, row by row and piece by piece.

    More than the network's own where a row, a column or a whole layer is made more than once.
    """
    graph, total = plan.graph, 0
    around = surroundings_of(plan, {})
    for call in plan.calls:
        if call.node:
            worked_on = call.reads[0].tensor if call.accumulates else call.write
            _, height, width, _ = graph.tensors[worked_on].shape
            pixels = height * sum(_pixel_counts(call, around))
            node = graph.producer[call.write]
            total += OPERATORS[node.op].macs(node, graph) * pixels // (height * width)
    return total


def weight_bytes(call: Call, graph: Graph) -> int:
    """Bytes of weights of a call's node, as int8 or two to a byte; 0 for the input."""
    if not call.node:
        return 0
    constants = [graph.tensors[name] for name in graph.producer[call.write].inputs]
    weights = [
        (tensor.data.size, tensor.quant) for tensor in constants if tensor.data is not None and tensor.data.ndim > 1
    ]
    return sum(-(-size * (8 if quant is None else quant.bits) // 8) for size, quant in weights)


def weight_bytes_read(call: Call, graph: Graph) -> int:
    """Bytes of weights read in one inference: every run reads all of them, for all rows that it makes."""
    return -(-runs_of(call, graph) // call.rows_per_run) * weight_bytes(call, graph)


def bytes_read_by_section(plan: Plan, sections: Sections) -> dict[str, int]:
    """`weight_bytes_read` of all calls by the section of their weights; "" for those that lie with all constants."""
    found: dict[str, int] = {}
    for call in plan.calls:
        section = sections.get(call.node, "")
        found[section] = found.get(section, 0) + weight_bytes_read(call, plan.graph)
    return found


def moved_bytes(call: Call, around: Surroundings) -> int:
    """Bytes the strip of a call moves to its rows and to its front in one inference."""
    strip = around.strips.get(call.write)
    if strip is None:
        return 0
    _, height, _, channels = around.graph.tensors[call.write].shape
    to_rows = around.extents[call.write].columns if strip.slots else 0
    to_front = sum(end - kept for end, kept in zip(call.pieces, strip.kept[1:], strict=False))
    return height * (to_rows + to_front) * channels
