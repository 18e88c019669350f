"""Results -> text for people, where the command line was not asked for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mbn2c.report.table import table
from mbn2c.tasks.registry import task_named

# What a verification ran, where it ran the firmware that lies in OUT; else words that say how it differs.
OWN_FIRMWARE = "OUT's own firmware"

_DEAREST_LAYERS = 5


def _line_text(result: Mapping[str, Any]) -> str:
    text = f"{result['line_bytes']:,} bytes"
    if result["images_per_s"] is not None:
        text += f", {result['images_per_s']:g} images/s"
    if result["line_share"] is not None:
        text += f", {100 * result['line_share']:.0f} % of the line's capacity"
    if result["devices"] > 1 or result["devices_lost"]:
        text += f", {result['devices']} devices"
    for one in result["devices_lost"]:
        text += f"; lost {one}"
    if result["resumed_images"]:
        text += f"; {result['resumed_images']} images are from the verify that was broken off"
    return text


def _stress_text(result: Mapping[str, Any]) -> str:
    if not result["stress_inputs"]:
        return "left out (--no-stress)"
    inputs, layers, arrays = (result[f"stress_{what}"] for what in ("inputs", "layers", "constants"))
    return f"{inputs} inputs, {layers} layers each, and {arrays} constant arrays: {result['stress_mismatches']} differ"


def verify_text(result: Mapping[str, Any]) -> str:
    """What `mbn2c verify` prints."""
    return table(verified_facts(result))


def verified_facts(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The three comparisons, and what they cost."""
    n, compared, seconds = result["images"], f"{result['outputs_compared']:,}", f"{result['wall_s']:.1f}"

    rows = [
        *([] if result["verified"] == OWN_FIRMWARE else [("verified", result["verified"])]),
        ("device", f"{result['board']}, {n} images, {compared} output bytes, {result['retries']} retries, {seconds} s"),
        ("line", _line_text(result)),
        ("device against integer reference", f"{result['device_vs_reference_mismatches']} bytes differ"),
        (
            "reference against ONNX Runtime, int8",
            f"{result['reference_vs_ort_int8_mismatches']} bytes differ, over all tensors",
        ),
    ]
    rows.append(("stress set", _stress_text(result)))
    if result["exif_rotated_images"]:
        rows.append(("images", f"{result['exif_rotated_images']} of {n} rotated as their EXIF data says"))
    if result["labels"]["note"]:
        rows.append(("labels", result["labels"]["note"]))
    if result["unstable_images"]:
        rows.append(("unstable", f"the device contradicts itself on {result['unstable_images']} of {n} images"))
    rows += task_named(result["task"]).verified_rows(result)
    if result["instructions_per_inference"] is not None:
        rows.append(
            (
                "instructions per inference",
                f"{result['instructions_per_inference']:,} = {result['instructions_per_mac']} per MAC",
            )
        )
    if result["cycles_per_inference"] is not None:
        low, high = result["cycles_smallest"], result["cycles_largest"]
        rows.append(("cycles per inference", f"{result['cycles_per_inference']:,} ({low:,} to {high:,})"))
    for layer in sorted(result["layer_cycles"] or (), key=lambda layer: -layer["cycles"])[:_DEAREST_LAYERS]:
        rows.append(("", f"{layer['cycles']:,} in step {layer['step']}, {layer['name']}"))
    if result["stack_used_bytes"]:
        rows.append(("stack used by the firmware", f"{result['stack_used_bytes']:,} B"))
    if result["results"]:
        rows.append(("results", result["results"]))
    if result["first_mismatch"]:
        rows.append(("first mismatch", result["first_mismatch"]))
    if result["warning"]:
        rows.append(("warning", result["warning"]))
    return rows
