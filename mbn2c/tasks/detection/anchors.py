"""A file of anchors -> their corners."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from mbn2c.errors import UsageError
from mbn2c.files.user_files import read_bytes

_HINT = "a .npy of float32 [N, 4]: centre y and x, height and width of each anchor, in parts of the image"
_MOST_BYTES = 1 << 22
# What offsets and scores beside given anchors may mean; others, as PyTorch's order x, y, would look the same in a file.
BOX_CODERS = ("tf",)


def check_box_coder(anchors: Path | None, box_coder: str) -> None:
    """Raises UsageError unless anchors come with what the heads beside them mean, and it with anchors."""
    if anchors is not None and box_coder not in BOX_CODERS:
        raise UsageError(
            "--anchors needs --box-coder: the file does not say in which order and scale its offsets are",
            hint="--box-coder tf if TensorFlow made them: y, x, height, width, divided by 10, 10, 5, 5; sigmoid scores",
        )
    if anchors is None and box_coder:
        raise UsageError(
            "--box-coder says what heads with --anchors mean", hint="give --anchors FILE.npy, or leave it out"
        )


def read_anchors(path: Path) -> np.ndarray:
    """TensorFlow's anchors, centre y and x, height and width, in parts of the image -> float64 [N, 4]: their corners.

    raises  UsageError if the file holds something else
    """
    content = read_bytes(path, "anchors file", _HINT, _MOST_BYTES)
    try:
        found = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise UsageError(f"not a .npy file: {str(error)[:100]}", where=str(path), hint=_HINT) from None
    if found.ndim != 2 or found.shape[1] != 4 or found.dtype.kind not in "fiu" or not len(found):
        raise UsageError(f"an array {list(found.shape)} of {found.dtype}", where=str(path), hint=_HINT)
    corners = tensorflow_corners(found)
    if not np.isfinite(corners).all() or (found[:, 2:] <= 0).any() or np.abs(corners).max() > 16:
        raise UsageError("anchors that are no boxes in or around the image", where=str(path), hint=_HINT)
    return corners


def tensorflow_corners(anchors: np.ndarray) -> np.ndarray:
    """Centre y and x, height and width of each -> float64 [N, 4]: x0, y0, x1, y1."""
    y, x, height, width = anchors.astype(np.float64).T
    return np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1)
