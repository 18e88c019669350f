"""Batch norms and scales, and what stands before and after them."""

from __future__ import annotations

import numpy as np

from onnx_models.net import Net, dialect


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
