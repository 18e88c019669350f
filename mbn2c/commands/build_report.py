"""Plan and facts -> report.json: what a build made, and what it costs.

The fields are those of design.md, section 7; `schema` counts their versions.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from mbn2c import __version__
from mbn2c.emit.network.model import Names
from mbn2c.ir.graph import Graph
from mbn2c.ir.kernel import Kernel, Packed
from mbn2c.ir.plan import Call, Plan, Rows
from mbn2c.kernels import packed_constants
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.operator import quant_of, scale_of
from mbn2c.ops.base.requantize import GuardedRequantize, Requantize
from mbn2c.planner.cost import weight_bytes_read
from mbn2c.planner.streaming import TradeOff
from mbn2c.targets import Board, Core

SCHEMA = 1
Json = dict[str, Any]
# How finely the live bytes over time are told: their maximum in so many parts of a loop, for each of its calls.
_BINS_PER_CALL = 8


def to_json(report: Mapping[str, Any]) -> str:
    return json.dumps(report, indent=1, sort_keys=False, allow_nan=False) + "\n"


def build_report(
    plan: Plan,
    kernels: Mapping[str, Kernel],
    names: Names,
    float_model: bytes,
    core: Core,
    board: Board | None,
    facts: Mapping[str, Any],
    sqnr: Mapping[str, float | None],
    curve: Sequence[TradeOff] = (),
    fit: str = "",
) -> Json:
    """The report before compilation: code, stack and totals are None until `with_sizes`.

    facts  what the command line said, for later commands on the folder
    sqnr   dB by tensor name
    curve  the plans this one was chosen from
    fit    in words, why it is not the one that was asked for
    """
    graph = plan.graph
    constants = packed_constants(plan, kernels)
    weights = sum(packed.weight_bytes for packed in constants.values())
    others = sum(packed.size_bytes for packed in constants.values()) - weights
    tables = 0 if names.tables is None else names.tables.size
    layers = [_layer(plan, kernels, call, constants.get(call.step), sqnr) for call in plan.calls if call.node]
    return {
        "schema": SCHEMA,
        "mbn2c": __version__,
        "model": {
            "name": graph.name,
            "file": names.title,
            "sha256": hashlib.sha256(float_model).hexdigest(),
            "int8_sha256": names.digest.hex(),
            "macs": sum(layer["macs"] for layer in layers),
            "parameters": sum(layer["parameters"] for layer in layers),
        },
        "target": core.name,
        "board": board.name if board else None,
        "prefix": names.prefix,
        "build": dict(facts),
        "input": _port(graph, graph.inputs[0].tensor, graph.inputs[0].outside),
        "outputs": [_port(graph, port.tensor, port.outside) | {"tail": port.tail} for port in graph.outputs],
        "ram": {
            "arena_bytes": plan.arena_bytes,
            "context_bytes": plan.context_bytes(core.bits),
            "stack_bytes": None,
            "total_bytes": None,
            "lower_bound_bytes": plan.lower_bound_bytes,
            "peak_step": plan.peak_step,
            "peak_layer": next((call.node or "input" for call in plan.calls if call.step == plan.peak_step), ""),
        },
        "flash": {
            "weights_bytes": weights,
            "constants_bytes": others + tables,
            "code_bytes": None,
            "total_bytes": None,
        },
        "schedule": plan.schedule,
        "fit": fit,
        "recomputed_macs": 0,
        "layers": layers,
        "buffers": [_buffer(plan, name) for name in plan.buffers],
        "scratch": [
            {
                "step": scratch.step,
                "offset": scratch.offset,
                "size_bytes": scratch.size_bytes,
                "first_moment": scratch.first_moment,
                "last_moment": scratch.last_moment,
            }
            for scratch in plan.scratch.values()
        ],
        "timeline": {
            "moments": len(plan.live_by_moment),
            "peak_moment": plan.live_by_moment.index(max(plan.live_by_moment)),
            "loops": [
                _loop(plan, loop, first, end)
                for loop, first, end in zip(plan.loops, (0, *plan.loop_ends[:-1]), plan.loop_ends, strict=True)
            ],
        },
        "trade_offs": [_trade_off(plan, point) for point in curve],
        "folded": _folded(graph),
        "quantization": _quantization(graph, facts["given"] is not None),
    }


def with_sizes(report: Json, code_bytes: int | None, stack_bytes: int | None, firmware: Json | None) -> Json:
    """The report with what only a compiler knows; None where there is none.

    firmware  sizes of the whole firmware image, or None without a board
    """
    ram, flash = dict(report["ram"]), dict(report["flash"])
    ram["stack_bytes"] = stack_bytes
    flash["code_bytes"] = code_bytes
    if stack_bytes is not None:
        ram["total_bytes"] = ram["arena_bytes"] + ram["context_bytes"] + stack_bytes
    if code_bytes is not None:
        flash["total_bytes"] = flash["weights_bytes"] + flash["constants_bytes"] + code_bytes
    return {**report, "ram": ram, "flash": flash, "firmware": firmware}


def _port(graph: Graph, tensor: str, outside: str) -> Json:
    quant = quant_of(graph, tensor)
    return {
        "name": outside,
        "shape": list(graph.tensors[tensor].shape),
        "scale": float(scale_of(quant)),
        "zero_point": quant.zero_point,
    }


def _layer(
    plan: Plan, kernels: Mapping[str, Kernel], call: Call, packed: Packed | None, sqnr: Mapping[str, float | None]
) -> Json:
    graph = plan.graph
    node = graph.producer[call.write]
    quant = quant_of(graph, call.write)
    return {
        "step": call.step,
        "name": node.name,
        "op": node.op,
        "kernel": kernels[node.name].function,
        "inputs": [list(graph.tensors[name].shape) for name in OPERATORS[node.op].activations(node, graph)],
        "output": list(graph.tensors[call.write].shape),
        "macs": OPERATORS[node.op].macs(node, graph),
        "parameters": OPERATORS[node.op].parameters(node, graph),
        "live_bytes": plan.live_bytes[call.step],
        "weight_bytes": packed.size_bytes if packed else 0,
        "weight_bytes_read": weight_bytes_read(call, graph) if packed and packed.weight_bytes else 0,
        "scale": float(scale_of(quant)),
        "zero_point": quant.zero_point,
        "sqnr_db": sqnr.get(call.write),
    }


def _buffer(plan: Plan, name: str) -> Json:
    buffer = plan.buffers[name]
    return {
        "tensor": name,
        "offset": buffer.offset,
        "size_bytes": buffer.size_bytes,
        "slots": buffer.slots,
        "rows": buffer.rows,
        "strip_columns": buffer.strip_columns,
        "first_step": buffer.first_step,
        "last_step": buffer.last_step,
        "first_moment": buffer.first_moment,
        "last_moment": buffer.last_moment,
    }


def _loop(plan: Plan, loop: Rows, first: int, end: int) -> Json:
    """One loop's steps and moments, and the most bytes alive in each of some equal parts of it."""
    bins = min(end - first, _BINS_PER_CALL * len(loop.calls))
    edges = [first + (end - first) * index // bins for index in range(bins + 1)]
    return {
        "first_step": loop.calls[0].step,
        "last_step": loop.calls[-1].step,
        "first_moment": first,
        "last_moment": end - 1,
        "live_bytes": [max(plan.live_by_moment[low:high]) for low, high in pairwise(edges)],
    }


def _trade_off(plan: Plan, point: TradeOff) -> Json:
    """One plan that could be had; instructions are an estimate for comparing plans."""
    return {
        "arena_bytes": point.plan.arena_bytes,
        "instructions": round(point.instructions),
        "loops": len(point.plan.loops),
        "layerwise": len(point.plan.loops) == len(plan.graph.nodes),
        "chosen": (point.plan.loops, point.plan.buffers) == (plan.loops, plan.buffers),
    }


def _folded(graph: Graph) -> Json:
    counts = Counter(note.kind for note in graph.notes)
    return {
        "batch_norms": counts["batch_norm"],
        "activations": counts["activation"],
        "pads": counts["padding"],
        "removed_channels": counts["channel"],
        "notes": [{"kind": note.kind, "node": note.node, "text": note.text} for note in graph.notes],
    }


def _quantization(graph: Graph, is_prequantized: bool) -> Json:
    """How many output channels are requantized in which form; all are exact.

    guarded        integers, and ONNX Runtime's float32 arithmetic where the result is near a step
    guarded_float  the same for layers that ONNX Runtime sums in float32
    """
    paths: Counter[str] = Counter()
    for node in graph.nodes:
        requantize = getattr(node.attributes, "requantize", None)
        if isinstance(requantize, Requantize):
            paths[requantize.form[0]] += len(requantize.multiplier)
        elif isinstance(requantize, GuardedRequantize):
            paths["guarded_float" if requantize.float_sum else "guarded"] += len(requantize.multiplier)
    return {
        "weights": "as given" if is_prequantized else "int8 per output channel, symmetric",
        "activations": "as given" if is_prequantized else "int8 per tensor, asymmetric",
        "proved_channels": sum(paths.values()),
        "channels_per_path": dict(sorted(paths.items())),
    }
