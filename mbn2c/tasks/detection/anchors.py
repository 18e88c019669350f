"""A file of anchors -> their corners, and what the heads beside them mean, which no file says."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mbn2c.errors import UsageError
from mbn2c.files.user_files import read_bytes
from mbn2c.tasks.detection.detector import SIGMOID, SOFTMAX

_MOST_BYTES = 1 << 22


def tensorflow_corners(anchors: np.ndarray) -> np.ndarray:
    """Centre y and x, height and width of each -> float64 [N, 4]: x0, y0, x1, y1."""
    y, x, height, width = anchors.astype(np.float64).T
    return np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1)


@dataclass(frozen=True)
class BoxCoder:
    """What heads beside given anchors mean: offsets of centre and logarithms of the size.

    words    for people
    order    which offset is of centre x and y, width and height
    scales   that these are divided by
    score    what makes scores of several classes where nothing in the file does, the first being the background
    written  what the .npy holds of an anchor
    corners  the .npy [N, 4] -> float64 [N, 4]: x0, y0, x1, y1
    """

    words: str
    order: tuple[int, int, int, int]
    scales: tuple[float, float, float, float]
    score: str
    written: str
    corners: Callable[[np.ndarray], np.ndarray]


# Others would look the same in a file.
BOX_CODERS = {
    "tf": BoxCoder(
        "TensorFlow's, offsets y, x, height, width divided by 10, 10, 5, 5; scores through a sigmoid",
        (1, 0, 3, 2),
        (10.0, 10.0, 5.0, 5.0),
        SIGMOID,
        "centre y and x, height and width",
        tensorflow_corners,
    ),
    "torchvision": BoxCoder(
        "PyTorch's, offsets x, y, width, height divided by 10, 10, 5, 5; scores through a softmax",
        (0, 1, 2, 3),
        (10.0, 10.0, 5.0, 5.0),
        SOFTMAX,
        "x0, y0, x1 and y1",
        lambda corners: corners.astype(np.float64),
    ),
}


@dataclass(frozen=True, eq=False)
class GivenAnchors:
    """corners  float64 [N, 4]: x0, y0, x1, y1 of each, in parts of the image
    coder    what the heads beside them mean
    """

    corners: np.ndarray
    coder: BoxCoder


def given_anchors(anchors: Path | None, box_coder: str) -> GivenAnchors | None:
    """Of a file and a name of BOX_CODERS; None of neither.

    raises  UsageError if the file holds something else, or one comes without the other
    """
    if anchors is not None and box_coder not in BOX_CODERS:
        raise UsageError(
            "--anchors needs --box-coder: the file does not say in which order and scale its offsets are",
            hint="; ".join(f"--box-coder {name}: {coder.words}" for name, coder in BOX_CODERS.items()),
        )
    if anchors is None and box_coder:
        raise UsageError(
            "--box-coder says what heads with --anchors mean", hint="give --anchors FILE.npy, or leave it out"
        )
    return None if anchors is None else _read(anchors, BOX_CODERS[box_coder])


def _read(path: Path, coder: BoxCoder) -> GivenAnchors:
    hint = f"a .npy of float32 [N, 4]: {coder.written} of each anchor, in parts of the image"
    content = read_bytes(path, "anchors file", hint, _MOST_BYTES)
    try:
        found = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise UsageError(f"not a .npy file: {str(error)[:100]}", where=str(path), hint=hint) from None
    if found.ndim != 2 or found.shape[1] != 4 or found.dtype.kind not in "fiu" or not len(found):
        raise UsageError(f"an array {list(found.shape)} of {found.dtype}", where=str(path), hint=hint)
    corners = coder.corners(found)
    if not np.isfinite(corners).all() or (corners[:, 2:] <= corners[:, :2]).any() or np.abs(corners).max() > 16:
        raise UsageError("anchors that are no boxes in or around the image", where=str(path), hint=hint)
    return GivenAnchors(corners, coder)
