"""Plan, kernels and names -> what a device that runs them has in its memory, as far as the host asks for it.

`report.json` keeps it, so that `verify` need not plan the network again.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mbn2c.emit.network.model import Names, constant_arrays
from mbn2c.errors import UsageError
from mbn2c.ir.graph import Graph
from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Plan, in_memory
from mbn2c.kernels import packed_constants
from mbn2c.ops import OPERATORS


@dataclass(frozen=True)
class StepRows:
    """The rows of one step, as an observer sees them.

    node    name of the Graph's node; "" for the input
    tensor  that it makes
    planar, pad, is_slice  as in its `Buffer`
    """

    node: str
    tensor: str
    planar: bool
    pad: tuple[int, int, int, int]
    is_slice: bool = False

    def crc(self, values: np.ndarray, zero_point: int) -> int:
        """The CRC-32 that the device must have; values: int8 [1, H, W, C]."""
        return zlib.crc32(in_memory(self, values, zero_point).tobytes())


@dataclass(frozen=True)
class ConstantArray:
    """One constant array of the C; `name` is without the prefix."""

    name: str
    size_bytes: int
    crc: int


@dataclass(frozen=True)
class Expectations:
    """Steps and constant arrays, by number."""

    steps: tuple[StepRows, ...]
    constants: tuple[ConstantArray, ...]

    def to_json(self) -> dict[str, Any]:
        steps = [[step.node, step.tensor, step.planar, step.is_slice, step.pad] for step in self.steps]
        return {"steps": steps, "constants": [[one.name, one.size_bytes, one.crc] for one in self.constants]}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Expectations:
        """The inverse of to_json. Raises UsageError for anything else."""
        try:
            steps = [
                StepRows(node, tensor, planar, tuple(pad), is_slice)
                for node, tensor, planar, is_slice, *pad in facts["steps"]
            ]
            return cls(tuple(steps), tuple(ConstantArray(*one) for one in facts["constants"]))
        except (KeyError, TypeError, ValueError):
            raise UsageError("report.json does not say what a device has in its memory", hint="build again") from None

    def of_network(self, graph: Graph) -> Expectations:
        """Itself. Raises UsageError unless each tensor has its step, and each node with weights an array."""
        tensors = {graph.inputs[0].tensor, *graph.producer}
        weighted = {node.name for node in graph.nodes if OPERATORS[node.op].macs(node, graph)}
        if {step.tensor for step in self.steps} != tensors or not weighted <= set(map(self.owner, self.constants)):
            raise UsageError("report.json tells of a device that runs another network", hint="build again")
        return self

    def owner(self, array: ConstantArray) -> str:
        """The node whose constants these are; "" for the input."""
        nodes = {f"step{number}": step.node for number, step in enumerate(self.steps)}
        return nodes.get(array.name.partition("_")[0], "")


def expectations(plan: Plan, kernels: Mapping[str, Kernel], names: Names) -> Expectations:
    buffers = plan.buffers
    arrays = constant_arrays(packed_constants(plan, kernels), names)
    return Expectations(
        tuple(
            StepRows(call.node, call.write, one.planar, one.pad, one.is_slice)
            for call, one in ((call, buffers[call.write]) for call in plan.calls)
        ),
        tuple(ConstantArray(name, array.nbytes, zlib.crc32(_bytes_in_c(array))) for name, array in arrays.items()),
    )


def _bytes_in_c(array: np.ndarray) -> bytes:
    """As every core that mbn2c knows keeps it: little-endian."""
    return array.astype(array.dtype.newbyteorder("<")).tobytes()
