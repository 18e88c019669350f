"""Detectors without a network before them: an int8 image whose channels are scores and offsets of every level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.ir.check import check
from mbn2c.ir.graph import Graph, Node, Port, Quant, Tensor
from mbn2c.ir.window import Window
from mbn2c.ops import OPERATORS
from mbn2c.ops.ssd_boxes import SsdBoxesAttributes, SsdLevel
from mbn2c.ops.ssd_boxes.arithmetic import CODERS, CORNERS, ONE
from mbn2c.ops.ssd_candidates import SsdCandidatesAttributes

NHWC = (0, 1, 2, 3)


@dataclass(frozen=True)
class Level:
    """Rows and columns of the image that the level has, and what its channels mean."""

    height: int
    width: int
    candidates: SsdCandidatesAttributes
    boxes: SsdLevel


def detector(levels: Sequence[Level], boxes: SsdBoxesAttributes, peaks: bool = False) -> Graph:
    """The image has the largest level's size, and of each level some channels, which are cut to its size.

    peaks  only scores count that no neighbour exceeds
    """
    a = [level.candidates for level in levels]
    channels = [one.anchors * (one.classes + one.values + bool(one.exponents)) for one in a]
    height, width = max(one.height for one in levels), max(one.width for one in levels)
    tensors: dict[str, Tensor] = {}
    nodes: list[Node] = []

    def add(
        name: str, shape: tuple[int, ...], op: str = "", inputs: tuple[str, ...] = (), attributes: object = None
    ) -> str:
        tensors[name] = Tensor(name, shape, "int8", quant=Quant(np.array([0.1], np.float32), 5))
        if op:
            nodes.append(Node(f"{name}_node", op, inputs, (name,), attributes))
        return name

    add("input", (1, height, width, sum(channels)))
    lists, first = [], 0
    for number, (level, one) in enumerate(zip(levels, a, strict=True)):
        cut = add(
            f"cut{number}",
            (1, level.height, level.width, sum(channels)),
            "crop2d",
            ("input",),
            OPERATORS["crop2d"].attributes((0, 0, height - level.height, width - level.width)),
        )
        parts = []
        for what, count in (("scores", one.classes), ("offsets", one.values), ("sure", int(bool(one.exponents)))):
            if not count:  # no offsets, or no objectness
                continue
            chosen = tuple(range(first, first + one.anchors * count))
            first += len(chosen)
            attributes = OPERATORS["select_channels"].attributes(chosen)
            shape = (1, level.height, level.width, len(chosen))
            parts.append(add(f"{what}{number}", shape, "select_channels", (cut,), attributes))
        if peaks:
            around = OPERATORS["max_pool2d"].attributes(Window((3, 3), (1, 1), (1, 1, 1, 1)))
            shape = tensors[parts[0]].shape
            parts.append(add(f"greatest{number}", shape, "max_pool2d", (parts[0],), around))
        shape = (1, 1, 1, one.most * 10)
        lists.append(add(f"found{number}", shape, "ssd_candidates", tuple(parts), one))
    attributes = replace(boxes, levels=tuple(level.boxes for level in levels))
    add("boxes", (1, 1, 1, boxes.boxes * 12), "ssd_boxes", tuple(lists), attributes)
    shapes = {name: tensors[name].shape for name in ("input", "boxes")}
    ports = [Port(name, f"{name}_outside", shape, NHWC) for name, shape in shapes.items()]
    graph = Graph("detector", tensors, tuple(nodes), (ports[0],), (ports[1],))
    for node in nodes:
        assert OPERATORS[node.op].check_attributes(node, graph) == ""
    return check(graph, "quantized", OPERATORS)


def random_detector(seed: int, side: int = 7, most: int = 12) -> Graph:
    """One to three levels, of all kinds of heads."""
    generator = np.random.default_rng(seed)
    coder, per_class = str(generator.choice(CODERS)), bool(generator.integers(2))
    background = int(generator.choice([-1, -1, 0, 1]))
    values = int(generator.choice([4, 6]))
    is_shared = bool(generator.integers(2)) if background >= 0 else seed % 4 == 3
    classes = int(generator.integers(1, 5)) + is_shared if background < 0 or is_shared else 2
    skipped = int(generator.integers(classes)) if background < 0 else 0
    exponents = tuple(float(one) for one in generator.choice([0.4, 1, 3], 2)) if background < 0 and seed % 2 else ()
    ranks_are_scores = is_shared or bool(exponents)
    levels = []
    for number in range(int(generator.integers(1, 4))):
        height, width = (max(1, side >> number), max(1, (side + int(generator.integers(3))) >> number))
        anchors = int(generator.integers(1, 4))
        threshold = int(generator.integers(1, 3_000) if ranks_are_scores else generator.integers(-255, 120))
        kept, margin = int(generator.integers(1, most + 1)), int(generator.integers(-40, 160))
        level = random_level(generator, height, width, anchors, coder)
        if seed % 3 == 0:
            level = replace(level, curves=tuple(map(tuple, generator.integers(-ONE, ONE + 1, (2, 256)).tolist())))
        level = replace(level, rank_step=ONE) if ranks_are_scores else level
        candidates = SsdCandidatesAttributes(
            anchors, classes, background, values, threshold, kept, skipped, is_shared, margin, exponents
        )
        levels.append(Level(height, width, candidates, level))
    order = tuple(int(one) for one in generator.permutation(4))
    extents = [int(one) for one in generator.integers(16, 200, 2)]
    iou = int(generator.choice([0, 1 << 14, 1 << 15, 1 << 16]))
    attributes = SsdBoxesAttributes(
        (),
        order,
        coder,
        extents[0],
        extents[1],
        8,
        iou,
        per_class,  # type: ignore[arg-type]
        ranks_are_scores or bool(generator.integers(2)),
    )
    return detector(levels, attributes, background < 0 and not exponents and bool(generator.integers(2)))


def random_centroids(seed: int, side: int = 9) -> Graph:
    """A map of classes whose neighbours are one box."""
    generator = np.random.default_rng(seed)
    classes = int(generator.integers(2, 5))
    is_shared = classes > 2
    height, width = (int(one) for one in generator.integers(1, side + 1, 2))
    level = replace(random_level(generator, height, width, 1, CORNERS), offset_steps=((0, 0, 0, 0),))
    level = replace(level, rank_step=ONE) if is_shared else level
    threshold, most = int(generator.integers(1, 9_000) if is_shared else generator.integers(-60, 90)), side * side
    kept = int(generator.integers(1, most + 1))
    one = SsdCandidatesAttributes(1, classes, 0, 0, threshold, kept, 0, is_shared, int(generator.integers(-40, 60)))
    boxes = int(generator.integers(1, 20))
    extents = (int(one) for one in generator.integers(16, 200, 2))
    attributes = SsdBoxesAttributes((), (0, 1, 2, 3), CORNERS, *extents, boxes, 0, True, is_shared, connected=True)
    return detector([Level(height, width, one, level)], attributes)


def random_level(generator: np.random.Generator, height: int, width: int, anchors: int, coder: str) -> SsdLevel:
    """Anchors of all sizes around a grid, some of them empty or far outside."""
    step = 1 << int(generator.integers(16, 22))
    places = generator.integers(-(1 << 22), 1 << 23, (anchors, 4))
    if coder != CORNERS:
        places[:, 2:] = np.abs(places[:, 2:])
    steps = generator.integers(1 << 4, 1 << int(generator.integers(10, 21)), (anchors, 4))
    return SsdLevel(
        height,
        width,
        step,
        step + 3,
        int(generator.integers(-128, 128)),
        int(generator.integers(1, 1 << int(generator.integers(8, 22)))),
        tuple(tuple(int(one) for one in row) for row in places),
        tuple(tuple(int(one) for one in row) for row in steps),
    )
