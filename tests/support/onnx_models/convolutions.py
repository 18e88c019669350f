"""Convolutions: strides, pads, dilation, groups, shared weights."""

from __future__ import annotations

from onnx_models.net import Net, dialect


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
