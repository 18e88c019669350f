"""Plan -> a number for every pixel of every tensor, and whose the bytes of a row are; for `run_plan.py`."""

from __future__ import annotations

import numpy as np

from mbn2c.ir.plan import Plan
from mbn2c.ops import OPERATORS


class Pixels:
    """Numbers from 1 on; scratch has the negative ones.

    first  of each tensor, the number of its first pixel
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        sizes = [buffer.rows * buffer.columns for buffer in plan.buffers.values()]
        self.count = 1 + sum(sizes)
        self.first = dict(zip(plan.buffers, np.cumsum([1, *sizes]).tolist(), strict=False))
        self._writers = self._written_by()

    def _written_by(self) -> dict[str, np.ndarray]:
        """By tensor, for each byte of its pixels, the first pixel of the tensor that was written there."""
        first = {name: np.full(buffer.pixel_bytes, self.first[name]) for name, buffer in self.plan.buffers.items()}
        for call in self.plan.calls:
            if call.is_view:
                node = self.plan.graph.producer[call.write]
                size = np.dtype(self.plan.buffers[call.write].dtype).itemsize
                for one in OPERATORS[node.op].slices(node, self.plan.graph):
                    source = first[call.reads[one.number].tensor][one.first * size : (one.first + one.count) * size]
                    first[call.write][one.target * size : (one.target + one.count) * size] = source
        return first

    def of(self, tensor: str, row: int, first: int, end: int) -> list[slice]:
        """The numbers of some pixels of a row, for each tensor that has written a part of them."""
        start = row * self.plan.buffers[tensor].columns
        return [slice(one + start + first, one + start + end) for one in np.unique(self._writers[tensor]).tolist()]

    def owners(self, tensor: str, row: int, first: int, end: int) -> np.ndarray:
        """Pixel numbers byte by byte."""
        columns = row * self.plan.buffers[tensor].columns + np.arange(first, end)
        return np.add.outer(columns, self._writers[tensor]).reshape(-1)
