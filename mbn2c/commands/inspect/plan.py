"""Output folder, or model and core -> the Plan for people and as JSON: loops, buffers and where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.sized_graph import sized_model
from mbn2c.ir.text import print_plan
from mbn2c.planner.choice import Choice, choose_plan
from mbn2c.planner.plan_file import plan_to_plain
from mbn2c.printable import printable
from mbn2c.report.table import table
from mbn2c.targets import Board, Core

_GOAL = "balanced"


@dataclass(frozen=True)
class PlanInspection:
    """One Plan and what it is for.

    network     name of the Graph
    board       that it was made for; None for any
    peak_bytes  alive at the fullest moment, in `peak_step`, whose node is `peak_layer`
    fit         in words, why it is not the plan that was asked for; "" if it is
    kernels     C function by node name
    plan        the fields of `ir.plan.Plan` but its Graph
    text        the same for people
    """

    network: str
    target: str
    board: str | None
    arena_bytes: int
    context_bytes: int
    peak_bytes: int
    peak_step: int
    peak_layer: str
    fit: str
    kernels: Mapping[str, str]
    plan: Mapping[str, Any]
    text: str


def inspect_folder(folder: Path) -> PlanInspection:
    """The Plan saved in an output folder. Raises UsageError if it is not as the build wrote it."""
    output = OutputFolder(folder)
    is_sliced = output.record.build.slice is not None
    return _inspection(output.own_choice, output.core, output.board, output.record.fit, is_sliced)


def inspect_model_plan(model: Path, core: Core, board: Board | None = None) -> PlanInspection:
    """The Plan that a build for a core would make of a model, planned here; its places do not depend on the scales.

    board   its RAM and flash are limits
    raises  Mbn2cError subclasses, FitError for a board that is too small; see the exit codes in `errors`
    """
    choice = choose_plan(sized_model(model), core, _GOAL, board=board)
    return _inspection(choice, core, board, choice.fit)


def _inspection(choice: Choice, core: Core, board: Board | None, fit: str, is_sliced: bool = False) -> PlanInspection:
    plan = choice.plan
    peak_layer = next(call.node or "input" for call in plan.calls if call.step == plan.peak_step)
    kernels = {name: kernel.function for name, kernel in choice.kernels.items()}
    context = plan.context_bytes(core.bits, core.asks_cpu, is_sliced)
    head = [
        ("target", core.name + (f", board {board.name}" if board else "")),
        ("arena", f"{plan.arena_bytes:,} B, and {context:,} B of context"),
        ("peak", f"{plan.lower_bound_bytes:,} B alive in step {plan.peak_step}, {peak_layer}"),
        *([("", fit)] if fit else []),
    ]
    steps = [("step", "layer", "kernel")]
    steps += [(str(call.step), call.node, kernels[call.node]) for call in plan.calls if call.node]
    return PlanInspection(
        network=plan.graph.name,
        target=core.name,
        board=board.name if board else None,
        arena_bytes=plan.arena_bytes,
        context_bytes=context,
        peak_bytes=plan.lower_bound_bytes,
        peak_step=plan.peak_step,
        peak_layer=peak_layer,
        fit=fit,
        kernels=kernels,
        plan=plan_to_plain(plan),
        text="\n\n".join([table(head), printable(print_plan(plan).rstrip(), lines=True), table(steps)]),
    )
