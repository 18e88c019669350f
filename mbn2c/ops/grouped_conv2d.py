"""grouped_conv2d: a convolution in groups: the output channels of a group see the input channels of that group only.

inputs   x [1, H, W, I], weights [O, KH, KW, I / groups], bias [O]
output   [1, H_out, W_out, O]; output channel o is of group o // (O / groups)
source   ONNX operators Conv and QLinearConv with 1 < group < I
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Packed, Params, ScalarKernel, always
from mbn2c.ir.window import Window
from mbn2c.ops.base.call import Declined, Importer, OnnxName
from mbn2c.ops.base.case import RELU6, Case, layer, same_window
from mbn2c.ops.base.convolution import Convolution
from mbn2c.ops.base.guarded import Terms
from mbn2c.ops.base.layer import Layer, import_convolution
from mbn2c.ops.base.packing import CONV_PARAMS, INT32
from mbn2c.ops.base.prequantized.convolution import convolution_imports
from mbn2c.ops.base.prequantized.layers import GIVE_QOPERATOR
from mbn2c.ops.base.prequantized.values import PrequantizedCall, PrequantizedImporter
from mbn2c.ops.base.weighted import ConvAttributes, Weighted
from mbn2c.ops.base.windows import Shape, pad_real, pad_zero_point, spread, taps, windowed_shape

PARAMS = Params(
    "mbn_grouped_conv_params",
    (
        (INT32, "group_inputs", "input channels of a group"),
        (INT32, "group_outputs", "output channels of a group"),
        *CONV_PARAMS.members,
    ),
)


class GroupedConv2d(Weighted):
    """A convolution whose channels mix within groups."""

    name = "grouped_conv2d"
    in_words = "grouped convolution"
    attributes = ConvAttributes
    channel_axis = 0
    has_window = True

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        return {("", "Conv"): lambda call: import_convolution(call, self.layer_of)}

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return {**convolution_imports(self.layer_of), ("", "Conv"): _in_float}

    def layer_of(self, convolution: Convolution) -> Layer | Declined:
        """A convolution of the file as one of this operator."""
        if convolution.is_dense or convolution.is_depthwise:
            return Declined()
        attributes = ConvAttributes(convolution.window, groups=convolution.group)
        weights = convolution.weights.transpose(0, 2, 3, 1)
        return Layer(self, attributes, weights, convolution.order, *convolution.output)

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        x, weights, bias = shapes
        groups = node.attributes.groups
        fits = weights[1:] == (*node.attributes.window.kernel, x[3] // groups) and bias == weights[:1]
        is_even = groups > 1 and x[3] % groups == 0 and weights[0] % groups == 0
        return windowed_shape(self.window(node), x, weights[0]) if fits and is_even else None

    def groups(self, node: Node) -> int:
        return int(node.attributes.groups)

    def is_channelwise(self, node: Node) -> bool:
        return False

    def group(self, node: Node, graph: Graph) -> int:
        return self.groups(node)

    def macs(self, node: Node, graph: Graph) -> int:
        _, height, width, channels = graph.tensors[node.outputs[0]].shape
        return height * width * channels * int(np.prod(graph.tensors[node.inputs[1]].shape[1:]))

    def by_input(self, node: Node, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """values [I] as each output channel's weights see them: [O, 1, 1, I / groups]."""
        groups = self.groups(node)
        return np.repeat(values.reshape(groups, -1), len(weights) // groups, axis=0)[:, None, None]

    def cases(self) -> Mapping[str, Case]:
        def case(x: Shape, outputs: int, groups: int, window: Window, **more: object) -> Case:
            shape = (outputs, *window.kernel, x[3] // groups)
            return Case((x,), ConvAttributes(window, groups=groups, **more), layer(shape, self.channel_axis))  # type: ignore[arg-type]

        return {
            "2 groups, 3x3": case((1, 6, 7, 8), 6, 2, same_window(3, 1), activation=RELU6),
            "3 groups, 1x1": case((1, 4, 5, 12), 9, 3, Window()),
            "4 groups of 2, stride 2": case((1, 7, 8, 8), 8, 4, same_window(3, 2)),
            "5 groups, dilation 2": case((1, 9, 8, 10), 15, 5, Window((3, 2), (1, 1), (2, 0, 2, 2), (2, 2))),
            "2 groups of 16": case((1, 3, 4, 32), 16, 2, same_window(3, 1)),
        }

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        return (ScalarKernel("grouped_conv2d", PARAMS, self.pack, reads_slices=always, writes_slices=True),)

    def pack(self, node: Node, graph: Graph) -> Packed:
        """PARAMS; weights OHWI, as in the Graph, group behind group."""
        packed, groups = super().pack(node, graph), self.groups(node)
        channels = (graph.tensors[name].shape[3] // groups for name in (node.inputs[0], node.outputs[0]))
        inputs, outputs = channels
        return Packed({"group_inputs": inputs, "group_outputs": outputs, **packed.fields}, packed.arrays)

    # --- group by group ---

    def _columns(self, node: Node, padded: np.ndarray) -> Iterator[np.ndarray]:
        """For each group what its output channels see: [N, H_out, W_out, KH * KW * I / groups]."""
        views = taps(padded, self.window(node))
        for channels in np.split(np.arange(padded.shape[3]), self.groups(node)):
            yield np.concatenate([view[..., channels[0] : channels[-1] + 1] for view in views], axis=-1)

    def _product(self, node: Node, padded: np.ndarray, weights: np.ndarray) -> np.ndarray:
        parts = np.split(weights.reshape(len(weights), -1), self.groups(node))
        made = [columns @ part.T for columns, part in zip(self._columns(node, padded), parts, strict=True)]
        return np.concatenate(made, axis=-1)

    def linear(self, node: Node, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return self._product(node, pad_real(x, self.window(node)), weights)

    def transposed(self, node: Node, gradient: np.ndarray, weights: np.ndarray, shape: Shape) -> np.ndarray:
        groups = self.groups(node)
        gradients = np.split(gradient, groups, axis=-1)
        # [group, tap, output, input]
        by_tap = weights.reshape(groups, len(weights) // groups, -1, weights.shape[3]).transpose(0, 2, 1, 3)

        def of_tap(tap: int) -> np.ndarray:
            return np.concatenate([part @ by_tap[group, tap] for group, part in enumerate(gradients)], axis=-1)

        return spread(self.window(node), shape, (of_tap(tap) for tap in range(by_tap.shape[1])))

    def onnx_weights(self, weights: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(weights.transpose(0, 3, 1, 2))

    def accumulate(self, node: Node, x: np.ndarray, weights: np.ndarray, zero_point: int) -> np.ndarray:
        centred = pad_zero_point(x, self.window(node), zero_point).astype(np.float64) - zero_point
        # float64 holds every int32 sum exactly, and its matrix product is far faster than the integer one.
        return self._product(node, centred, weights.astype(np.float64)).astype(np.int64)

    def products(self, node: Node, x: np.ndarray, weights: np.ndarray, zero_point: int) -> Terms:
        def terms(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            window, groups = self.window(node), self.groups(node)
            views = taps(pad_zero_point(x, window, zero_point).astype(np.int64) - zero_point, window)
            by_output = weights.astype(np.int64).transpose(0, 3, 1, 2).reshape(len(weights), -1)
            pixels, outputs = np.divmod(positions, len(weights))
            size = weights.shape[3]
            channels = (outputs // (len(weights) // groups) * size)[:, None] + np.arange(size)
            columns = [view.reshape(-1, view.shape[-1])[pixels[:, None], channels] for view in views]
            return np.stack(columns, axis=-1).reshape(len(positions), -1), by_output[outputs]

        return terms


def _in_float(call: PrequantizedCall) -> Declined:
    """Dense and depthwise ones are taken by their operators."""
    return Declined("a grouped convolution that ONNX Runtime computes in float32 is not supported", GIVE_QOPERATOR)
