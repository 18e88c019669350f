"""Tiny ONNX models built in code: `Net` grows one node by node, `DIALECTS` holds one per dialect feature.

Each entry's name says what it shows; beside it stand the operators that must be left after the passes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper


@dataclass
class Net:
    """An ONNX model growing node by node with random weights."""

    opset: int = 13
    shape: Sequence[int | str | None] = (1, 3, 12, 12)
    dtype: int = TensorProto.FLOAT
    nodes: list[NodeProto] = field(default_factory=list)
    weights: list[TensorProto] = field(default_factory=list)
    outputs: list[tuple[str, Sequence[int | str | None] | None]] = field(default_factory=list)
    functions: list[FunctionProto] = field(default_factory=list)
    domains: dict[str, int] = field(default_factory=dict)
    weights_are_inputs: bool = False

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(7)
        self.x = "x"

    def weight(self, array: Any, dtype: Any = np.float32) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def random(self, *shape: int, spread: float = 0.5) -> str:
        return self.weight(self.rng.normal(0, spread, shape))

    def ints(self, *numbers: int) -> str:
        return self.weight(numbers, np.int64)

    def node(self, op: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> str:
        """Append a node that reads `inputs`; returns (and remembers as self.x) its first output."""
        names = [f"t{len(self.nodes)}"] + [f"t{len(self.nodes)}_{extra}" for extra in range(1, outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=f"n{len(self.nodes)}", domain=domain, **attributes))
        self.x = names[0]
        return self.x

    def then(self, op: str, *more: str, **attributes: Any) -> Net:
        """Append a node to the last one; `more` are its further inputs."""
        self.node(op, self.x, *more, **attributes)
        return self

    def conv(self, cin: int, cout: int, k: int = 3, group: int = 1, bias: bool = True, **attributes: Any) -> Net:
        more = [self.random(cout, cin // group, k, k)] + ([self.random(cout)] if bias else [])
        if "auto_pad" not in attributes:
            attributes.setdefault("pads", [k // 2] * 4)
        return self.then("Conv", *more, group=group, **attributes)

    def batch_norm(self, channels: int, gamma: Any = None, beta: Any = None, **attributes: Any) -> Net:
        gamma = self.weight(gamma) if gamma is not None else self.random(channels, spread=1)
        beta = self.weight(beta) if beta is not None else self.random(channels, spread=1)
        mean, variance = self.random(channels), self.weight(self.rng.uniform(0.5, 2, channels))
        return self.then("BatchNormalization", gamma, beta, mean, variance, **attributes)

    def relu6(self) -> Net:
        return self.then("Clip", self.weight(0.0), self.weight(6.0))

    def head(self, channels: int, classes: int = 5) -> Net:
        self.then("GlobalAveragePool").then("Flatten")
        return self.then("Gemm", self.random(classes, channels), self.random(classes), transB=1)

    def output(self, name: str | None = None, shape: Sequence[int | str | None] | None = None) -> Net:
        self.outputs.append((name or self.x, shape))
        return self

    def model(self) -> ModelProto:
        if not self.outputs:
            self.output()
        inputs = [helper.make_tensor_value_info("x", self.dtype, self.shape)]
        if self.weights_are_inputs:
            inputs += [helper.make_tensor_value_info(w.name, w.data_type, list(w.dims)) for w in self.weights]
        outputs = [helper.make_tensor_value_info(name, self.dtype, shape) for name, shape in self.outputs]
        graph = helper.make_graph(self.nodes, "tiny", inputs, outputs, self.weights)
        opsets = [helper.make_opsetid("", self.opset)]
        opsets += [helper.make_opsetid(domain, version) for domain, version in self.domains.items()]
        return helper.make_model(
            graph, opset_imports=opsets, functions=self.functions, ir_version=min(10, 3 + self.opset // 3)
        )


Build = Callable[[], Net]
DIALECTS: dict[str, tuple[Build, str | None]] = {}


def dialect(expected: str | None = None) -> Callable[[Build], Build]:
    """expected  the operators after the passes, in order; None where only the numbers count"""

    def register(build: Build) -> Build:
        DIALECTS[build.__name__] = (build, expected)
        return build

    return register


# --- convolutions --------------------------------------------------------------------------------


@dialect("conv2d")
def conv_without_bias() -> Net:
    return Net().conv(3, 4, bias=False)


@dialect("conv2d")
def conv_stride_and_uneven_pads() -> Net:
    return Net(shape=(1, 3, 13, 10)).conv(3, 4, strides=[2, 1], pads=[0, 1, 2, 0])


@dialect("conv2d")
def conv_dilated() -> Net:
    return Net().conv(3, 4, dilations=[2, 3], pads=[2, 3, 2, 3])


@dialect("conv2d conv2d conv2d")
def conv_auto_pad() -> Net:
    net = Net(shape=(1, 3, 15, 14)).conv(3, 4, strides=[2, 2], auto_pad="SAME_UPPER")
    return net.conv(4, 4, k=4, auto_pad="SAME_LOWER").conv(4, 4, auto_pad="VALID")


@dialect("depthwise_conv2d depthwise_conv2d")
def depthwise_and_multiplier() -> Net:
    return Net().conv(3, 3, group=3, strides=[2, 2]).conv(3, 6, k=5, group=3)


@dialect("conv2d conv2d")
def gray_non_square() -> Net:
    return Net(shape=(1, 1, 9, 14)).conv(1, 4).conv(4, 1)


@dialect("conv2d conv2d")
def shared_weights() -> Net:
    net = Net()
    weight = net.random(3, 3, 1, 1)
    return net.then("Conv", weight).then("Conv", weight)


@dialect("conv2d")
def kernel_wider_than_the_input() -> Net:
    return Net(shape=(1, 3, 2, 1)).conv(3, 4)


# --- batch norms ---------------------------------------------------------------------------------


@dialect("conv2d depthwise_conv2d conv2d")
def batch_norm_after_conv() -> Net:
    net = Net().conv(3, 4, bias=False).batch_norm(4).then("Relu").conv(4, 4, group=4).batch_norm(4).relu6()
    return net.conv(4, 5, k=1).batch_norm(5, epsilon=1e-3)


@dialect("conv2d depthwise_conv2d fully_connected")
def batch_norm_before_unpadded_layers() -> Net:
    net = Net().batch_norm(3).conv(3, 4, pads=[0, 0, 0, 0]).then("Relu").batch_norm(4)
    net.conv(4, 8, k=10, group=4, pads=[0, 0, 0, 0]).then("Relu").batch_norm(8).then("Flatten")
    return net.then("Gemm", net.random(5, 8), net.random(5), transB=1)


@dialect("depthwise_conv2d conv2d")
def batch_norm_before_padded_conv_stays() -> Net:
    return Net().batch_norm(3).conv(3, 4)


@dialect("conv2d")
def scale_before_padded_conv_folds() -> Net:
    net = Net()
    return net.then("Mul", net.random(1, 3, 1, 1)).conv(3, 4)


@dialect("conv2d conv2d add depthwise_conv2d conv2d add")
def batch_norm_after_add_read_twice() -> Net:
    net = Net().conv(3, 4)
    first = net.x
    second = net.conv(4, 4).x
    net.node("Add", first, second)
    normal = net.batch_norm(4).x
    net.conv(4, 4)
    net.node("Add", normal, net.x)
    return net


@dialect("conv2d")
def batch_norm_twice_and_as_arithmetic() -> Net:
    net = Net().conv(3, 4).batch_norm(4).batch_norm(4)
    net.then("Mul", net.random(4, 1, 1)).then("Add", net.random(1, 4, 1, 1)).then("Sub", net.weight(0.25))
    net.then("Div", net.weight(np.full((1, 4, 1, 1), 3.0))).then("Neg")
    net.node("Sub", net.weight(1.5), net.x)
    net.node("Mul", net.weight([2.0]), net.x)
    return net


@dialect("conv2d average_pool2d fully_connected")
def batch_norm_before_pool_and_after_flatten() -> Net:
    net = Net().conv(3, 4).then("Relu").batch_norm(4).then("GlobalAveragePool").then("Flatten").batch_norm(4)
    return net.then("Gemm", net.random(4, 6), net.random(6))


@dialect("conv2d conv2d add")
def scale_one_of_two_readers() -> Net:
    net = Net().conv(3, 4)
    first = net.x
    net.then("Mul", net.weight(0.5)).conv(4, 4)
    net.node("Add", first, net.x)
    return net


@dialect("conv2d")
def bias_spelt_over_the_whole_map() -> Net:
    net = Net().conv(3, 4)
    return net.then("Add", net.weight(np.broadcast_to(net.rng.normal(size=(1, 4, 1, 1)), (1, 4, 12, 12))))


# --- activations ---------------------------------------------------------------------------------


@dialect("conv2d conv2d")
def clip_attributes() -> Net:
    return Net(opset=10).conv(3, 4).then("Clip", min=0.0, max=6.0).conv(4, 4).then("Clip", min=-1.0)


@dialect("conv2d conv2d clamp conv2d")
def clip_inputs() -> Net:
    net = Net().conv(3, 4)
    net.then("Clip", "", net.weight(1.0)).conv(4, 4).then("Clip", net.weight([0.5])).conv(4, 4)
    return net.then("Clip", net.weight(-np.inf), net.weight(2.0))


@dialect("conv2d conv2d")
def relu6_from_min_and_max() -> Net:
    net = Net().conv(3, 4)
    net.node("Max", net.weight([0.0]), net.x)
    net.then("Min", net.weight(6.0)).conv(4, 4).then("Relu")
    return net.then("Min", net.weight(np.full((4, 1, 1), 6.0)))


@dialect("clamp conv2d clamp depthwise_conv2d add")
def activations_that_cannot_fuse() -> Net:
    net = Net().then("Relu").conv(3, 4)
    plain = net.x
    net.then("Relu").conv(4, 4, group=4)
    net.node("Add", plain, net.x)
    return net


@dialect("conv2d conv2d add")
def activation_after_add() -> Net:
    net = Net().conv(3, 4)
    first = net.x
    net.conv(4, 4)
    net.node("Sum", first, net.x)
    return net.then("Relu")


@dialect("conv2d clamp")
def activation_of_an_output() -> Net:
    net = Net().conv(3, 4).output()
    return net.then("Relu").output()


# --- heads ---------------------------------------------------------------------------------------

_HEAD = "conv2d average_pool2d fully_connected"


def _features(opset: int = 13, shape: Sequence[int | str | None] = (1, 3, 12, 12)) -> Net:
    return Net(opset, shape).conv(3, 4, strides=[2, 2]).then("Relu")


@dialect(_HEAD)
def head_pool_flatten_gemm() -> Net:
    return _features().head(4)


@dialect(_HEAD)
def head_reshape_and_gemm_options() -> Net:
    net = _features().then("GlobalAveragePool")
    net.then("Reshape", net.ints(0, -1))
    return net.then("Gemm", net.random(4, 6), net.random(1, 6), alpha=0.5, beta=2.0)


@dialect(_HEAD)
def head_squeeze_attributes_matmul_add() -> Net:
    net = _features(11).then("GlobalAveragePool").then("Squeeze", axes=[2, 3])
    return net.then("MatMul", net.random(4, 6)).then("Add", net.random(6))


@dialect(_HEAD)
def head_squeeze_inputs() -> Net:
    net = _features().then("GlobalAveragePool")
    net.then("Squeeze", net.ints(-1)).then("Squeeze", net.ints(2))
    return net.then("MatMul", net.random(4, 6))


@dialect(_HEAD)
def head_squeeze_everything() -> Net:
    net = _features().then("GlobalAveragePool").then("Squeeze")
    net.then("Unsqueeze", net.ints(0))
    return net.then("MatMul", net.random(4, 6))


@dialect(_HEAD)
def head_reduce_mean_attribute() -> Net:
    net = _features().then("ReduceMean", axes=[2, -1], keepdims=0)
    return net.then("Gemm", net.random(4, 6))


@dialect(_HEAD)
def head_reduce_mean_input() -> Net:
    net = _features(18)
    net.then("ReduceMean", net.ints(-1, -2)).then("Flatten")
    return net.then("Gemm", net.random(4, 6))


@dialect("conv2d average_pool2d average_pool2d fully_connected")
def head_reduce_mean_one_axis_at_a_time() -> Net:
    net = _features().then("ReduceMean", axes=[3], keepdims=0).then("ReduceMean", axes=[2], keepdims=0)
    return net.then("Gemm", net.random(4, 6))


@dialect(_HEAD)
def head_reduce_mean_of_flattened_pixels() -> Net:
    net = _features()
    net.then("Reshape", net.ints(1, 4, 36)).then("ReduceMean", axes=[2], keepdims=0)
    return net.then("Gemm", net.random(4, 6))


@dialect("conv2d average_pool2d conv2d")
def head_average_pool_windows() -> Net:
    net = _features().then("AveragePool", kernel_shape=[3, 2], strides=[2, 2], ceil_mode=0)
    net.then("Flatten")
    return net.then("Gemm", net.random(5, 4 * 2 * 3), transB=1)


@dialect("conv2d average_pool2d")
def head_average_pool_counting_pads() -> Net:
    return _features().then("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)


@dialect("conv2d conv2d")
def head_flatten_of_a_map() -> Net:
    net = _features(shape=(1, 3, 8, 6)).then("Flatten")
    return net.then("Gemm", net.random(5, 4 * 4 * 3), net.random(5), transB=1)


@dialect("conv2d conv2d")
def head_flatten_of_an_nhwc_map() -> Net:
    net = _features(shape=(1, 3, 8, 6)).then("Transpose", perm=[0, 2, 3, 1])
    net.then("Reshape", net.ints(-1, 48))
    return net.then("MatMul", net.random(48, 5)).then("Add", net.random(5))


@dialect("conv2d conv2d average_pool2d")
def head_conv_then_pool() -> Net:
    net = _features().conv(4, 6, k=1).then("ReduceMean", axes=[2, 3])
    return net.then("Reshape", net.ints(1, 6))


@dialect("conv2d conv2d conv2d")
def dense_over_pixels() -> Net:
    net = _features().then("Transpose", perm=[0, 2, 3, 1])
    net.then("MatMul", net.random(4, 6)).then("Add", net.random(6)).then("Relu")
    net.then("Reshape", net.ints(-1, 6)).then("Gemm", net.random(6, 1))
    return net.then("Reshape", net.ints(1, 6, 6, 1))


@dialect(_HEAD)
def head_softmax() -> Net:
    return _features().head(4).then("Softmax", axis=1)


@dialect(_HEAD)
def head_sigmoid() -> Net:
    """Keras: Dense(1, activation="sigmoid")."""
    return _features().head(4, classes=1).then("Sigmoid")


@dialect("conv2d average_pool2d fully_connected average_pool2d fully_connected conv2d")
def heads_of_a_multi_task_network() -> Net:
    """A softmax over classes, a sigmoid of each attribute, and one of each pixel, looked at anew behind it."""
    net = _features()
    features = net.x
    net.head(4).then("Softmax", axis=1).output()
    net.x = features
    net.head(4, classes=7).then("Sigmoid").then("Identity").output()
    net.x = features
    return net.conv(4, 2, k=1).then("Sigmoid").then("Transpose", perm=[0, 2, 3, 1]).output()


@dialect(_HEAD)
def head_softmax_before_opset_13() -> Net:
    return _features(11).head(4).then("Softmax")


@dialect("conv2d average_pool2d conv2d")
def head_log_softmax_of_1x1_map() -> Net:
    net = _features().then("GlobalAveragePool").conv(4, 6, k=1).then("LogSoftmax", axis=1)
    return net.then("Identity").then("Flatten")


@dialect(_HEAD)
def head_one_class() -> Net:
    net = _features().then("GlobalAveragePool").then("Flatten")
    return net.then("Gemm", net.random(1, 4), net.random(1), transB=1)


@dialect(_HEAD)
def outputs_logits_and_embedding() -> Net:
    net = _features().then("GlobalAveragePool").then("Flatten")
    embedding = net.x
    net.then("Gemm", net.random(5, 4), transB=1).output()
    return net.output(embedding, [1, 4])


# --- layouts -------------------------------------------------------------------------------------


@dialect("conv2d depthwise_conv2d depthwise_conv2d")
def nhwc_in_and_out() -> Net:
    net = Net(shape=(1, 8, 10, 3)).then("Transpose", perm=[0, 3, 1, 2]).conv(3, 4)
    net.then("Transpose", perm=[0, 2, 3, 1]).then("Relu").then("Add", net.random(4))
    return net.then("Transpose", perm=[0, 3, 1, 2]).conv(4, 4, group=4).then("Transpose", perm=[0, 2, 3, 1])


@dialect("depthwise_conv2d conv2d")
def nhwc_preprocessing_inside() -> Net:
    net = Net(shape=(1, 9, 7, 3))
    net.then("Div", net.weight(127.5)).then("Sub", net.random(3)).then("Transpose", perm=[0, 3, 1, 2])
    return net.conv(3, 4)


@dialect("conv2d")
def nhwc_pad_before_transpose() -> Net:
    net = Net(shape=(1, 9, 7, 3))
    net.then("Pad", net.ints(0, 0, 1, 0, 0, 2, 1, 0)).then("Transpose", perm=[0, 3, 1, 2])
    return net.conv(3, 4, pads=[0, 0, 0, 0])


@dialect("conv2d")
def nhwc_gray_by_reshape() -> Net:
    net = Net(shape=(1, 9, 7, 1))
    return net.then("Reshape", net.ints(1, 1, 9, 7)).conv(1, 4)


@dialect("conv2d")
def image_without_batch_axis() -> Net:
    net = Net(shape=(3, 8, 9))
    return net.then("Unsqueeze", net.ints(0)).conv(3, 4)


@dialect("conv2d conv2d")
def flatten_and_back() -> Net:
    net = Net().conv(3, 4).then("Flatten")
    return net.then("Reshape", net.ints(0, 4, 12, 12)).conv(4, 4)


@dialect("conv2d conv2d add conv2d")
def residual_of_transposed_operands() -> Net:
    net = Net().conv(3, 4)
    first = net.then("Transpose", perm=[0, 2, 3, 1]).x
    net.then("Transpose", perm=[0, 3, 1, 2]).conv(4, 4).then("Transpose", perm=[0, 2, 3, 1])
    net.node("Add", first, net.x)
    return net.then("Transpose", perm=[0, 3, 1, 2]).conv(4, 4)


@dialect("fully_connected fully_connected")
def vector_network() -> Net:
    net = Net(shape=(1, 6))
    net.then("Gemm", net.random(6, 8), net.random(8)).then("Relu")
    return net.then("MatMul", net.random(8, 3))


# --- padding -------------------------------------------------------------------------------------


@dialect("conv2d depthwise_conv2d average_pool2d")
def pad_nodes() -> Net:
    net = Net()
    net.then("Pad", net.ints(0, 0, 0, 0, 0, 0, 1, 1)).conv(3, 4, pads=[1, 0, 0, 0], strides=[2, 2])
    net.then("Relu").then("Pad", net.ints(0, 0, 1, 0, 0, 0, 0, 0), net.weight(0.0))
    net.then("Pad", net.ints(0, 0, 0, 1, 0, 0, 1, 1)).conv(4, 4, group=4, pads=[0, 0, 0, 0])
    net.then("Pad", net.ints(0, 0, 1, 1, 0, 0, 0, 0))
    return net.then("AveragePool", kernel_shape=[2, 2])


@dialect("conv2d")
def pad_attributes() -> Net:
    net = Net(opset=10).then("Pad", pads=[0, 0, 1, 1, 0, 0, 1, 1], mode="constant")
    return net.conv(3, 4, pads=[0, 0, 0, 0])


@dialect("conv2d conv2d add")
def pad_with_axes_read_twice() -> Net:
    net = Net(opset=18)
    padded = net.then("Pad", net.ints(1, 1, 1, 1), "", net.ints(2, -1)).x
    net.conv(3, 4, pads=[0, 0, 0, 0])
    first, net.x = net.x, padded
    net.conv(3, 4, pads=[0, 0, 0, 0])
    net.node("Add", first, net.x)
    return net


@dialect("conv2d depthwise_conv2d")
def pad_of_a_single_pixel() -> Net:
    net = Net(shape=(1, 3, 3, 3)).conv(3, 4, pads=[0, 0, 0, 0])
    net.then("Pad", net.ints(0, 0, 1, 1, 0, 0, 1, 1))
    return net.conv(4, 4, group=4, pads=[0, 0, 0, 0])


# --- graph furniture -----------------------------------------------------------------------------


@dialect(_HEAD)
def identity_dropout_constant() -> Net:
    net = _features().then("Identity").then("Dropout", outputs=2)
    net.node("Constant", value=numpy_helper.from_array(np.array(6.0, np.float32)))
    six = net.x
    net.x = net.nodes[-2].output[0]
    return net.then("Clip", "", six).head(4)


@dialect(_HEAD)
def dropout_with_inputs() -> Net:
    net = _features()
    return net.then("Dropout", net.weight(0.5), net.weight(False, np.bool_)).head(4)


@dialect(_HEAD)
def weights_listed_as_inputs() -> Net:
    net = _features().head(4)
    net.weights_are_inputs = True
    return net


@dialect(_HEAD)
def dynamic_batch() -> Net:
    return _features(shape=("batch", 3, 12, 12)).head(4).output(shape=["batch", 5])


@dialect(_HEAD)
def unknown_batch() -> Net:
    return _features(shape=(None, 3, 12, 12)).head(4).output(shape=[None, 5])


@dialect(_HEAD)
def shape_chain() -> Net:
    net = _features(shape=("n", 3, 12, 12)).then("GlobalAveragePool")
    pooled = net.x
    net.then("Shape").then("Gather", net.weight(0, np.int64), axis=0).then("Unsqueeze", net.ints(0))
    net.node("Concat", net.x, net.ints(-1), axis=0)
    net.node("Reshape", pooled, net.x)
    return net.then("Gemm", net.random(4, 6))


@dialect(_HEAD)
def shape_chain_with_slice_and_cast() -> Net:
    net = _features(15, ("n", 3, 12, 12)).then("GlobalAveragePool")
    pooled = net.x
    net.then("Shape", start=0, end=2).then("Cast", to=TensorProto.INT32).then("Cast", to=TensorProto.INT64)
    net.then("Slice", net.ints(0), net.ints(2), net.ints(0))
    net.node("Reshape", pooled, net.x)
    return net.then("Gemm", net.random(4, 6))


@dialect("conv2d")
def half_weights_cast() -> Net:
    net = Net()
    image = net.x
    weight = net.node("Cast", net.weight(net.rng.normal(size=(4, 3, 3, 3)), np.float16), to=TensorProto.FLOAT)
    net.node("Conv", image, weight)
    return net


@dialect(_HEAD)
def half_network_between_casts() -> Net:
    net = Net().then("Cast", to=TensorProto.FLOAT16)
    half = [net.weight(net.rng.normal(size=shape), np.float16) for shape in ((4, 3, 3, 3), (4,), (5, 4), (5,))]
    net.then("Conv", half[0], half[1]).then("Clip", net.weight(0, np.float16), net.weight(6, np.float16))
    net.then("GlobalAveragePool").then("Flatten").then("Gemm", half[2], half[3], transB=1)
    return net.then("Cast", to=TensorProto.FLOAT)


@dialect(_HEAD)
def negative_batch() -> Net:
    return _features(shape=(-1, 3, 12, 12)).head(4).output(shape=[-1, 5])


@dialect("conv2d conv2d")
def clip_bounds_cast_like_the_input() -> Net:
    net = Net(opset=18).conv(3, 4)
    image = net.x
    low, high = (net.node("CastLike", net.weight(bound, np.int64), image) for bound in (0, 6))
    net.node("Clip", image, low, high)
    return net.conv(4, 4)


@dialect("conv2d conv2d")
def computed_weights() -> Net:
    net = Net()
    weight = net.node("Transpose", net.random(3, 3, 3, 4), perm=[3, 2, 0, 1])
    weight = net.node("Mul", weight, net.random(4, 1, 1, 1))
    net.node("Conv", "x", weight)
    return net.conv(4, 4)


@dialect(_HEAD)
def nodes_out_of_order() -> Net:
    net = _features().head(4).output()
    net.nodes.reverse()
    return net


@dialect("conv2d")
def dead_branch_with_unknown_operator() -> Net:
    net = Net().conv(3, 4).output()
    return net.then("Sigmoid")


@dialect("conv2d conv2d")
def local_function() -> Net:
    net = Net(opset=15, domains={"mine": 1})
    body = [helper.make_node("Relu", ["a"], ["b"]), helper.make_node("Neg", ["b"], ["c"])]
    net.functions.append(helper.make_function("mine", "NegRelu", ["a"], ["c"], body, [helper.make_opsetid("", 15)]))
    return net.conv(3, 4).then("NegRelu", domain="mine").conv(4, 4, k=1)


@dialect("conv2d conv2d")
def if_with_constant_condition() -> Net:
    net = Net().conv(3, 4)

    def branch(op: str) -> GraphProto:
        made = helper.make_tensor_value_info(f"made_{op}", TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(op, [net.x], [f"made_{op}"])], op, [], [made])

    condition = net.weight(True, np.bool_)
    net.node("If", condition, then_branch=branch("Relu"), else_branch=branch("Sigmoid"))
    return net.conv(4, 4)


@dialect("conv2d conv2d add conv2d")
def fused_conv() -> Net:
    net = Net(domains={"com.microsoft": 1})
    weights = [net.random(4, 3, 3, 3), net.random(4)]
    net.then("FusedConv", *weights, domain="com.microsoft", activation="Relu")
    first = net.x
    weights = [net.random(4, 4, 1, 1), net.random(4)]
    net.then("FusedConv", *weights, first, domain="com.microsoft", activation="Relu")
    weights = [net.random(4, 4, 1, 1), net.random(4)]
    return net.then("FusedConv", *weights, domain="com.microsoft", activation="Clip", activation_params=[0.0, 6.0])


@dialect(_HEAD)
def gather_that_takes_all() -> Net:
    net = _features().then("GlobalAveragePool")
    net.then("Reshape", net.ints(-1)).then("Gather", net.weight(np.arange(4).reshape(1, 4, 1, 1), np.int64))
    net.then("Reshape", net.ints(1, 4))
    return net.then("Gemm", net.random(4, 6))


@dialect("conv2d conv2d")
def nameless_nodes() -> Net:
    net = Net().conv(3, 4).then("Relu").conv(4, 4)
    for node in net.nodes:
        node.name = ""
    return net


# --- constant channels ---------------------------------------------------------------------------

_GAMMA = [0.0, 1.0, 0.0, -0.5]


@dialect("conv2d depthwise_conv2d conv2d")
def constant_depthwise_channels() -> Net:
    net = Net().conv(3, 4, k=1).relu6().conv(4, 4, group=4).batch_norm(4, _GAMMA, [2.0, 1.0, -3.0, 0.0]).relu6()
    return net.conv(4, 5, k=1)


@dialect("conv2d depthwise_conv2d average_pool2d fully_connected")
def constant_channels_through_a_pool() -> Net:
    net = Net().conv(3, 4, k=1).conv(4, 4, group=4).batch_norm(4, _GAMMA, [2.0, 1.0, -3.0, 0.0])
    return net.head(4)


@dialect("conv2d depthwise_conv2d conv2d")
def saturated_channels() -> Net:
    net = Net().conv(3, 4, k=1).relu6().conv(4, 4, group=4).batch_norm(4, beta=[90.0, -90.0, 1.0, 1.0]).relu6()
    return net.conv(4, 5, k=1)


@dialect("conv2d conv2d")
def constant_channels_before_padding_stay() -> Net:
    return Net().conv(3, 4, k=1).batch_norm(4, _GAMMA, [2.0, 1.0, -3.0, 0.0]).conv(4, 5)


@dialect("conv2d conv2d")
def zero_channels_before_padding_go() -> Net:
    return Net().conv(3, 4, k=1).batch_norm(4, _GAMMA, [-2.0, 1.0, -3.0, 0.0]).then("Relu").conv(4, 5)


@dialect("conv2d depthwise_conv2d conv2d")
def all_channels_constant() -> Net:
    net = Net().conv(3, 4, k=1).conv(4, 4, group=4).batch_norm(4, [0.0] * 4, [2.0, 1.0, -3.0, 0.0])
    return net.conv(4, 5, k=1)
