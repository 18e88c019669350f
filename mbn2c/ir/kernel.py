"""What the planner and the emitter know of a C kernel: a row of the tables in `kernels/<isa>.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from mbn2c.ir.graph import Graph, Node


@dataclass(frozen=True, eq=False)
class Packed:
    """The constants of one call, as C will read them.

    fields  the params struct's members by name, in C order: a number, or the name of one of `arrays`
    arrays  int8, int16 or int32 arrays by member name
    """

    fields: Mapping[str, int | str]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        return sum(array.nbytes for array in self.arrays.values())


def _no_scratch(node: Node, graph: Graph) -> int:
    return 0


def _everything(node: Node, graph: Graph) -> bool:
    return True


@dataclass(frozen=True)
class Kernel:
    """One C kernel.

    function       C name; a kernel that accumulates has `<function>_finish` too
    params         C type of its constants
    source         path below templates/kernels of the C file
    pack           node -> constants
    accepts        whether the kernel can do this node; the next row of the table is asked otherwise
    scratch_bytes  working memory of one call
    """

    op: str
    isa: str
    function: str
    params: str
    source: str
    pack: Callable[[Node, Graph], Packed]
    accepts: Callable[[Node, Graph], bool] = _everything
    scratch_bytes: Callable[[Node, Graph], int] = _no_scratch
    accumulates: bool = False
