"""One output of a network: what it is called, its axes, and how the user's file ends it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbn2c.ir.graph import Graph, Port
from mbn2c.tasks.inputs import from_nhwc, nhwc_extents, sample_shape, to_nhwc
from mbn2c.tasks.tails import apply_tail, undo_tail


@dataclass(frozen=True)
class Output:
    """One output, as the user's file has it and as the device returns it.

    name         in the ONNX file
    shape        there, batch fixed to 1
    permutation  ONNX axis k is NHWC axis permutation[k]
    tail         "", or a name in `tails.TAILS`: what the file applies last and the device leaves out
    """

    name: str
    shape: tuple[int, ...]
    permutation: tuple[int, ...]
    tail: str

    @classmethod
    def of(cls, port: Port) -> Output:
        """Of an output Port."""
        return cls(port.outside, port.shape, port.permutation, port.tail)

    @property
    def nhwc(self) -> tuple[int, int, int, int]:
        """Extents of the output in NHWC order."""
        return nhwc_extents(self.shape, self.permutation)

    @property
    def channels(self) -> int:
        """Channels of a pixel, or values of a vector."""
        return self.nhwc[3]

    def before_tail(self, values: np.ndarray) -> np.ndarray:
        """The file's output, in its own axis order -> float64 [1, H, W, C] before the tail.

        A softmax's logits are known up to a constant for each position, a sigmoid's within LARGEST_LOGIT.
        """
        found = to_nhwc(values.reshape(self.shape), self.permutation).astype(np.float64)
        return undo_tail(self.tail, found)

    def after_tail(self, values: np.ndarray) -> np.ndarray:
        """float64 [N, H, W, C] before the tail -> what the file says of each image, in its own axis order, [N, ...]."""
        said = (from_nhwc(apply_tail(self.tail, one[None]), self.shape, self.permutation) for one in values)
        return np.stack([one.reshape(sample_shape(self.shape, self.permutation)) for one in said])


def outputs_of(graph: Graph) -> tuple[Output, ...]:
    """One for each output Port of the network, in order; of a detector they are the heads."""
    ports = graph.heads or graph.outputs
    return tuple(Output.of(port) for port in ports)
