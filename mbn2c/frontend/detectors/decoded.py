"""Heads that the file decodes itself, and of whose boxes a NonMaxSuppression drops some.

Where the network ends is seen from the nodes; what is behind that is seen from its numbers: offsets that are 0 give the
anchors, and what an offset of 1 moves gives the coder. Then all is compared: boxes and scores of random maps, before
anything is dropped, and what the file returns of some boxes that stand out.

source  torchvision's SSDs, TensorFlow's object detection through tf2onnx, MediaPipe's BlazeFace, and by hand
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from onnx import ModelProto, NodeProto

from mbn2c.frontend.detectors.behind import Behind
from mbn2c.frontend.detectors.coders import read_coder
from mbn2c.frontend.detectors.cut import Ends, HeadCut, Links, MisreadError, Reading, UnreadHeads
from mbn2c.frontend.detectors.distributions import distributions, made_of
from mbn2c.frontend.detectors.levels import MapRows, rows_of
from mbn2c.frontend.detectors.limits import read_limits
from mbn2c.frontend.detectors.scores import read_scores
from mbn2c.frontend.detectors.survivors import find_survivors
from mbn2c.frontend.limits import inferred
from mbn2c.tasks.detection.detector import DetectorLimits

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
    links, boxes_in, scores_in = Links(model), [node.input[0] for node in chosen], [node.input[1] for node in chosen]
    sums = distributions(links, boxes_in, scores_in)
    scores = maps_behind(links, scores_in)
    of_boxes = maps_behind(links, boxes_in, through=made_of(model, sums))
    offsets = [name for name in of_boxes if name not in scores]
    family = "boxes that the file decodes and chooses by NonMaxSuppression"
    if not scores:
        return None
    if sums:
        why = f"the sides of its boxes are means of distributions, by Softmax '{links.name_of(sums[0])}'"
        return UnreadHeads((*scores, *offsets), family, f"{why}, which no coder has")
    if len(scores) == len(offsets):
        levels: list[tuple[str, ...]] = list(zip(scores, offsets, strict=True))
    else:
        levels = _by_extents(model, dict.fromkeys((*of_boxes, *scores)))
    if not levels:
        return UnreadHeads((*scores, *offsets), family, f"{len(scores)} maps of scores, {len(offsets)} of boxes alone")
    return DecodedHeads(tuple(name for level in levels for name in level), family, tuple(chosen), len(levels[0]))


def _by_extents(model: ModelProto, maps: Iterable[str]) -> list[tuple[str, ...]]:
    """Maps of the same rows and columns are a level; [] if levels have not two or three of them, one as the other."""
    shapes = {port.name: [dim.dim_value for dim in port.type.tensor_type.shape.dim] for port in inferred(model)}
    levels: dict[tuple[int, ...], list[str]] = {}
    for name in maps:
        levels.setdefault(tuple(shapes.get(name, ())[2:]), []).append(name)
    counts = {len(level) for level in levels.values()}
    return [tuple(level) for level in levels.values()] if counts in ({2}, {3}) else []


def maps_behind(links: Links, names: Sequence[str], through: Sequence[str] = ()) -> list[str]:
    """The network's last tensors behind some others, in the order in which a walk back meets them.

    through  made by the decoding, whatever the operator
    """

    def is_map(name: str, node: NodeProto) -> bool:
        return _ends_network(links, node) and name not in through

    walk = links.walk_back(names, lambda name, node: is_map(name, node) or node.op_type in ("Shape", "Size"))
    return [name for name, node in walk if is_map(name, node)]


def _ends_network(links: Links, node: NodeProto) -> bool:
    """Whether it is of the network: a Relu, too, where it stands at a convolution."""
    before = links.makers.get(node.input[0]) if node.op_type == "Relu" else node
    return before is not None and before.op_type in _NETWORK


@dataclass(frozen=True)
class DecodedHeads(Ends):
    """chosen     the nodes that drop boxes
    per_level  maps of a level, whatever they are: those that move boxes are offsets
    """

    chosen: tuple[NodeProto, ...]
    per_level: int

    def read(self, cut: HeadCut) -> Reading:
        """See Ends.

        Each tensor with four numbers in a row may hold the boxes, if one map of each level moves it; then scores are
        what the others move. The last one that can be read is it.
        """
        behind = Behind(cut, self.maps)
        dense = behind.dense()
        moved = behind.moved(dense, cut.shapes) if dense else {}
        ends = behind.ends(dense)
        reasons = []
        for name in reversed(dense):
            offsets = [one for one in self.maps if one in moved[name].by]
            rest = {*self.maps}.difference(offsets)
            shares = [one for one in ends if moved[one].by == rest]
            if moved[name].shape[-1:] != (4,) or not shares or not self._is_one_of_each_level(offsets):
                continue
            try:
                maps = self._rows(cut, offsets, int(np.prod(moved[name].shape)) // 4)
                return self._read(cut, behind, maps, name, shares)
            except MisreadError as misread:
                reasons.append(str(misread))
        if any(len(moved[one].by) == len(self.maps) for one in ends):
            reasons.append("boxes and scores are made of the same maps")
        reasons.append("no tensor behind its maps holds four numbers of each anchor, and none its scores")
        raise MisreadError(reasons[0])

    def _levels(self) -> list[tuple[str, ...]]:
        return [self.maps[first : first + self.per_level] for first in range(0, len(self.maps), self.per_level)]

    def _is_one_of_each_level(self, names: Sequence[str]) -> bool:
        return all(len({*level}.intersection(names)) == 1 for level in self._levels())

    def _rows(self, cut: HeadCut, offsets: Sequence[str], places: int) -> list[MapRows]:
        """Scores, objectness where a level has three maps, and offsets; this many anchors.

        raises  MisreadError if they are something else
        """
        # What is said of an anchor are fewer numbers than those of its classes.
        levels = [
            sorted({*level}.difference(offsets), key=lambda one: (-cut.shapes[one][1], level.index(one)))
            for level in self._levels()
        ]
        maps = [*zip(*levels, strict=True), tuple(offsets)]
        sizes = [sum(int(np.prod(cut.shapes[name])) for name in each) for each in maps]
        if not places or any(size % places for size in sizes):
            raise MisreadError(f"{' and '.join(map(str, sizes))} numbers of {places} boxes")
        found = rows_of(cut, maps, [size // places for size in sizes])
        if len(found) == 3 and found[1].values != 1:
            raise MisreadError(f"{found[1].values} numbers of an anchor beside its {found[0].values} scores")
        return found

    def _read(self, cut: HeadCut, behind: Behind, maps: Sequence[MapRows], name: str, shares: Sequence[str]) -> Reading:
        """name: of the boxes. Raises MisreadError if they or the scores are made in no known way."""
        *of_scores, offsets = maps
        decoder, scorer = behind.function([name], self.maps), behind.function(shares, self.maps)
        rest = {one: np.zeros(cut.shapes[one], np.float32) for one in self.maps}

        def decode(values: np.ndarray) -> np.ndarray:
            return decoder.run({**rest, **offsets.split(values)})[name].reshape(-1, 4)

        def score(*values: np.ndarray) -> list[np.ndarray]:
            parts = [rows.split(one) for rows, one in zip(of_scores, values, strict=True)]
            return list(scorer.run({**rest, **{key: one for part in parts for key, one in part.items()}}).values())

        found = read_coder(decode, offsets.levels, offsets.values, cut.size)
        kind = read_scores(score, of_scores)
        facts = replace(
            found.facts,
            family=self.family,
            classes=of_scores[0].values,
            background=kind.background,
            score=kind.score,
            exponents=kind.exponents,
            cut=behind.names,
            limits=self._limits(behind, shares, of_scores[0].values - (kind.background >= 0)),
        )
        file = behind.function(behind.outputs, self.maps)
        detector = find_survivors(replace(found, facts=facts), file, maps, cut.size)
        return Reading(
            detector, maps=tuple(one for level in zip(*(rows.maps for rows in maps), strict=True) for one in level)
        )

    def _limits(self, behind: Behind, shares: Sequence[str], labels: int) -> DetectorLimits:
        """Of the nodes that drop boxes, which count those of each label alone."""
        limits = {_numbers(behind, node) for node in self.chosen}
        if len(limits) > 1:
            raise MisreadError("several NonMaxSuppression nodes have different limits")
        [(most, iou, least)] = limits
        each = None if most is None else most * labels
        boxes = min((one for one in (each, behind.most(self.chosen)) if one is not None), default=None)
        return read_limits(boxes, behind.least(shares) if least is None else least, iou)


def _numbers(behind: Behind, node: NodeProto) -> tuple[float | None, float | None, float | None]:
    """Boxes of a class, IoU and score, as far as the node says them for all images."""
    most, iou, least = (behind.number(name) for name in [*node.input[2:], "", "", ""][:3])
    return most, iou, least
