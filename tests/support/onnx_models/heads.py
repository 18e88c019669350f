"""What a network ends with: pools, flattening, dense layers, softmax, several outputs."""

from __future__ import annotations

from onnx_models.net import HEAD, Net, dialect, features


@dialect(HEAD)
def head_pool_flatten_gemm() -> Net:
    return features().head(4)


@dialect(HEAD)
def head_reshape_and_gemm_options() -> Net:
    net = features().then("GlobalAveragePool")
    net.then("Reshape", net.ints(0, -1))
    return net.then("Gemm", net.random(4, 6), net.random(1, 6), alpha=0.5, beta=2.0)


@dialect(HEAD)
def head_squeeze_attributes_matmul_add() -> Net:
    net = features(11).then("GlobalAveragePool").then("Squeeze", axes=[2, 3])
    return net.then("MatMul", net.random(4, 6)).then("Add", net.random(6))


@dialect(HEAD)
def head_squeeze_inputs() -> Net:
    net = features().then("GlobalAveragePool")
    net.then("Squeeze", net.ints(-1)).then("Squeeze", net.ints(2))
    return net.then("MatMul", net.random(4, 6))


@dialect(HEAD)
def head_squeeze_everything() -> Net:
    net = features().then("GlobalAveragePool").then("Squeeze")
    net.then("Unsqueeze", net.ints(0))
    return net.then("MatMul", net.random(4, 6))


@dialect(HEAD)
def head_reduce_mean_attribute() -> Net:
    net = features().then("ReduceMean", axes=[2, -1], keepdims=0)
    return net.then("Gemm", net.random(4, 6))


@dialect(HEAD)
def head_reduce_mean_input() -> Net:
    net = features(18)
    net.then("ReduceMean", net.ints(-1, -2)).then("Flatten")
    return net.then("Gemm", net.random(4, 6))


@dialect("conv2d average_pool2d average_pool2d fully_connected")
def head_reduce_mean_one_axis_at_a_time() -> Net:
    net = features().then("ReduceMean", axes=[3], keepdims=0).then("ReduceMean", axes=[2], keepdims=0)
    return net.then("Gemm", net.random(4, 6))


@dialect(HEAD)
def head_reduce_mean_of_flattened_pixels() -> Net:
    net = features()
    net.then("Reshape", net.ints(1, 4, 36)).then("ReduceMean", axes=[2], keepdims=0)
    return net.then("Gemm", net.random(4, 6))


@dialect("conv2d average_pool2d conv2d")
def head_average_pool_windows() -> Net:
    net = features().then("AveragePool", kernel_shape=[3, 2], strides=[2, 2], ceil_mode=0)
    net.then("Flatten")
    return net.then("Gemm", net.random(5, 4 * 2 * 3), transB=1)


@dialect("conv2d average_pool2d")
def head_average_pool_counting_pads() -> Net:
    return features().then("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)


@dialect("conv2d conv2d")
def head_flatten_of_a_map() -> Net:
    net = features(shape=(1, 3, 8, 6)).then("Flatten")
    return net.then("Gemm", net.random(5, 4 * 4 * 3), net.random(5), transB=1)


@dialect("conv2d conv2d")
def head_flatten_of_an_nhwc_map() -> Net:
    net = features(shape=(1, 3, 8, 6)).then("Transpose", perm=[0, 2, 3, 1])
    net.then("Reshape", net.ints(-1, 48))
    return net.then("MatMul", net.random(48, 5)).then("Add", net.random(5))


@dialect("conv2d conv2d average_pool2d")
def head_conv_then_pool() -> Net:
    net = features().conv(4, 6, k=1).then("ReduceMean", axes=[2, 3])
    return net.then("Reshape", net.ints(1, 6))


@dialect("conv2d conv2d conv2d")
def dense_over_pixels() -> Net:
    net = features().then("Transpose", perm=[0, 2, 3, 1])
    net.then("MatMul", net.random(4, 6)).then("Add", net.random(6)).then("Relu")
    net.then("Reshape", net.ints(-1, 6)).then("Gemm", net.random(6, 1))
    return net.then("Reshape", net.ints(1, 6, 6, 1))


@dialect(HEAD)
def head_softmax() -> Net:
    return features().head(4).then("Softmax", axis=1)


@dialect(HEAD)
def head_sigmoid() -> Net:
    """Keras: Dense(1, activation="sigmoid")."""
    return features().head(4, classes=1).then("Sigmoid")


@dialect("conv2d average_pool2d fully_connected average_pool2d fully_connected conv2d")
def heads_of_a_multi_task_network() -> Net:
    """A softmax over classes, a sigmoid of each attribute, and one of each pixel, looked at anew behind it."""
    net = features()
    shared = net.x
    net.head(4).then("Softmax", axis=1).output()
    net.x = shared
    net.head(4, classes=7).then("Sigmoid").then("Identity").output()
    net.x = shared
    return net.conv(4, 2, k=1).then("Sigmoid").then("Transpose", perm=[0, 2, 3, 1]).output()


@dialect(HEAD)
def head_softmax_before_opset_13() -> Net:
    return features(11).head(4).then("Softmax")


@dialect("conv2d average_pool2d conv2d")
def head_log_softmax_of_1x1_map() -> Net:
    net = features().then("GlobalAveragePool").conv(4, 6, k=1).then("LogSoftmax", axis=1)
    return net.then("Identity").then("Flatten")


@dialect(HEAD)
def head_one_class() -> Net:
    net = features().then("GlobalAveragePool").then("Flatten")
    return net.then("Gemm", net.random(1, 4), net.random(1), transB=1)


@dialect(HEAD)
def outputs_logits_and_embedding() -> Net:
    net = features().then("GlobalAveragePool").then("Flatten")
    embedding = net.x
    net.then("Gemm", net.random(5, 4), transB=1).output()
    return net.output(embedding, [1, 4])


@dialect(HEAD)
def head_tanh() -> Net:
    return features().head(4).then("Tanh").then("Identity")


def _embedding(opset: int = 13) -> tuple[Net, str]:
    """A net and the vector that it ends in."""
    net = features(opset).head(4)
    return net, net.x


@dialect(HEAD)
def l2_of_lp_normalization() -> Net:
    return features().head(4).then("LpNormalization", axis=1, p=2)


@dialect(HEAD)
def l2_of_insightface() -> Net:
    """torch.norm, then a division."""
    net, vector = _embedding()
    net.node("Div", vector, net.then("ReduceL2", axes=[1]).x)
    return net


@dialect(HEAD)
def l2_of_torch_normalize() -> Net:
    """F.normalize: the length is held above 1e-12 and expanded to the shape of the vector."""
    net, vector = _embedding(18)
    net.node("ReduceL2", vector, net.ints(-1))
    net.then("Clip", net.weight(1e-12))
    net.node("Expand", net.x, net.node("Shape", vector))
    net.node("Div", vector, net.x)
    return net


@dialect(HEAD)
def l2_of_keras() -> Net:
    """tf.math.l2_normalize through tf2onnx: the root of the squares' sum, its reciprocal."""
    net, vector = _embedding()
    net.node("ReduceSum", net.node("Mul", vector, vector), net.ints(-1), keepdims=1)
    net.then("Max", net.weight(1e-12)).then("Sqrt").then("Reciprocal")
    net.node("Mul", vector, net.x)
    return net


@dialect(HEAD)
def l2_of_powers() -> Net:
    net, vector = _embedding()
    net.node("ReduceSum", net.node("Pow", vector, net.weight(2.0)), net.ints(1), keepdims=1)
    net.then("Sqrt").then("Add", net.weight(1e-6))
    net.node("Div", vector, net.x)
    return net


@dialect("conv2d average_pool2d fully_connected fully_connected")
def outputs_classes_and_embedding() -> Net:
    """A classifier that gives its embedding away, too, of length 1."""
    net = features().head(4, classes=6)
    embedding = net.x
    net.then("Gemm", net.random(5, 6), transB=1).then("Softmax", axis=1).output()
    net.node("LpNormalization", embedding, axis=-1)
    return net.output()


@dialect("conv2d conv2d conv2d conv2d")
def outputs_of_a_feature_pyramid() -> Net:
    """Maps of three sizes."""
    net = features(shape=(1, 3, 16, 16)).output()
    net.conv(4, 6, strides=[2, 2]).then("Relu").output()
    net.conv(6, 8, strides=[2, 2]).then("Relu").output()
    return net.conv(8, 2, k=1).output()
