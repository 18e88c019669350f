"""The heads' maps as rows: one for each anchor, in the order of level, row, column and anchor of a pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mbn2c.frontend.detectors.cut import HeadCut, MisreadError
from mbn2c.tasks.detection.detector import HeadLevel


@dataclass(frozen=True)
class MapRows:
    """Scores or offsets of all levels.

    maps    NCHW tensors, one for each level
    levels  what they have in common
    values  of an anchor, which lie beside each other in the channels
    """

    maps: tuple[str, ...]
    levels: tuple[HeadLevel, ...]
    values: int

    def joined(self, found: dict[str, np.ndarray]) -> np.ndarray:
        """[anchors of all levels, values]"""
        return np.concatenate([found[name].transpose(0, 2, 3, 1).reshape(-1, self.values) for name in self.maps])

    def split(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The inverse of `joined`: float32 maps."""
        ends = np.cumsum([level.places for level in self.levels])[:-1]
        return {
            name: part.reshape(1, level.height, level.width, -1).transpose(0, 3, 1, 2).astype(np.float32)
            for name, level, part in zip(self.maps, self.levels, np.split(rows, ends), strict=True)
        }


def rows_of(cut: HeadCut, maps: Sequence[Sequence[str]], values: Sequence[int]) -> list[MapRows]:
    """Several maps of the same levels, with so many values of an anchor each.

    raises  MisreadError if they are no maps of the same anchors
    """
    levels = []
    for names in zip(*maps, strict=True):
        shapes = [cut.shapes[name] for name in names]
        for name, shape in zip(names, shapes, strict=True):
            if len(shape) != 4:
                raise MisreadError(f"'{name}' of shape {shape} is no map")
        _, channels, height, width = shapes[0]
        level = HeadLevel(height, width, max(1, channels // values[0]))
        if [shape[1:] for shape in shapes] != [(level.anchors * count, height, width) for count in values]:
            raise MisreadError(f"a level of {' and '.join(map(str, shapes))} that are no scores and offsets")
        levels.append(level)
    return [MapRows(tuple(names), tuple(levels), count) for names, count in zip(maps, values, strict=True)]
