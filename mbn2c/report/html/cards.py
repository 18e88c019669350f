"""A build's record -> the cards that its page begins with: a figure, and what it is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mbn2c.report.html.drawing import share_text, text_of_bytes
from mbn2c.report.html.layer_table import board_memory
from mbn2c.report.record import BuildRecord
from mbn2c.report.time_facts import TimeFacts, cycles_text, ms_text
from mbn2c.targets import load_board

Json = Mapping[str, Any]


def cards(report: BuildRecord) -> list[Json]:
    """What the template prints, card by card."""
    ram, flash, model = report.ram, report.flash, report.model
    return [
        {
            "name": "RAM",
            "value": text_of_bytes(ram.total_bytes),
            "parts": [*_parts(ram, ("arena", "context", "stack")), *_share(report, "arena", ram.total_bytes)],
        },
        {
            "name": "Flash",
            "value": text_of_bytes(flash.total_bytes),
            "parts": [
                *_parts(flash, ("weights", "constants", "code")),
                *_share(report, "constants", flash.total_bytes),
            ],
        },
        *_memory_cards(report),
        {
            "name": "Work",
            "value": f"{model.macs / 1e6:,.2f} M MACs",
            "parts": [
                ("parameters", f"{model.parameters:,}"),
                ("layers", f"{len(report.layers)}"),
                ("computed twice", f"{report.recomputed_macs:,} MACs"),
            ],
        },
        {
            "name": "Time, estimated",
            "value": ms_text(report.time) or f"{report.time.instructions / 1e6:,.2f} M instructions",
            "parts": _time_parts(report.time),
        },
        {
            "name": "Fullest at",
            "value": f"step {ram.peak_step}",
            "parts": [
                ("layer", ram.peak_layer),
                ("alive there", text_of_bytes(ram.lower_bound_bytes)),
                ("schedule", report.schedule),
            ],
        },
    ]


def _memory_cards(report: BuildRecord) -> list[Json]:
    """What the firmware takes of each memory of the board."""
    if report.board is None or report.firmware is None or not report.firmware.memories:
        return []
    sizes = {memory.name: memory.size_bytes for memory in load_board(report.board).memories}
    parts = [(name, share_text(used, sizes[name])) for name, used in report.firmware.memories.items()]
    return [{"name": "Firmware, of the board's memories", "value": report.board, "parts": parts}]


def _time_parts(time: TimeFacts) -> list[tuple[str, str]]:
    parts = [("instructions", f"{time.instructions:,}"), ("cycles", cycles_text(time))]
    if time.worst_case:
        parts.append(("of them by the image, at most", f"{time.worst_case:,}"))
    return parts if time.clock_hz is None else [*parts, ("clock", f"{time.clock_hz / 1e6:g} MHz")]


def _parts(sizes: object, names: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, text_of_bytes(getattr(sizes, f"{name}_bytes"))) for name in names]


def _share(report: BuildRecord, use: str, total_bytes: int | None) -> list[tuple[str, str]]:
    """Of the board's memory that holds the arena or the constants."""
    memory = board_memory(report, use)
    return [] if memory is None or total_bytes is None else [(memory.name, share_text(total_bytes, memory.size_bytes))]
