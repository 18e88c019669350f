"""Results -> text for people, where the command line was not asked for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mbn2c.report.table import table
from mbn2c.targets import Board, Core
from mbn2c.tasks.classification.labels import doubt_of
from mbn2c.tasks.statistics import is_gain

# What a verification ran, where it ran the firmware that lies in OUT; else words that say how it differs.
OWN_FIRMWARE = "OUT's own firmware"

_DEAREST_LAYERS = 5


# What is the same as in the float model, by metric.
SAME = {"top1_agreement": "top-1", "position_agreement": "top-1 by position", "sign_agreement": "sign"}


def assumption(one: Mapping[str, Any]) -> list[str]:
    """What is taken for granted, where nothing but the shape says what an output is; else []."""
    if not one["kind_assumed"]:
        return []
    taken = "classes" if one["kind"] == "classes" else "a logit, yes above 0"
    return [f"{one['kind_because']}, taken as {taken}; --output-kind {one['name']}=vector if it is not"]


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
    for one in result["outputs"]:
        is_main = one["name"] == result["main_output"]
        rows += _output_rows(one, len(result["outputs"]) > 1, is_main and result["top1_device"] is not None)
        rows += _accuracy_rows(result, one) if is_main else []
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
    if result["first_mismatch"]:
        rows.append(("first mismatch", result["first_mismatch"]))
    if result["calibration"] == "random":
        rows.append(("warning", "calibrated on noise (--calib random): accuracy means nothing"))
    return table(rows)


def _output_rows(one: Mapping[str, Any], is_named: bool, is_labelled: bool) -> list[tuple[str, str]]:
    """One output beside the float model's.

    is_named     there are several
    is_labelled  the user's labels say that it is what its shape looks like
    """
    rows = []
    if is_named:
        shape = "x".join(str(extent) for extent in one["shape"][1:])
        rows.append((f"output '{one['name']}'", f"{shape}, judged as {one['kind']} ({one['kind_because']})"))
    if not is_labelled:
        rows += [("" if is_named else f"output '{one['name']}'", text) for text in assumption(one)]
    if one["largest_error"] is None:  # there is no float model
        return rows
    if one["metric"] in SAME:
        rows.append((f"same {SAME[one['metric']]} as the float model", _share(one["value"], one["interval_95"])))
    elif one["cosine"] is not None:
        cosine = f"{one['cosine']:.4f}, at least {one['smallest_cosine']:.4f}"
        rows.append(("cosine with the float model", cosine))
    sqnr = "no noise" if one["sqnr_db"] is None else f"{one['sqnr_db']:.1f} dB"
    error = "" if one["kind"] == "classes" else f", largest error {one['largest_error']:.3g}"
    return [*rows, ("output SQNR", sqnr + error)]


def _accuracy_rows(result: Mapping[str, Any], main: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Against the labels, where there are some."""
    what = "top-1" if main["kind"] == "classes" else "accuracy"
    rows = []
    for who, key in (("device", "top1_device"), ("float model", "top1_ort_float32")):
        if result[key] is not None:
            doubt = doubt_of(result[key], main["shape"][3]) if key == "top1_ort_float32" else ""
            share = _share(result[key], result[f"{key}_interval_95"])
            rows.append((f"{what} of the {who}", share + (doubt and f"; {doubt}")))
    if result["drop"] is not None:
        rows.append(_drop_row(100 * result["drop"], 100 * result["drop_upper_95"]))
    return rows


def _share(value: float, interval: Sequence[float]) -> str:
    return f"{value:.4f}  (95 %: {interval[0]:.4f} to {interval[1]:.4f})"


def _drop_row(drop: float, upper: float) -> tuple[str, str]:
    """Both in per cent."""
    if not is_gain(drop):
        return "accuracy drop", f"{abs(drop):.2f} %, below {upper:.2f} % with 95 % confidence"
    bound = f"; a drop is below {upper:.2f} %" if upper >= 0 else f", above {-upper:.2f} %"
    return "accuracy gain", f"{-drop:.2f} %{bound} with 95 % confidence"


def targets_text(cores: Sequence[Core]) -> str:
    return table(
        [
            ("target", "kernels", "compiler", ""),
            *((c.name, ", ".join(c.isas), f"{c.prefix}gcc", c.title) for c in cores),
        ]
    )


def boards_text(boards: Sequence[Board]) -> str:
    rows = [("board", "core", "emulated", "memories", "")]
    for board in boards:
        memories = ", ".join(f"{memory.kind} {memory.size_bytes // 1024} KiB" for memory in board.memories)
        rows.append((board.name, board.core, "yes" if board.emulated else "no", memories, board.title))
    return table(rows)
