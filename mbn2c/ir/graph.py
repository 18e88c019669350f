"""The Graph: tensors by name and nodes in execution order.

Activations are NHWC with N = 1, weights are OHWI (`conv2d`), HWC (`depthwise_conv2d`) or OI
(`fully_connected`), from the importer on. The same classes serve before quantization (float32,
no `quant`) and after it (int8, some int16, with `quant`). Everything is frozen; a pass builds a new Graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Quant:
    """How int8, int16 (or int32) values stand for real ones: real = scale * (q - zero_point).

    scale       float32 [1] (per tensor) or [C] (per output channel)
    zero_point  int, the same for all channels; 0 for weights, biases and int16 activations
    bits        of an activation's values: 8, or 16 where 8 are not enough; of a layer's weights: 8, or 4 where two of
                them, each an int8 of the Graph, shall lie in one byte of flash
    shares_multipliers  of a layer's weights: whether their scales give multipliers of the few that serve a network
    """

    scale: np.ndarray
    zero_point: int = 0
    bits: int = 8
    shares_multipliers: bool = False

    @property
    def dtype(self) -> str:
        """Of an activation's values: "int8" or "int16"."""
        return f"int{self.bits}"

    @property
    def lowest(self) -> int:
        """The least value: -128, -32767 or -8. No weight of 8 bits is below -127."""
        return -32767 if self.bits == 16 else -(1 << self.bits - 1)

    @property
    def highest(self) -> int:
        """The greatest: 127, 32767 or 7."""
        return (1 << self.bits - 1) - 1


@dataclass(frozen=True, eq=False)
class Tensor:
    """One value of the network.

    shape  activations (1, H, W, C); weights as the module says; never dynamic
    dtype  "float32", "int8", "uint8", "int16" or "int32"
    data   constant value, or None for an activation
    quant  None before quantization
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    data: np.ndarray | None = None
    quant: Quant | None = None

    @property
    def size_bytes(self) -> int:
        """Elements times bytes of the dtype."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Node:
    """One operator. `op` names a module of `mbn2c/ops`, `attributes` is that module's frozen dataclass."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Any = None


@dataclass(frozen=True)
class Port:
    """What the outside world calls an input or an output of the network, and in which axis order it sees it.

    tensor       name of the Graph's NHWC tensor
    outside      name in the ONNX file
    shape        shape in the ONNX file, batch fixed to 1
    permutation  outside axis k is NHWC axis permutation[k]; a flattened head has (3,) or (0, 3): only axes
                 of extent 1 are ever left out
    tail         of an output: the name in `tasks.tails` of what the file applies to it last, which the importer splits
                 off, for host and C to offer; "" for nothing
    by_rows      of an output: each row leaves as soon as it is made, and the network never holds all of them
    """

    tensor: str
    outside: str
    shape: tuple[int, ...]
    permutation: tuple[int, ...]
    tail: str = ""
    by_rows: bool = False


@dataclass(frozen=True, eq=False)
class Decoding:
    """What a file makes of its last layers' numbers that is no network: the importer cuts it off, a task remakes it.

    task    name of the task that knows what this says
    facts   JSON
    arrays  constants, by name
    """

    task: str
    facts: str
    arrays: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Note:
    """One thing a pass did that the report should tell: kind ("batch_norm", "activation", "channel", ...)."""

    kind: str
    node: str
    text: str

    @property
    def is_of_file(self) -> bool:
        """Whether it says that the network is not quite what the file says: every user must see it."""
        return self.kind in ("batch", "choice", "decoding", "input", "opset", "scale")


@dataclass(frozen=True)
class Graph:
    """A network. `tensors` holds activations and constants, `nodes` stand in execution order.

    heads     where a task's operators stand behind the network: the ports that the exported model ends with
    decoding  what the file had behind them; None: nothing
    """

    name: str
    tensors: Mapping[str, Tensor]
    nodes: tuple[Node, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    notes: tuple[Note, ...] = field(default=())
    heads: tuple[Port, ...] = ()
    decoding: Decoding | None = None

    @cached_property
    def producer(self) -> dict[str, Node]:
        """The node that makes each activation."""
        return {name: node for node in self.nodes for name in node.outputs}

    @cached_property
    def consumers(self) -> dict[str, tuple[Node, ...]]:
        """The nodes that read each tensor, in execution order; every tensor has an entry."""
        readers: dict[str, list[Node]] = {name: [] for name in self.tensors}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                readers[name].append(node)
        return {name: tuple(nodes) for name, nodes in readers.items()}

    def is_output(self, tensor: str) -> bool:
        """Whether the network returns `tensor`."""
        return any(port.tensor == tensor for port in self.outputs)

    @cached_property
    def kept_outputs(self) -> tuple[str, ...]:
        """The tensors that wait for the caller as a whole, behind the last step."""
        return tuple(port.tensor for port in self.outputs if not port.by_rows)

    def leaves_by_rows(self, tensor: str) -> bool:
        """Whether the caller gets each row of `tensor` as soon as it is made."""
        return any(port.tensor == tensor and port.by_rows for port in self.outputs)

    def constant(self, tensor: str) -> np.ndarray:
        """The value of a constant tensor; a KeyError or AssertionError here is a bug of ours."""
        data = self.tensors[tensor].data
        assert data is not None, f"{tensor} is not a constant"
        return data

    @cached_property
    def network(self) -> Graph:
        """The Graph without the operators that a task has put behind it: what the exported model computes."""
        if not self.heads:
            return self
        needed, kept = {port.tensor for port in self.heads}, []
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs):
                needed.update(node.inputs)
                kept.append(node)
        return self.rebuild(nodes=kept[::-1], outputs=self.heads, heads=())

    def rebuild(
        self,
        *,
        tensors: Iterable[Tensor] = (),
        nodes: Iterable[Node] | None = None,
        notes: Iterable[Note] = (),
        **changes: Any,
    ) -> Graph:
        """A copy with some tensors added or replaced, other nodes, and notes added; unused tensors are dropped."""
        new_nodes = self.nodes if nodes is None else tuple(nodes)
        merged = dict(self.tensors) | {tensor.name: tensor for tensor in tensors}
        ports = changes.get("inputs", self.inputs) + changes.get("outputs", self.outputs)
        used = {name for node in new_nodes for name in node.inputs + node.outputs}
        used |= {port.tensor for port in ports}
        return replace(
            self,
            tensors={name: tensor for name, tensor in merged.items() if name in used},
            nodes=new_nodes,
            notes=self.notes + tuple(notes),
            **changes,
        )
