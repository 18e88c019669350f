"""Cores and boards -> text for people."""

from __future__ import annotations

from collections.abc import Sequence

from mbn2c.report.table import table
from mbn2c.targets import Board, Core


def targets_text(cores: Sequence[Core]) -> str:
    """The table that `mbn2c targets` prints."""
    return table(
        [
            ("target", "kernels", "compiler", ""),
            *((c.name, ", ".join(c.isas), f"{c.prefix}gcc", c.title) for c in cores),
        ]
    )


def boards_text(boards: Sequence[Board]) -> str:
    """The table that `mbn2c boards` prints."""
    rows = [("board", "core", "emulated", "memories", "")]
    for board in boards:
        memories = ", ".join(f"{memory.kind} {memory.size_bytes // 1024} KiB" for memory in board.memories)
        rows.append((board.name, board.core, "yes" if board.emulated else "no", memories, board.title))
    return table(rows)
