"""A convolution over every d-th row and column, as TensorFlow spells it: SpaceToBatch, Convolution, BatchToSpace.

tf2onnx writes SpaceToBatch as SpaceToDepth between Transposes that bring the batch to the channels' place, so that the
d x d parts of an image become a batch of its own, and BatchToSpace as DepthToSpace. Without both, and with d times the
dilations and pads in between, the same numbers come out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from onnx import ModelProto, NodeProto, helper

from mbn2c.frontend.nodes import view_of
from mbn2c.ir.graph import Note
from mbn2c.ops.base.call import OnnxNode

# An axis of what is taken apart: channels, then the batch, which is where SpaceToDepth looks for channels.
_CHANNELS, _BATCH, _HEIGHT, _WIDTH = range(4)
_AS_TAKEN_APART = (_CHANNELS, _BATCH, _HEIGHT, _WIDTH)
_AS_CONVOLVED = (_BATCH, _CHANNELS, _HEIGHT, _WIDTH)
# Each value by itself; the others of their inputs are constants, or parts of the same image.
_POINTWISE = frozenset(
    ("Add", "Sub", "Mul", "Div", "Relu", "Clip", "Min", "Max", "PRelu", "LeakyRelu", "Elu", "Sigmoid", "HardSigmoid")
) | frozenset(("HardSwish", "Tanh", "Identity", "BatchNormalization"))
_BY_CHANNEL = frozenset(("BatchNormalization",))


def to_dilations(model: ModelProto) -> tuple[ModelProto, tuple[Note, ...]]:
    """A copy of a model whose nodes are in order, and what became dilations; names of inputs and outputs stay."""
    if not any(node.op_type == "SpaceToDepth" for node in model.graph.node):
        return model, ()
    nodes = {node.output[0]: view_of(node) for node in model.graph.node if node.output}
    constants = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    constants |= {name: _constant_shape(node) for name, node in nodes.items() if node.op_type == "Constant"}
    changed: dict[str, NodeProto] = {}
    notes = []
    for apart in [node for node in nodes.values() if node.op_type == "SpaceToDepth"]:
        found = _Parts(apart, constants)
        if found.follow(list(nodes.values())) and not found.made.intersection(one.name for one in model.graph.output):
            changed |= found.changed
            notes.append(Note("dilation", apart.name, found.words))
    if not notes:
        return model, ()
    whole = ModelProto()
    whole.CopyFrom(model)
    del whole.graph.node[:]
    whole.graph.node.extend(changed.get(node.output[0], node) if node.output else node for node in model.graph.node)
    del whole.graph.value_info[:]  # sizes of parts
    return whole, tuple(notes)


def _constant_shape(node: OnnxNode) -> tuple[int, ...]:
    value = node.attributes.get("value")
    return tuple(value.dims) if value is not None else ()


@dataclass
class _Parts:
    """What stands between a SpaceToDepth and the DepthToSpace that puts the parts together again.

    apart      the first
    constants  shape of each
    made       tensors that hold parts
    changed    what takes the place of nodes, by their first output
    """

    apart: OnnxNode
    constants: Mapping[str, tuple[int, ...]]
    made: set[str] = field(default_factory=set)
    changed: dict[str, NodeProto] = field(default_factory=dict)

    def follow(self, nodes: Sequence[OnnxNode]) -> bool:
        """Whether all that reads parts is known, and each way ends where they are put together."""
        axes: dict[str, tuple[int, ...]] = {self.apart.outputs[0]: _AS_TAKEN_APART}
        self.made.add(self.apart.outputs[0])
        self.changed[self.apart.outputs[0]] = _identity(self.apart)
        ends = 0
        for node in nodes:
            parts = [name for name in node.inputs if name in axes]
            if not parts:
                continue
            if node.op_type == "DepthToSpace" and axes[parts[0]] == _AS_TAKEN_APART:
                if node.attributes.get("blocksize") != self.block or node.attributes.get("mode", b"DCR") != b"DCR":
                    return False
                self.changed[node.outputs[0]] = _identity(node)
                ends += 1
                continue
            after = self._axes_after(node, axes)
            if after is None:
                return False
            axes[node.outputs[0]] = after
            self.made.add(node.outputs[0])
        return ends > 0

    @property
    def block(self) -> int:
        """Every how many rows are a part."""
        return int(self.apart.attributes["blocksize"])

    @property
    def words(self) -> str:
        """What was found."""
        count = sum(node.op_type == "Conv" for node in self.changed.values())
        return f"{count} convolutions between SpaceToBatch and BatchToSpace: dilation {self.block} times as wide"

    def _axes_after(self, node: OnnxNode, axes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...] | None:
        """The axes of a node's output; None if it does not treat all parts alike, or knows more than one of them."""
        before = axes.get(node.inputs[0]) or next(axes[name] for name in node.inputs if name in axes)
        if node.op_type == "Transpose":
            return tuple(before[axis] for axis in node.attributes.get("perm", (3, 2, 1, 0)))
        if node.op_type == "Conv":
            return before if before == _AS_CONVOLVED and self._widen(node) else None
        is_known = node.op_type in _POINTWISE and (node.op_type not in _BY_CHANNEL or before == _AS_CONVOLVED)
        if not is_known or not all(self._suits(name, before, axes, node) for name in node.inputs if name):
            return None
        return before

    def _suits(self, name: str, axes: tuple[int, ...], known: Mapping[str, tuple[int, ...]], node: OnnxNode) -> bool:
        """Whether an input is of the same axes, or a constant that is the same for all rows and columns."""
        if name not in self.constants:
            return known.get(name) == axes
        shape = self.constants[name]
        lying = zip(reversed(shape), reversed(axes), strict=False)
        return node.op_type in _BY_CHANNEL or all(size == 1 or axis == _CHANNELS for size, axis in lying)

    def _widen(self, node: OnnxNode) -> bool:
        """Whether a convolution can be one over all parts at once."""
        attributes = dict(node.attributes)
        padding = attributes.get("auto_pad", b"NOTSET")
        if any(step != 1 for step in attributes.get("strides", ())) or padding not in (b"NOTSET", b"VALID"):
            return False
        for name, one in (("dilations", 1), ("pads", 0)):
            attributes[name] = [self.block * size for size in attributes.get(name, (one,) * (2 + 2 * (one == 0)))]
        wide = helper.make_node(node.op_type, node.inputs, node.outputs, node.name, **attributes)
        self.changed[node.outputs[0]] = wide
        return True


def _identity(node: OnnxNode) -> NodeProto:
    return helper.make_node("Identity", node.inputs[:1], node.outputs[:1], name=node.name)
