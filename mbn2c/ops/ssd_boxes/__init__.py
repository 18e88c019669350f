"""ssd_boxes: candidates of all levels of a detector -> the boxes that remain of them, or that are made of neighbours.

inputs   for each level the records of `ssd_candidates`, [1, 1, 1, most * 10]
output   [1, 1, 1, boxes * 12]: records of int16 x0, y0, x1, y1, label, score; a score of 0 where there is none
source   none in ONNX: what comes behind the exported model; NonMaxSuppression of ONNX drops by the same rule

`arithmetic` says how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Packed, Params, ScalarKernel
from mbn2c.ops.base.operator import QUANTIZED, Operator
from mbn2c.ops.base.packing import INT32, INT32_ARRAY, integers
from mbn2c.ops.base.windows import Shape
from mbn2c.ops.ssd_boxes.arithmetic import (
    BOX,
    CODERS,
    CORNERS,
    LONGEST,
    MOST_LOG_ODDS,
    ONE,
    POWERS,
    SsdBoxesAttributes,
    SsdLevel,
    boxes_to_bytes,
    find_boxes,
)
from mbn2c.ops.ssd_candidates.records import ONE_SCORE, RECORD

MOST_LEVELS = 8
# Candidates of which each is compared with each.
_MOST_CONNECTED = 1 << 15
PARAMS = Params(
    "mbn_ssd_boxes_params",
    (
        *integers("levels"),
        (INT32, "coder", "what offsets move: 0 corners, 1 centre and logarithms of sizes, 2 centre and sizes"),
        (INT32, "is_linear", "a rank times its step is the score, not the logarithm of its odds"),
        (INT32, "per_class", "only boxes of the same label drop each other"),
        (INT32, "connected", "nothing is dropped: neighbours of the same label in the only level's grid are one box"),
        *integers("width", "height", "boxes"),
        (INT32, "iou_threshold", "of 65,536"),
        (INT32_ARRAY, "order", "which offset belongs to x0, y0, x1, y1 or centre, width and height"),
        (INT32_ARRAY, "level_facts", "records, width, anchors, step_x, step_y, zero_point, rank_step of each"),
        (INT32_ARRAY, "anchors", "of each level's anchors four places and four steps, 16 bits behind the point"),
        (INT32_ARRAY, "curves", "of each level what codes of both pairs of offsets stand for; 0: themselves"),
        (INT32_ARRAY, "powers", "2 ** (i / 64), 15 bits behind the point"),
    ),
)


class SsdBoxes(Operator):
    """Decoding, and what overlaps a better box is dropped."""

    name = "ssd_boxes"
    stages = frozenset((QUANTIZED,))
    attributes = SsdBoxesAttributes
    is_postprocessing = True

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        a: SsdBoxesAttributes = node.attributes
        fits = len(shapes) == len(a.levels) and all(
            shape[:3] == (1, 1, 1) and shape[3] % RECORD.itemsize == 0 for shape in shapes
        )
        return (1, 1, 1, a.boxes * BOX.itemsize) if fits else None

    def check_attributes(self, node: Node, graph: Graph) -> str:
        a: SsdBoxesAttributes = node.attributes
        if not 1 <= len(a.levels) <= MOST_LEVELS or sorted(a.order) != [0, 1, 2, 3] or a.coder not in CODERS:
            return f"{len(a.levels)} levels, {a.coder} by offsets in the order {a.order}"
        if min(a.boxes, a.height, a.width) < 1 or max(a.height, a.width) >= 2**11:
            return f"{a.boxes} boxes on {a.height}x{a.width} pixels"
        most = sum(_record_counts(node, graph))
        if a.connected and (len(a.levels) != 1 or len(a.levels[0].anchors) != 1 or most > _MOST_CONNECTED):
            return f"connected boxes of {len(a.levels)} levels and {most} candidates"
        makers = {name: one.attributes for one in graph.nodes for name in one.outputs}
        for level, name in zip(a.levels, node.inputs, strict=True):
            maker = makers.get(name)
            are_scores = getattr(maker, "is_shared", False) or bool(getattr(maker, "exponents", ()))
            if wrong := _wrong_with(a, level, ONE_SCORE - 1 if are_scores else 255):
                return wrong
        return ""

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        headers = ("scalar/mbn_ssd.h",)
        return (ScalarKernel(self.name, PARAMS, _pack, scratch_bytes=_scratch_bytes, headers=headers),)

    def most_work(self, node: Node, graph: Graph) -> Mapping[str, int]:
        a: SsdBoxesAttributes = node.attributes
        count = sum(_record_counts(node, graph))
        if a.connected:
            return {
                "row": 1,
                "beside": count * (count - 1) // 2,
                "group": count * (count + min(count, a.boxes)),
                "decode": count,
                "box": a.boxes,
            }
        kept = min(count, a.boxes) - 1
        return {
            "row": 1,
            "level": (count + 1) * len(a.levels),
            "decode": count,
            "overlap": kept * (kept + 1) // 2 + (count - kept - 1) * kept,
            "box": a.boxes,
        }

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        a: SsdBoxesAttributes = node.attributes
        found = [boxes_to_bytes(find_boxes(a, lists), a.boxes) for lists in zip(*inputs, strict=True)]
        return np.stack(found)[:, None, None]


def _record_counts(node: Node, graph: Graph) -> list[int]:
    """Candidates that each level may hand over."""
    return [graph.tensors[name].shape[3] // RECORD.itemsize for name in node.inputs]


def _scratch_bytes(node: Node, graph: Graph) -> int:
    """A group for each candidate, where neighbours are one box."""
    a: SsdBoxesAttributes = node.attributes
    return -(-2 * sum(_record_counts(node, graph)) // 4) * 4 if a.connected else 0


def _most_offset(level: SsdLevel) -> int:
    """What is no less than an offset, with 16 bits behind the point."""
    return max((abs(one) for curve in level.curves for one in curve), default=255 * ONE)


def _wrong_with(a: SsdBoxesAttributes, level: SsdLevel, most_rank: int) -> str:
    """What could leave int32; "" if nothing can. most_rank: no rank is greater, with or without its sign."""
    if min(level.height, level.width) < 1 or not level.anchors or len(level.anchors) != len(level.offset_steps):
        return f"a level of {level.height}x{level.width} with {len(level.anchors)} anchors"
    most_grade = 2**31 - 1 if a.is_linear else MOST_LOG_ODDS
    if not -128 <= level.zero_point <= 127 or not 0 < level.rank_step * most_rank <= most_grade:
        return f"zero point {level.zero_point}, rank step {level.rank_step}"
    if bool(level.curves) != bool(a.levels[0].curves) or [len(one) for one in level.curves] not in ([], [256, 256]):
        return f"{len(level.curves)} curves of offsets"
    reach = max(abs(level.step_x) * level.width, abs(level.step_y) * level.height)
    for anchor, steps in zip(level.anchors, level.offset_steps, strict=True):
        if len(anchor) != 4 or len(steps) != 4:
            return f"anchor {anchor}, steps {steps}"
        most = max(map(abs, steps)) * _most_offset(level) >> 16
        if max(map(abs, anchor)) + most + reach >= LONGEST:
            return f"anchor {anchor} with steps {steps}"
        if a.coder != CORNERS and min(anchor[2:]) < 0:
            return f"an anchor {anchor[2] / ONE} wide and {anchor[3] / ONE} high"
    return ""


def _pack(node: Node, graph: Graph) -> Packed:
    a: SsdBoxesAttributes = node.attributes
    counts = _record_counts(node, graph)
    arrays = {
        "order": np.array(a.order, np.int32),
        "level_facts": np.array(
            [
                (count, one.width, len(one.anchors), one.step_x, one.step_y, one.zero_point, one.rank_step)
                for count, one in zip(counts, a.levels, strict=True)
            ],
            np.int32,
        ).reshape(-1),
        "anchors": np.array(
            [
                (*anchor, *steps)
                for one in a.levels
                for anchor, steps in zip(one.anchors, one.offset_steps, strict=True)
            ],
            np.int32,
        ).reshape(-1),
        "powers": np.array(POWERS, np.int32),
    }
    if a.levels[0].curves:
        arrays["curves"] = np.array([one.curves for one in a.levels], np.int32).reshape(-1)
    # As the struct has them.
    order = ("order", "level_facts", "anchors", "curves", "powers")
    names: dict[str, int | str] = {name: name if name in arrays else 0 for name in order}
    numbers = {
        "levels": len(a.levels),
        "coder": CODERS.index(a.coder),
        "is_linear": int(a.is_linear),
        "per_class": int(a.per_class),
        "connected": int(a.connected),
        "width": a.width,
        "height": a.height,
        "boxes": a.boxes,
        "iou_threshold": a.iou_threshold,
    }
    return Packed({**numbers, **names}, arrays)
