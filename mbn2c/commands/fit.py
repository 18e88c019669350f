"""Model, core and board -> a refusal before any image is read, with what would fit instead; nothing where it may fit.

Only what is sure to be refused later is refused here: code and stack are not known before compilation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mbn2c.commands.build_options import BuildOptions
from mbn2c.commands.explore.scaled import scaled
from mbn2c.commands.sized_graph import sized
from mbn2c.emit.network.model import PlannedNetwork
from mbn2c.errors import FitError, Mbn2cError
from mbn2c.frontend.prequantized.model import is_prequantized
from mbn2c.ir.graph import Graph
from mbn2c.kernels import packed_constants
from mbn2c.kernels.sections import sections_of
from mbn2c.network.lowered import import_lowered, import_prequantized_lowered
from mbn2c.network.options import WEIGHTS_8
from mbn2c.network.recompute import MOST_EXTRA_TO_FIT, recompute
from mbn2c.planner.choice import Choice, choose_plan, excess_flash, fits_board, fits_limit, isas_in_turn
from mbn2c.planner.estimate import Estimates
from mbn2c.quantize.four_bits import candidates
from mbn2c.targets import Board, all_boards, load_core
from mbn2c.tasks.detection.anchors import given_anchors

# Of the input's height and width, and of the channels: what is tried in turn until something fits.
_SIZES = (7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8)
_WIDTHS = (0.75, 0.5, 0.35, 0.25)
_MOST_BOARDS = 4


def check_fit(options: BuildOptions) -> None:
    """Refuse a network that fits neither the board nor --ram-limit, alone or with those beside it.

    raises  FitError that names what would fit; Mbn2cError subclasses of the import
    """
    if options.board is None and options.ram_limit is None:
        return
    if options.recompute or options.int16:
        return  # they change the network that is planned
    if is_prequantized(options.model):
        imported, graph = None, import_prequantized_lowered(options.model).graph
    else:
        anchors = given_anchors(options.anchors, options.box_coder)
        imported = import_lowered(options.model, anchors, options.task)
        graph = sized(imported)
    estimates, core, board = Estimates(graph), options.core, options.board
    quick = _apart(estimates.of(core), options)
    if imported is not None and not _is_enough(quick, options):
        graph = _smallest(imported, options)
        estimates = Estimates(graph)
        quick = _apart(estimates.of(core), options)
    if _is_enough(quick, options):
        check_beside(quick, options.beside, board)
        return
    tried = [_apart(estimates.of(core, isas), options) for isas in isas_in_turn(core, options.optimize)]
    if all(excess_flash(one, board) for one in tried):
        excess = min((excess_flash(one, board) for one in tried), key=len)
        raise FitError(excess, hint=_hint(options, graph, imported, is_flash=True))
    try:
        choice = choose_plan(
            graph, core, options.optimize, options.ram_limit, board, sections=quick.sections, is_checked=False
        )
    except FitError as error:
        raise FitError(error.what, where=error.where, hint=_hint(options, graph, imported, is_flash=False)) from None
    check_beside(choice, options.beside, board)


def _apart(choice: Choice, options: BuildOptions) -> Choice:
    """The Choice with weights where --weights-in has them."""
    return replace(choice, sections=sections_of(options.weights_in, choice.plan.graph))


def _is_enough(choice: Choice, options: BuildOptions) -> bool:
    """Whether board and --ram-limit have as much as a Choice takes."""
    is_kept = fits_limit(choice, options.core, options.ram_limit)
    return is_kept and fits_board(choice, options.core, options.board)


def check_beside(choice: Choice, beside: Sequence[PlannedNetwork], board: Board | None) -> None:
    """Raises FitError where the constants of all networks of one program leave the board's flash.

    RAM is no sum: networks that run one after the other share an arena.
    """
    if board is None or not board.memories or not beside:
        return
    others = sum(
        packed.size_bytes for network in beside for packed in packed_constants(network.plan, network.kernels).values()
    )
    if excess := excess_flash(choice, board, others):
        names = ", ".join(network.names.prefix for network in beside)
        raise FitError(
            excess,
            where=f"with the network beside it: {names}, whose constants take {others:,} B",
            hint="a board with more flash, or a narrower network",
        )


def _hint(options: BuildOptions, graph: Graph, imported: Graph | None, *, is_flash: bool) -> str:
    """What would fit: boards, the nearest input size (which changes RAM alone), the nearest width."""
    boards = _boards(graph) if options.board is not None else []
    found = [f"boards that fit: {', '.join(boards)}"] if boards else []
    found += [f"--weights-in {name}" for name in _spare_flash(options)] if is_flash else []
    if imported is not None:
        _, height, width, _ = graph.tensors[graph.inputs[0].tensor].shape
        sizes = [] if is_flash else [_part_of(height, width, share) for share in _SIZES]
        nearest = next((size for size in sizes if _fits(options, imported, size, 1.0)), None)
        found += [] if nearest is None else [f"an input of {nearest[0]}x{nearest[1]}"]
        widest = next((share for share in _WIDTHS if _fits(options, imported, None, share)), None)
        found += [] if widest is None else [f"{widest:g} of the channels"]
    return "; ".join(found) or "a smaller input or a narrower network, or more RAM and flash"


def _part_of(height: int, width: int, share: float) -> tuple[int, int]:
    """In steps of 8 pixels."""
    return max(8, round(height * share / 8) * 8), max(8, round(width * share / 8) * 8)


def _smallest(imported: Graph, options: BuildOptions) -> Graph:
    """The int8 Graph as small as a build may make it: layers share multipliers, have weights of four bits, and are made
    twice, if it must."""
    eight_bits = options.weights == WEIGHTS_8
    found = sized(imported, frozenset() if eight_bits else frozenset(candidates(imported)), not eight_bits)
    return recompute(found, MOST_EXTRA_TO_FIT) if options.recompute is None else found


def _fits(options: BuildOptions, imported: Graph, size: tuple[int, int] | None, width: float) -> bool:
    try:
        choice = Estimates(_smallest(scaled(imported, size, width), options)).of(options.core)
        return _is_enough(_apart(choice, options), options)
    except Mbn2cError:
        return False


def _boards(graph: Graph) -> list[str]:
    """Real boards that the network fits, those with the least RAM first."""
    estimates, plans = Estimates(graph), dict[tuple[str, ...], Choice]()
    found: list[str] = []
    for board in sorted((one for one in all_boards() if one.memories and not one.emulated), key=_ram_bytes):
        core = load_core(board.core)
        if core.isas not in plans:
            plans[core.isas] = estimates.of(core)
        if fits_board(plans[core.isas], core, board):
            found.append(board.name)
    return found[:_MOST_BOARDS]


def _spare_flash(options: BuildOptions) -> list[str]:
    """Memories of the board that --weights-in could name and does not."""
    memories = options.board.memories if options.board is not None and not options.weights_in else ()
    return [memory.name for memory in memories if memory.kind == "flash" and not memory.holds]


def _ram_bytes(board: Board) -> int:
    return board.memory("arena").size_bytes
