"""int8 Graph and core -> kernels and Plan, within the RAM and flash there is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mbn2c.errors import FitError
from mbn2c.firmware.files import DEFAULT_STACK_BYTES
from mbn2c.ir.graph import Graph
from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Plan
from mbn2c.kernels import isas_for, kernels_of_plan, packed_constants, select
from mbn2c.kernels.sections import Sections, bytes_in_sections
from mbn2c.planner.blocks import in_blocks, with_fewer_reads
from mbn2c.planner.cost import plan_instructions
from mbn2c.planner.geometry import Geometries
from mbn2c.planner.overlap import check_overlaps
from mbn2c.planner.streaming import BELOW_LIMIT, OPTIMIZE, TradeOff, TradeOffs, cheapest_within
from mbn2c.targets import Board, Core, Memory

# What --ram-limit keeps free for the stack, which is only known after compilation; checked then.
STACK_ALLOWANCE_BYTES = 512
# The firmware's variables of fixed size, and the gaps between all of them.
_FIRMWARE_BYTES = 512
# The least that the code of a network and its firmware takes; how much it is, is only known after compilation.
_LEAST_CODE_BYTES = 16 * 1024
# Goals whose kernels are tried when those of the goal asked for do not fit.
_FALLBACKS = ("balanced", "lean", "smallest")


@dataclass(frozen=True)
class Choice:
    """A network as it is planned for one core.

    curve  the plans it was chosen from
    fit    in words, why the plan is not the one that `optimize` alone would have taken; "" if it is
    isas   the kernel tables that were asked, in order
    sections  of weights that lie apart from the other constants
    """

    plan: Plan
    kernels: Mapping[str, Kernel]
    curve: Sequence[TradeOff] = ()
    fit: str = ""
    isas: tuple[str, ...] = ()
    sections: Sections = field(default_factory=dict)


@dataclass(frozen=True)
class Limit:
    """RAM for arena and context together; `name` says in words which resource is the limiting one."""

    name: str
    left_bytes: int


@dataclass(frozen=True)
class FlashUse:
    """What a memory has to hold at least.

    is_weights_alone  of layers in a section of its name, and nothing else
    """

    memory: Memory
    taken_bytes: int
    is_weights_alone: bool

    @property
    def excess_bytes(self) -> int:
        """That it has not; 0 or less if they may fit."""
        return self.taken_bytes - self.memory.size_bytes


def choose_plan(
    graph: Graph,
    core: Core,
    optimize: str,
    ram_limit: int | None = None,
    board: Board | None = None,
    known: Geometries | None = None,
    *,
    sections: Sections | None = None,
    is_checked: bool = True,
) -> Choice:
    """Kernels and Plan of an int8 Graph for a core: what `optimize` asks for, or the cheapest that fits.

    Kernels of other families, which want less working memory or flash, are tried before anything is refused.

    ram_limit  bytes of RAM in all; the cheapest plan that keeps it is taken, whatever `optimize` says
    board      its RAM is a limit too, for a plan that does not fit it could not be linked; and so is its flash, as far
               as it is known before compilation
    known      what plans of this Graph for other cores have worked out
    sections   of weights that lie apart
    is_checked  whether the overlap checker, 40 % of the time, sees the Plan, and the curve is made; not where sizes
                alone are asked for
    raises     FitError if no plan fits the RAM, with the smallest possible and the layer that makes it
    """
    known = known or Geometries(graph)
    limits = _limits(graph, ram_limit, board)
    tightest = min(limits, key=lambda limit: limit.left_bytes, default=None)
    wish: Plan | None = None
    smallest: list[Plan] = []
    too_long: list[tuple[FlashUse, Choice]] = []
    for isas in isas_in_turn(core, optimize):
        kernels = {node.name: select(node, graph, isas) for node in graph.nodes}
        ways = TradeOffs(graph, kernels, ram_limit=tightest.left_bytes if tightest else None, known=known)
        wanted = ways.best(optimize).plan
        wish = wish or wanted
        plan: Plan | None = wanted
        is_bound = tightest is not None and (ram_limit is not None or _network_bytes(wish, core) > tightest.left_bytes)
        if tightest and is_bound:
            plan = cheapest_within(ways.curve, lambda plan: _network_bytes(plan, core) <= tightest.left_bytes)
        if plan is None:
            smallest.append(min((point.plan for point in ways.curve), key=lambda plan: plan.arena_bytes))
            continue
        if is_checked:
            check_overlaps(plan)
        curve = ways.curve if is_checked else []
        blocks = in_blocks(plan, kernels, core.rows_per_run) if optimize == "speed" and not is_bound else plan
        if tightest is None or _network_bytes(blocks, core) <= tightest.left_bytes:
            plan = blocks
        if sections and board and plan.schedule != BELOW_LIMIT:
            most_bytes = math.inf if tightest is None else tightest.left_bytes - _context_bytes(plan, core)
            slow = _slow_weights(graph, sections, board)
            others = with_fewer_reads(plan, kernels, slow, most_bytes)
            curve = [*curve, *(TradeOff(one, plan_instructions(one, kernels)) for one in others)]
            plan = _fastest([plan, *others], kernels, slow, optimize)
        fit = _words(tightest, optimize, _network_bytes(wish, core)) if tightest and is_bound else ""
        choice = Choice(plan, kernels_of_plan(plan, isas), curve, fit, isas, sections or {})
        use = fullest_flash(choice, board)
        if use is None or use.excess_bytes <= 0:
            return _with_flash_words(choice, too_long, optimize, board)
        too_long.append((use, choice))
    if too_long:
        # The linker refuses, and says by how much.
        return min(too_long, key=lambda one: one[0].excess_bytes)[1]
    assert tightest is not None
    raise _refusal(tightest, min(smallest, key=lambda plan: plan.arena_bytes), core)


def _fastest(plans: Sequence[Plan], kernels: Mapping[str, Kernel], slow: Mapping[str, float], optimize: str) -> Plan:
    """Of Plans that read slow weights less and less often for more and more RAM: the first for "ram", the one with the
    minimum product of RAM and time for "balanced", with the shortest time for "speed"."""
    if optimize == "ram":
        return plans[0]
    weight = 1 if optimize == "balanced" else 0
    return min(plans, key=lambda one: plan_instructions(one, kernels, slow) * one.arena_bytes**weight)


def _slow_weights(graph: Graph, sections: Sections, board: Board) -> dict[str, float]:
    """Layer -> what a byte of its weights waits for, in cycles, where a cache keeps them while a run makes its rows."""
    found = {}
    for node in graph.nodes:
        memory = board.flash_called(sections.get(node.name, ""))
        if memory is not None and memory.wait_cycles and graph.constant(node.inputs[1]).size <= memory.cache_bytes:
            found[node.name] = memory.wait_cycles / memory.wait_bytes
    return found


def isas_in_turn(core: Core, optimize: str) -> tuple[tuple[str, ...], ...]:
    """The lists of kernel tables that `choose_plan` tries, each once."""
    return tuple(dict.fromkeys(isas_for(core.isas, goal) for goal in (optimize, *_FALLBACKS)))


def isas_tried(core: Core) -> frozenset[tuple[str, ...]]:
    """The lists of kernel tables that a Choice for this core may have been made from."""
    return frozenset(isas_for(core.isas, goal) for goal in (*OPTIMIZE, *_FALLBACKS))


def fits_board(choice: Choice, core: Core, board: Board | None) -> bool:
    """Whether a Choice made without this board fits its memories too, as far as that is known; no board always fits."""
    taken = _network_bytes(choice.plan, core)
    limits = _limits(choice.plan.graph, None, board)
    return all(taken <= limit.left_bytes for limit in limits) and not excess_flash(choice, board)


def fits_limit(choice: Choice, core: Core, ram_limit: int | None) -> bool:
    """Whether a Choice keeps --ram-limit, as far as that is known before compilation."""
    return all(
        _network_bytes(choice.plan, core) <= one.left_bytes for one in _limits(choice.plan.graph, ram_limit, None)
    )


def excess_flash(choice: Choice, board: Board | None, others_bytes: int = 0) -> str:
    """In words, that constants leave a flash of the board whatever the code takes; "" if they may fit.

    others_bytes  constants of other networks in the same program
    """
    use = fullest_flash(choice, board, others_bytes)
    if board is None or use is None or use.excess_bytes <= 0:
        return ""
    memory, what = use.memory, "weights take" if use.is_weights_alone else "constants and code take at least"
    return f"{what} {use.taken_bytes:,} B, '{memory.name}' of {board.name} has {memory.size_bytes:,} B"


def _network_bytes(plan: Plan, core: Core) -> int:
    return plan.arena_bytes + _context_bytes(plan, core)


def _context_bytes(plan: Plan, core: Core) -> int:
    return plan.context_bytes(core.bits, core.asks_cpu)


def _limits(graph: Graph, ram_limit: int | None, board: Board | None) -> list[Limit]:
    limits = []
    if ram_limit is not None:
        limits.append(Limit(f"--ram-limit {ram_limit:,} B", max(0, ram_limit - STACK_ALLOWANCE_BYTES)))
    if board is not None and board.memories:
        memory = board.memory("arena")
        others = {"data": firmware_bytes(graph, board), "stack": DEFAULT_STACK_BYTES}
        taken = sum(size for use, size in others.items() if board.memory(use) is memory)
        name = f"'{memory.name}' of {board.name} ({memory.size_bytes:,} B)"
        limits.append(Limit(name, max(0, memory.size_bytes - taken)))
    return limits


def firmware_bytes(graph: Graph, board: Board) -> int:
    """RAM of the firmware besides arena, context and stack: what the C in templates/runtime/firmware declares."""
    console = board.console
    # Where an interrupt receives, bytes wait in a ring.
    ring = max(console.line_bytes, console.window_bytes) + 64 if console.interrupt is not None else 0
    _, _, width, channels = graph.tensors[graph.inputs[0].tensor].shape
    outputs = sum(graph.tensors[port.tensor].size_bytes for port in graph.outputs)
    table = 4 * (len(graph.nodes) + 1)
    return console.line_bytes + ring + width * channels + outputs + table + _FIRMWARE_BYTES


def _words(limit: Limit, optimize: str, wish_bytes: int) -> str:
    if wish_bytes <= limit.left_bytes:
        return f"the cheapest plan within {limit.name}"
    return (
        f"'{optimize}' would take {wish_bytes:,} B of arena and context, {limit.name} leaves {limit.left_bytes:,} B: "
        "the cheapest plan that fits was taken"
    )


def constants_bytes(choice: Choice) -> int:
    """Weights, biases and tables as the kernels read them."""
    return sum(packed.size_bytes for packed in packed_constants(choice.plan, choice.kernels).values())


def fullest_flash(choice: Choice, board: Board | None, others_bytes: int = 0) -> FlashUse | None:
    """The memory that lacks most for constants and code, or has least left; None without a board with memories."""
    if board is None or not board.memories:
        return None
    apart = bytes_in_sections(choice.plan, choice.kernels, choice.sections)
    # What has no memory of its own on this board lies with the other constants.
    placed = {name: size for name, size in apart.items() if board.flash_called(name) is not None}
    rest = constants_bytes(choice) + others_bytes - sum(placed.values())
    uses = []
    for memory in board.memories:
        own = {"constants": rest, "code": _LEAST_CODE_BYTES}
        taken = sum(size for use, size in own.items() if use in memory.holds) + placed.get(memory.name, 0)
        if "constants" in memory.holds or memory.name in placed:
            uses.append(FlashUse(memory, taken, not set(own) & set(memory.holds)))
    return max(uses, key=lambda use: use.excess_bytes)


def _with_flash_words(
    choice: Choice, too_long: Sequence[tuple[FlashUse, Choice]], optimize: str, board: Board | None
) -> Choice:
    """The choice, which also says so if kernels before its own would have taken too much flash."""
    if not too_long or board is None:
        return choice
    use = too_long[0][0]
    memory = use.memory
    words = (
        f"the kernels of '{optimize}' would take at least {use.taken_bytes:,} B of '{memory.name}' "
        f"of {board.name} ({memory.size_bytes:,} B): others, which take less, were chosen"
    )
    return replace(choice, fit="; ".join(filter(None, [choice.fit, words])))


def _refusal(limit: Limit, plan: Plan, core: Core) -> FitError:
    node = plan.calls[plan.peak_step].node or "input"
    return FitError(
        f"arena and context take at least {_network_bytes(plan, core):,} B, "
        f"{limit.name} leaves {limit.left_bytes:,} B for them",
        where=f"step {plan.peak_step}, {node}, where most bytes are alive",
        hint="a smaller input or a narrower network, or more RAM",
    )
