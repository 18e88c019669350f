"""Calls -> how many instructions they will take, and how many bytes of weights they read.

A formula with one set of rates per family of kernels, fitted by least squares to counts of the emulator (`mbn2c bench`
of three networks in plans with pieces of many widths). What differs between schedules is how often a kernel is called,
what every call does once per weight and not per pixel, pixels that do not fill a block of the kernel, the bytes that
strips move, and that a depthwise convolution that wants planar rows gets none from a strip.
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

    mac     per multiply-accumulate
    output  per output value: bias, requantize, store
    run     per call: dispatch, row addresses, entry and exit, loop set-up
    weight  per byte of weights and call: what is done once however many pixels the call makes
    lone    per byte of weights and pixel that is missing to a full block of `block` pixels
    """

    mac: float = 1.0
    output: float = 7.0
    run: float = 140.0
    weight: float = 0.1
    lone: float = 0.0
    block: int = 1


_CONVOLUTION = {
    "arm_dsp": Rates(0.733, 6.3, 270, 0.2, 0.147, 2),
    "arm_mve": Rates(0.107, 3.0, 355, 0.04, 0.015, 4),
    "armv6m": Rates(2.46, 25.5, 1015, 0, 3.2, 4),
    "armv7m": Rates(0.8, 11.3, 409, 0.47, 1.8, 2),
    "rv32im": Rates(0.96, 30, 235, 3.8, 0.2, 4),
}
# Kernels that trade memory for speed.
_BY_FUNCTION = {
    "mbn_conv2d_direct_armv6m": Rates(3.6, 63, 820, 0.08),
    "mbn_conv2d_lanes_armv6m": Rates(1.58, 22.8, 3843, 0, 1.49, 8),
}
_DEPTHWISE = {
    "arm_dsp": Rates(1.95, 0, 40, 1.38),
    "arm_mve": Rates(0.65, 0, 380, 0, 0.36, 4),
    "armv6m": Rates(4.9, 0, 180, 11.5),
    "armv7m": Rates(3.48, 0, 45, 3.72, 0.89, 2),
    "rv32im": Rates(3.75, 0, 80, 6.5),
}
# Depthwise 3x3 on interleaved rows, where planar ones would be wanted; with DSP for channels in fours.
_INTERLEAVED = {"arm_dsp": Rates(2.78, 0, 120, 0, 0.46, 2), "arm_mve": Rates(0.84, 0, 160, 0)}
_DSP_CHANNELS = 4
# Families that are not fitted.
_OTHER_RATES = Rates()
# Instructions per byte that leaves a strip.
_MOVED_BYTE = {"arm_dsp": 0.4, "arm_mve": 0.4, "armv6m": 3.0, "armv7m": 1.0, "rv32im": 2.0}
_OTHER_MOVED_BYTE = 0.5


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
    runs = runs_of(call, graph)
    if not call.node:
        # No kernel makes the input; its reader's family says what core this is.
        readers = graph.consumers[call.write]
        isa = around.kernels[readers[0].name].isa if readers else ""
        run = _CONVOLUTION.get(isa, _OTHER_RATES).run
        return _moved_instructions(call, isa, around) + run * (runs - graph.tensors[call.write].shape[1])
    node = graph.producer[call.write]
    rates = _rates(call, around)
    _, height, width, channels = graph.tensors[call.write].shape
    work = rates.mac * OPERATORS[node.op].macs(node, graph) + rates.output * height * width * channels
    lone = rates.lone * height * sum(-count % rates.block for count in _pixel_counts(call, around))
    calls = (rates.run + rates.weight * weight_bytes(call, graph)) * runs + lone * weight_bytes(call, graph)
    return work + calls + _moved_instructions(call, around.kernels[call.node].isa, around)


def _rates(call: Call, around: Surroundings) -> Rates:
    """Of the kernel that will run the call."""
    kernel, node = around.kernels[call.node], around.graph.producer[call.write]
    if node.op != "depthwise_conv2d":
        return _BY_FUNCTION.get(kernel.function) or _CONVOLUTION.get(kernel.isa, _OTHER_RATES)
    # A strip is never planar, so another kernel must do.
    is_planar = kernel.reads_planar and not any(read.tensor in around.strips for read in call.reads)
    if kernel.isa not in _INTERLEAVED or is_planar:
        return _DEPTHWISE.get(kernel.isa, _OTHER_RATES)
    channels = around.graph.tensors[call.write].shape[3]
    fits = kernel.isa != "arm_dsp" or channels % _DSP_CHANNELS == 0
    return _INTERLEAVED[kernel.isa] if fits else _DEPTHWISE["armv7m"]


def _pixel_counts(call: Call, around: Surroundings) -> list[int]:
    """How many pixels of a row each run makes, or sums up."""
    extent = around.extents[call.reads[0].tensor if call.accumulates else call.write]
    left = 0 if call.accumulates else extent.left
    stops = [min(end - left, extent.width) for end in call.pieces] or [extent.width]
    return [stop - start for start, stop in zip([0, *stops[:-1]], stops, strict=True)]


def _moved_instructions(call: Call, isa: str, around: Surroundings) -> float:
    return _MOVED_BYTE.get(isa, _OTHER_MOVED_BYTE) * moved_bytes(call, around)


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
