"""A Choice <-> plan.json, so that what was planned once for a core and a board is never searched for again.

The file holds what no rule gives: loops, pieces, strips and places. The Graph lies in network.npz, whose digest stands
here; kernels are named, and follow from the Plan and the tables that were asked. All fields of a Plan but its Graph are
written and read by their type hints, so new ones follow by themselves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, get_type_hints

from mbn2c.errors import InternalError, UsageError
from mbn2c.files.typed_json import from_plain, read_json, to_plain
from mbn2c.ir.graph import Graph
from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Plan
from mbn2c.kernels import kernels_of_plan, select
from mbn2c.planner.choice import Choice, isas_tried
from mbn2c.planner.columns import Strip
from mbn2c.planner.demand import with_demand
from mbn2c.planner.memory import allocate
from mbn2c.planner.overlap import check_overlaps
from mbn2c.planner.phases import phases_of
from mbn2c.planner.schedule import Schedule, make_call, pads_of, scratch_sizes
from mbn2c.planner.streaming import SCHEDULES
from mbn2c.planner.views import views_of
from mbn2c.targets import Board, Core, load_core

PLAN = "plan.json"
_SCHEMA = 1
_HINT = "build the model again"
# Kept elsewhere: the Graph in network.npz.
_NOT_HERE = "graph"


@dataclass(frozen=True)
class PlanSubject:
    """What a Plan is for.

    network_sha256  of network.npz, in hex
    """

    network_sha256: str
    target: str
    board: str | None

    @classmethod
    def of(cls, network_sha256: str, core: Core, board: Board | None) -> PlanSubject:
        """The subject of a build for `core`, or for a board with it."""
        return cls(network_sha256, core.name, board.name if board else None)


@dataclass(frozen=True)
class _Content:
    """The file, field by field.

    isas     the kernel tables that were asked, in order
    kernels  C function by node name
    plan     fields of the Plan but its Graph
    """

    schema: int
    subject: PlanSubject
    isas: tuple[str, ...]
    kernels: Mapping[str, str]
    plan: Mapping[str, Any]


def plan_to_bytes(choice: Choice, subject: PlanSubject) -> bytes:
    """plan.json of a Choice; equal Choices give equal bytes."""
    kernels = {name: kernel.function for name, kernel in choice.kernels.items()}
    content = _Content(_SCHEMA, subject, choice.isas, kernels, plan_to_plain(choice.plan))
    return (json.dumps(to_plain(content), allow_nan=False) + "\n").encode()


def plan_to_plain(plan: Plan) -> dict[str, Any]:
    """The fields of a Plan as JSON has them, without its Graph."""
    return {one.name: to_plain(getattr(plan, one.name)) for one in fields(Plan) if one.name != _NOT_HERE}


def read_plan(content: bytes, where: str, graph: Graph, subject: PlanSubject) -> Choice:
    """The Choice that a plan.json holds, with an empty curve.

    where   the file, for messages
    raises  UsageError if it is damaged, of another network, core or board, or if its Plan is not one that the planner
            makes of its loops, or overwrites what is still needed
    """
    try:
        found = read_json(content, _Content)
        if found.schema != _SCHEMA:
            raise ValueError(f"it has schema {found.schema}, not {_SCHEMA}")
        for one in fields(PlanSubject):
            if getattr(found.subject, one.name) != getattr(subject, one.name):
                raise ValueError(f"its {one.name.replace('_', ' ')} is not that of the build")
        plan = _plan(found.plan, graph)
        kernels = _kernels(plan, found)
        _check_plan(plan, {node.name: select(node, graph, found.isas) for node in graph.nodes})
        check_overlaps(plan)
    except InternalError as error:  # a Plan that mbn2c wrote keeps the laws, so this one was changed
        raise UsageError(f"cannot read {PLAN}: {error.what}", where=f"{where}, {error.where}", hint=_HINT) from None
    except (ArithmeticError, AssertionError, LookupError, RecursionError, TypeError, ValueError) as error:
        reason = str(error)[:300] if isinstance(error, ValueError) else f"{type(error).__name__}: {str(error)[:300]}"
        raise UsageError(f"cannot read {PLAN}: {reason}", where=where, hint=_HINT) from error
    return Choice(plan, kernels, isas=found.isas)


def _plan(plain: Mapping[str, Any], graph: Graph) -> Plan:
    """Every field of the type that its hint says; raises ValueError."""
    hints = get_type_hints(Plan)
    names = {one.name for one in fields(Plan)} - {_NOT_HERE}
    if set(plain) != names:
        raise ValueError(f"the Plan has the fields {sorted(plain)}, not {sorted(names)}")
    return Plan(graph=graph, **{name: from_plain(plain[name], hints[name]) for name in names})


def _kernels(plan: Plan, found: _Content) -> dict[str, Kernel]:
    """The kernels that the Plan takes of the tables named; raises ValueError if they are called otherwise."""
    _check_calls(plan)
    if found.isas not in isas_tried(load_core(found.subject.target)):
        raise ValueError(f"the kernels of {found.subject.target} are not chosen from {', '.join(found.isas)}")
    kernels = kernels_of_plan(plan, found.isas)
    for name, kernel in kernels.items():
        if found.kernels.get(name) != kernel.function:
            raise ValueError(f"the kernel of '{name}' is {kernel.function}, not {found.kernels.get(name)}")
    if set(found.kernels) != set(kernels):
        raise ValueError("there are kernels of nodes that the network has not")
    return kernels


def _check_calls(plan: Plan) -> None:
    """Raises ValueError unless every node has one call, and every activation a buffer of its name."""
    graph, calls = plan.graph, plan.calls
    if [(call.node, call.write) for call in calls] != [
        ("", graph.inputs[0].tensor),
        *((node.name, node.outputs[0]) for node in graph.nodes),
    ]:
        raise ValueError("its calls are not those of the network's nodes, each once and in order")
    activations = {name for name, tensor in graph.tensors.items() if tensor.data is None}
    if set(plan.buffers) != activations:
        raise ValueError(f"its buffers are not those of the network: {sorted(activations ^ set(plan.buffers))[:3]}")


def _check_plan(plan: Plan, kernels: Mapping[str, Kernel]) -> None:
    """Raises ValueError unless it is what the planner makes of its loops: reads, places, sizes and times.

    kernels  as they are chosen before anything is known of strips
    """
    graph, views = plan.graph, views_of(plan.graph, kernels)
    pads = pads_of(graph, views)
    if plan.schedule not in SCHEDULES:
        raise ValueError(f"its schedule is '{plan.schedule}'")
    for step, call in enumerate(plan.calls[1:], start=1):
        made = make_call(step, graph.producer[call.write], graph, pads, kernels[call.node], views)
        if replace(call, pieces=(), rows_per_run=1, on_demand=False) != made:
            raise ValueError(f"step {call.step} reads or makes other rows than '{call.node}' does")
        most = 1 if call.pieces or call.accumulates or call.is_view else graph.tensors[call.write].shape[1]
        if not 1 <= call.rows_per_run <= most:
            raise ValueError(f"step {call.step} makes {call.rows_per_run} rows in a run")
        width = graph.tensors[call.reads[0].tensor if call.accumulates else call.write].shape[2]
        columns = width if call.accumulates else pads[call.write][1] + width + pads[call.write][3]
        if call.pieces and (list(call.pieces) != sorted(set(call.pieces)) or call.pieces[-1] != columns):
            raise ValueError(f"the pieces of step {call.step} are not those of a row of {columns} columns")
    strips = {
        name: Strip(buffer.slots, buffer.strip_columns, buffer.kept)
        for name, buffer in plan.buffers.items()
        if buffer.strip_columns
    }
    for name, strip in strips.items():
        _check_strip(plan, name, strip)
    for loop in plan.loops:
        if any(call.on_demand for call in loop.calls) and loop.calls != with_demand(loop.calls, graph, strips):
            raise ValueError(f"other calls of the loop of step {loop.calls[0].step} run on demand")
    phases = {name: buffer.phases for name, buffer in plan.buffers.items() if buffer.phases != 1}
    if phases and phases != phases_of(graph, views):
        raise ValueError(f"the rows of '{next(iter(phases))}' are made in another order")
    schedule = Schedule(graph, plan.loops, pads, kernels, scratch_sizes(graph, kernels), strips, views, phases)
    again = allocate(schedule, plan.schedule)
    for one in fields(Plan):
        said, found = getattr(plan, one.name), getattr(again, one.name)
        if one.name != _NOT_HERE and said != found:
            raise ValueError(f"{one.name.replace('_', ' ')}{_which(said, found)}: not what its loops take")


def _check_strip(plan: Plan, name: str, strip: Strip) -> None:
    """Raises ValueError for a strip that no row of the tensor fills."""
    buffer = plan.buffers[name]
    _, height, width, _ = plan.graph.tensors[name].shape
    pad = pads_of(plan.graph)[name]
    most = pad[1] + width + pad[3], pad[0] + height + pad[2]
    if not (0 < strip.columns <= most[0] and 0 <= strip.slots <= most[1]) or buffer.planar:
        raise ValueError(f"the strip of '{name}' does not fit its rows")
    pieces = next(call.pieces for call in plan.calls if call.write == name)
    if len(strip.kept) != len(pieces) or any(not 0 <= kept <= most[0] for kept in strip.kept):
        raise ValueError(f"the strip of '{name}' does not fit its pieces")


def _which(said: object, found: object) -> str:
    """Of two mappings: where they differ first."""
    if not isinstance(said, Mapping) or not isinstance(found, Mapping):
        return ""
    keys = [key for key in (*said, *found) if said.get(key) != found.get(key)]
    return f" of {keys[0]}" if keys else ""
