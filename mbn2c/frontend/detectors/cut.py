"""Where a detector's network ends and its decoding begins: what the families look for, and what they find."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, helper

from mbn2c.frontend.order import drop_dead_nodes, used_names
from mbn2c.ir.graph import Graph
from mbn2c.tasks.detection.anchors import GivenAnchors
from mbn2c.tasks.detection.detector import Detector

# Two evaluations of the same float32 network differ by their rounding only.
TOLERANCE = 1e-4


# How many elements their outputs have depends on values.
_CHOOSING = frozenset(("Compress", "If", "Loop", "NonMaxSuppression", "NonZero", "Range", "Scan", "Unique"))


class MisreadError(Exception):
    """A file makes something else of its maps than its nodes look like; says what."""


@dataclass(frozen=True)
class HeadCut:
    """A file whose decoding is cut off.

    network  what is left of it
    file     all of it
    graph    of the network, float
    given    anchors of a file that has none; None where it has them
    """

    network: ModelProto
    file: ModelProto
    graph: Graph
    given: GivenAnchors | None

    @property
    def image(self) -> str:
        """The file's input."""
        return self.graph.inputs[0].outside

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Of the maps, NCHW."""
        return {port.outside: port.shape for port in self.graph.outputs}

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the image."""
        _, height, width, _ = self.graph.tensors[self.graph.inputs[0].tensor].shape
        return height, width

    def random_image(self) -> dict[str, np.ndarray]:
        """An input of the file, always the same."""
        shape = self.graph.inputs[0].shape
        return {self.image: np.random.default_rng(0).normal(size=shape).astype(np.float32)}


@dataclass(frozen=True)
class Reading:
    """What the nodes behind the maps do.

    assumed  what of it no number of the file can confirm, in words
    maps     the network's outputs as `DetectorFacts.kinds` orders them; (): as they are
    """

    detector: Detector
    assumed: str = ""
    maps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ends(ABC):
    """What a family found in the nodes of a file.

    maps    the network's outputs: NCHW, those of a level after each other, scores before offsets where that is known
    family  in words
    """

    maps: tuple[str, ...]
    family: str

    @property
    def stops(self) -> tuple[str, ...]:
        """Where the file can be run up to; () if all of it can be."""
        return ()

    @abstractmethod
    def read(self, cut: HeadCut) -> Reading:
        """What the nodes behind the maps do. Raises MisreadError if the file's own numbers are others."""


@dataclass(frozen=True)
class UnreadHeads(Ends):
    """Maps of a detector that no family reads: they can only be outputs.

    why  in words
    """

    why: str

    def read(self, cut: HeadCut) -> Reading:
        """See Ends."""
        raise MisreadError(self.why)


def ended(model: ModelProto, names: Sequence[str]) -> ModelProto:
    """A copy of a model that ends with some of its tensors."""
    copy = ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in dict.fromkeys(names))
    drop_dead_nodes(copy.graph)
    return copy


class Links:
    """Who makes what, who reads it, and what the image reaches."""

    def __init__(self, model: ModelProto) -> None:
        self.makers = {name: node for node in model.graph.node for name in node.output}
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.outputs = [port.name for port in model.graph.output]
        self.reached = {port.name for port in model.graph.input if port.name not in self.constants}
        sized: set[str] = set()
        for node in model.graph.node:
            names = set(used_names(node))
            if self.reached.isdisjoint(names):
                continue
            if node.op_type in _CHOOSING or not sized.isdisjoint(names):
                sized.update(node.output)
            # What only asks for a shape knows nothing of the image, unless that has as many as were chosen.
            if node.op_type not in ("Shape", "Size") or not sized.isdisjoint(names):
                self.reached.update(node.output)

    def depends_on_image(self, name: str) -> bool:
        """Whether the values of a tensor may."""
        return name in self.reached

    def walk_back(
        self, names: Sequence[str], is_end: Callable[[str, NodeProto], bool]
    ) -> Iterator[tuple[str, NodeProto]]:
        """Tensors that depend on the image, each once, and who makes them: some and all behind them, to the ends."""
        seen: set[str] = set()
        waiting = list(names)[::-1]
        while waiting:
            name = waiting.pop()
            node = self.makers.get(name)
            if name in seen or node is None or not self.depends_on_image(name):
                continue
            seen.add(name)
            yield name, node
            if not is_end(name, node):
                waiting += list(used_names(node))[::-1]

    def name_of(self, node: NodeProto) -> str:
        """What a node is called in messages."""
        return node.name or f"{node.op_type} that makes '{node.output[0]}'"
