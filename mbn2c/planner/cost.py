"""Calls -> how many instructions they will take, and how many bytes of weights they read.

A formula with one set of rates per kernel family, fitted to counts of the emulator (`mbn2c bench` of vww_96 in plans
with pieces of many widths). What differs between schedules is how often a kernel is called, what every call does once
per weight and not per pixel, the bytes that strips move, and that a depthwise convolution that wants planar rows gets
none from a strip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mbn2c.ir.graph import Graph
from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Call, Plan
from mbn2c.ops import OPERATORS
from mbn2c.planner.columns import Extent, Strip


@dataclass(frozen=True)
class Rates:
    """Instructions of one family of kernels.

    mac, depthwise_mac        per multiply-accumulate
    output                    per output value: bias, requantize, store
    run                       per call: dispatch, row addresses, entry and exit, loop set-up
    weight, depthwise_weight  per byte of weights and call: what is done once however many pixels the call makes
    moved_byte                per byte that leaves a strip
    """

    mac: float = 1.0
    depthwise_mac: float = 1.0
    output: float = 7.0
    run: float = 140.0
    weight: float = 0.1
    depthwise_weight: float = 0.1
    moved_byte: float = 0.5


_RATES = {
    "arm_dsp": Rates(0.72, 0.96, 7.6, 210, 0.12, 1.8),
    "arm_mve": Rates(0.10, 0.17, 3.2, 460, 0.12, 1.7),
    "armv6m": Rates(3.1, 1.9, 19, 1400, 1.2, 9, moved_byte=5),
    "armv7m": Rates(0.43, 1.4, 17, 390, 2.9, 2.8),
    "rv32im": Rates(0.92, 0.32, 31, 250, 4.3, 5.7, moved_byte=3.5),
}
# Families that are not fitted.
_OTHER_RATES = Rates()
# Depthwise 3x3 on interleaved rows: with DSP 24 instructions per output instead of 16, for channels in fours; with
# Helium 8 instead of 6.
_INTERLEAVED_RATES = {
    "arm_dsp": Rates(depthwise_mac=1.82, run=210),
    "arm_mve": Rates(depthwise_mac=0.48, output=3.2, run=250),
}
_DSP_CHANNELS = 4


@dataclass(frozen=True)
class Surroundings:
    """What the cost of a call depends on besides the call.

    kernels  by node name, as chosen before anything was known of strips
    extents  columns of every activation
    strips   of the tensors that stream in pieces
    """

    graph: Graph
    kernels: Mapping[str, Kernel]
    extents: Mapping[str, Extent]
    strips: Mapping[str, Strip]


def plan_instructions(plan: Plan, kernels: Mapping[str, Kernel]) -> float:
    """Estimate for one inference."""
    around = surroundings_of(plan, kernels)
    return sum(call_instructions(call, around) for call in plan.calls)


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
    """Estimate for one call in one inference; the input's is the same in all schedules and counts as 0."""
    graph = around.graph
    rates = _rates(call, around)
    moved = rates.moved_byte * moved_bytes(call, around)
    runs = runs_of(call, graph)
    if not call.node:
        return moved + rates.run * (runs - graph.tensors[call.write].shape[1])
    node = graph.producer[call.write]
    _, height, width, channels = graph.tensors[call.write].shape
    is_depthwise = node.op == "depthwise_conv2d"
    mac = rates.depthwise_mac if is_depthwise else rates.mac
    weight = rates.depthwise_weight if is_depthwise else rates.weight
    work = mac * OPERATORS[node.op].macs(node, graph) + rates.output * height * width * channels
    return work + (rates.run + weight * weight_bytes(call, graph)) * runs + moved


def _rates(call: Call, around: Surroundings) -> Rates:
    """Of the kernel that will run the call; for the input, which none makes, of its reader's."""
    if not call.node:
        readers = around.graph.consumers[call.write]
        return _RATES.get(around.kernels[readers[0].name].isa, _OTHER_RATES) if readers else _OTHER_RATES
    kernel = around.kernels[call.node]
    if kernel.reads_planar and any(read.tensor in around.strips for read in call.reads):
        # A strip is never planar, so another kernel must do.
        channels = around.graph.tensors[call.write].shape[3]
        fits = kernel.isa != "arm_dsp" or channels % _DSP_CHANNELS == 0
        return _INTERLEAVED_RATES[kernel.isa] if fits else _RATES["armv7m"]
    return _RATES.get(kernel.isa, _OTHER_RATES)


def runs_of(call: Call, graph: Graph) -> int:
    """How often the kernel is called in one inference."""
    tensor = call.reads[0].tensor if call.accumulates else call.write
    return graph.tensors[tensor].shape[1] * max(1, len(call.pieces))


def weight_bytes(call: Call, graph: Graph) -> int:
    """Bytes of weights of a call's node, as int8; 0 for the input."""
    if not call.node:
        return 0
    constants = [graph.tensors[name] for name in graph.producer[call.write].inputs]
    return sum(tensor.data.size for tensor in constants if tensor.data is not None and tensor.data.ndim > 1)


def weight_bytes_read(call: Call, graph: Graph) -> int:
    """Bytes of weights read in one inference: every run reads all of them."""
    return runs_of(call, graph) * weight_bytes(call, graph)


def moved_bytes(call: Call, around: Surroundings) -> int:
    """Bytes the strip of a call moves to its rows and to its front in one inference."""
    strip = around.strips.get(call.write)
    if strip is None:
        return 0
    _, height, _, channels = around.graph.tensors[call.write].shape
    to_rows = around.extents[call.write].columns if strip.slots else 0
    to_front = sum(end - kept for end, kept in zip(call.pieces, strip.kept[1:], strict=False))
    return height * (to_rows + to_front) * channels
