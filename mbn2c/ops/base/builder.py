"""The Graph under construction, while the nodes of an ONNX file are walked."""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np

from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Node, Tensor


class Builder:
    """Collects the tensors and nodes of the Graph; `values` and `constants` are keyed by ONNX name.

    opsets  the version of each ONNX domain
    ends    ONNX names after which no layer comes
    folded  what computing constants has cost so far, see `fold_constants`
    """

    def __init__(self, opsets: dict[str, int], ends: Set[str] = frozenset()) -> None:
        self.opsets = opsets
        self.ends = ends
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.values: dict[str, Value] = {}
        self.constants: dict[str, np.ndarray] = {}
        self.folded = 0.0
        self._node_names: set[str] = set()

    def unique_tensor(self, wanted: str) -> str:
        """`wanted`, or with a number behind it what no tensor is called yet."""
        name, count = wanted, 1
        while name in self.tensors:
            count += 1
            name = f"{wanted}_{count}"
        return name

    def unique_node(self, wanted: str) -> str:
        """As `unique_tensor`, of nodes; the name is taken from then on."""
        name, count = wanted, 1
        while name in self._node_names:
            count += 1
            name = f"{wanted}_{count}"
        self._node_names.add(name)
        return name

    def add_activation(self, wanted: str, shape: Sequence[int]) -> str:
        """Add a float32 activation of an NHWC shape and return its name."""
        name = self.unique_tensor(wanted)
        self.tensors[name] = Tensor(name, tuple(int(extent) for extent in shape))
        return name

    def add_constant(self, wanted: str, data: np.ndarray) -> str:
        """Add a float32 constant and return its name."""
        name = self.unique_tensor(wanted)
        array = np.ascontiguousarray(data, dtype=np.float32)
        self.tensors[name] = Tensor(name, array.shape, data=array)
        return name
