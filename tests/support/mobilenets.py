"""The classifiers of the papers with random weights, for plans: any width, any resolution."""

from __future__ import annotations

from models import Builder

from mbn2c.commands.explore import families
from mbn2c.commands.explore.families import V3_LARGE, V3_SMALL, BottleneckRow
from mbn2c.ir.graph import Graph

Blocks = tuple[BottleneckRow, ...]


def mobilenet_v2(width: float, size: int, classes: int = 1000) -> Graph:
    """MobileNetV2."""
    return families.mobilenet_v2(_layers("v2", width, size), width, classes)


def mobilenet_v1(width: float, size: int, classes: int = 1000) -> Graph:
    """MobileNetV1, with TensorFlow's padding: none above and left at stride 2."""
    return families.mobilenet_v1(_layers("v1", width, size), width, classes)


def mobilenet_v3_small(width: float, size: int, classes: int = 1000, blocks: Blocks = V3_SMALL) -> Graph:
    """MobileNetV3-small as torchvision has it."""
    return families.mobilenet_v3_small(_layers("v3_small", width, size), width, classes, blocks)


def mobilenet_v3_large(width: float, size: int, classes: int = 1000, blocks: Blocks = V3_LARGE) -> Graph:
    """MobileNetV3-large, likewise."""
    return families.mobilenet_v3_large(_layers("v3_large", width, size), width, classes, blocks)


def _layers(family: str, width: float, size: int) -> Builder:
    return Builder((size, size, 3), name=f"mobilenet_{family}_{width}_{size}")
