"""Numbers of a scorer -> what makes scores of the maps' numbers: it is tried with random ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mbn2c.frontend.detectors.cut import TOLERANCE, MisreadError
from mbn2c.frontend.detectors.levels import MapRows
from mbn2c.tasks.detection.decode import probabilities, product
from mbn2c.tasks.detection.detector import PLAIN, PRODUCT, SIGMOID, SOFTMAX

# Numbers of all anchors, [anchors, values], of each kind of maps -> tensors of the file
Scorer = Callable[..., list[np.ndarray]]


@dataclass(frozen=True)
class ScoreKind:
    """As in `DetectorFacts`."""

    score: str
    background: int
    exponents: tuple[float, float] = (1.0, 1.0)


def read_scores(scorer: Scorer, maps: Sequence[MapRows]) -> ScoreKind:
    """maps: scores of classes, and, where they are products, what is said of the anchors.

    raises  MisreadError if the file's scores of random maps are made in no known way
    """
    places = sum(level.places for level in maps[0].levels)
    generator = np.random.default_rng(2)
    values = [generator.normal(0, 3, (places, rows.values)).astype(np.float32) for rows in maps]
    columns = [_columns(one, places) for one in scorer(*values)]
    wanted = np.concatenate([one for one in columns if one is not None] or [np.zeros((places, 0))], axis=1)
    numbers = [one.astype(np.float64) for one in values]
    if len(maps) == 1:
        for score in (SIGMOID, SOFTMAX, PLAIN):
            alike = _alike(probabilities(score, numbers[0]), wanted)
            if alike:
                return ScoreKind(score, _background(alike, maps[0].values, score))
        raise MisreadError("its scores are no softmax, no sigmoid and not the numbers of its maps")
    exponents = _exponents(numbers[0], numbers[1], wanted)
    alike = _alike(product(numbers[0], numbers[1], exponents), wanted) if min(exponents) > 0 else []
    if not alike:
        raise MisreadError("its scores are no products of powers of two sigmoids, of a class and of an anchor")
    return ScoreKind(PRODUCT, _background(alike, maps[0].values, PRODUCT), exponents)


def _exponents(values: np.ndarray, objectness: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """Of the class and column that a product of powers fits best; logarithms of scores are linear in those of both."""
    best, found = np.inf, (0.0, 0.0)
    of_anchor = -np.logaddexp(0, -objectness)
    logs = np.log(np.maximum(wanted, 1e-30))
    for column in logs.T[:1]:
        for one in values.T:
            known = np.concatenate([-np.logaddexp(0, -one)[:, None], of_anchor], axis=1)
            solved, *_ = np.linalg.lstsq(known, column, rcond=None)
            off = np.abs(known @ solved - column).max()
            if off < best:
                best, found = off, (float(f"{solved[0]:.4g}"), float(f"{solved[1]:.4g}"))
    return found


def _alike(shares: np.ndarray, wanted: np.ndarray) -> list[int]:
    """The class of each column; [] if these are other scores."""
    alike = [int(np.abs(shares - one[:, None]).max(axis=0).argmin()) for one in wanted.T]
    return alike if alike and np.abs(shares[:, alike] - wanted).max() <= TOLERANCE else []


def _background(alike: Sequence[int], classes: int, score: str) -> int:
    """The class whose score nobody reads, -1 if there is none. Raises MisreadError if it can be no background."""
    unread = sorted({*range(classes)} - {*alike})
    if len(unread) > 1 or (unread and score != SOFTMAX and unread != [0]):
        raise MisreadError(f"nothing reads the scores of classes {unread} of {classes}")
    return unread[0] if unread else -1


def _columns(scores: np.ndarray, places: int) -> np.ndarray | None:
    """[places, ...] of a tensor with an axis of all places; None if it has none."""
    axes = [axis for axis, extent in enumerate(scores.shape) if extent == places]
    return np.moveaxis(scores, axes[-1], 0).reshape(places, -1) if axes else None
