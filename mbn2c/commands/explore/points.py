"""What a network takes before it is trained, and which of several are worth training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path

from mbn2c.commands.estimated_time import time_of
from mbn2c.commands.explore.code_sizes import code_bytes_of
from mbn2c.commands.explore.families import FAMILIES
from mbn2c.commands.explore.scaled import scaled
from mbn2c.commands.explore.untrained import untrained
from mbn2c.commands.sized_graph import sized
from mbn2c.errors import FitError, Mbn2cError, UsageError
from mbn2c.ir.graph import Graph
from mbn2c.kernels import packed_constants
from mbn2c.network.lowered import import_lowered
from mbn2c.ops import OPERATORS
from mbn2c.planner.choice import Choice, choose_plan, fits_board
from mbn2c.planner.geometry import Geometries
from mbn2c.progress import Stages
from mbn2c.report.exploration import SCHEMA, Exploration, ExplorePoint
from mbn2c.targets import Board, Core
from mbn2c.tasks.classification.published import SOURCE, published_accuracy

WIDTHS = (0.25, 0.35, 0.5, 0.75, 1.0)
SIZES = (96, 128, 160, 192, 224)
_MOST_JOBS = 8
EXPLORE_STAGES = (_PLAN,) = ("plan networks",)


@dataclass(frozen=True)
class ExploreOptions:
    """What is looked at, and where it shall run.

    families  of `families.FAMILIES`; () with a model
    model     ONNX file whose widths and sizes are changed instead
    widths    factors of all channels
    sizes     of the square input, in pixels
    classes   of the classifier, of a family
    max_ms    what one inference may take, as the most of its range
    fits_only  leave out what does not fit the board
    jobs      processes; 0: one for each processor
    """

    core: Core
    board: Board | None = None
    families: tuple[str, ...] = tuple(FAMILIES)
    model: Path | None = None
    widths: tuple[float, ...] = WIDTHS
    sizes: tuple[int, ...] = SIZES
    classes: int = 1000
    optimize: str = "balanced"
    max_ms: float | None = None
    fits_only: bool = False
    jobs: int = 0

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Family (or the model's name) and size: networks that differ in channels only."""
        names = self.families if self.model is None else (self.model.stem,)
        return [(name, size) for name in names for size in self.sizes]


def explore(options: ExploreOptions, stages: Stages | None = None) -> Exploration:
    """Plan every network and keep those within the limits.

    stages  that EXPLORE_STAGES begin in
    raises  UsageError for limits that nobody can judge, Mbn2cError subclasses of a model's import
    """
    if options.max_ms is not None and (options.core.cycles is None or options.board is None):
        hint = "--board, one with a clock"
        raise UsageError("--max-ms needs a core whose cycles and a board whose clock are known", hint=hint)
    progress = (stages or Stages(EXPLORE_STAGES)).begin(_PLAN)
    imported = None if options.model is None else import_lowered(options.model)
    found: list[ExplorePoint] = []
    impossible: list[str] = []
    for points, problems in progress(_all_groups(options, imported), "families and sizes", len(options.groups)):
        found += points
        impossible += problems
    kept = [one for one in found if _is_within(one, options)]
    order = list(options.families) if options.model is None else []
    kept.sort(key=lambda one: (order.index(one.family) if order else 0, one.width, one.size))
    return Exploration(
        SCHEMA,
        options.core.name,
        options.board.name if options.board else None,
        options.optimize,
        options.classes,
        options.max_ms,
        len(found) + len(impossible),
        len(found) - len(kept),
        tuple(replace(one, is_best=_is_best(one, kept)) for one in kept),
        tuple(sorted(impossible)),
        SOURCE,
    )


def _is_within(point: ExplorePoint, options: ExploreOptions) -> bool:
    is_quick = options.max_ms is None or (point.time.ms is not None and point.time.ms[1] <= options.max_ms)
    return is_quick and (point.fits is not False or not options.fits_only)


def _is_best(point: ExplorePoint, points: Sequence[ExplorePoint]) -> bool:
    """Whether it is on the Pareto front of accuracy, RAM, flash and instructions."""
    if point.accuracy is None:
        return False
    mine = _costs(point)
    return not any(
        all(other <= own for other, own in zip(_costs(one), mine, strict=True)) and _costs(one) != mine
        for one in points
        if one.accuracy is not None
    )


def _costs(point: ExplorePoint) -> tuple[float, ...]:
    return -(point.accuracy or 0.0), point.ram_bytes, point.flash_bytes, point.time.instructions


# --- the networks ----------------------------------------------------------------------------------

_Group = tuple[list[ExplorePoint], list[str]]


def _all_groups(options: ExploreOptions, imported: Graph | None) -> Iterator[_Group]:
    """Each group's points, as they are done: several at once where there are processors for it."""
    jobs = min(options.jobs or cpu_count() or 1, _MOST_JOBS, len(options.groups))
    if jobs == 1:
        yield from (_group(options, imported, *group) for group in options.groups)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        # Those of the largest families take longest: last in the list, they go first.
        waiting = [pool.submit(_group, options, imported, *group) for group in reversed(options.groups)]
        for one in as_completed(waiting):
            yield one.result()


def _group(options: ExploreOptions, imported: Graph | None, family: str, size: int) -> _Group:
    """The networks of one size. What no channel changes is worked out for the first."""
    points: list[ExplorePoint] = []
    problems: list[str] = []
    known: Geometries | None = None
    for width in options.widths:
        try:
            graph = network_of(options, imported, family, width, size)
            int8 = sized(graph)
            known = Geometries(int8, known)
            choice, fits = _planned(int8, options, known)
        except Mbn2cError as error:
            problems.append(f"{family} {width:g} {size}: {error.what}")
            continue
        accuracy = published_accuracy(family, width, size) if options.classes == 1000 and imported is None else None
        points.append(_point(options, graph, choice, (family, width, size), fits, accuracy))
    return points, problems


def network_of(options: ExploreOptions, imported: Graph | None, family: str, width: float, size: int) -> Graph:
    """One of the networks, in float32. Raises ModelError if it does not exist."""
    if imported is None:
        return untrained(family, width, size, options.classes)
    return scaled(imported, (size, size), width)


def _planned(graph: Graph, options: ExploreOptions, known: Geometries) -> tuple[Choice, bool | None]:
    """As a build plans it; what does not fit the board, as it would be planned without."""
    core, board = options.core, options.board
    try:
        choice = choose_plan(graph, core, options.optimize, board=board, known=known, is_checked=False)
    except FitError:
        return choose_plan(graph, core, options.optimize, known=known, is_checked=False), False
    return choice, None if board is None else fits_board(choice, core, board)


def _point(
    options: ExploreOptions,
    graph: Graph,
    choice: Choice,
    name: tuple[str, float, int],
    fits: bool | None,
    accuracy: float | None,
) -> ExplorePoint:
    plan, core = choice.plan, options.core
    constants = sum(one.size_bytes for one in packed_constants(plan, choice.kernels).values())
    code = code_bytes_of(core.name, name[0], plan) if options.model is None else None
    return ExplorePoint(
        *name,
        macs=sum(OPERATORS[node.op].macs(node, graph) for node in graph.nodes),
        parameters=sum(OPERATORS[node.op].parameters(node, graph) for node in graph.nodes),
        ram_bytes=plan.arena_bytes + plan.context_bytes(core.bits, core.asks_cpu),
        flash_bytes=constants + (code or 0),
        code_bytes=code,
        time=time_of(plan, choice.kernels, core, options.board),
        schedule=plan.schedule,
        fits=fits,
        accuracy=accuracy,
    )
