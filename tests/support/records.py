"""The record of a network that was planned, without quantizing it again."""

from __future__ import annotations

from pathlib import Path

from mbn2c.commands.build_options import BuildOptions
from mbn2c.commands.build_record import build_record
from mbn2c.emit.network.model import Names
from mbn2c.network.checks import Sqnr
from mbn2c.network.network import MODEL_INT8, Network
from mbn2c.planner.choice import Choice
from mbn2c.report.record import BuildRecord
from mbn2c.targets import load_board, load_core
from mbn2c.tasks.outputs import outputs_of
from mbn2c.tasks.registry import recognise


def record_of(choice: Choice, core: str, optimize: str, board: str | None = None) -> BuildRecord:
    """As `mbn2c build` makes it before compilation, of a model that was calibrated on noise."""
    graph = choice.plan.graph
    network = Network(graph, recognise(outputs_of(graph), {}, 0), {MODEL_INT8: b"model"}, None, Sqnr())
    facts = load_board(board) if board else None
    options = BuildOptions(model=Path(f"{graph.name}.onnx"), core=load_core(core), optimize=optimize, board=facts)
    names = Names("net", f"{graph.name}.onnx", bytes(32), task=network.task)
    return build_record(options, network, choice, names)
