"""What build and verify found of the outputs, as JSON -> lines for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mbn2c.tasks.classification.labels import doubt_of
from mbn2c.tasks.classification.likeness import BY_POSITION, SIGN, TOP1
from mbn2c.tasks.classification.outputs import CLASSES
from mbn2c.tasks.protocol import Rows
from mbn2c.tasks.statistics import is_gain

# What is the same as in the float model, by metric.
_SAME = {TOP1: "top-1", BY_POSITION: "top-1 by position", SIGN: "sign"}


def judged_as(described: Mapping[str, Any]) -> str:
    """The kind an output is judged as, and why."""
    return f"judged as {described['kind']} ({described['kind_because']})"


def held_back_rows(held_back: Mapping[str, Any]) -> Rows:
    """Each output's agreement with the float model, and how many answers are right."""
    rows: Rows = []
    for one in held_back["outputs"]:
        name = f"output '{one['name']}': " if len(held_back["outputs"]) > 1 else ""
        rows.append(("", f"{name}{_held_back_line(one)}"))
        rows += [("", f"{name}{text}") for text in _assumption(one)]
    if held_back["labels"]["note"]:
        rows.append(("", f"labels: {held_back['labels']['note']}"))
    if held_back["labelled"]:
        shares = [100 * held_back[f"accuracy_{side}"] for side in ("float32", "int8")]
        doubt = doubt_of(held_back["accuracy_float32"], held_back["outputs"][held_back["main"]]["shape"][3])
        rows.append(("", f"right: float32 {shares[0]:.1f} %, int8 {shares[1]:.1f} %" + (doubt and f"; {doubt}")))
    return rows


def verified_rows(result: Mapping[str, Any]) -> Rows:
    """Each output beside the float model's, and the main one beside the labels."""
    rows: Rows = []
    for one in result["outputs"]:
        is_main = one["name"] == result["main_output"]
        rows += _output_rows(one, len(result["outputs"]) > 1, is_main and result["top1_device"] is not None)
        rows += _accuracy_rows(result, one) if is_main else []
    return rows


def _held_back_line(one: Mapping[str, Any]) -> str:
    """An output's metric with its interval, and its SQNR where it is no class."""
    sqnr = "no noise" if one["sqnr_db"] is None else f"SQNR {one['sqnr_db']:.1f} dB"
    noise = f"{sqnr}, largest error {one['largest_error']:.3g}"
    if one["metric"] in _SAME:
        value, (low, high) = one["value"], one["interval_95"]
        share = f"{100 * value:.1f} % same {_SAME[one['metric']]} as float32 ({100 * low:.1f} to {100 * high:.1f} %)"
        return share if one["metric"] == TOP1 else f"{share}, {noise}"
    if one["cosine"] is None:
        return f"{noise}, against float32"
    return f"cosine {one['cosine']:.4f} with float32 (at least {one['smallest_cosine']:.4f}), {noise}"


def _assumption(one: Mapping[str, Any]) -> list[str]:
    """What is taken for granted, where nothing but the shape says what an output is; else []."""
    if not one["kind_assumed"]:
        return []
    taken = "classes" if one["kind"] == CLASSES else "a logit, yes above 0"
    return [f"{one['kind_because']}, taken as {taken}; --output-kind {one['name']}=vector if it is not"]


def _output_rows(one: Mapping[str, Any], is_named: bool, is_labelled: bool) -> Rows:
    """One output beside the float model's.

    is_named     there are several
    is_labelled  the user's labels say that it is what its shape looks like
    """
    rows: Rows = []
    if is_named:
        shape = "x".join(str(extent) for extent in one["shape"][1:])
        rows.append((f"output '{one['name']}'", f"{shape}, {judged_as(one)}"))
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
    error = "" if one["kind"] == CLASSES else f", largest error {one['largest_error']:.3g}"
    return [*rows, ("output SQNR", sqnr + error)]


def _accuracy_rows(result: Mapping[str, Any], main: Mapping[str, Any]) -> Rows:
    """Against the labels, where there are some."""
    what = "top-1" if main["kind"] == CLASSES else "accuracy"
    rows: Rows = []
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
