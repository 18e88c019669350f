"""Plan, kernels and names -> what a device that runs them has in its memory, as far as the host asks for it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mbn2c.emit.network.c_values import bytes_in_c
from mbn2c.emit.network.model import Names, constant_arrays
from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Call, Plan, in_memory
from mbn2c.kernels import packed_constants
from mbn2c.ops.base.quants import quant_of


@dataclass(frozen=True)
class ConstantArray:
    """One constant array of the C; `name` is without the prefix, `owner` the node that reads it, "" for the input."""

    name: str
    size_bytes: int
    crc: int
    owner: str


@dataclass(frozen=True)
class Expectations:
    """The rows of each step of a Plan, and constant arrays by number."""

    plan: Plan
    constants: tuple[ConstantArray, ...]

    def rows(self, call: Call, tensors: Mapping[str, np.ndarray]) -> np.ndarray:
        """What an observer of a step must see: int8, flat; tensors: int8 [1, H, W, C] by name."""
        zero_point = quant_of(self.plan.graph, call.write).zero_point
        return in_memory(self.plan.buffers[call.write], tensors[call.write], zero_point)

    def digests(self, tensors: Mapping[str, np.ndarray]) -> list[int]:
        """The CRC-32 of each step's rows."""
        return [zlib.crc32(self.rows(call, tensors).tobytes()) for call in self.plan.calls]


def expectations(plan: Plan, kernels: Mapping[str, Kernel], names: Names) -> Expectations:
    """What a device has; all constants are packed for it."""
    owners = {f"step{call.step}": call.node for call in plan.calls}
    arrays = constant_arrays(packed_constants(plan, kernels), names)
    return Expectations(
        plan,
        tuple(
            ConstantArray(name, array.nbytes, zlib.crc32(bytes_in_c(array)), owners.get(name.partition("_")[0], ""))
            for name, array in arrays.items()
        ),
    )
