"""Output folder and device -> what one inference takes, layer by layer.

In the emulator: instructions, and estimated cycles. The firmware is built with line numbers, so that each instruction
can be given to the step whose line of C it comes of; what belongs to none is counted for the schedule.
On a board: cycles, by its counter. Of a program that a processor runs by itself: time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mbn2c.commands.bench.cycles import MODEL_WORDS, MODELS
from mbn2c.commands.bench.measure import CLASSES, SCHEDULE, STEP_CFLAGS, step_table
from mbn2c.commands.estimated_time import timed
from mbn2c.commands.output_folder import OutputFolder, firmware_on
from mbn2c.commands.verify import Device
from mbn2c.errors import BoardError
from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Call
from mbn2c.link.session import EMULATED, Session
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.ops import OPERATORS
from mbn2c.progress import Stages
from mbn2c.targets import Board, Core

# Inferences of which the fastest counts, where time is counted.
_TIMED_RUNS = 20
BENCH_STAGES = _FIRMWARE, _COUNT = ("build firmware", "count instructions")
BENCH_DEVICE_STAGES = (_MEASURE,) = ("measure",)
_NS_PER_S = 1_000_000_000


def bench(output: OutputFolder, board: Board, folder: Path, stages: Stages | None = None) -> dict[str, Any]:
    """Run one inference of noise on the emulated board.

    folder  where the firmware is built
    stages  that BENCH_STAGES begin in
    raises  BoardError if the board has no emulator that counts
    """
    if board.emulator is None or board.is_process:
        raise BoardError(f"board '{board.name}' counts no instructions", hint="an emulated board; see `mbn2c boards`")
    stages = stages or Stages(BENCH_STAGES)
    stages.begin(_FIRMWARE)
    core = output.core_on(board)
    firmware = firmware_on(output, board, folder, STEP_CFLAGS)
    table = step_table(firmware.elf, core, output.prefix, folder)
    stages.begin(_COUNT)
    with EmulatedBoard(board, firmware.elf, count=True, table=table) as transport:
        Session(transport, digest=output.digest, timing=EMULATED).run(_noise(output.graph))
        total = sum(transport.instruction_counts())
    return {"measured": firmware.words} | _result(output, board, core, table.read(), total)


def bench_device(output: OutputFolder, device: Device, stages: Stages | None = None) -> dict[str, Any]:
    """Run inferences of noise on a device: cycles of a board, or time of a program that a processor runs by itself.

    stages  that BENCH_DEVICE_STAGES begin in
    raises  BoardError if it counts neither
    """
    progress = (stages or Stages(BENCH_DEVICE_STAGES)).begin(_MEASURE)
    facts, frame, macs = device.session.facts, _noise(output.graph), output.record.model.macs
    if not (device.counts_cycles or device.counts_time):
        raise BoardError(
            f"board '{facts.board}' counts no cycles", hint="bench --board counts instructions in the emulator"
        )
    # Cycles are the same each time; other programs only ever add to the time.
    runs = _TIMED_RUNS if device.counts_time else 1
    total = min(_counted(device, frame) for _ in progress(range(runs), "inferences", runs))
    columns = zip(*(device.cycles_of_calls(output, frame) for _ in range(runs)), strict=True)
    counted = [(column[0][0], min(count for _, count in column)) for column in columns]
    unit = "ns" if device.counts_time else "cycles"
    cycles = None if device.counts_time else total
    return {
        "measured": device.verified,
        "board": facts.board,
        "core": facts.core,
        "instructions_per_inference": None,
        "instructions_per_mac": None,
        "layers": _counted_layers(output.graph, counted, unit),
        "cycles_per_inference": cycles,
        "cycles_per_mac": round(cycles / macs, 3) if macs and cycles is not None else None,
        "estimated_cycles_per_inference": None,
        "estimated_cycles_source": None,
        "clock_hz": facts.clock_hz or None,
        "ms_per_inference": _ms([total, total], _NS_PER_S if device.counts_time else facts.clock_hz),
    }


def _counted(device: Device, frame: bytes) -> int:
    """One inference: what the device's counter says of it."""
    device.session.run(frame)
    return device.session.last_cycles


def _counted_layers(graph: Graph, counted: Sequence[tuple[Call, int]], unit: str) -> list[dict[str, Any]]:
    """A row for each call; unit: "cycles" or "ns"."""
    whole = max(1, sum(count for _, count in counted))
    rows = []
    for call, count in counted:
        name, op, macs = _layer(graph, call)
        facts = {"step": call.step, "name": name, "op": op, "macs": macs}
        per_mac = round(count / macs, 3) if macs else None
        rows.append({**facts, unit: count, f"{unit}_per_mac": per_mac, "share": round(count / whole, 4)})
    return rows


def _noise(graph: Graph) -> bytes:
    shape = graph.tensors[graph.inputs[0].tensor].shape
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8).tobytes()


def _result(
    output: OutputFolder, board: Board, core: Core, counts: Mapping[str, tuple[int, ...]], total: int
) -> dict[str, Any]:
    graph, has_model = output.graph, core.name in MODELS
    rows = []
    for call in output.choice(core, board).plan.calls:
        name, op, macs = _layer(graph, call)
        rows.append(_row(call.step, name, op, macs, counts[str(call.step)], total, has_model))
    rows.append(_row(None, SCHEDULE, SCHEDULE, 0, counts[SCHEDULE], total, has_model))
    macs = output.record.model.macs
    estimates = [row["estimated_cycles"] for row in rows]
    about = timed(total, core, None)
    cycles = [sum(column) for column in zip(*estimates, strict=True)] if has_model else about.cycles
    return {
        "board": board.name,
        "core": core.name,
        "instructions_per_inference": total,
        "instructions_per_mac": round(total / macs, 3) if macs else None,
        "layers": rows,
        "cycles_per_inference": None,
        "estimated_cycles_per_inference": None if cycles is None else list(cycles),
        "estimated_cycles_source": None if cycles is None else MODEL_WORDS if has_model else about.source,
        "clock_hz": board.clock_hz or None,
        "ms_per_inference": _ms(cycles, board.clock_hz),
    }


def _ms(cycles: Sequence[int] | None, clock_hz: int) -> list[float] | None:
    """Least and most at a clock; None where either is not known."""
    return [round(1e3 * end / clock_hz, 3) for end in cycles] if cycles and clock_hz else None


def _layer(graph: Graph, call: Call) -> tuple[str, str, int]:
    """(name, operator, MACs)."""
    if not call.node:
        return "input", "input", 0
    node = graph.producer[call.write]
    return call.node, node.op, OPERATORS[node.op].macs(node, graph)


def _row(
    step: int | None, name: str, op: str, macs: int, counts: tuple[int, ...], total: int, has_model: bool
) -> dict[str, Any]:
    classes, cycles = counts[: len(CLASSES)], counts[len(CLASSES) :]
    instructions = sum(classes)
    return {
        "step": step,
        "name": name,
        "op": op,
        "macs": macs,
        "instructions": instructions,
        "instructions_per_mac": round(instructions / macs, 3) if macs else None,
        "share": round(instructions / total, 4),
        "classes": dict(zip(CLASSES, classes, strict=True)),
        "estimated_cycles": list(cycles) if has_model else None,
    }
