"""A build's record -> the rows of the table of layers, every figure as it is printed, and the graph beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from mbn2c.report.html.drawing import name_parts, share_text
from mbn2c.report.html.histogram import histogram
from mbn2c.report.html.memory_map import kind_of
from mbn2c.report.html.network_graph import network_graph
from mbn2c.report.layers import LayerFacts, Shape
from mbn2c.report.record import DRAWN, BuildRecord, LoopFacts
from mbn2c.report.time_facts import Range, range_text
from mbn2c.targets import Memory, load_board

Cells = Mapping[str, object]
_TIMES_SIGN = "\N{MULTIPLICATION SIGN}"
# Heads of the columns, and whether they hold numbers.
_COLUMNS = (
    ("network", False),
    ("step", True),
    ("name", False),
    ("operator", False),
    ("shapes", False),
    ("MACs", True),
    ("constants, B", True),
    ("weights read, B", True),
    ("alive, B", True),
    ("time", True),
    ("SQNR, dB", True),
    ("noise, %", True),
    ("values", False),
)


def layer_table(report: BuildRecord) -> dict[str, object]:
    """What the template prints."""
    kinds = {buffer.first_step: kind_of(buffer) for buffer in report.buffers}
    loops = {
        step: number
        for number, loop in enumerate(report.timeline.loops)
        for step in range(loop.first_step, loop.last_step + 1)
    }
    width, edges = network_graph(report.layers, kinds)
    has_histograms = any(layer.seen for layer in report.layers)
    unit, times = _times(report.layers)
    longest = max((end for _, end in times), default=1) or 1
    most_alive = max((layer.live_bytes for layer in report.layers), default=1)
    rows = [
        {
            **_row(report, layer, most_alive),
            "loop": loops[layer.step],
            "kind": kinds.get(layer.step, ""),
            "edges": edges[number],
            "time": range_text(times[number]),
            "time_share": f"{100 * times[number][1] / longest:.0f}",
            "facts": _facts(report, layer, report.timeline.loops[loops[layer.step]]),
        }
        for number, layer in enumerate(report.layers)
    ]
    return {
        "columns": [
            (unit if name == "time" else name, is_number)
            for name, is_number in _COLUMNS
            if has_histograms or name != "values"
        ],
        "width": width,
        "rows": rows,
        "has_histograms": has_histograms,
        "images": "drawn images" if report.build.calibration.source == DRAWN else "the calibration images",
        "totals": {
            key: f"{sum(getattr(layer, key) for layer in report.layers):,}"
            for key in ("macs", "weight_bytes", "weight_bytes_read")
        },
    }


def board_memory(report: BuildRecord, use: str) -> Memory | None:
    """The memory of the board that holds the arena or the constants; None without a board, or one that lists none."""
    board = load_board(report.board) if report.board else None
    return board.memory(use) if board and board.memories else None


def _times(layers: Sequence[LayerFacts]) -> tuple[str, list[Range]]:
    """What is known best of the time each takes, and its unit."""
    ms = [layer.ms for layer in layers if layer.ms is not None]
    if len(ms) == len(layers):
        return "ms", ms
    cycles = [(layer.cycles[0] / 1e3, layer.cycles[1] / 1e3) for layer in layers if layer.cycles is not None]
    if len(cycles) == len(layers):
        return "k cycles", cycles
    return "k instructions", [(layer.instructions / 1e3,) * 2 for layer in layers]


def _row(report: BuildRecord, layer: LayerFacts, most_alive: int) -> Cells:
    # A browser that shows C as text scrolls to the step (a text fragment); others open the file.
    fragment = quote(f"step {layer.step} of {len(report.layers) + 1}:", safe="")
    return {
        "step": layer.step,
        "name": name_parts(layer.name),
        "source": f"{quote(report.prefix)}.c#:~:text={fragment}",
        "op": layer.op,
        "reads": " ".join(map(str, layer.reads)),
        "shapes": f"{' + '.join(map(_shape, layer.inputs))} \N{RIGHTWARDS ARROW} {_shape(layer.output)}",
        "macs": f"{layer.macs:,}",
        "weight_bytes": f"{layer.weight_bytes:,}",
        "weight_bytes_read": f"{layer.weight_bytes_read:,}",
        "live_bytes": f"{layer.live_bytes:,}",
        "live_share": f"{100 * layer.live_bytes / most_alive:.0f}",
        "is_peak": layer.step == report.ram.peak_step,
        "sqnr": "" if layer.sqnr_db is None else f"{layer.sqnr_db:.1f}",
        "noise": "" if layer.noise_share is None else f"{100 * layer.noise_share:.1f}",
        "histogram": histogram(layer),
    }


def _facts(report: BuildRecord, layer: LayerFacts, loop: LoopFacts) -> list[tuple[str, str]]:
    """What the table has no column for."""
    alone = loop.first_step == loop.last_step
    values = histogram(layer)
    found = [
        ("kernel", layer.kernel),
        ("reads", ", ".join("the input" if step == 0 else f"step {step}" for step in layer.reads)),
        ("loop", "of its own" if alone else f"a stream of steps {loop.first_step} to {loop.last_step}"),
        ("scale", f"{layer.scale:.6g}, zero point {layer.zero_point}"),
        ("values", values.words if values else f"range {layer.low:.3g} to {layer.high:.3g}"),
    ]
    for name, decibels in (("weights", layer.weights_sqnr_db), ("rounding", layer.activation_sqnr_db)):
        found += [(f"SQNR of {name} alone", f"{decibels:.1f} dB")] if decibels is not None else []
    for use, bytes_held in (("arena", layer.live_bytes), ("constants", layer.weight_bytes)):
        memory = board_memory(report, use)
        found += [(f"of {memory.name}", share_text(bytes_held, memory.size_bytes))] if memory else []
    return found


def _shape(shape: Shape) -> str:
    """Without the batch of 1."""
    return _TIMES_SIGN.join(str(extent) for extent in shape[1:])
