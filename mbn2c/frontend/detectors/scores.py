"""Numbers of a scorer -> what makes scores of the maps' numbers: it is tried with random ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mbn2c.frontend.detectors.cut import TOLERANCE, MisreadError
from mbn2c.frontend.detectors.levels import MapRows
from mbn2c.tasks.detection.decode import probabilities, product
from mbn2c.tasks.detection.detector import PLAIN, PRODUCTS, SIGMOID, SOFTMAX

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
    # The same scores may lie in several tensors.
    different = {column.tobytes(): column for one in columns if one is not None for column in one.T}
    wanted = np.stack(list(different.values()), axis=1) if different else np.zeros((places, 0))
    numbers = [one.astype(np.float64) for one in values]
    if len(maps) == 1:
        for score in (SIGMOID, SOFTMAX, PLAIN):
            shares = probabilities(score, numbers[0])
            if (background := _background(shares, wanted, score)) is not None:
                return ScoreKind(score, background)
        raise MisreadError("its scores are no softmax, no sigmoid and not the numbers of its maps")
    for score in PRODUCTS:
        alone = product(score, numbers[0], numbers[1], (1.0, 0.0)), product(score, numbers[0], numbers[1], (0.0, 1.0))
        exponents = _exponents(alone[0], alone[1][:, :1], wanted)
        if min(exponents) > 0:
            background = _background(product(score, numbers[0], numbers[1], exponents), wanted, score)
            if background is not None:
                return ScoreKind(score, background, exponents)
    raise MisreadError("its scores are no products of powers of two sigmoids, of a class and of an anchor")


def _exponents(of_class: np.ndarray, of_anchor: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """Of the class that a product of powers fits best; logarithms of scores are linear in those of both factors."""
    best, found = np.inf, (0.0, 0.0)
    logs = np.log(np.maximum(wanted, 1e-30))
    for column in logs.T[:1]:
        for one in [*of_class.T, of_class.max(axis=1)]:
            known = np.concatenate([np.log(one)[:, None], np.log(of_anchor)], axis=1)
            solved, *_ = np.linalg.lstsq(known, column, rcond=None)
            off = np.abs(known @ solved - column).max()
            if off < best:
                best, found = off, (float(f"{solved[0]:.4g}"), float(f"{solved[1]:.4g}"))
    return found


def _background(shares: np.ndarray, wanted: np.ndarray, score: str) -> int | None:
    """The class whose score nobody reads, -1 if there is none; None if the columns are other scores.

    wanted  a column for each class that is read, or one of the greatest of all that are
    raises  MisreadError if what nobody reads can be no background
    """
    classes = shares.shape[1]
    if wanted.shape[1] == 1 < classes:
        for background in (-1, 0) if score == SOFTMAX else (0, -1):
            read = np.delete(shares, background, axis=1) if background >= 0 else shares
            if np.abs(read.max(axis=1) - wanted[:, 0]).max() <= TOLERANCE:
                return background
    alike = [int(np.abs(shares - one[:, None]).max(axis=0).argmin()) for one in wanted.T]
    if not alike or np.abs(shares[:, alike] - wanted).max() > TOLERANCE:
        return None
    unread = sorted({*range(classes)} - {*alike})
    if len(unread) > 1 or (unread and score != SOFTMAX and unread != [0]):
        raise MisreadError(f"nothing reads the scores of classes {unread} of {classes}")
    return unread[0] if unread else -1


def _columns(scores: np.ndarray, places: int) -> np.ndarray | None:
    """[places, ...] of a tensor with an axis of all places; None if it has none."""
    axes = [axis for axis, extent in enumerate(scores.shape) if extent == places]
    return np.moveaxis(scores, axes[-1], 0).reshape(places, -1) if axes else None
