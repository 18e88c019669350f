"""What a file does behind the maps of its heads, as a function of them: its own nodes, run without the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, helper, numpy_helper

from mbn2c.frontend.detectors.cut import HeadCut, Links, ended
from mbn2c.frontend.order import used_names
from mbn2c.frontend.runtime import Oracle

# Nodes whose outputs have the same extents whatever the image is; what chooses among anchors is none of them.
_DENSE = frozenset(
    (
        *(
            "Abs",
            "Add",
            "Cast",
            "Clip",
            "Concat",
            "Div",
            "Dropout",
            "Exp",
            "Expand",
            "Flatten",
            "Gather",
            "HardSigmoid",
        ),
        *(
            "Identity",
            "Max",
            "Min",
            "Mul",
            "Neg",
            "Pow",
            "ReduceMax",
            "Relu",
            "Reshape",
            "ScatterND",
            "Sigmoid",
            "Slice",
        ),
        *("Softmax", "Softplus", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Tile", "Transpose", "Unsqueeze"),
    )
)


@dataclass(frozen=True)
class Moved:
    """A tensor's shape, and the maps that change it."""

    shape: tuple[int, ...]
    by: frozenset[str]


class Behind:
    """The nodes between maps and outputs.

    names    of the nodes that the image reaches
    outputs  of the file
    """

    def __init__(self, cut: HeadCut, maps: Sequence[str]) -> None:
        self._links, self._maps, self._file = Links(cut.file), maps, cut.file
        known = {*maps}
        self._nodes = []
        for node in cut.file.graph.node:
            if self._links.depends_on_image(node.output[0]) and known.intersection(used_names(node)):
                known.update(node.output)
                self._nodes.append(node)
        self.names = tuple(self._links.name_of(node) for node in self._nodes)
        read = dict.fromkeys(name for node in self._nodes for name in used_names(node))
        self.outputs = self._links.outputs
        self._constants = self._run_whole(cut, [name for name in read if not self._links.depends_on_image(name)])

    def _run_whole(self, cut: HeadCut, names: Sequence[str]) -> dict[str, np.ndarray]:
        found = {name: numpy_helper.to_array(one) for name, one in self._links.constants.items() if name in {*names}}
        rest = [name for name in names if name not in found]
        if not rest:
            return found
        return {**found, **Oracle(ended(cut.file, rest).SerializeToString()).run(cut.random_image())}

    def function(self, outputs: Sequence[str], maps: Sequence[str]) -> Oracle:
        """A model from maps to some tensors; raises ModelError if these need other maps."""
        inputs = [helper.make_tensor_value_info(name, 1, None) for name in maps]
        ports = [helper.make_empty_tensor_value_info(name) for name in outputs]
        needed = {*outputs}
        nodes = []
        for node in reversed(self._nodes):
            if needed.intersection(node.output):
                needed.update(used_names(node))
                nodes.append(node)
        weights = [numpy_helper.from_array(one, name) for name, one in self._constants.items() if name in needed]
        graph = helper.make_graph(nodes[::-1], "behind", inputs, ports, weights)
        model = helper.make_model(graph, opset_imports=self._file.opset_import, ir_version=self._file.ir_version)
        return Oracle(model.SerializeToString())

    def number(self, name: str) -> float | None:
        """The number that a tensor of one element is for all images, as a float32 was meant; None if it is none."""
        found = self._constants.get(name)
        if found is None or found.size != 1 or found.dtype.kind not in "fiu":
            return None
        return float(f"{found.reshape(-1)[0]:.6g}")

    def least(self, names: Sequence[str]) -> float | None:
        """What some tensors are compared with, the greatest of several; None if with nothing."""
        found = [
            number
            for node in self._nodes
            if node.op_type in ("Greater", "GreaterOrEqual") and node.input[0] in names
            if (number := self.number(node.input[1])) is not None
        ]
        return max(found, default=None)

    def most(self, chosen: Sequence[NodeProto]) -> float | None:
        """How many of what some nodes choose go on: where the first ones are cut off of a list; None if all do."""
        behind = {name for node in chosen for name in node.output}
        found = []
        for node in self._nodes:
            if behind.intersection(node.input) and node.op_type not in ("Shape", "Size"):
                behind.update(node.output)
                start, end, axis = (self.number(name) for name in (*node.input[1:], "", "", "")[:3])
                if node.op_type == "Slice" and (start, axis) == (0, 0) and end is not None and end > 0:
                    found.append(end)
        return min(found, default=None)

    def number_of_best(self) -> float | None:
        """Of the TopK nodes, the least number that is the same for all images; None if there is none."""
        found = [self.number(node.input[1]) for node in self._nodes if node.op_type == "TopK" and len(node.input) > 1]
        return min((one for one in found if one is not None), default=None)

    def dense(self) -> list[str]:
        """Tensors whose extents do not depend on the image, in order."""
        found = dict.fromkeys(self._maps)
        for node in self._nodes:
            read = [name for name in node.input if name in self._links.reached]
            if node.op_type in _DENSE and all(name in found for name in read):
                found.update((name, None) for name in node.output if name)
        return [name for name in found if name not in self._maps]

    def moved(self, names: Sequence[str], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Moved]:
        """Of some tensors, which maps change them: other random numbers in each map in turn; shapes: of the maps."""
        run, generator = self.function(names, self._maps).run, np.random.default_rng(4)

        def drawn(name: str) -> np.ndarray:
            return generator.normal(size=shapes[name]).astype(np.float32)

        maps = {name: drawn(name) for name in self._maps}
        before = run(maps)
        changed = {one: run({**maps, one: drawn(one)}) for one in self._maps}
        return {
            name: Moved(value.shape, frozenset(one for one in maps if not np.array_equal(value, changed[one][name])))
            for name, value in before.items()
        }

    def ends(self, dense: Sequence[str]) -> set[str]:
        """Dense tensors that something else reads: outputs of the file, too."""
        ends = {*self._links.outputs}
        for node in self._file.graph.node:
            if node.op_type not in ("Shape", "Size") and not any(name in dense for name in node.output):
                ends.update(used_names(node))
        return ends.intersection(dense)
