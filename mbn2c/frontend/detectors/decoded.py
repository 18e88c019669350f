"""Heads that the file decodes itself, and of whose boxes a NonMaxSuppression drops some.

Where the network ends is seen from the nodes; what is behind that is seen from its numbers: offsets that are 0 give the
anchors, and what an offset of 1 moves gives the coder. Then all is compared: boxes and scores of random maps, before
anything is dropped, and what the file returns of some boxes that stand out.

source  torchvision's SSDs, TensorFlow's object detection through tf2onnx, MediaPipe's BlazeFace, and by hand
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from onnx import ModelProto, NodeProto

from mbn2c.frontend.detectors.behind import Behind
from mbn2c.frontend.detectors.coders import read_coder
from mbn2c.frontend.detectors.cut import TOLERANCE, Ends, HeadCut, Links, MisreadError, UnreadHeads
from mbn2c.frontend.detectors.levels import MapRows, rows_of
from mbn2c.frontend.detectors.limits import read_limits
from mbn2c.frontend.detectors.survivors import find_survivors
from mbn2c.frontend.order import used_names
from mbn2c.frontend.runtime import Oracle
from mbn2c.tasks.detection.decode import probabilities
from mbn2c.tasks.detection.detector import PLAIN, SIGMOID, SOFTMAX, Detector, DetectorLimits

# Behind the last of these the decoding begins.
_NETWORK = frozenset(
    (
        *("AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "DepthToSpace", "Gemm", "GlobalAveragePool"),
        *("InstanceNormalization", "MaxPool", "PRelu", "Resize"),
    )
)


def match(model: ModelProto, has_anchors: bool) -> Ends | None:
    """The heads of such a file; None if it is none."""
    chosen = [node for node in model.graph.node if node.op_type == "NonMaxSuppression" and len(node.input) > 1]
    if has_anchors or not chosen:
        return None
    links = Links(model)
    scores = maps_behind(links, [node.input[1] for node in chosen])
    offsets = [name for name in maps_behind(links, [node.input[0] for node in chosen]) if name not in scores]
    family = "boxes that the file decodes and chooses by NonMaxSuppression"
    if not scores:
        return None
    if len(scores) != len(offsets):
        return UnreadHeads((*scores, *offsets), family, f"{len(scores)} maps of scores, {len(offsets)} of boxes alone")
    pairs = tuple(name for pair in zip(scores, offsets, strict=True) for name in pair)
    return DecodedHeads(pairs, family, tuple(chosen))


def maps_behind(links: Links, names: Sequence[str], through: Sequence[str] = ()) -> list[str]:
    """The network's last tensors behind some others, in the order in which a walk back meets them.

    through  made by the decoding, whatever the operator
    """
    found: dict[str, None] = {}
    seen: set[str] = set()
    waiting = list(names)[::-1]
    while waiting:
        name = waiting.pop()
        node = links.makers.get(name)
        if name in seen or node is None or not links.depends_on_image(name):
            continue
        seen.add(name)
        if node.op_type in _NETWORK and name not in through:
            found[name] = None
        elif node.op_type not in ("Shape", "Size"):
            waiting += list(used_names(node))[::-1]
    return list(found)


@dataclass(frozen=True)
class DecodedHeads(Ends):
    """chosen  the nodes that drop boxes"""

    chosen: tuple[NodeProto, ...]

    def read(self, cut: HeadCut) -> tuple[Detector, str]:
        """See Ends."""
        behind = Behind(cut, self.maps)
        of_scores, of_offsets = self.maps[::2], self.maps[1::2]
        dense = behind.dense()
        boxes = [name for name, made in dense.items() if made == {*of_offsets} and name not in self.maps]
        ends = behind.ends(dense)
        shares = [name for name, made in dense.items() if made == {*of_scores} and name in ends]
        if not boxes or not shares:
            raise MisreadError(
                "boxes and scores are made of the same maps" if boxes else "no boxes are made of its maps"
            )
        decoder, scorer = behind.function(boxes, of_offsets), behind.function(shares, of_scores)
        made = decoder.run({name: np.zeros(cut.shapes[name], np.float32) for name in of_offsets})
        places = {name: found.size // 4 for name, found in made.items() if found.shape[-1:] == (4,)}
        reasons = []
        for name in reversed(places):
            scores, offsets = _rows(cut, self.maps, places[name])

            def decode(values: np.ndarray, rows: MapRows = offsets, name: str = name) -> np.ndarray:
                return decoder.run(rows.split(values), [name])[name].reshape(-1, 4)

            try:
                found = read_coder(decode, scores.levels, offsets.values, cut.size)
            except MisreadError as misread:
                reasons.append(str(misread))
                continue
            score, background = _read_scores(scorer, scores)
            facts = replace(
                found.facts,
                family=self.family,
                classes=scores.values,
                background=background,
                score=score,
                cut=behind.names,
                limits=self._limits(behind, shares, scores.values - (background >= 0)),
            )
            detector = replace(found, facts=facts)
            file = behind.function(behind.outputs, self.maps)
            return find_survivors(detector, file, scores, offsets, cut.size), ""
        raise MisreadError(reasons[0] if reasons else "no tensor behind its maps holds four numbers of each anchor")

    def _limits(self, behind: Behind, shares: Sequence[str], labels: int) -> DetectorLimits:
        """Of the nodes that drop boxes, which count those of each label alone."""
        limits = {_numbers(behind, node) for node in self.chosen}
        if len(limits) > 1:
            raise MisreadError("several NonMaxSuppression nodes have different limits")
        [(most, iou, least)] = limits
        each = None if most is None else most * labels
        boxes = min((one for one in (each, behind.most(self.chosen)) if one is not None), default=None)
        return read_limits(boxes, behind.least(shares) if least is None else least, iou)


def _rows(cut: HeadCut, maps: Sequence[str], places: int) -> list[MapRows]:
    sizes = [sum(int(np.prod(cut.shapes[name])) for name in maps[side::2]) for side in (0, 1)]
    if not places or any(size % places for size in sizes):
        raise MisreadError(f"{sizes[0]} scores and {sizes[1]} offsets for {places} boxes")
    return rows_of(cut, (maps[::2], maps[1::2]), [size // places for size in sizes])


def _numbers(behind: Behind, node: NodeProto) -> tuple[float | None, float | None, float | None]:
    """Boxes of a class, IoU and score, as far as the node says them for all images."""
    most, iou, least = (behind.number(name) for name in [*node.input[2:], "", "", ""][:3])
    return most, iou, least


def _read_scores(scorer: Oracle, rows: MapRows) -> tuple[str, int]:
    """What makes scores of the maps' numbers, and the class whose score nobody reads, -1 if there is none.

    raises  MisreadError if the file's scores of random maps are others
    """
    places = sum(level.places for level in rows.levels)
    values = np.random.default_rng(2).normal(0, 3, (places, rows.values)).astype(np.float32)
    columns = [_columns(one, places) for one in scorer.run(rows.split(values)).values()]
    wanted = np.concatenate([one for one in columns if one is not None] or [np.zeros((places, 0))], axis=1)
    for score in (SIGMOID, SOFTMAX, PLAIN):
        shares = probabilities(score, values.astype(np.float64))
        alike = [int(np.abs(shares - one[:, None]).max(axis=0).argmin()) for one in wanted.T]
        if alike and np.abs(shares[:, alike] - wanted).max() <= TOLERANCE:
            unread = sorted({*range(rows.values)} - {*alike})
            if len(unread) > 1 or (unread and score != SOFTMAX and unread != [0]):
                raise MisreadError(f"nothing reads the scores of classes {unread} of {rows.values}")
            return score, unread[0] if unread else -1
    raise MisreadError("its scores are no softmax, no sigmoid and not the numbers of its maps")


def _columns(scores: np.ndarray, places: int) -> np.ndarray | None:
    """[places, ...] of a tensor with an axis of all places; None if it has none."""
    axes = [axis for axis, extent in enumerate(scores.shape) if extent == places]
    return np.moveaxis(scores, axes[-1], 0).reshape(places, -1) if axes else None
