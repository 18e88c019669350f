"""Numbers of a decoder -> the coder that it is: what it makes of offsets that are 0, and of one that is 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np

from mbn2c.frontend.detectors.cut import TOLERANCE, MisreadError
from mbn2c.tasks.detection.decode import corners_of, offsets_of
from mbn2c.tasks.detection.detector import (
    CENTRES,
    CORNERS,
    CURVES,
    DISTANCES,
    SIGMOID,
    SIZES,
    TANH,
    Detector,
    DetectorFacts,
    HeadLevel,
)

# float32 [anchors, values] -> float [anchors, 4]
Decoder = Callable[[np.ndarray], np.ndarray]
# What four numbers of a box may be: which is x0, y0, x1 and y1, or centre x and y, width and height.
FORMS = tuple(product(((0, 1, 2, 3), (1, 0, 3, 2)), (False, True)))
Form = tuple[tuple[int, ...], bool]


def in_corners(form: Form, boxes: np.ndarray) -> np.ndarray:
    """x0, y0, x1, y1 of boxes [N, 4] of some form."""
    order, is_centred = form
    x = boxes[:, list(order)].astype(np.float64)
    return np.concatenate([x[:, :2] - x[:, 2:] / 2, x[:, :2] + x[:, 2:] / 2], axis=1) if is_centred else x


def read_coder(decode: Decoder, levels: Sequence[HeadLevel], values: int, size: tuple[int, int]) -> Detector:
    """A Detector of which only coder, order, scales, values, curves and anchors mean something.

    size    of the image
    raises  MisreadError if these boxes are made in no known way
    """
    reasons = []
    for curves in product(CURVES, CURVES):
        try:
            return _read_coder(_of_made(decode, curves), levels, values, size, curves)
        except MisreadError as misread:
            reasons.append(misread)
    raise reasons[0]


def _of_made(decode: Decoder, curves: Sequence[str]) -> Decoder:
    """The decoder as a function of what offsets are taken as."""
    return lambda made: decode(np.concatenate([offsets_of(curves, made[:, :4]), made[:, 4:]], axis=1))


def _read_coder(
    decode: Decoder, levels: Sequence[HeadLevel], values: int, size: tuple[int, int], curves: tuple[str, str]
) -> Detector:
    zero = decode(np.zeros((sum(level.places for level in levels), values)))
    form, unit = _form_and_unit(zero, levels, size)

    def corners(offsets: np.ndarray) -> np.ndarray:
        return in_corners(form, decode(offsets)) / unit

    def moved_by(value: int, amount: float = 1) -> np.ndarray:
        offsets = np.zeros((len(zero), values))
        offsets[:, value] = amount
        return corners(offsets)

    base = corners(np.zeros((len(zero), values)))
    moves = {value: moved_by(value) - base for value in range(values)}
    reach = TOLERANCE * np.abs(base).max() / 10
    active = [value for value, move in moves.items() if np.abs(move).max() > reach]
    if active != [0, 1, 2, 3]:
        raise MisreadError(f"values {active} of {values} at each anchor move a box, not the first four")
    what = {_part_of(moves[value], reach): value for value in active}
    has_size = (base[:, 2:] - base[:, :2]).min() > reach
    if set(what) == {"x0", "y0", "x1", "y1"}:
        order = tuple(what[name] for name in ("x0", "y0", "x1", "y1"))
        steps = np.stack([moves[value][:, place] for place, value in enumerate(order)], axis=1)
        coder = CORNERS if has_size else DISTANCES
        sizes = base[:, 2:] - base[:, :2] if has_size else np.abs(steps[:, :2])
        scales = np.tile(sizes, 2) / (steps if has_size else steps * [-1, -1, 1, 1])
    elif set(what) == {"x", "y", "width", "height"}:
        order = tuple(what[name] for name in ("x", "y", "width", "height"))
        steps = np.stack(
            [
                moves[order[0]][:, 0],
                moves[order[1]][:, 1],
                moves[order[2]][:, 2] - moves[order[2]][:, 0],
                moves[order[3]][:, 3] - moves[order[3]][:, 1],
            ],
            axis=1,
        )
        coder = CENTRES if has_size else SIZES
        sizes = base[:, 2:] - base[:, :2] if has_size else np.abs(steps[:, :2])
        by = np.log1p(steps[:, 2:] / sizes) if has_size else steps[:, 2:] / sizes
        scales = np.concatenate([sizes / steps[:, :2], 1 / by], axis=1)
    else:
        raise MisreadError(f"its offsets move {', '.join(what)} of the boxes")
    middle = (base[:, :2] + base[:, 2:]) / 2
    anchors = np.concatenate([middle - sizes / 2, middle + sizes / 2], axis=1)
    parts = tuple(float(f"{one:.5g}") for one in np.median(scales, axis=0))
    found = Detector(
        DetectorFacts("", tuple(levels), 1, -1, values, SIGMOID, coder, order, parts, (), curves=curves),  # type: ignore[arg-type]
        anchors,
    )
    _compare(found, corners, len(zero))
    return found


def _compare(found: Detector, corners: Decoder, places: int) -> None:
    """Raises MisreadError if random offsets are decoded to other boxes."""
    facts, generator = found.facts, np.random.default_rng(1)
    for _ in range(2):
        offsets = generator.normal(size=(places, facts.values))
        offsets[:, list(facts.order)] *= np.abs(facts.scales)
        for pair, name in enumerate(facts.curves):
            if name:
                low = -0.9 if name == TANH else 0.1
                offsets[:, 2 * pair : 2 * pair + 2] = generator.uniform(low, 0.9, (places, 2))
        wanted, got = corners(offsets), corners_of(found, offsets.astype(np.float32)[:, list(facts.order)])
        off = float(np.abs(wanted - got).max())
        if not off <= 10 * TOLERANCE * max(1, float(np.abs(wanted).max())):
            raise MisreadError(f"boxes of random offsets, read as {facts.coder}, are {off:.3g} beside the file's own")


def _form_and_unit(zero: np.ndarray, levels: Sequence[HeadLevel], size: tuple[int, int]) -> tuple[Form, np.ndarray]:
    """How a box is written, and what its corners are divided by to be parts of the image: [4]."""
    first = 0
    for level in levels:
        if min(level.height, level.width) > 1:
            rows = zero[first : first + level.places]
            for form in FORMS:
                grid = in_corners(form, rows).reshape(level.height, level.width, level.anchors, 4)
                extent = _extent(grid)
                if extent is not None:
                    height, width = size if extent > 2 else (1, 1)
                    return form, np.array([width, height, width, height], np.float64)
        first += level.places
    raise MisreadError("boxes of offsets that are 0 lie on no grid, as x0, y0, x1, y1 or centre and size, x or y first")


def _extent(grid: np.ndarray) -> float | None:
    """From the first pixel to one behind the last, in x; None if corners [H, W, A, 4] lie on no grid."""
    height, width = grid.shape[:2]
    steps = [(grid[0, -1] - grid[0, 0]) / (width - 1), (grid[-1, 0] - grid[0, 0]) / (height - 1)]
    y, x = np.mgrid[:height, :width][..., None, None]
    off = np.abs(grid[0, 0] + x * steps[0] + y * steps[1] - grid).max()
    along_x, along_y = steps[0].min(axis=0), steps[1].min(axis=0)
    bound = TOLERANCE * np.abs(grid).max()
    is_grid = (
        off <= bound
        and np.abs(steps[0] - [along_x[0], 0, along_x[0], 0]).max() <= bound
        and np.abs(steps[1] - [0, along_y[1], 0, along_y[1]]).max() <= bound
        and min(along_x[0], along_y[1]) > bound
    )
    return float(along_x[0] * width) if is_grid else None


def _part_of(move: np.ndarray, reach: float) -> str:
    """What an offset moves: a corner's coordinate, the centre's, or a size."""
    x0, y0, x1, y1 = move.T
    parts = {
        "x0": (y0, x1, y1),
        "y0": (x0, x1, y1),
        "x1": (x0, y0, y1),
        "y1": (x0, y0, x1),
        "x": (x0 - x1, y0, y1),
        "y": (y0 - y1, x0, x1),
        "width": (x0 + x1, y0, y1),
        "height": (y0 + y1, x0, x1),
    }
    still = [name for name, rest in parts.items() if max(np.abs(one).max() for one in rest) <= reach]
    return still[0] if len(still) == 1 else "several parts"
