"""Which C kernel runs a node on a core: the first row that accepts it, best ISA first."""

from __future__ import annotations

from collections.abc import Sequence

from mbn2c.errors import InternalError
from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Kernel
from mbn2c.kernels import scalar

TABLES: dict[str, tuple[Kernel, ...]] = {"scalar": scalar.KERNELS}


def select(node: Node, graph: Graph, isas: Sequence[str]) -> Kernel:
    """The kernel for one node. `isas` as in the core's TOML, best first, "scalar" last."""
    for isa in isas:
        for kernel in TABLES.get(isa, ()):
            if kernel.op == node.op and kernel.accepts(node, graph):
                return kernel
    raise InternalError(f"no kernel for {node.op}", where=node.name)
