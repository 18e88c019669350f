"""A build's record -> report.html: one page that needs no network, with memory map and trade-off curve as pictures.

Everything is taken from the report, so the page can be made again when code and stack are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast
from urllib.parse import quote

from mbn2c.printable import printable
from mbn2c.report.html.drawing import text_of_bytes
from mbn2c.report.html.memory_map import memory_map
from mbn2c.report.html.trade_off_curve import trade_off_curve
from mbn2c.report.record import BuildRecord
from mbn2c.report.time_facts import TimeFacts, cycles_text, ms_text
from mbn2c.resources.render import render
from mbn2c.targets import load_board

Json = Mapping[str, Any]
T = TypeVar("T")


def report_page(report: BuildRecord) -> str:
    """The page of a report, before or after compilation; equal reports give equal pages."""
    report = _printable(report)
    values = {
        "report": report,
        "cards": _cards(report),
        "map": memory_map(report),
        "curve": trade_off_curve(report.trade_offs),
        "layers": _layers(report),
        "totals": {
            key: f"{sum(getattr(layer, key) for layer in report.layers):,}"
            for key in ("macs", "weight_bytes", "weight_bytes_read")
        },
    }
    return render("report/report.html.j2", values)


def _printable(value: T) -> T:
    """A record whose texts are shown as they stand: the template escapes markup only."""
    found: Any = value
    if is_dataclass(value) and not isinstance(value, type):
        found = replace(value, **{one.name: _printable(getattr(value, one.name)) for one in fields(value)})
    elif isinstance(value, Mapping):
        found = {key: _printable(inner) for key, inner in value.items()}
    elif isinstance(value, tuple):
        found = tuple(_printable(inner) for inner in value)
    elif isinstance(value, str):
        found = printable(value)
    return cast(T, found)


def _layers(report: BuildRecord) -> list[Json]:
    """The rows of the table, every figure as it is printed."""
    steps = len(report.layers) + 1
    most = max((layer.live_bytes for layer in report.layers), default=1)
    return [
        {
            "step": layer.step,
            "name": layer.name,
            # A browser that shows C as text scrolls to the step (a text fragment); others open the file.
            "source": f"{quote(report.prefix)}.c#:~:text=" + quote(f"step {layer.step} of {steps}:", safe=""),
            "op": layer.op,
            "kernel": layer.kernel,
            "inputs": " + ".join(_shape(shape) for shape in layer.inputs),
            "output": _shape(layer.output),
            "macs": f"{layer.macs:,}",
            "weight_bytes": f"{layer.weight_bytes:,}",
            "weight_bytes_read": f"{layer.weight_bytes_read:,}",
            "live_bytes": f"{layer.live_bytes:,}",
            "live_share": f"{100 * layer.live_bytes / most:.0f}",
            "is_peak": layer.step == report.ram.peak_step,
            "sqnr": "" if layer.sqnr_db is None else f"{layer.sqnr_db:.1f}",
        }
        for layer in report.layers
    ]


def _cards(report: BuildRecord) -> list[Json]:
    ram, flash, model = report.ram, report.flash, report.model
    return [
        {
            "name": "RAM",
            "value": text_of_bytes(ram.total_bytes),
            "parts": _parts(ram, ("arena", "context", "stack")),
        },
        {
            "name": "Flash",
            "value": text_of_bytes(flash.total_bytes),
            "parts": _parts(flash, ("weights", "constants", "code")),
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
    parts = [
        (name, f"{100 * used / sizes[name]:.1f} % of {text_of_bytes(sizes[name])}")
        for name, used in report.firmware.memories.items()
    ]
    return [{"name": "Firmware, of the board's memories", "value": report.board, "parts": parts}]


def _time_parts(time: TimeFacts) -> list[tuple[str, str]]:
    parts = [("instructions", f"{time.instructions:,}"), ("cycles", cycles_text(time))]
    if time.worst_case:
        parts.append(("of them by the image, at most", f"{time.worst_case:,}"))
    return parts if time.clock_hz is None else [*parts, ("clock", f"{time.clock_hz / 1e6:g} MHz")]


def _parts(sizes: object, names: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, text_of_bytes(getattr(sizes, f"{name}_bytes"))) for name in names]


def _shape(shape: Sequence[int]) -> str:
    """Without the batch of 1."""
    return "\N{MULTIPLICATION SIGN}".join(str(extent) for extent in shape[1:])
