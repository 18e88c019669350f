"""Results -> text for people, where the command line was not asked for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mbn2c.printable import printable
from mbn2c.targets import Board, Core
from mbn2c.tasks.classification.labels import doubt_of
from mbn2c.tasks.statistics import is_gain

# What a verification ran, where it ran the firmware that lies in OUT; else words that say how it differs.
OWN_FIRMWARE = "OUT's own firmware"

_DEAREST_LAYERS = 5
_COSTLY_LAYERS = 3
_NAMED_FOLDERS = 6
_LONGEST_NAME = 50
# Of the quantization methods that were tried: those kept after the first one, those dropped.
_KEPT_METHODS, _DROPPED_METHODS = 6, 4


def shortened(name: str) -> str:
    """A layer's name for people: some exporters join those of all operators a layer was fused from."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME // 2 - 3]}...{name[-_LONGEST_NAME // 2 :]}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned to the left, two spaces apart; what a cell holds, names of any kind, stays in it."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _bytes(count: int | None) -> str:
    return "not known" if count is None else f"{count:,} B"


def build_text(report: Mapping[str, Any], folder: str, note: str) -> str:
    """What a build made."""
    ram, flash, model = report["ram"], report["flash"], report["model"]
    calibration, folded = report["build"]["calibration"], report["folded"]
    paths = ", ".join(f"{count} {path}" for path, count in report["quantization"]["channels_per_path"].items())
    sources = {"random": "random inputs: for sizes only", "given": "needed: the model came quantized"}
    source = sources.get(calibration["source"], "images")
    size = f"{model['macs']:,} MACs, {model['parameters']:,} parameters, {len(report['layers'])} layers"
    folds = f"{folded['batch_norms']} batch norms, {folded['activations']} activations, {folded['pads']} pads"
    ram_parts = f"arena {ram['arena_bytes']:,} + context {ram['context_bytes']:,} + stack {_bytes(ram['stack_bytes'])}"
    flash_parts = f"weights {flash['weights_bytes']:,} + constants {flash['constants_bytes']:,}"
    rows = [
        ("model", f"{model['file']}: {size}"),
        ("target", report["target"] + (f", board {report['board']}" if report["board"] else "")),
        ("calibration", f"{calibration['images'] or 'none'} {source}{_folders(calibration)}"),
        ("folded", f"{folds}, {folded['removed_channels']} constant channels"),
        *_tried_rows(report["quantization"]["tried"]),
        *_quality_rows(report["quantization"]),
        ("requantization", f"{report['quantization']['proved_channels']} channels proved exact: {paths}"),
        ("RAM", f"{_bytes(ram['total_bytes'])} = {ram_parts}"),
        ("", f"peak at {ram['peak_layer']}; no placement of this schedule is below {ram['lower_bound_bytes']:,} B"),
        *([("", report["fit"])] if report["fit"] else []),
        ("flash", f"{_bytes(flash['total_bytes'])} = {flash_parts} + code {_bytes(flash['code_bytes'])}"),
    ]
    if report.get("firmware"):
        used = ", ".join(f"{name} {count:,} B" for name, count in report["firmware"]["memories"].items())
        rows.append(("firmware", f"{report['firmware']['file']}" + (f": {used}" if used else "")))
    rows.append(("written to", folder))
    if note:
        rows.append(("note", note))
    return table(rows)


def _folders(calibration: Mapping[str, Any]) -> str:
    """Of the calibration images: the folders they are from, and how many were turned."""
    folders, rotated = calibration.get("folders", ()), calibration.get("exif_rotated_images", 0)
    names = ", ".join(folders[:_NAMED_FOLDERS]) + (" ..." if len(folders) > _NAMED_FOLDERS else "")
    text = f" in {len(folders)} folders ({names})" if folders else ""
    return text + (f", {rotated} of them rotated as their EXIF data says" if rotated else "")


def _tried_rows(tried: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Where quantization began, what made it better, and the rest in one line; report.json has them all."""
    kept = [line for line in tried if line["kept"]]
    rows: list[tuple[str, str]] = []
    for line in [*kept[:1], *kept[1:][-_KEPT_METHODS:]]:
        verdict = "on held-back images" + (", kept" if rows else "")
        rows.append(("" if rows else "quantization", f"{line['method']}: {line['sqnr_db']:.2f} dB {verdict}"))
    others = [line for line in tried if not line["kept"]]
    if others:
        names = "; ".join(f"{line['method']} {line['sqnr_db']:.2f} dB" for line in others[:_DROPPED_METHODS])
        more = len(others) - _DROPPED_METHODS
        rows.append(("", f"dropped: {names}" + (f"; and {more} more in report.json" if more > 0 else "")))
    return rows


def _quality_rows(quantization: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What int8 gives on images held back, and which layers' rounding costs most of it."""
    rows: list[tuple[str, str]] = []
    held_back, worst = quantization["held_back"], quantization["worst_layers"][:_COSTLY_LAYERS]
    if held_back is not None:
        rows += _held_back_rows(held_back)
    if worst:
        names = ", ".join(f"{layer['name']} {100 * layer['noise_share']:.0f} %" for layer in worst)
        rows.append(("noise", f"at the output, most from {names}"))
    return rows


def _held_back_rows(held_back: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Who judged what, and each output's agreement with the float model."""
    folds, left_out = held_back["folds"], held_back["left_out_images"]
    images = held_back["images"] - left_out
    judged = {
        0: f"none: {images} images are too few, so these are the ones it is made from",
        1: f"{images} images, by a network made without them",
    }.get(folds, f"{images} images, each by one of {folds} networks made without it ({folds}-fold cross-validation)")
    if left_out:
        judged += f"; {left_out} images that --calib-limit left out, by the network itself"
    rows = [("held back", judged)]
    for one in held_back["outputs"]:
        name = f"output '{one['name']}': " if len(held_back["outputs"]) > 1 else ""
        rows.append(("", f"{name}{_judged(one, percent=True)}"))
        rows += [("", f"{name}{text}") for text in _assumption(one)]
    if held_back["labels"]["note"]:
        rows.append(("", f"labels: {held_back['labels']['note']}"))
    if held_back["labelled"]:
        shares = [100 * held_back[f"accuracy_{side}"] for side in ("float32", "int8")]
        doubt = doubt_of(held_back["accuracy_float32"], held_back["outputs"][held_back["main"]]["shape"][3])
        rows.append(("", f"right: float32 {shares[0]:.1f} %, int8 {shares[1]:.1f} %" + (doubt and f"; {doubt}")))
    return rows


# What is the same as in the float model, by metric.
_SAME = {"top1_agreement": "top-1", "position_agreement": "top-1 by position", "sign_agreement": "sign"}


def _judged(one: Mapping[str, Any], percent: bool) -> str:
    """An output's metric with its interval, and its SQNR where it is no class; as a line of its own."""
    sqnr = "no noise" if one["sqnr_db"] is None else f"SQNR {one['sqnr_db']:.1f} dB"
    noise = f"{sqnr}, largest error {one['largest_error']:.3g}"
    if one["metric"] in _SAME:
        value, (low, high) = one["value"], one["interval_95"]
        share = f"{100 * value:.1f} % same {_SAME[one['metric']]} as float32 ({100 * low:.1f} to {100 * high:.1f} %)"
        return share if one["metric"] == "top1_agreement" else f"{share}, {noise}"
    if one["cosine"] is None:
        return f"{noise}, against float32"
    return f"cosine {one['cosine']:.4f} with float32 (at least {one['smallest_cosine']:.4f}), {noise}"


def _assumption(one: Mapping[str, Any]) -> list[str]:
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
        rows += [("" if is_named else f"output '{one['name']}'", text) for text in _assumption(one)]
    if one["largest_error"] is None:  # there is no float model
        return rows
    if one["metric"] in _SAME:
        rows.append((f"same {_SAME[one['metric']]} as the float model", _share(one["value"], one["interval_95"])))
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


def bench_text(result: Mapping[str, Any]) -> str:
    """What `bench` or `bench_device` found, layer by layer."""
    text = _cycles_text(result) if result["cycles_per_inference"] is not None else _instructions_text(result)
    measured = printable(result["measured"])
    return text if measured == OWN_FIRMWARE else f"measured: {measured}\n\n{text}"


def _cycles_text(result: Mapping[str, Any]) -> str:
    """Layers by step, with their cycles on the board."""
    rows = [("step", "layer", "operator", "MACs", "cycles", "per MAC", "share")]
    for layer in result["layers"]:
        per_mac = "" if layer["cycles_per_mac"] is None else f"{layer['cycles_per_mac']:.2f}"
        numbers = (f"{layer['macs']:,}", f"{layer['cycles']:,}", per_mac, f"{100 * layer['share']:.1f} %")
        rows.append((str(layer["step"]), shortened(layer["name"]), layer["op"], *numbers))
    each = "" if result["cycles_per_mac"] is None else f", {result['cycles_per_mac']} per MAC"
    total = f"{result['cycles_per_inference']:,} cycles per inference{each}"
    return f"{table(rows)}\n\n{_device(result)}: {total}"


def _device(result: Mapping[str, Any]) -> str:
    return printable(f"{result['board']}, {result['core']}")


def _instructions_text(result: Mapping[str, Any]) -> str:
    """Layers by step, instructions by class, and cycles where the core has a model of them."""
    classes = list(result["layers"][0]["classes"])
    cycles = result["estimated_cycles_per_inference"]
    estimate = ("cycles, estimated",) if cycles else ()
    rows = [("step", "layer", "operator", "MACs", "instructions", "per MAC", "share", *classes, *estimate)]
    for layer in result["layers"]:
        per_mac = layer["instructions_per_mac"]
        rows.append(
            (
                "" if layer["step"] is None else str(layer["step"]),
                shortened(layer["name"]),
                layer["op"],
                f"{layer['macs']:,}",
                f"{layer['instructions']:,}",
                "" if per_mac is None else f"{per_mac:.2f}",
                f"{100 * layer['share']:.1f} %",
                *(f"{count:,}" for count in layer["classes"].values()),
                *((f"{layer['estimated_cycles'][0]:,} to {layer['estimated_cycles'][1]:,}",) if cycles else ()),
            )
        )
    per_mac = result["instructions_per_mac"]
    total = f"{result['instructions_per_inference']:,} instructions per inference"
    each = f", {per_mac} per MAC" if per_mac is not None else ""
    about = f"; about {cycles[0]:,} to {cycles[1]:,} cycles (docs/kernels.md)" if cycles else ""
    return f"{table(rows)}\n\n{_device(result)}: {total}{each}{about}"


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
