"""ONNX file -> what it is, before any build: architecture, layers, MACs, RAM and flash per target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbn2c.commands.inspect.architecture import architecture_of
from mbn2c.errors import ModelError
from mbn2c.files.user_files import text_of
from mbn2c.frontend.prequantized.model import is_prequantized
from mbn2c.ir.graph import Graph, Node, Note
from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Plan
from mbn2c.kernels import isas_for, packed, select
from mbn2c.network.inputs import input_spec
from mbn2c.network.network import import_lowered, import_prequantized_lowered
from mbn2c.ops import OPERATORS
from mbn2c.planner.choice import choose_plan
from mbn2c.planner.cost import plan_instructions
from mbn2c.planner.geometry import Geometries
from mbn2c.printable import printable
from mbn2c.quantize.calibrate import Range
from mbn2c.quantize.quantize import quantize
from mbn2c.report.table import shortened, table
from mbn2c.targets import Board, Core, all_cores
from mbn2c.tasks.registry import task_named, task_of_graph

Kernels = tuple[Kernel, ...]
_GOAL = "balanced"


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

    instructions  of one inference, as the planner estimates them
    """

    target: str
    ram_bytes: int
    flash_bytes: int
    instructions: int


@dataclass(frozen=True)
class ModelInspection:
    """The facts of a model."""

    model: InspectedModel
    folded: tuple[Note, ...]
    layers: tuple[InspectedLayer, ...]
    targets: tuple[InspectedTarget, ...]


def inspect_model(path: Path, core: Core | None = None, board: Board | None = None) -> ModelInspection:
    """What a model is and takes, by planning it for every target, or for one.

    board   its RAM and flash are limits
    raises  Mbn2cError subclasses, FitError for a board that is too small; see the exit codes in `errors`
    """
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
    planned = graph if prequantized else _with_task(_quantized(graph))
    cores = all_cores() if core is None else (core,)
    return ModelInspection(model, graph.notes, layers, _targets(planned, cores, board))


def planned_graph(path: Path) -> Graph:
    """An int8 Graph of the model with the Plan that a build would give it."""
    if is_prequantized(path):
        return import_prequantized_lowered(path).graph
    return _with_task(_quantized(import_lowered(path)))


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


def _quantized(graph: Graph) -> Graph:
    """Sizes do not depend on the scales, so any range serves."""
    return quantize(graph, {name: Range(-1.0, 1.0) for name, tensor in graph.tensors.items() if tensor.data is None})


def _with_task(quantized: Graph) -> Graph:
    """With what the task puts behind the network; without it where scales that mean nothing do not suit that."""
    try:
        return task_of_graph(quantized, {}).on_device(quantized)
    except ModelError:
        return quantized


def _targets(quantized: Graph, cores: Sequence[Core], board: Board | None) -> tuple[InspectedTarget, ...]:
    """One plan for all cores that run the same kernels: planning takes nearly all of the time."""
    known = Geometries(quantized)
    sizes: dict[Kernels, tuple[Plan, int, float]] = {}
    rows = []
    for core in cores:
        kernels = _kernels(quantized, core)
        if kernels not in sizes:
            choice = choose_plan(quantized, core, _GOAL, board=board, known=known)
            constants = [packed(choice.kernels[node.name], node, quantized).size_bytes for node in quantized.nodes]
            sizes[kernels] = (choice.plan, sum(constants), plan_instructions(choice.plan, choice.kernels))
        plan, flash, instructions = sizes[kernels]
        ram = plan.arena_bytes + plan.context_bytes(core.bits, core.asks_cpu)
        rows.append(InspectedTarget(core.name, ram, flash, round(instructions)))
    return tuple(rows)


def _kernels(graph: Graph, core: Core) -> Kernels:
    """The kernels of each node where its input may lie in planar rows, and where not: all that a plan depends on."""
    isas = isas_for(core.isas, _GOAL)
    return tuple(select(node, graph, isas, planar=planar) for node in graph.nodes for planar in (True, False))


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
    targets = [("target", "RAM (arena, context)", "flash (weights, constants)", "instructions (estimate)")]
    for target in result.targets:
        sizes = f"{target.ram_bytes:,} B", f"{target.flash_bytes:,} B"
        targets.append((target.target, *sizes, f"{target.instructions / 1e6:,.1f} M"))
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
    return "\n\n".join([head, table(rows), table(targets)])


def _shape(shape: Sequence[int]) -> str:
    return "x".join(str(extent) for extent in shape[1:])
