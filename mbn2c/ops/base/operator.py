"""The protocol: every question that a stage of the compiler may ask an operator.

No stage compares names of operators: it asks one of these answers. An answer that an operator does not give raises
AssertionError; the conformance tests (`tests`, test_operators) ask every one of those its stages need.

stage      where a Node of the operator may stand, and which answers that needs
imported   `output_shape`
lowered    `run_float`, `gradient`, `bounds`, `spell_float`, `quantize`
quantized  `run`, `spell_int8`, and a C kernel

Spelling is plain data (`OnnxOp`), so that only `frontend` needs the `onnx` package. In the exported models every
activation is NCHW and four-dimensional and keeps the name it has in the Graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Graph, Node, Note, Quant, Tensor
from mbn2c.ir.kernel import ScalarKernel
from mbn2c.ir.row_map import RowMap
from mbn2c.ir.window import Activation, Window
from mbn2c.ops.base.call import Importer, OnnxCall, OnnxName, OnnxNode
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.prequantized.values import PrequantizedImporter
from mbn2c.ops.base.windows import Bounds, Shape, window_of

IMPORTED, LOWERED, QUANTIZED = "imported", "lowered", "quantized"
EVERY_STAGE = frozenset((IMPORTED, LOWERED, QUANTIZED))
FLOAT_STAGES = frozenset((IMPORTED, LOWERED))


@dataclass(frozen=True)
class OnnxOp:
    """One ONNX node with the constants it needs, by name."""

    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class ChannelSlice:
    """Channels of an input that are channels of the output as they are.

    number  of the input, among `activations`
    first   first channel in the input
    count   how many there are
    target  first channel in the output
    """

    number: int
    first: int
    count: int
    target: int


class Operator:
    """The meaning of one operator; a Node's `op` is its `name`.

    Traits, as class attributes:

    name                  as the module
    in_words              for messages that list what is supported; "" if that goes without saying
    stages                in which a Node of it may stand
    attributes            class of its Nodes' attributes
    is_clamp              it is `activation(x)` and nothing else, so a layer before it may do it
    is_affine             it is x * scale + shift per channel, inputs (x, scale [C], shift [C])
    is_padding            it surrounds x with attributes.value, attributes.pad (top, left, bottom, right) wide
    is_cropping           it leaves out attributes.crop (top, left, bottom, right) rows and columns of x
    has_window            its attributes have a `window`, whose pads are zeros
    has_weights           it is a `Weighted`: inputs (x, weights, bias)
    is_function           it is `Elementwise`: inputs (x), a function of each value, or (x, inner, shift, outer), one of
                          scaled and moved channels
    mixes_channels        every output channel sees every input channel
    carries_activation    its attributes have an `activation`, where a clamp behind it may go
    moves_values          its output holds values of its input and no others, see `of_input`
    sums_channels         output channel c is a sum or mean of pixels of the inputs' channels c: scaling channel c of
                          all inputs by s, of either sign, scales the output's by s, and without pads a shift of
                          each input shifts the output by the shifts' sum
    is_postprocessing     what it makes are no numbers with a scale but a task's records: it stands behind the exported
                          model, and ONNX has no word for it
    """

    name: str
    in_words: str = ""
    stages: frozenset[str] = EVERY_STAGE
    attributes: type
    is_clamp: bool = False
    is_affine: bool = False
    is_padding: bool = False
    is_cropping: bool = False
    has_window: bool = False
    has_weights: bool = False
    is_function: bool = False
    mixes_channels: bool = False
    carries_activation: bool = False
    moves_values: bool = False
    sums_channels: bool = False
    is_postprocessing: bool = False

    # --- import ----------------------------------------------------------------------------------

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        """How float32 files spell it. Several operators may offer to make one kind of node: the first that does not
        decline makes it, in the order of their names, those that only quantized Graphs have last."""
        return {}

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        """How quantized files spell it, as ONNX Runtime has rewritten them; likewise."""
        return {}

    def import_shuffle(self, call: OnnxCall, value: Value, order: Sequence[int], whole: Value) -> Value | None:
        """What layout operators of a file make of channels that they cut, exchanged and put together again.

        order    of the factors of `value`, the new outermost first
        whole    the same value as one with whole channels in that order, its tensor not yet made
        returns  None if another operator makes it
        """
        return None

    def import_blocks(
        self, call: OnnxCall, value: Value, block: tuple[int, int], is_channels_first: bool
    ) -> Value | None:
        """What layout operators of a file make of channels that they cut and put among rows and columns.

        value              its rows and columns run over a factor of the channels each (`ir.axes.blocks_of`)
        block              extents of these factors
        is_channels_first  whether the channels that remain were outermost
        returns            None if another operator makes it
        """
        return None

    def clamp_of(self, step: OnnxNode, constants: Mapping[str, np.ndarray]) -> Activation | None:
        """The clamp that a float32 node of a quantized file is, where it is one of this operator's spellings.

        constants  of the file, by name
        """
        return None

    # --- structure -------------------------------------------------------------------------------

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        """NHWC shape of the output; None if the inputs do not suit the operator and its attributes.

        shapes  of all inputs, constants among them
        """
        raise AssertionError(f"{self.name} has no shape rule")

    def window(self, node: Node) -> Window:
        """Which input pixels one output pixel needs; pointwise unless the attributes say otherwise."""
        return window_of(node)

    def row_maps(self, node: Node, graph: Graph, number: int) -> tuple[RowMap, RowMap]:
        """Which rows of activation `number` an output row needs, and which columns an output column.

        Padding is not counted, so those in it have negative numbers or leave the tensor.
        """
        w = self.window(node)
        rows, columns = (RowMap(w.kernel[a], w.stride[a], 1, -w.pad[a], w.dilation[a]) for a in (0, 1))
        return rows, columns

    def needs(self, node: Node, graph: Graph, number: int, axis: int, position: int) -> tuple[int, ...]:
        """The same, said row by row for those who check the maps: what output row `position` needs of an activation.

        axis  0 for rows, 1 for columns
        """
        return self.window(node).places(axis, position)

    def takes_zeros(self, node: Node, graph: Graph, source: str) -> bool:
        """Whether zeros around `source`, which it reads with them, may become pads of its window."""
        return self.has_window

    def activations(self, node: Node, graph: Graph) -> tuple[str, ...]:
        """The inputs that are not constants."""
        return tuple(name for name in node.inputs if graph.tensors[name].data is None)

    def slices(self, node: Node, graph: Graph) -> tuple[ChannelSlice, ...]:
        """Where the output's channels come from, if it only copies channels; else nothing."""
        return ()

    def selected_channels(self, node: Node) -> tuple[int, ...] | None:
        """Which channels of its one activation its output has, in its order, if it does nothing else."""
        return None

    def selecting(self, node: Node, channels: Sequence[int]) -> Node:
        """The node with other `selected_channels`."""
        raise AssertionError(f"{self.name} selects no channels")

    def constants(self, node: Node) -> tuple[str, ...]:
        """The inputs that must be constants in float32."""
        return ()

    def is_channelwise(self, node: Node) -> bool:
        """Whether there is one activation, and output channel c depends on its channel c only."""
        return False

    def scaled_alike(self, node: Node, graph: Graph) -> tuple[str, ...]:
        """Activations that it hands on as large as they are: where channel c of all of them is scaled by s[c] > 0 and
        nothing else that it reads is, channel c of the output is scaled by s[c]."""
        return self.activations(node, graph) if self.sums_channels else ()

    def takes_int16(self, node: Node) -> bool:
        """Whether each of its activations may be int16."""
        return False

    def takes_four_bits(self, node: Node, graph: Graph) -> bool:
        """Whether its weights may have four bits, as things stand in a Graph, float or int8."""
        return False

    def check_attributes(self, node: Node, graph: Graph) -> str:
        """What is wrong with an int8 Node's attributes, whatever file they come from; "" if nothing is."""
        return ""

    def multipliers(self, node: Node, graph: Graph) -> tuple[int, ...]:
        """How many multipliers the requantization of an int8 Node may have: one, or one for each output channel."""
        return 1, graph.tensors[node.outputs[0]].shape[3]

    def activation(self, node: Node) -> Activation | None:
        """The clamp that ends the operator."""
        found = getattr(node.attributes, "activation", None)
        assert found is None or isinstance(found, Activation)
        return found

    def cases(self) -> Mapping[str, Case]:
        """Examples of its nodes by what is special about them; the conformance tests run each through every answer."""
        return {}

    # --- counts ----------------------------------------------------------------------------------

    def macs(self, node: Node, graph: Graph) -> int:
        """Multiply-accumulates of one inference; 0 for operators that have none by convention."""
        return 0

    def most_work(self, node: Node, graph: Graph) -> Mapping[str, int]:
        """How often the C does each kind of work at most, where that depends on the values; `kernels.worst_case` has
        the kinds."""
        return {}

    def parameters(self, node: Node, graph: Graph) -> int:
        """Trained numbers."""
        return 0

    # --- float32 ---------------------------------------------------------------------------------

    def run_float(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """The result before `activation`; float32 [N, H, W, C], as the inputs, one per `activations`."""
        raise AssertionError(f"{self.name} does not exist in float32")

    def gradient(
        self, node: Node, graph: Graph, inputs: Sequence[np.ndarray], gradient: np.ndarray
    ) -> Sequence[np.ndarray]:
        """What reaches each of `activations` of a gradient by the result of `run_float`.

        inputs    float32 [1, H, W, C] each
        gradient  float32 [N, H, W, C], N directions
        """
        raise AssertionError(f"{self.name} has no gradient")

    def bounds(self, node: Node, graph: Graph, inputs: Sequence[Bounds]) -> Bounds:
        """Between which values each channel of `run_float` stays, given those of each of `activations`."""
        raise AssertionError(f"{self.name} has no bounds")

    def useful_inputs(self, node: Node, graph: Graph) -> Bounds:
        """Of its only activation, between which values of each channel the result changes; beyond it is as there."""
        channels = graph.tensors[node.inputs[0]].shape[3]
        return np.full(channels, -np.inf), np.full(channels, np.inf)

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        """The float32 operator in ONNX."""
        raise AssertionError(f"{self.name} does not exist in float32")

    def other_spellings(self, node: Node, graph: Graph) -> Mapping[str, list[OnnxOp]]:
        """What else float32 files write for this very node, by what is special about it; read as the same node."""
        return {}

    def recognise(self, node: Node, graph: Graph) -> Graph | None:
        """The Graph in which a group of nodes that ends in `node`, of any operators, is one node of this operator.

        Asked of imported Graphs, float32 and int8; None if there is no such group.
        """
        return None

    def of_input(self, node: Node, graph: Graph, values: np.ndarray) -> np.ndarray:
        """A number for each channel of the output -> the same for those of the input, if it only moves values."""
        raise AssertionError(f"{self.name} does not only move values")

    def trained_on(self, node: Node) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean and variance of each channel of its first input while the network was trained, float64 [C] each.

        None where the node does not say.
        """
        return None

    # --- rewriting -------------------------------------------------------------------------------

    def lower(self, node: Node, graph: Graph) -> tuple[Node, list[Tensor], Note] | None:
        """The same in an operator that may stand in a lowered Graph, and the constants that change; None for itself."""
        return None

    def keep_outputs(self, node: Node, graph: Graph, keep: np.ndarray) -> dict[str, np.ndarray]:
        """Its constants, by name, that change when it makes fewer channels (and if it is channelwise, reads as many).

        keep  bool [C], which channels stay
        """
        return {}

    # --- int8 ------------------------------------------------------------------------------------

    def tie_ranges(self, node: Node) -> Mapping[str, str]:
        """Activations whose range shall be that of another one, where all they hold is among what that one holds."""
        return {}

    def tie_quants(
        self, node: Node, graph: Graph, quants: Mapping[str, Quant], with_scale: Callable[[str, np.float32], Quant]
    ) -> Mapping[str, Quant]:
        """Other quantizations of its inputs, which the operator needs beside those of its output.

        quants      of every activation; those of the output and of all later ones are final
        with_scale  the quantization of an activation with another scale than its range asks for
        """
        return {}

    def quantize(self, node: Node, graph: Graph, quants: Mapping[str, Quant]) -> tuple[Node, list[Tensor]]:
        """The int8 node and its constants. `quants` has an entry for every activation."""
        raise AssertionError(f"{self.name} cannot be quantized")

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """The exact int8 result. inputs: int8 NHWC, one per `activations`; returns int8 NHWC."""
        raise AssertionError(f"{self.name} does not exist in int8")

    def run_row(self, node: Node, graph: Graph, windows: Sequence[np.ndarray], y: int, x: int) -> np.ndarray:
        """The exact int8 result of some columns of output row y, from x on, made of the rows and columns they need.

        windows  int8 [1, rows, columns, C], one per `activations`, padding among them
        returns  int8 [columns, C]
        """
        if self.has_window:
            window = node.attributes.window
            tight = replace(window, stride=(1, window.stride[1]), pad=(0, 0, 0, 0), dilation=(1, window.dilation[1]))
            node = replace(node, attributes=replace(node.attributes, window=tight))
        return self.run(node, graph, windows)[0, 0]

    def collect(self, node: Node, graph: Graph, scratch: np.ndarray, pixels: Sequence[np.ndarray]) -> None:
        """Add some pixels to what a kernel that accumulates keeps.

        scratch  int8, as many bytes as the kernel asks for, zero before the first pixels; changed in place
        pixels   int8 [columns, C], one per `activations`, in order from the first row on
        """
        raise AssertionError(f"{self.name} does not accumulate")

    def collected(self, node: Node, graph: Graph, scratch: np.ndarray) -> np.ndarray:
        """The one pixel that it makes when all are in: int8 [C]."""
        raise AssertionError(f"{self.name} does not accumulate")

    def run_fast(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """`run` for a batch, which may differ where float32 rounds large sums: good for choosing weights only."""
        return self.run(node, graph, inputs)

    def spell_int8(self, node: Node, graph: Graph) -> list[OnnxOp]:
        """The int8 operator in ONNX."""
        raise AssertionError(f"{self.name} does not exist in int8")

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        """Its plain C, the first that accepts a node first; () only where every node has a kernel of other tables."""
        return ()


def clamped(result: np.ndarray, activation: Activation | None) -> np.ndarray:
    """float32 `result` with the clamp that ends the operator."""
    return result if activation is None else np.clip(result, np.float32(activation.low), np.float32(activation.high))
