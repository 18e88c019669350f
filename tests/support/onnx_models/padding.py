"""Pad nodes of all versions."""

from __future__ import annotations

from onnx_models.net import Net, dialect


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


@dialect("conv2d max_pool2d")
def pad_before_a_max_pool() -> Net:
    """Zeros are pads there only because a ReLU came before."""
    net = Net().conv(3, 4).then("Relu")
    net.then("Pad", net.ints(0, 0, 1, 1, 0, 0, 1, 1))
    return net.then("MaxPool", kernel_shape=[3, 3], strides=[2, 2])
