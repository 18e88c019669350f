"""NHWC inside and outside, transposes, networks without a batch axis."""

from __future__ import annotations

from onnx_models.net import Net, dialect


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
