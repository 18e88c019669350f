"""What a build made -> text for people."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from mbn2c.report.record import (
    DRAWN,
    NOISE,
    PREQUANTIZED,
    BuildRecord,
    CalibrationFacts,
    FlashBytes,
    FourBitLayer,
    Int16Facts,
    QuantizationFacts,
    TriedFacts,
)
from mbn2c.report.table import table
from mbn2c.report.time_facts import time_text, worst_case_text
from mbn2c.targets import boards_running, load_board
from mbn2c.tasks.protocol import Task
from mbn2c.tasks.registry import task_named

_COSTLY_LAYERS = 3
_NAMED_FOLDERS = 6
_FOUR_BIT_LAYERS = 4
_INT16_LAYERS = 8
# Of the quantization methods that were tried: those kept after the first one, those dropped.
_KEPT_METHODS, _DROPPED_METHODS = 6, 4


def build_text(report: BuildRecord, folder: str, note: str) -> str:
    """What a build made."""
    ram, flash, model = report.ram, report.flash, report.model
    calibration, folded = report.build.calibration, report.folded
    paths = ", ".join(f"{count} {path}" for path, count in report.quantization.channels_per_path.items())
    sources = {
        NOISE: "random inputs: for sizes only",
        PREQUANTIZED: "needed: the model is prequantized",
        DRAWN: f"drawn images, {calibration.note}",
    }
    source = sources.get(calibration.source, "images")
    size = f"{model.macs:,} MACs, {model.parameters:,} parameters, {len(report.layers)} layers"
    folds = f"{folded.batch_norms} batch norms, {folded.activations} activations, {folded.pads} pads"
    ram_parts = f"arena {ram.arena_bytes:,} + context {ram.context_bytes:,} + stack {_bytes(ram.stack_bytes)}"
    flash_parts = f"weights {flash.weights_bytes:,} + constants {flash.constants_bytes:,}"
    rows = [
        ("model", f"{model.file}: {size}"),
        *(("", one.text) for one in folded.notes if one.is_of_file),
        ("target", report.target + (f", board {report.board}" if report.board else "")),
        ("calibration", f"{calibration.images or 'none'} {source}{_folders(calibration)}"),
        ("folded", f"{folds}, {folded.removed_channels} constant channels"),
        *_tried_rows(report.quantization.tried, "drawn" if calibration.source == DRAWN else "held-back"),
        *_int16_rows(report.quantization.int16),
        *_four_bit_rows(report.quantization.four_bits),
        *_quality_rows(report.quantization, task_named(report.build.task)),
        ("requantization", f"{report.quantization.proved_channels} channels proved exact: {paths}"),
        ("RAM", f"{_bytes(ram.total_bytes)} = {ram_parts}"),
        ("", f"peak at {ram.peak_layer}; no placement of this schedule is below {ram.lower_bound_bytes:,} B"),
        *([("", report.fit)] if report.fit else []),
        *_recomputed_rows(report),
        ("flash", f"{_bytes(flash.total_bytes)} = {flash_parts} + code {_bytes(flash.code_bytes)}"),
    ]
    rows += [
        ("", f"of these {one.size_bytes:,} B, weights and what kernels keep among them, in {name}")
        for name, one in flash.sections.items()
    ]
    rows.append(("weights read", _reads(flash)))
    rows.append(("time", time_text(report.time)))
    if worst := worst_case_text(report.time):
        rows.append(("", worst))
    if report.firmware:
        used = ", ".join(f"{name} {count:,} B" for name, count in report.firmware.memories.items())
        rows.append(("firmware", f"{report.firmware.file}" + (f": {used}" if used else "")))
    rows.append(("written to", folder))
    if note:
        rows.append(("note", note))
    return table(rows + _next_rows(report, folder))


def _reads(flash: FlashBytes) -> str:
    """How many bytes of weights an inference reads, and of which sections."""
    apart = "".join(f", {one.read_bytes:,} B of them from {name}" for name, one in flash.sections.items())
    times = flash.weights_read_bytes / max(flash.weights_bytes, 1)
    return f"{flash.weights_read_bytes:,} B an inference, each byte {times:.1f} times on average{apart}"


def _recomputed_rows(report: BuildRecord) -> list[tuple[str, str]]:
    """What is computed twice for less RAM."""
    macs, again = report.model.macs, report.recomputed_macs
    return (
        [("", f"recomputed: {again:,} MACs, {100 * again / max(macs, 1):.1f} %, are executed twice")] if again else []
    )


def _next_rows(report: BuildRecord, folder: str) -> list[tuple[str, str]]:
    """The commands that come next."""
    verify = f"mbn2c verify {shlex.quote(folder)} --images FOLDER"
    board = load_board(report.board) if report.board else None
    if board is not None and not board.emulated:
        return [("next", f"mbn2c flash {shlex.quote(folder)}"), ("", f"{verify} --port PORT")]
    if board is not None:
        return [("next", f"{verify} --board {board.name}")]
    able = next((board.name for board in boards_running(report.target) if board.emulated), None)
    return [("next", f"{verify} --board {able}" if able else f"{verify} --host")]


def _folders(calibration: CalibrationFacts) -> str:
    """Of the calibration images: the folders they are from, and how many were turned."""
    folders, rotated = calibration.folders, calibration.exif_rotated_images
    names = ", ".join(folders[:_NAMED_FOLDERS]) + (" ..." if len(folders) > _NAMED_FOLDERS else "")
    text = f" in {len(folders)} folders ({names})" if folders else ""
    return text + (f", {rotated} of them rotated as their EXIF data says" if rotated else "")


def _tried_rows(tried: Sequence[TriedFacts], judges: str) -> list[tuple[str, str]]:
    """Where quantization began, what made it better, and the rest in one line; report.json has them all.

    judges  what images they were
    """
    kept = [line for line in tried if line.kept]
    rows: list[tuple[str, str]] = []
    for line in [*kept[:1], *kept[1:][-_KEPT_METHODS:]]:
        verdict = f"on {judges} images" + (", kept" if rows else "")
        rows.append(("" if rows else "quantization", f"{line.method}: {line.sqnr_db:.2f} dB {verdict}"))
    others = [line for line in tried if not line.kept]
    if others:
        names = "; ".join(f"{line.method} {line.sqnr_db:.2f} dB" for line in others[:_DROPPED_METHODS])
        more = len(others) - _DROPPED_METHODS
        rows.append(("", f"dropped: {names}" + (f"; and {more} more in report.json" if more > 0 else "")))
    return rows


def _int16_rows(int16: Int16Facts | None) -> list[tuple[str, str]]:
    """Which layers' outputs are int16, and what they cost together; of those that cost most, each one's buffer and
    instructions."""
    if int16 is None:
        return []
    arena, instructions = int16.arena_bytes, int16.instructions
    ram = f"{arena - int16.int8_arena_bytes:+,} B of arena ({_growth(arena, int16.int8_arena_bytes)})"
    time = (
        f"{instructions - int16.int8_instructions:+,} instructions ({_growth(instructions, int16.int8_instructions)})"
    )
    layers = sorted(int16.layers, key=lambda one: -one.instructions)
    each = [("", f"{one.name}: {one.buffer_bytes:+,} B, {one.instructions:+,}") for one in layers[:_INT16_LAYERS]]
    more = [("", f"and {len(layers) - len(each)} more in report.json")] if len(layers) > len(each) else []
    return [("int16", f"{len(layers)} layers for {ram} and, as estimated, {time}"), *each, *more]


def _four_bit_rows(layers: Sequence[FourBitLayer]) -> list[tuple[str, str]]:
    """How many layers' weights have four bits, what they save and cost together; of those that cost most, each."""
    if not layers:
        return []
    saved, noise = sum(one.saved_bytes for one in layers), sum(one.noise for one in layers)
    costly = sorted(layers, key=lambda one: -one.noise)[:_FOUR_BIT_LAYERS]
    each = [("", f"{one.name}: {one.saved_bytes:,} B, {one.noise:.2g}") for one in costly]
    more = [("", f"and {len(layers) - len(each)} more in report.json")] if len(layers) > len(each) else []
    words = f"weights of {len(layers)} layers, {saved:,} B less, for {noise:.2g} times the noise of all activations"
    return [("four bits", words), *each, *more]


def _growth(value: int, before: int) -> str:
    return f"{100 * (value / before - 1):+.1f} %"


def _quality_rows(quantization: QuantizationFacts, task: type[Task]) -> list[tuple[str, str]]:
    """What int8 gives on images held back, and which layers' rounding costs most of it."""
    rows: list[tuple[str, str]] = []
    held_back, worst = quantization.held_back, quantization.worst_layers[:_COSTLY_LAYERS]
    if held_back is not None:
        rows += _held_back_rows(held_back, task)
    if worst:
        names = ", ".join(f"{layer.name} {100 * layer.noise_share:.0f} %" for layer in worst)
        rows.append(("noise", f"at the output, most from {names}"))
    return rows


def _held_back_rows(held_back: Mapping[str, Any], task: type[Task]) -> list[tuple[str, str]]:
    """Who judged what, and what the task says of it."""
    folds, left_out = held_back["folds"], held_back["left_out_images"]
    images = held_back["images"] - left_out
    judged = {
        0: f"none: {images} images are too few, so these are the ones it is made from",
        1: f"{images} images, by a network made without them",
    }.get(folds, f"{images} images, each by one of {folds} networks made without it ({folds}-fold cross-validation)")
    if left_out:
        judged += f"; {left_out} images that --calib-limit left out, by the network itself"
    return [("held back", judged), *task.held_back_rows(held_back)]


def _bytes(count: int | None) -> str:
    return "not known" if count is None else f"{count:,} B"
