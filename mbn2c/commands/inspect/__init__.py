"""ONNX file -> what it is, before any build: architecture, layers, MACs, RAM and flash per target."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbn2c.commands.estimated_time import time_of
from mbn2c.commands.inspect.architecture import architecture_of
from mbn2c.commands.sized_graph import sized
from mbn2c.files.user_files import text_of
from mbn2c.frontend.prequantized.model import is_prequantized
from mbn2c.ir.graph import Graph, Node, Note
from mbn2c.kernels import packed_constants
from mbn2c.network.inputs import input_spec
from mbn2c.network.lowered import import_lowered, import_prequantized_lowered
from mbn2c.ops import OPERATORS
from mbn2c.planner.choice import Choice, choose_plan
from mbn2c.planner.estimate import Estimates
from mbn2c.printable import printable
from mbn2c.progress import Progress, Stages
from mbn2c.report.table import shortened, table
from mbn2c.report.time_facts import TimeFacts, cycles_text, ms_text
from mbn2c.targets import Board, Core, all_cores
from mbn2c.tasks.registry import task_named, task_of_graph

_GOAL = "balanced"
_FIRST = "cortex-m7"


@dataclass(frozen=True)
class InspectedInput:
    """shape: as in the file."""

    shape: tuple[int, ...]
    height: int
    width: int
    channels: int


@dataclass(frozen=True)
class InspectedModel:
    """outputs: each with name and shape as in the file, and what the task says of it."""

    file: str
    architecture: str
    input: InspectedInput
    task: str
    outputs: tuple[Mapping[str, Any], ...]
    macs: int
    parameters: int


@dataclass(frozen=True)
class InspectedLayer:
    """One node after all passes; shapes NHWC."""

    name: str
    op: str
    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]
    macs: int
    parameters: int


@dataclass(frozen=True)
class InspectedTarget:
    """RAM is arena and context, flash weights and constants: the rest needs a build.

    is_planned  the plan is that of a build with `--optimize balanced`; else one near it (`planner.estimate`)
    """

    target: str
    board: str | None
    ram_bytes: int
    flash_bytes: int
    time: TimeFacts
    is_planned: bool


@dataclass(frozen=True)
class ModelInspection:
    """The facts of a model."""

    model: InspectedModel
    folded: tuple[Note, ...]
    layers: tuple[InspectedLayer, ...]
    targets: tuple[InspectedTarget, ...]


INSPECT_STAGES = _READ, _PLAN = ("read the model", "plan memory")


def inspect_model(
    path: Path, core: Core | None = None, board: Board | None = None, stages: Stages | None = None
) -> ModelInspection:
    """What a model is and takes: for one target as it will be planned, for all about so.

    board   its RAM and flash are limits, and its clock makes milliseconds of cycles
    stages  that INSPECT_STAGES begin in
    raises  Mbn2cError subclasses, FitError for a board that is too small; see the exit codes in `errors`
    """
    stages = stages or Stages(INSPECT_STAGES)
    stages.begin(_READ)
    prequantized = is_prequantized(path)
    graph = import_prequantized_lowered(path).graph if prequantized else import_lowered(path)
    spec, task = input_spec(graph), task_of_graph(graph, {})
    layers = tuple(_layer(graph, node) for node in graph.nodes)
    model = InspectedModel(
        file=text_of(path.name),
        architecture=f"{task.name} with {architecture_of(graph)}" if graph.decoding else architecture_of(graph),
        input=InspectedInput(tuple(spec.shape), spec.height, spec.width, spec.channels),
        task=task.name,
        outputs=tuple(
            {**one, "shape": list(output.shape)} for one, output in zip(task.described(), task.outputs, strict=True)
        ),
        macs=sum(layer.macs for layer in layers),
        parameters=sum(layer.parameters for layer in layers),
    )
    planned = graph if prequantized else sized(graph)
    progress = stages.begin(_PLAN)
    targets = _all_targets(planned, progress) if core is None else (_target(planned, core, board),)
    return ModelInspection(model, graph.notes, layers, targets)


def _layer(graph: Graph, node: Node) -> InspectedLayer:
    operator = OPERATORS[node.op]
    return InspectedLayer(
        name=node.name,
        op=node.op,
        inputs=tuple(graph.tensors[name].shape for name in operator.activations(node, graph)),
        output=graph.tensors[node.outputs[0]].shape,
        macs=operator.macs(node, graph),
        parameters=operator.parameters(node, graph),
    )


def _target(quantized: Graph, core: Core, board: Board | None) -> InspectedTarget:
    choice = choose_plan(quantized, core, _GOAL, board=board, is_checked=False)
    return _inspected(choice, core, board, is_planned=True)


def _all_targets(quantized: Graph, progress: Progress) -> tuple[InspectedTarget, ...]:
    """One plan for all cores that run the same kernels. Most boards' core goes first: it gets the whole search."""
    estimates = Estimates(quantized)
    found: dict[tuple[str, ...], Choice] = {}
    cores = all_cores()
    in_turn = sorted(cores, key=lambda core: core.name != _FIRST)
    for core in progress(in_turn, "plan", len(in_turn)):
        if core.isas not in found:
            found[core.isas] = estimates.of(core)
    return tuple(_inspected(found[core.isas], core, None, is_planned=False) for core in cores)


def _inspected(choice: Choice, core: Core, board: Board | None, *, is_planned: bool) -> InspectedTarget:
    plan, kernels = choice.plan, choice.kernels
    return InspectedTarget(
        target=core.name,
        board=board.name if board else None,
        ram_bytes=plan.arena_bytes + plan.context_bytes(core.bits, core.asks_cpu),
        flash_bytes=sum(packed.size_bytes for packed in packed_constants(plan, kernels).values()),
        time=time_of(plan, kernels, core, board),
        is_planned=is_planned,
    )


def format_inspection(result: ModelInspection) -> str:
    """The same for people."""
    model = result.model
    shape = model.input
    rows = [("layer", "operator", "input", "output", "MACs", "parameters")]
    for layer in result.layers:
        rows.append(
            (
                shortened(layer.name),
                layer.op,
                " + ".join(_shape(each) for each in layer.inputs),
                _shape(layer.output),
                f"{layer.macs:,}",
                f"{layer.parameters:,}",
            )
        )
    targets = [("target", "RAM, arena + context", "flash, constants", "instructions", "cycles, estimated")]
    about = "" if all(target.is_planned for target in result.targets) else "about "
    for target in result.targets:
        sizes = f"{about}{target.ram_bytes:,} B", f"{target.flash_bytes:,} B"
        targets.append((target.target, *sizes, f"{target.time.instructions / 1e6:,.1f} M", cycles_text(target.time)))
    task = task_named(model.task)
    outputs = "".join(
        f"\noutput '{one['name']}' {'x'.join(map(str, one['shape']))}, {task.words(dict(one))}" for one in model.outputs
    )
    notes = "".join(f"\n{printable(note.text)}" for note in result.folded if note.is_of_file)
    head = (
        f"{printable(model.file)}: {printable(model.architecture)}\n"
        f"input {shape.height}x{shape.width}x{shape.channels}, "
        f"{model.macs:,} MACs, {model.parameters:,} parameters{outputs}{notes}"
    )
    return "\n\n".join([head, table(rows), table(targets), *_time_words(result.targets)])


def _time_words(targets: Sequence[InspectedTarget]) -> list[str]:
    """Of one target: how long that is, and whose figures; of several where to find out."""
    if len(targets) > 1:
        return ["Figures of a plan near the one a build chooses; --target or --board gives those of that one plan."]
    time = targets[0].time
    clock = [f"{ms_text(time)} at {(time.clock_hz or 0) / 1e6:g} MHz"] if time.ms is not None else []
    return ["\n".join([*clock, textwrap.fill(f"cycles: {time.source}", 100)])] if time.cycles is not None else []


def _shape(shape: Sequence[int]) -> str:
    return "x".join(str(extent) for extent in shape[1:])
