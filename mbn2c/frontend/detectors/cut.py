"""Where a detector's network ends and its decoding begins: what the families look for, and what they find."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import ModelProto, NodeProto

from mbn2c.frontend.order import used_names


@dataclass(frozen=True)
class Head:
    """Scores or offsets.

    output  of the file
    maps    NCHW tensors, one for each level
    score   SOFTMAX, SIGMOID or ""; is_applied: the file does it
    passed  names of the nodes between maps and output
    """

    output: str
    maps: tuple[str, ...]
    score: str
    passed: tuple[str, ...]
    is_applied: bool = True


@dataclass(frozen=True)
class Ends:
    """What a family found in a file; the fields behind `anchors` are those of `tasks.detection.DetectorFacts`.

    anchors  the output that holds them; "": the user gives them
    """

    family: str
    scores: Head
    offsets: Head
    anchors: str
    coder: str
    order: tuple[int, int, int, int]
    scales: tuple[float, float, float, float]

    @property
    def maps(self) -> tuple[str, ...]:
        """The network's outputs: of each level the scores, then the offsets."""
        return tuple(name for pair in zip(self.scores.maps, self.offsets.maps, strict=True) for name in pair)


class Links:
    """Who makes what, and what the image reaches."""

    def __init__(self, model: ModelProto) -> None:
        self.makers = {name: node for node in model.graph.node for name in node.output}
        constants = {tensor.name for tensor in model.graph.initializer}
        self._reached = {port.name for port in model.graph.input if port.name not in constants}
        for node in model.graph.node:
            # What only asks for a shape knows nothing of the image.
            if node.op_type not in ("Shape", "Size") and self._reached.intersection(used_names(node)):
                self._reached.update(node.output)

    def depends_on_image(self, name: str) -> bool:
        """Whether the values of a tensor may."""
        return name in self._reached

    def name_of(self, node: NodeProto) -> str:
        """What a node is called in messages."""
        return node.name or f"{node.op_type} that makes '{node.output[0]}'"
