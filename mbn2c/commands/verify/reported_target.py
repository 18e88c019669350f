"""The core and board that a device says it has -> what is known of them."""

from __future__ import annotations

from mbn2c.errors import DeviceFaultError, UsageError
from mbn2c.link import wire
from mbn2c.targets import Board, Core, load_board, load_core


def reported_target(facts: wire.Facts) -> tuple[Core, Board]:
    """Raises DeviceFaultError for names that nobody knows here, and for a board that does not run this core's code."""
    try:
        core, board = load_core(facts.core), load_board(facts.board)
    except UsageError as error:
        raise DeviceFaultError(f"the board tells: {error.what}", where=facts.board, hint=error.hint) from error
    if core.name not in board.cores:
        raise DeviceFaultError(f"the board tells a core {core.name}, which '{board.name}' has not", where=facts.board)
    return core, board
