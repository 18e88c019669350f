"""Whether a file returns the boxes that a Detector finds: of maps from which a few boxes stand out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mbn2c.frontend.detectors.coders import FORMS, in_corners
from mbn2c.frontend.detectors.cut import MisreadError
from mbn2c.frontend.detectors.levels import MapRows
from mbn2c.frontend.runtime import Oracle
from mbn2c.tasks.detection.decode import FoundBox, corners_of, decode_heads, offsets_of
from mbn2c.tasks.detection.detector import CENTRES, CORNERS, PLAIN, PRODUCTS, SHARE_PRODUCT, SOFTMAX, Detector

# Boxes of a lesser score do not count, whatever the file's own threshold; those that stand out have 0.5 and more.
_LEAST = 0.4
_STANDING_OUT, _DRAWS = 8, 4
# Of pixels and of scores.
_NEAR = 0.02


def find_survivors(detector: Detector, file: Oracle, maps: Sequence[MapRows], size: tuple[int, int]) -> Detector:
    """The Detector whose boxes the file keeps: as it is, or with boxes that drop those of other labels, too.

    file    from the maps to its outputs
    maps    as `DetectorFacts.kinds`
    raises  MisreadError if it is neither
    """
    try:
        _check(detector, file, maps, size)
        return detector
    except MisreadError as misread:
        other = replace(detector, facts=replace(detector.facts, per_class=False))
        try:
            _check(other, file, maps, size)
        except MisreadError:
            raise misread from None
        return other if detector.facts.labels > 1 else detector


def _check(detector: Detector, file: Oracle, maps: Sequence[MapRows], size: tuple[int, int]) -> None:
    """Compare what a file makes of its maps with `decode_heads`; borderline cases are drawn again.

    raises  MisreadError if it returns other boxes
    """
    limits = replace(detector.facts.limits, score_threshold=_LEAST)
    judge = replace(detector, facts=replace(detector.facts, limits=limits))
    seen = 0
    for numbers in _draws(detector):
        values = [rows.split(one) for rows, one in zip(maps, numbers, strict=True)]
        heads = [one.transpose(0, 2, 3, 1) for pair in zip(*(v.values() for v in values), strict=True) for one in pair]
        found = [decode_heads(_with_iou(judge, shift), heads, *size) for shift in (-0.01, 0, 0.01)]
        if found[0] == found[1] == found[2]:
            _compare(found[1], file.run({name: one for each in values for name, one in each.items()}), size)
            seen += 1
            if seen == _DRAWS:
                return
    raise MisreadError("no boxes could be drawn that stand out of an image")


def _with_iou(detector: Detector, shift: float) -> Detector:
    limits = detector.facts.limits
    iou = min(max(limits.iou_threshold + shift, 0.0), 1.0)
    return replace(detector, facts=replace(detector.facts, limits=replace(limits, iou_threshold=iou)))


def _draws(detector: Detector) -> Iterator[tuple[np.ndarray, ...]]:
    """Numbers of all anchors, as `DetectorFacts.kinds`; a few stand out: some beside each other, one of two classes."""
    facts, generator, count = detector.facts, np.random.default_rng(3), len(detector.anchors)
    low = max(0.5, facts.limits.score_threshold)
    classes = [label for label in range(facts.classes) if label != facts.background]
    for _ in range(100):
        sizes = detector.anchors[:, 2:] - detector.anchors[:, :2]
        offsets = np.zeros((count, facts.values))
        moves = generator.normal(0, 0.05, (count, 4))
        if facts.coder not in (CENTRES, CORNERS):
            # boxes of about a quarter of the image, whatever the anchors are
            moves[:, 2:] += 0.25 / sizes
            moves[:, :2] += 0 if facts.coder == "sizes" else 0.1 / sizes
        made = moves * facts.scales
        corners = corners_of(detector, made)
        offsets[:, list(facts.order)] = offsets_of(facts.curves, made)
        inside = np.flatnonzero((corners > 0.01).all(axis=1) & (corners < 0.99).all(axis=1))
        if not len(inside):
            continue
        near = generator.choice(inside, min(len(inside), _STANDING_OUT // 2), replace=False)
        beside = np.intersect1d(near + 1, inside)
        places = np.concatenate([near, beside, generator.choice(inside, _STANDING_OUT // 2), near[:1]])
        scores = np.full((count, facts.classes), 0.0 if facts.score == PLAIN else -9.0)
        if facts.score == SOFTMAX and facts.background >= 0:
            scores[:, facts.background] = 9.0
        objectness = np.full((count, 1), -9.0)
        for place in places:
            share = low + (1 - low) * generator.uniform(0.1, 0.9)
            label = generator.choice(classes)
            if facts.score in PRODUCTS:
                scores[place, label], objectness[place] = (_odds(share ** (0.5 / one)) for one in facts.exponents)
                if facts.score == SHARE_PRODUCT:
                    scores[place, label] += np.log(max(1, facts.classes - 1)) - 9.0
            else:
                odds = _odds(share) + (9.0 if facts.score == SOFTMAX else 0.0)
                scores[place, label] = share if facts.score == PLAIN else odds
        yield (scores, objectness, offsets) if facts.score in PRODUCTS else (scores, offsets)


def _odds(share: float) -> float:
    """What a sigmoid makes this of."""
    return float(np.log(share / (1 - share)))


def _compare(wanted: Sequence[FoundBox], outputs: Mapping[str, np.ndarray], size: tuple[int, int]) -> None:
    """Raises MisreadError unless these are the boxes of the outputs."""
    boxes, scores, names = boxes_and_scores(outputs)
    stands_out = scores >= _LEAST
    if stands_out.sum() != len(wanted):
        raise MisreadError(f"the file keeps {int(stands_out.sum())} boxes where {len(wanted)} remain")
    if not wanted:
        return
    height, width = size
    order = np.argsort(-scores[stands_out], kind="stable")
    ours = np.array([one.corners for one in wanted])
    far = min(
        float(np.abs(in_corners(form, boxes[stands_out][order]) * unit - ours).max())
        for form in FORMS
        for unit in (1, np.array([width, height, width, height]))
    )
    off = float(np.abs(np.sort([one.score for one in wanted])[::-1] - scores[stands_out][order]).max())
    if far > _NEAR or off > _NEAR:
        raise MisreadError(f"the boxes that the file keeps are others, by {far:.3g} pixels and {off:.3g} of a score")
    off_by = names[stands_out][order] - [one.label for one in wanted]
    if names.any() and off_by.min() != off_by.max():
        raise MisreadError("the labels of the boxes that the file keeps are others")


def boxes_and_scores(outputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes [N, 4], their scores [N] and whole numbers that may be their labels, 0 where there are none.

    raises  MisreadError if the outputs are something else
    """
    arrays = list(outputs.values())
    boxes = [one.reshape(-1, 4) for one in arrays if one.ndim > 1 and one.shape[-1] == 4]
    for one in boxes:
        columns = [values.reshape(-1) for values in arrays if values.size == len(one)]
        if (found := _scores_and_labels(columns)) is not None:
            return one, *found
    for one in (values.reshape(-1, values.shape[-1]) for values in arrays if values.ndim > 1):
        if one.shape[1] in (5, 6, 7) and len(one):
            found = _scores_and_labels(list(one[:, 4:].T))
            if found is not None:
                return one[:, :4], *found
    if any(len(one) == 0 for one in boxes):
        return np.zeros((0, 4)), np.zeros(0), np.zeros(0)
    raise MisreadError("its outputs are not boxes and their scores")


def _scores_and_labels(columns: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
    """Of columns of as many numbers: the one that are shares, and the first of whole ones."""
    is_whole = [np.array_equal(one, np.rint(one)) for one in columns]
    shares = [one for one, whole in zip(columns, is_whole, strict=True) if not whole]
    if len(shares) != 1 or not len(shares[0]):
        return None
    labels = [one for one, whole in zip(columns, is_whole, strict=True) if whole]
    return shares[0], labels[0] if labels else np.zeros(len(shares[0]))
