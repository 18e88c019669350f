"""ssd_candidates: the best candidates among the anchors of one level of a detector, collected row by row.

inputs   scores int8 [1, H, W, anchors * classes]; unless `values` is 0, and those of all records are, offsets int8
         [1, H, W, anchors * values]; maybe the greatest scores around each, [1, H, W, anchors * classes]: then what is
         less than these is no candidate; or, of products, how sure it is that there is an object, [1, H, W, anchors]
output   [1, 1, 1, most * 10]: records of `records`, the best first; a place is (y * W + x) * anchors + anchor
source   none in ONNX: what comes behind the exported model; `tasks.detection` puts it behind the heads

The rank of a candidate is an integer that grows with its score. With a sigmoid each class has one: its code minus the
zero point. With a softmax over a background and one class it is the difference of their codes. With a softmax over more
classes `shares` makes it the score itself, and so does a product of two sigmoids, each raised to a power (`curve_of`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mbn2c.ir.graph import Graph, Node, Quant
from mbn2c.ir.kernel import Packed, Params, ScalarKernel
from mbn2c.numerics import INT8_MAX, INT8_MIN
from mbn2c.ops.base.operator import QUANTIZED, Operator
from mbn2c.ops.base.packing import INT32, UINT32_ARRAY, integers
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.ops.base.windows import Shape
from mbn2c.ops.ssd_candidates.records import EMPTY_RANK, ONE_SCORE, RECORD, as_bytes, best_of

# What a class that is equal to the best one adds to the sum of a softmax.
POWER_ONE = 1 << 16
# Of a factor of a product.
MOST_EXPONENT = 8.0
_TABLES = ("powers", "class_curve", "anchor_curve")
_GREATEST_DIFFERENCE = INT8_MAX - INT8_MIN
# From 1 to 1 / ONE_SCORE.
_OCTAVES = 16
_COUNTERS = np.dtype([("places", "<i4"), ("count", "<i4")])
PARAMS = Params(
    "mbn_ssd_candidates_params",
    (
        *integers("anchors", "classes"),
        (INT32, "background", "the class that is none, whose code is the other's zero; -1: there is none"),
        (INT32, "skipped", "classes before the first that counts, without a background"),
        (INT32, "zero_point", "of the scores, without a background"),
        (INT32, "values", "of an anchor among the offsets, the first four count; 0: there are no offsets"),
        (INT32, "threshold", "the least rank of a candidate"),
        (INT32, "most", "candidates that are kept"),
        (INT32, "has_greatest", "the last input holds the greatest scores around each"),
        (INT32, "margin", "the least difference of its code and the background's, where `powers` are given"),
        (UINT32_ARRAY, "powers", "what a code that is so much less than the greatest adds to a softmax; 0: no softmax"),
        (
            UINT32_ARRAY,
            "class_curve",
            "factor of a score by the code of its class, of 32,768; or by its share; 0: no product",
        ),
        (UINT32_ARRAY, "anchor_curve", "likewise by the code of the last input"),
    ),
)


@dataclass(frozen=True)
class SsdCandidatesAttributes:
    """What lies in a pixel of scores and offsets, and what counts.

    anchors     of a pixel
    classes     scores of an anchor
    background  the class that is none, of a softmax; -1: a sigmoid makes each class's score
    values      of an anchor among the offsets, the four of its box first; 0: there are no offsets
    threshold   the least rank of a candidate
    most        candidates that are kept
    skipped     of sigmoids, so many classes at the front are none
    is_shared   a softmax over all classes makes the scores, and ranks are these, of ONE_SCORE
    margin      with it, a class whose code is not this much above the background's is no candidate
    exponents   scores are products of a class's and its anchor's sigmoid, raised to these powers; (): they are none;
                with `is_shared` the class's share of a softmax without a background is in place of its sigmoid
    """

    anchors: int
    classes: int
    background: int
    values: int
    threshold: int
    most: int
    skipped: int = 0
    is_shared: bool = False
    margin: int = 0
    exponents: tuple[float, ...] = ()


class SsdCandidates(Operator):
    """The best of a level."""

    name = "ssd_candidates"
    stages = frozenset((QUANTIZED,))
    attributes = SsdCandidatesAttributes
    is_postprocessing = True

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        a: SsdCandidatesAttributes = node.attributes
        pixels = shapes[0][:3]
        offsets = [(*pixels, a.anchors * a.values)] if a.values else []
        last = (*pixels, a.anchors) if a.exponents else shapes[0]
        fits = shapes[0][3] == a.anchors * a.classes and [*shapes[1:]] in (offsets, [*offsets, last])
        places = shapes[0][1] * shapes[0][2] * a.anchors
        return (1, 1, 1, a.most * RECORD.itemsize) if fits and places <= 2**16 else None

    def check_attributes(self, node: Node, graph: Graph) -> str:
        a: SsdCandidatesAttributes = node.attributes
        is_softmax = -1 < a.background < a.classes and (a.is_shared or a.classes == 2)
        if min(a.anchors, a.classes, a.most) < 1 or a.classes > 2**15 or 0 < a.values < 4 or a.values < 0:
            return f"{a.anchors} anchors of {a.classes} classes and {a.values} values"
        if not 0 <= a.skipped < a.classes or (is_softmax and a.skipped):
            return f"{a.skipped} of {a.classes} classes do not count"
        has_more = len(node.inputs) > 1 + bool(a.values)
        if has_more and not a.exponents and (is_softmax or a.is_shared):
            return "peaks of a softmax"
        if a.exponents and (len(a.exponents) != 2 or not all(0 < one <= MOST_EXPONENT for one in a.exponents)):
            return f"a product of powers {a.exponents}"
        if a.exponents and (is_softmax or not has_more):
            return "a product of one factor"
        least = 1 if a.is_shared or a.exponents else EMPTY_RANK + 1
        if (not is_softmax and (a.background != -1 or (a.is_shared and not a.exponents))) or a.threshold < least:
            return f"background {a.background} of {a.classes} classes, threshold {a.threshold}"
        return ""

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        headers = ("scalar/mbn_ssd.h",)
        return (
            ScalarKernel(self.name, PARAMS, _pack, scratch_bytes=_scratch_bytes, accumulates=True, headers=headers),
        )

    def most_work(self, node: Node, graph: Graph) -> Mapping[str, int]:
        """Each candidate that enters a full list raises the sum of its ranks."""
        a: SsdCandidatesAttributes = node.attributes
        _, height, width, _ = graph.tensors[node.inputs[0]].shape
        anchors = height * width * a.anchors
        greatest = ONE_SCORE - 1 if a.is_shared or a.exponents else _GREATEST_DIFFERENCE
        labels = a.classes - a.skipped - (a.background >= 0)
        entering = min(anchors * labels, a.most * max(0, greatest - a.threshold + 1))
        return {
            "row": height,
            "score": anchors * a.classes,
            "share": anchors * a.classes if a.is_shared else 0,
            "product": anchors * a.classes if a.exponents else 0,
            "enter": entering + a.most,
            "sift": (entering + a.most) * (a.most.bit_length() - 1),
        }

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        found = [
            as_bytes(best_of(self._candidates(node, graph, pixels, 0), node.attributes.most), node.attributes.most)
            for pixels in zip(*inputs, strict=True)
        ]
        return np.stack(found)[:, None, None]

    def collect(self, node: Node, graph: Graph, scratch: np.ndarray, pixels: Sequence[np.ndarray]) -> None:
        counters, records = _parts(node, scratch)
        found = self._candidates(node, graph, pixels, int(counters["places"][0]))
        kept = best_of(np.concatenate([records[: counters["count"][0]], found]), node.attributes.most)
        records[: len(kept)] = kept
        counters["count"], counters["places"] = len(kept), counters["places"] + len(pixels[0]) * node.attributes.anchors

    def collected(self, node: Node, graph: Graph, scratch: np.ndarray) -> np.ndarray:
        counters, records = _parts(node, scratch)
        return as_bytes(records[: counters["count"][0]], node.attributes.most)

    def _candidates(self, node: Node, graph: Graph, pixels: Sequence[np.ndarray], first: int) -> np.ndarray:
        """RECORD [N], all that reach the threshold; first: the place of the first anchor of these pixels."""
        a: SsdCandidatesAttributes = node.attributes
        scores, *greatest = pixels
        offsets = greatest.pop(0) if a.values else np.zeros((*scores.shape[:2], 4 * a.anchors), np.int8)
        codes = scores.reshape(-1, a.classes).astype(np.int16)
        if a.exponents:
            of_class, of_anchor = curves_of(node, graph)
            if a.is_shared:
                found_shares = shares(a, codes, powers_of(float(scale_of(quant_of(graph, node.inputs[0])))))
                factor = powers_of_shares(of_class, found_shares)
            else:
                factor = of_class[codes + 128]
            factors = factor, of_anchor[greatest.pop().reshape(-1, 1).astype(np.int16) + 128]
            ranks = np.minimum((factors[0] * factors[1]) // ONE_SCORE, ONE_SCORE - 1).astype(np.int32)[:, a.skipped :]
        elif a.is_shared:
            ranks = shares(a, codes, powers_of(float(scale_of(quant_of(graph, node.inputs[0])))))
        elif a.background < 0:
            ranks = codes[:, a.skipped :] - quant_of(graph, node.inputs[0]).zero_point
        else:
            ranks = codes[:, 1 - a.background, None] - codes[:, a.background, None]
        counts = ranks >= a.threshold
        for one in greatest:
            counts &= (scores == one).reshape(-1, a.classes)[:, a.skipped :]
        places, labels = np.nonzero(counts)
        found = np.zeros(len(places), RECORD)
        found["rank"], found["place"], found["label"] = ranks[places, labels], first + places, labels
        found["offsets"] = offsets.reshape(-1, a.values or 4)[places, :4]
        return found


def curves_of(node: Node, graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    """Of a product: `curve_of` scores, or `share_tables`, and `curve_of` what is said of their anchors."""
    of_class, of_anchor = node.attributes.exponents
    scores, anchors = (quant_of(graph, name) for name in (node.inputs[0], node.inputs[-1]))
    if node.attributes.is_shared:
        return share_tables(of_class), curve_of(anchors, of_anchor)
    return curve_of(scores, of_class), curve_of(anchors, of_anchor)


def curve_of(quant: Quant, exponent: float) -> np.ndarray:
    """uint32 [256]: the sigmoid of each code, -128 first, raised to a power, of ONE_SCORE."""
    values = (np.arange(INT8_MIN, INT8_MAX + 1) - quant.zero_point) * float(scale_of(quant))
    return np.rint(np.exp(-exponent * np.logaddexp(0, -values)) * ONE_SCORE).astype(np.uint32)


def share_tables(exponent: float) -> np.ndarray:
    """uint32 [81], of ONE_SCORE: powers of 1/2 to 1 in steps of 1/128, and of 1, 1/2, 1/4, for `powers_of_shares`."""
    mantissas, octaves = np.arange(64, 129) / 128, 2.0 ** -np.arange(_OCTAVES)
    return np.rint(np.concatenate([mantissas, octaves]) ** exponent * ONE_SCORE).astype(np.uint32)


def powers_of_shares(tables: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Shares, of ONE_SCORE, raised to a power: straight lines between the entries for 1/2 to 1, times an octave's."""
    values = np.minimum(found, ONE_SCORE - 1).astype(np.int64)
    octave = 15 - np.frexp(np.maximum(values, 1))[1]
    high = values << octave
    place, rest = (high - ONE_SCORE // 2) >> 8, high & 255
    low, step = tables[place].astype(np.int64), tables[place + 1].astype(np.int64) - tables[place]
    made = (low + (step * rest >> 8)) * tables[65 + octave] >> 15
    return np.where(values > 0, made, 0).astype(np.uint64)


def powers_of(scale: float) -> np.ndarray:
    """uint32 [256]: what a code of this scale that is so much less than the greatest adds to the sum of a softmax."""
    return np.rint(np.exp(-scale * np.arange(256)) * POWER_ONE).astype(np.uint32)


def shares(a: SsdCandidatesAttributes, codes: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """Softmax of codes [N, classes] in integers: int [N, classes without the background], of ONE_SCORE, rounded down.

    Each power is off by half of 1 / POWER_ONE, so a share by at most (classes + 2) / 2 of that, and by 1 / ONE_SCORE of
    the division. What does not lie `margin` above the background is 0; so is what is less than 1 / ONE_SCORE.
    """
    parts = powers[codes.max(axis=1, keepdims=True) - codes].astype(np.uint64)
    found = np.minimum(parts * np.uint64(ONE_SCORE) // parts.sum(axis=1, keepdims=True), ONE_SCORE - 1).astype(np.int32)
    if a.background < 0:
        return found
    found[codes - codes[:, a.background, None] < a.margin] = 0
    return np.delete(found, a.background, axis=1)


def _parts(node: Node, scratch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The counters [1] and the records in scratch."""
    end = _COUNTERS.itemsize + node.attributes.most * RECORD.itemsize
    return scratch[: _COUNTERS.itemsize].view(_COUNTERS), scratch[_COUNTERS.itemsize : end].view(RECORD)


def _scratch_bytes(node: Node, graph: Graph) -> int:
    """Two counters and a heap of records, in whole words."""
    return -(-(_COUNTERS.itemsize + node.attributes.most * RECORD.itemsize) // 4) * 4


def _pack(node: Node, graph: Graph) -> Packed:
    a: SsdCandidatesAttributes = node.attributes
    arrays = {"powers": powers_of(float(scale_of(quant_of(graph, node.inputs[0]))))} if a.is_shared else {}
    if a.exponents:
        arrays["class_curve"], arrays["anchor_curve"] = curves_of(node, graph)
    tables: dict[str, int | str] = {name: name if name in arrays else 0 for name in _TABLES}
    return Packed(
        {
            "anchors": a.anchors,
            "classes": a.classes,
            "background": a.background,
            "skipped": a.skipped,
            "zero_point": quant_of(graph, node.inputs[0]).zero_point,
            "values": a.values,
            "threshold": a.threshold,
            "most": a.most,
            "has_greatest": int(len(node.inputs) > 1 + bool(a.values) and not a.exponents),
            "margin": a.margin,
            **tables,
        },
        arrays,
    )
