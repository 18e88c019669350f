"""Channels that have one value whatever the image."""

from __future__ import annotations

from onnx_models.net import Net, dialect

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
