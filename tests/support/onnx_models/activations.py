"""Activations in all spellings, where they fuse and where they cannot."""

from __future__ import annotations

import numpy as np

from onnx_models.net import Net, dialect


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


@dialect("conv2d silu conv2d elu conv2d elu conv2d tanh conv2d")
def smooth_activations() -> Net:
    """ONNX's own operators for them; Swish is of opset 24."""
    net = Net(opset=24).conv(3, 4).then("Swish", alpha=1.5).conv(4, 4).then("Celu", alpha=0.5)
    return net.conv(4, 4).then("Selu").conv(4, 4).then("Tanh").conv(4, 4)
