"""A detector's heads, quantized -> the operators behind them that make boxes on the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mbn2c.errors import ModelError
from mbn2c.ir.graph import Graph, Node, Port, Quant, Tensor
from mbn2c.ir.window import Window
from mbn2c.numerics import INT8_MAX, INT8_MIN
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.ops.max_pool2d import MaxPool2dAttributes
from mbn2c.ops.ssd_boxes import MOST_LEVELS
from mbn2c.ops.ssd_boxes.arithmetic import BOX, MOST_LOG_ODDS, ONE, SsdBoxesAttributes, SsdLevel
from mbn2c.ops.ssd_candidates import SsdCandidatesAttributes
from mbn2c.ops.ssd_candidates.records import ONE_SCORE, RECORD
from mbn2c.tasks.detection.decode import curve_of
from mbn2c.tasks.detection.detector import (
    CENTRES,
    CORNERS,
    DISTANCES,
    PLAIN,
    PRODUCTS,
    SHARE_PRODUCT,
    SIZES,
    SOFTMAX,
    Detector,
    HeadLevel,
)

BOXES = "boxes"
# Pixels of the input that an anchor may lie beside its grid.
_OFF_GRID = 1 / 64
# A pixel and its eight neighbours.
_AROUND = Window((3, 3), (1, 1), (1, 1, 1, 1))
# Of the range of an int8 map that holds scores: its steps may be a little wider than 1 / 255.
_MOST_SCORE = 1.01
_LOWEST_RANK, _HIGHEST_RANK = -256, 256


def with_boxes(graph: Graph, detector: Detector) -> Graph:
    """The int8 Graph whose one output are boxes, its own outputs being `heads`.

    raises  ModelError for a head that the device cannot decode
    """
    facts, limits = detector.facts, detector.facts.limits
    _check(detector, graph)
    _, height, width, _ = graph.tensors[graph.inputs[0].tensor].shape
    tensors, nodes, lists, levels, first = [], [], [], [], 0
    for number, level in enumerate(facts.levels):
        count = len(facts.kinds)
        heads = [one.tensor for one in graph.outputs[count * number :][:count]]
        by_kind = dict(zip(facts.kinds, heads, strict=True))
        scores, offsets = by_kind["scores"], by_kind.get("offsets")
        most = min(limits.max_candidates, level.places * facts.labels)
        scale = float(scale_of(quant_of(graph, scores)))
        is_softmax, is_shared = facts.score == SOFTMAX, _is_shared(detector)
        kept = SsdCandidatesAttributes(
            level.anchors,
            facts.classes,
            facts.background if is_softmax else -1,
            facts.values,
            _least_rank(detector, scale),
            most,
            0 if is_softmax else facts.background + 1,
            is_shared or facts.score == SHARE_PRODUCT,
            _least_log_odds(limits.score_threshold, scale) - 1 if is_shared else 0,
            facts.exponents if facts.score in PRODUCTS else (),
        )
        lists.append(f"candidates_{number}")
        tensors.append(_records(lists[-1], most * RECORD.itemsize))
        read = [by_kind[kind] for kind in ("scores", "offsets", "objectness") if kind in by_kind]
        if facts.peaks:
            read.append(f"greatest_{number}")
            tensors.append(replace(graph.tensors[scores], name=read[-1]))
            nodes.append(Node(read[-1], "max_pool2d", (scores,), (read[-1],), MaxPool2dAttributes(_AROUND)))
        nodes.append(Node(lists[-1], "ssd_candidates", tuple(read), (lists[-1],), kept))
        anchors = detector.anchors[first : first + level.places] * [width, height, width, height]
        levels.append(_level(detector, level, anchors, graph, scores, offsets))
        first += level.places
    tensors.append(_records(BOXES, limits.max_boxes * BOX.itemsize))
    attributes = SsdBoxesAttributes(
        tuple(levels),
        facts.order,
        CORNERS if facts.coder == DISTANCES else facts.coder,
        height,
        width,
        limits.max_boxes,
        round(limits.iou_threshold * ONE),
        facts.per_class,
        facts.score == PLAIN or _ranks_are_scores(detector),
        facts.connected,
    )
    nodes.append(Node(BOXES, "ssd_boxes", tuple(lists), (BOXES,), attributes))
    port = Port(BOXES, BOXES, tensors[-1].shape, (0, 1, 2, 3))
    found = graph.rebuild(
        tensors=tensors,
        nodes=[*graph.nodes, *nodes],
        outputs=(port,),
        heads=graph.outputs,
        decoding=detector.to_decoding(),
    )
    for node in nodes:
        if wrong := OPERATORS[node.op].check_attributes(node, found):
            raise ModelError(f"a head that the device cannot decode: {wrong}", where=f"'{node.name}'", hint=_HINT)
    return found


_HINT = "--task raw builds the heads' numbers as outputs"


def _records(name: str, size_bytes: int) -> Tensor:
    """Bytes that are no numbers: as int8 with scale 1 they pass through every stage unchanged."""
    return Tensor(name, (1, 1, 1, size_bytes), "int8", quant=Quant(np.ones(1, np.float32)))


def _check(detector: Detector, graph: Graph) -> None:
    facts, where = detector.facts, graph.name
    if facts.score == SOFTMAX and facts.background < 0:
        what = f"a softmax over {facts.classes} classes without a background"
        raise ModelError(what, where=where, hint=_HINT)
    if facts.score == PLAIN:
        reach = max(_score_scales(graph, detector)) * 255
        if reach > _MOST_SCORE:
            what = f"scores without a function that reach {reach:.3g}, where 1 is the most"
            raise ModelError(what, where=where, hint=_HINT)
    if facts.score != PLAIN and not _ranks_are_scores(detector):
        scale = max(_score_scales(graph, detector))
        if _log_odds_step(scale) * 255 > MOST_LOG_ODDS:
            what = f"scores before their function that lie {255 * scale:.3g} apart, where it is long flat"
            hint = "calibrate with images as the camera sees them (--calib) and the network's own --preprocess"
            raise ModelError(what, where=where, hint=f"{hint}; or {_HINT}")
    if len(facts.levels) > MOST_LEVELS:
        raise ModelError(f"{len(facts.levels)} levels, at most {MOST_LEVELS} are supported", where=where, hint=_HINT)


def _score_scales(graph: Graph, detector: Detector) -> list[float]:
    """Of each level's scores."""
    step = len(detector.facts.kinds)
    return [float(scale_of(quant_of(graph, port.tensor))) for port in graph.outputs[::step]]


def _is_shared(detector: Detector) -> bool:
    """Whether a softmax must be summed: of a background and one class the difference says all."""
    return detector.facts.score == SOFTMAX and detector.facts.classes > 2


def _ranks_are_scores(detector: Detector) -> bool:
    """Whether what `ssd_candidates` compares are scores, of ONE_SCORE."""
    return _is_shared(detector) or detector.facts.score in PRODUCTS


def _least_rank(detector: Detector, scale: float) -> int:
    """The least rank whose score is at least the threshold; scale: of the scores' codes."""
    score = detector.facts.limits.score_threshold
    if _ranks_are_scores(detector):
        return max(1, math.ceil(score * ONE_SCORE))
    if detector.facts.score == PLAIN:
        return min(_HIGHEST_RANK, math.ceil(score / scale - 1e-9))
    return _least_log_odds(score, scale)


def _least_log_odds(score: float, scale: float) -> int:
    """The least difference of codes that makes a sigmoid of at least this."""
    if not 0 < score < 1:
        return _LOWEST_RANK if score <= 0 else _HIGHEST_RANK
    return max(_LOWEST_RANK, min(_HIGHEST_RANK, math.ceil(math.log(score / (1 - score)) / scale - 1e-9)))


def _level(
    detector: Detector, level: HeadLevel, anchors: np.ndarray, graph: Graph, scores: str, offsets: str | None
) -> SsdLevel:
    """anchors: x0, y0, x1, y1 in pixels of the input, [places, 4]; offsets: None where there are none."""
    facts = detector.facts
    quant = Quant(np.zeros(1, np.float32)) if offsets is None else quant_of(graph, offsets)
    grid = anchors.reshape(level.height, level.width, level.anchors, 4)
    steps = [
        float(np.mean(grid[0, -1, :, ::2] - grid[0, 0, :, ::2])) / max(1, level.width - 1),
        float(np.mean(grid[-1, 0, :, 1::2] - grid[0, 0, :, 1::2])) / max(1, level.height - 1),
    ]
    y, x = np.mgrid[: level.height, : level.width]
    expected = grid[0, 0] + np.stack([x * steps[0], y * steps[1]] * 2, axis=-1)[:, :, None]
    off = float(np.abs(expected - grid).max())
    if off > _OFF_GRID:
        what = f"the anchors of the level of {level.height}x{level.width} lie up to {off:.2f} pixels beside a grid"
        raise ModelError(what, where=graph.name, hint=_HINT)
    first = grid[0, 0]
    sizes = np.concatenate([first[:, 2:] - first[:, :2]] * 2, axis=1)
    places = first
    curves = _curves(facts.curves, quant) if any(facts.curves) else ()
    unit = 1.0 if curves else float(scale_of(quant))
    moves = sizes * unit / np.array(facts.scales)
    centres = (first[:, :2] + first[:, 2:]) / 2
    if facts.coder == CENTRES:
        places = np.concatenate([centres, sizes[:, :2]], axis=1)
        moves[:, 2:] = unit / np.array(facts.scales[2:]) * math.log2(math.e)
    elif facts.coder == SIZES:
        places = np.concatenate([centres, 0 * centres], axis=1)
    elif facts.coder == DISTANCES:
        places = np.concatenate([centres, centres], axis=1)
        moves[:, :2] *= -1
    return SsdLevel(
        level.height,
        level.width,
        round(steps[0] * ONE),
        round(steps[1] * ONE),
        quant.zero_point,
        _rank_step(detector, float(scale_of(quant_of(graph, scores)))),
        _integers(places),
        _integers(moves),
        curves,
    )


def _curves(names: Sequence[str], quant: Quant) -> tuple[tuple[int, ...], ...]:
    """As of SsdLevel."""
    values = (np.arange(INT8_MIN, INT8_MAX + 1) - quant.zero_point) * float(scale_of(quant))
    return tuple(tuple(round(float(one) * ONE) for one in curve_of(name, values)) for name in names)


def _rank_step(detector: Detector, scale: float) -> int:
    """What a rank is times, 16 bits behind the point: a logarithm of odds, to base 2, or a score of ONE_SCORE."""
    if _ranks_are_scores(detector):
        return ONE
    if detector.facts.score == PLAIN:
        return max(1, min(round(scale * ONE * ONE_SCORE), ((1 << 31) - 1) // 255))
    return _log_odds_step(scale)


def _log_odds_step(scale: float) -> int:
    """To base 2, 16 bits behind the point."""
    return max(1, round(scale * ONE * math.log2(math.e)))


def _integers(values: np.ndarray) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(round(float(one) * ONE) for one in row) for row in values)


def with_limits(detector: Detector, **limits: float) -> Detector:
    """The detector with other limits."""
    facts = replace(detector.facts, limits=replace(detector.facts.limits, **limits))  # type: ignore[arg-type]
    return Detector(facts, detector.anchors)
