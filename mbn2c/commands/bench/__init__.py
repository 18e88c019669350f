"""Output folder and device -> what one inference takes, layer by layer.

In the emulator: instructions, and estimated cycles. The firmware is built with line numbers, so that each instruction
can be given to the step whose line of C it comes of; what belongs to none is counted for the schedule.
On a board: cycles, by its counter.
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
from mbn2c.targets import Board, Core


def bench(output: OutputFolder, board: Board, folder: Path) -> dict[str, Any]:
    """Run one inference of noise on the emulated board.

    folder  where the firmware is built
    raises  BoardError if the board has no emulator that counts
    """
    if board.emulator is None or board.emulator.kind == "process":
        raise BoardError(f"board '{board.name}' counts no instructions", hint="an emulated board; see `mbn2c boards`")
    core = output.core_on(board)
    firmware = firmware_on(output, board, folder, STEP_CFLAGS)
    table = step_table(firmware.elf, core, output.prefix, folder)
    with EmulatedBoard(board, firmware.elf, count=True, table=table) as transport:
        Session(transport, digest=output.digest, timing=EMULATED).run(_noise(output.graph))
        total = sum(transport.instruction_counts())
    return {"measured": firmware.words} | _result(output, board, core, table.read(), total)


def bench_device(output: OutputFolder, device: Device) -> dict[str, Any]:
    """Run two inferences of noise on a board that counts cycles, the second with the counter read around every step.

    raises  BoardError if it has no counter
    """
    facts, frame = device.session.facts, _noise(output.graph)
    if not device.counts_cycles:
        raise BoardError(
            f"board '{facts.board}' counts no cycles", hint="bench --board counts instructions in the emulator"
        )
    device.session.run(frame)
    total = device.cycles
    counted = device.cycles_of_calls(output, frame)
    whole = max(1, sum(cycles for _, cycles in counted))
    rows = []
    for call, cycles in counted:
        name, op, macs = _layer(output.graph, call)
        rows.append(
            {
                "step": call.step,
                "name": name,
                "op": op,
                "macs": macs,
                "cycles": cycles,
                "cycles_per_mac": round(cycles / macs, 3) if macs else None,
                "share": round(cycles / whole, 4),
            }
        )
    macs = output.record.model.macs
    return {
        "measured": device.verified,
        "board": facts.board,
        "core": facts.core,
        "instructions_per_inference": None,
        "instructions_per_mac": None,
        "layers": rows,
        "cycles_per_inference": total,
        "cycles_per_mac": round(total / macs, 3) if macs else None,
        "estimated_cycles_per_inference": None,
        "estimated_cycles_source": None,
        "clock_hz": facts.clock_hz or None,
        "ms_per_inference": _ms([total, total], facts.clock_hz),
    }


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
