"""Rows of the tables of cores with SIMD: what they have in common whatever the instructions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Kernel, Packed, PixelStride, Rates, always
from mbn2c.kernels.arm_common import is_linear_add
from mbn2c.kernels.simd_layers import Epilogue, accepts_pool
from mbn2c.ops.add import PARAMS as ADD_PARAMS
from mbn2c.ops.add import pack_add
from mbn2c.ops.average_pool2d import PARAMS as POOL_PARAMS
from mbn2c.ops.average_pool2d import pack as pack_pool
from mbn2c.ops.base.packing import in_bytes, sum_bytes


@dataclass(frozen=True)
class SimdRows:
    """Makes the rows of one ISA; `headers` and `reads_past_bytes` are those of `Kernel`.

    conv_params   struct of its convolutions
    conv_sources  files that both of them need
    """

    isa: str
    epilogue: Epilogue
    conv_params: str
    headers: tuple[str, ...]
    reads_past_bytes: int
    conv_sources: tuple[str, ...] = ()

    def row(
        self, op: str, name: str, params: str, pack: Callable[[Node, Graph], Packed], rates: Rates, **more: Any
    ) -> Kernel:
        """mbn_<name>_s8_<isa> in <isa>/<name>.c; more: fields of `Kernel`."""
        return Kernel(
            op,
            self.isa,
            f"mbn_{name}_s8_{self.isa}",
            params,
            f"{self.isa}/{name}.c",
            pack,
            rates,
            headers=self.headers,
            writes_slices=True,
            reads_past_bytes=self.reads_past_bytes,
            **more,
        )

    def convolutions(
        self,
        pack: Callable[[Node, Graph, int | PixelStride], Packed],
        column_bytes: Callable[[Node, Graph], int],
        scratch_bytes: Callable[[Node, Graph], int],
        rates: Rates,
    ) -> tuple[Kernel, ...]:
        """1x1 ones, whose input pixels are read in place, and any other: its windows are gathered to such pixels.

        pack           of a node, and the bytes from an input pixel, or a gathered column, to the next
        column_bytes   of a gathered column
        scratch_bytes  of the columns that are gathered together
        """
        params, epilogue = self.conv_params, self.epilogue

        def in_place(node: Node, graph: Graph) -> Packed:
            return pack(node, graph, in_bytes(node)["in_bytes"])

        def gathered(node: Node, graph: Graph) -> Packed:
            return pack(node, graph, column_bytes(node, graph))

        return (
            *(
                self.row(
                    op,
                    "conv2d_1x1",
                    params,
                    in_place,
                    rates,
                    accepts=epilogue.accepts_1x1,
                    more_sources=self.conv_sources,
                    reads_slices=always,
                )
                for op in ("conv2d", "fully_connected")
            ),
            self.row(
                "conv2d",
                "conv2d",
                params,
                gathered,
                rates,
                accepts=epilogue.accepts_conv,
                more_sources=(f"{self.isa}/conv2d_1x1.c", *self.conv_sources),
                scratch_bytes=scratch_bytes,
            ),
        )

    def add(self, rates: Rates) -> Kernel:
        """Two products and a shift."""
        return self.row("add", "add", ADD_PARAMS.name, pack_add, rates, accepts=is_linear_add)

    def global_average_pool(self, rates: Rates) -> Kernel:
        """Sums row by row."""
        return self.row(
            "average_pool2d",
            "global_average_pool",
            POOL_PARAMS.name,
            pack_pool,
            rates,
            accepts=accepts_pool,
            scratch_bytes=sum_bytes,
            accumulates=True,
        )
