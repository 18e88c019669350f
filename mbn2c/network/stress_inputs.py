"""An int8 network -> a few synthetic inputs that reach as much of every layer as they can: the stress set of `verify`.

An input is kept as its recipe, a name such as "mosaic 8 seed 3". The bytes behind it come from SHAKE-256 and integer
arithmetic alone, so they are the same on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mbn2c.errors import UsageError
from mbn2c.ir.graph import Graph
from mbn2c.ops import OPERATORS
from mbn2c.progress import Progress, no_progress
from mbn2c.reference.run_graph import run_graph

STRESS_INPUTS = 3
# Candidates cost one run of the integer reference each: fewer of them for large networks.
_MOST_CANDIDATES, _FEWEST_CANDIDATES, _CANDIDATE_MACS = 20, 6, 2_000_000_000
_BYTES = 256


@dataclass(frozen=True)
class StressRecipe:
    """How one input is made.

    pattern  "ramp", "mosaic", "octaves" or "binary"
    cell     pixels of the pattern's largest unit, height and width
    seed     tells inputs of the same pattern apart
    """

    pattern: str
    cell: int
    seed: int

    def __str__(self) -> str:
        return f"{self.pattern} {self.cell} seed {self.seed}"

    @classmethod
    def parse(cls, text: str) -> StressRecipe:
        """The inverse of str. Raises UsageError for anything else."""
        words = text.split()
        if len(words) == 4 and words[0] in _PATTERNS and words[1].isdecimal() and words[3].isdecimal():
            recipe = cls(words[0], int(words[1]), int(words[3]))
            if str(recipe) == text and 0 < recipe.cell < 2**16:
                return recipe
        raise UsageError(f"no stress input is made by '{text}'", hint="build again")

    def pixels(self, height: int, width: int, channels: int) -> np.ndarray:
        """uint8 [1, H, W, C]. Minus 128 they are the codes of an int8 input."""
        values = _PATTERNS[self.pattern](_Source(self, height, width, channels), self.cell)
        return np.clip(values, 0, 255).astype(np.uint8)[None]


class _Source:
    """Random bytes of one recipe, as integers over the plane of an input."""

    def __init__(self, recipe: StressRecipe, height: int, width: int, channels: int) -> None:
        self.height, self.width, self.channels = height, width, channels
        self._name, self._drawn = str(recipe), 0

    def cells(self, cell: int, channels: int) -> np.ndarray:
        """One byte for each square of cell x cell pixels and each channel; int64 [H, W, channels]."""
        shape = (-(-self.height // cell), -(-self.width // cell), channels)
        self._drawn += 1
        drawn = hashlib.shake_256(f"{self._name}, {self._drawn}".encode()).digest(int(np.prod(shape)))
        values = np.frombuffer(drawn, np.uint8).reshape(shape).astype(np.int64)
        return values.repeat(cell, axis=0).repeat(cell, axis=1)[: self.height, : self.width]

    def noise(self, cell: int = 1) -> np.ndarray:
        return self.cells(cell, self.channels)


def _ramp(source: _Source, cell: int) -> np.ndarray:
    """Noise, and through its middle all 256 values of each channel, as far as a quarter of the input holds them."""
    values = source.noise()
    rows = min(-(-_BYTES // source.width), max(source.height // 4, 1))
    columns = np.arange(rows * source.width)[:, None] + 85 * np.arange(source.channels)
    top = (source.height - rows) // 2
    values[top : top + rows] = (columns % _BYTES).reshape(rows, source.width, source.channels)
    return values


def _mosaic(source: _Source, cell: int) -> np.ndarray:
    """Tiles, each with a colour, a contrast, and a texture: noise, two values, waves in some direction, or nothing."""
    texture, slope_y, slope_x = (source.cells(cell, 1) % count for count in (6, 7, 7))
    period = 2 + source.cells(cell, 1) % 14
    y, x = np.arange(source.height)[:, None, None], np.arange(source.width)[None, :, None]
    waves = ((slope_y - 3) * y + (slope_x - 3) * x) * _BYTES // period % _BYTES
    noise = source.noise()
    chosen = np.choose(
        texture, [noise, source.noise(2), 255 * (noise >> 7), waves, 255 * (waves >> 7), 0 * noise + 128]
    )
    contrast = source.noise(cell)
    return source.noise(cell) + (chosen - 128) * contrast * 2 // _BYTES


def _octaves(source: _Source, cell: int) -> np.ndarray:
    """Noise at every scale from single pixels to the cell, the coarse ones strongest."""
    values, scale = np.full((source.height, source.width, source.channels), 128, np.int64), cell
    while scale:
        values += (source.noise(scale) - 128) * (3 if scale == 1 else 4) // 5
        scale //= 2
    return values


def _binary(source: _Source, cell: int) -> np.ndarray:
    """Every value at one end or the other: the largest accumulators."""
    return 255 * (source.noise(cell) >> 7)


_PATTERNS = {"ramp": _ramp, "mosaic": _mosaic, "octaves": _octaves, "binary": _binary}
_FIRST = StressRecipe("ramp", 1, 0)


def candidates(height: int, width: int, count: int) -> list[StressRecipe]:
    """What is chosen from, besides the first input: every pattern in several sizes, then with other seeds."""
    side = max(height, width)
    sizes = dict.fromkeys((-(-side // 2), -(-side // 4), -(-side // 8), 8, 4))
    kinds = [("mosaic", size) for size in sizes] + [("octaves", -(-side // 3)), ("binary", 4), ("binary", 1)]
    kinds += [("octaves", -(-side // 8)), ("binary", -(-side // 8))]
    return [StressRecipe(*kinds[number % len(kinds)], number // len(kinds)) for number in range(count)]


def choose_stress(graph: Graph, tables: np.ndarray | None, progress: Progress = no_progress) -> list[str]:
    """The recipes of a network's stress set, in the order of what each adds.

    A channel of a layer is known by the int8 values it takes on. The first input is fixed; each further one is the
    candidate that shows most new values, a layer counting as much as another.

    tables  int8 [C, 256] of an input of raw pixels, None for an int8 input
    """
    _, height, width, _ = graph.tensors[graph.inputs[0].tensor].shape
    macs = sum(OPERATORS[node.op].macs(node, graph) for node in graph.nodes)
    count = min(max(_CANDIDATE_MACS // max(macs, 1), _FEWEST_CANDIDATES), _MOST_CANDIDATES)
    pool = [_FIRST, *candidates(height, width, count)]
    seen = [_values_seen(graph, recipe, tables) for recipe in progress(pool, "stress set", len(pool))]
    chosen, covered = [0], dict(seen[0])
    while len(chosen) < STRESS_INPUTS:
        left = [number for number in range(len(pool)) if number not in chosen]
        best = max(left, key=lambda number: _gain(covered, seen[number]))
        chosen.append(best)
        covered = {name: covered[name] | seen[best][name] for name in covered}
    return [str(pool[number]) for number in chosen]


def stress_codes(graph: Graph, pixels: np.ndarray, tables: np.ndarray | None) -> np.ndarray:
    """The int8 input tensor [1, H, W, C] of a recipe's pixels."""
    if tables is None:
        return (pixels.astype(np.int16) - 128).astype(np.int8)
    return np.stack([tables[channel][pixels[..., channel]] for channel in range(pixels.shape[3])], axis=-1)


def _values_seen(graph: Graph, recipe: StressRecipe, tables: np.ndarray | None) -> dict[str, np.ndarray]:
    """Which int8 values each channel of each layer takes on: bool [C, 256] by tensor."""
    name = graph.inputs[0].tensor
    pixels = recipe.pixels(*graph.tensors[name].shape[1:])
    tensors = run_graph(graph, {name: stress_codes(graph, pixels, tables)})
    return {name: _histogram(tensors[name]) for node in graph.nodes for name in node.outputs}


def _histogram(values: np.ndarray) -> np.ndarray:
    channels = values.shape[-1]
    codes = values if values.dtype == np.int8 else (values >> 8).astype(np.int8)  # of int16, the upper half
    places = codes.reshape(-1, channels).view(np.uint8) + _BYTES * np.arange(channels)
    seen = np.zeros(channels * _BYTES, bool)
    seen[places.reshape(-1)] = True
    return seen.reshape(channels, _BYTES)


def _gain(covered: Mapping[str, np.ndarray], more: Mapping[str, np.ndarray]) -> float:
    return sum(float((more[name] & ~covered[name]).mean()) for name in covered)


def open_stress(recipes: Sequence[str]) -> list[StressRecipe]:
    """Raises UsageError for anything but the recipes of a whole set."""
    if len(recipes) != STRESS_INPUTS:
        raise UsageError(f"report.json does not name {STRESS_INPUTS} stress inputs", hint="build again")
    return [StressRecipe.parse(text) for text in recipes]
