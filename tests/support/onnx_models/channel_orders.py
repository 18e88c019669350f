"""Channels taken apart, exchanged and put together again, as exporters and model zoos write it."""

from __future__ import annotations

from onnx_models.net import Net, dialect


def _joined_again(net: Net, *parts: str) -> Net:
    net.node("Concat", *parts, axis=1)
    return net.conv(4, 4)


@dialect("conv2d")
def red_and_blue_exchanged() -> Net:
    net = Net()
    return net.then("Gather", net.ints(2, 1, 0), axis=1).conv(3, 4)


@dialect("depthwise_conv2d conv2d")
def red_and_blue_exchanged_before_a_depthwise_layer() -> Net:
    net = Net(shape=(1, 9, 7, 3))
    net.then("Gather", net.ints(-1, 1, 0), axis=3).then("Transpose", perm=[0, 3, 1, 2])
    return net.conv(3, 3, group=3).conv(3, 4)


@dialect("conv2d conv2d")
def shuffle_of_two_groups() -> Net:
    net = Net().conv(3, 6)
    net.then("Reshape", net.ints(1, 2, 3, 12, 12)).then("Transpose", perm=[0, 2, 1, 3, 4])
    return net.then("Reshape", net.ints(1, -1, 12, 12)).conv(6, 4)


@dialect("conv2d conv2d")
def shuffle_with_pixels_in_one_axis() -> Net:
    net = Net().conv(3, 6)
    net.then("Reshape", net.ints(1, 3, 2, 144)).then("Transpose", perm=[0, 2, 1, 3])
    return net.then("Reshape", net.ints(1, 6, 12, 12)).conv(6, 4)


@dialect("conv2d conv2d")
def shuffle_of_channels_last() -> Net:
    net = Net().conv(3, 6).then("Transpose", perm=[0, 2, 3, 1])
    net.then("Reshape", net.ints(1, 12, 12, 2, 3)).then("Transpose", perm=[0, 1, 2, 4, 3])
    return net.then("Reshape", net.ints(1, 12, 12, 6)).then("Transpose", perm=[0, 3, 1, 2]).conv(6, 4)


@dialect("conv2d conv2d")
def shuffle_after_two_cuts() -> Net:
    net = Net().conv(3, 12)
    net.then("Reshape", net.ints(1, 2, 2, 3, 144)).then("Reshape", net.ints(1, 4, 3, 12, 12))
    net.then("Transpose", perm=[0, 2, 1, 3, 4])
    return net.then("Reshape", net.ints(1, 12, 12, 12)).conv(12, 4)


@dialect("conv2d select_channels")
def shuffle_at_the_end() -> Net:
    net = Net().conv(3, 6)
    net.then("Reshape", net.ints(1, 2, 3, 12, 12)).then("Transpose", perm=[0, 2, 1, 3, 4])
    return net.then("Reshape", net.ints(1, 6, 12, 12))


@dialect("conv2d conv2d")
def channels_cut_and_not_moved() -> Net:
    net = Net().conv(3, 6)
    return net.then("Reshape", net.ints(1, 2, 3, 12, 12)).then("Reshape", net.ints(1, 6, 12, 12)).conv(6, 4)


@dialect("conv2d select_channels select_channels conv2d concat conv2d")
def shuffle_that_ends_in_two_halves() -> Net:
    """As the authors of ShuffleNetV2 write it."""
    net = Net().conv(3, 4)
    net.then("Reshape", net.ints(2, 2, 144)).then("Transpose", perm=[1, 0, 2]).then(
        "Reshape", net.ints(2, 1, 2, 12, 12)
    )
    whole = net.x
    left = net.node("Gather", whole, net.ints(0), axis=0)
    left = net.node("Squeeze", left, net.ints(0))
    right = net.node("Gather", whole, net.weight(1, "int64"), axis=0)
    net.x = right
    return _joined_again(net, left, net.conv(2, 2).x)


@dialect("conv2d conv2d concat select_channels select_channels conv2d concat conv2d")
def unit_after_a_unit() -> Net:
    net = Net()
    first, second = net.conv(3, 6).then("Relu").x, net.node("Conv", "x", net.random(6, 3, 1, 1), net.random(6))
    net.node("Concat", first, second, axis=1)
    net.then("Reshape", net.ints(1, 2, 6, 12, 12)).then("Transpose", perm=[0, 2, 1, 3, 4])
    net.then("Reshape", net.ints(1, 12, 12, 12))
    left = net.node("Split", net.x, net.ints(6, 6), outputs=2, axis=1)
    net.x = f"{left}_1"
    net.node("Concat", left, net.conv(6, 2).x, axis=1)
    return net.conv(8, 4)


@dialect("conv2d select_channels select_channels conv2d concat conv2d")
def split_in_halves() -> Net:
    net = Net().conv(3, 4)
    left = net.node("Split", net.x, net.ints(2, 2), outputs=2, axis=1)
    net.x = f"{left}_1"
    return _joined_again(net, left, net.conv(2, 2).x)


@dialect("conv2d select_channels select_channels conv2d concat conv2d")
def split_by_attribute() -> Net:
    net = Net(opset=11).conv(3, 4)
    left = net.node("Split", net.x, outputs=2, axis=-3, split=[1, 3])
    net.x = f"{left}_1"
    return _joined_again(net, left, net.conv(3, 3).x)


@dialect("conv2d select_channels conv2d")
def split_of_which_a_part_is_left() -> Net:
    net = Net(opset=18).conv(3, 4)
    net.x = net.node("Split", net.x, outputs=2, axis=1, num_outputs=2) + "_1"
    return net.conv(2, 4)


@dialect("conv2d select_channels select_channels conv2d concat conv2d")
def slices_by_attributes() -> Net:
    net = Net(opset=9).conv(3, 4)
    whole = net.x
    left = net.node("Slice", whole, axes=[1], starts=[0], ends=[-2])
    net.x = net.node("Slice", whole, axes=[1], starts=[-2], ends=[2**31 - 1])
    return _joined_again(net, left, net.conv(2, 2).x)


@dialect("conv2d select_channels conv2d")
def slice_of_every_other_channel() -> Net:
    net = Net().conv(3, 5)
    net.then("Slice", net.ints(-1, 0), net.ints(-6, 99), net.ints(1, 2), net.ints(-2, 1))
    return net.conv(3, 4)


@dialect("conv2d select_channels conv2d")
def slice_of_a_slice() -> Net:
    net = Net().conv(3, 6)
    for start, end in ((1, 6), (1, 3)):
        net.then("Slice", net.ints(start), net.ints(end), net.ints(1))
    return net.conv(2, 4)


# --- channels that become blocks of pixels ---


def _in_blocks(net: Net, shape: list[int], perm: list[int], whole: list[int]) -> Net:
    return net.then("Reshape", net.ints(*shape)).then("Transpose", perm=perm).then("Reshape", net.ints(*whole))


@dialect("conv2d depth_to_space conv2d")
def pixel_shuffle_in_pieces() -> Net:
    """As torch exports it where it knows no DepthToSpace."""
    net = Net().conv(3, 8)
    return _in_blocks(net, [1, 2, 2, 2, 12, 12], [0, 1, 4, 2, 5, 3], [1, 2, 24, 24]).conv(2, 4)


@dialect("conv2d depth_to_space conv2d")
def blocks_with_channels_last() -> Net:
    net = Net().conv(3, 18).then("Transpose", perm=[0, 2, 3, 1])
    _in_blocks(net, [-1, 12, 12, 3, 3, 2], [0, 1, 3, 2, 4, 5], [-1, 36, 36, 2])
    return net.then("Transpose", perm=[0, 3, 1, 2]).conv(2, 4)


@dialect("conv2d depth_to_space conv2d")
def blocks_of_pixels_first() -> Net:
    """As DepthToSpace of mode DCR is defined."""
    net = Net().conv(3, 8)
    return _in_blocks(net, [0, 2, 2, 2, 12, 12], [0, 3, 4, 1, 5, 2], [0, 2, 24, 24]).conv(2, 4)


@dialect("conv2d depth_to_space")
def blocks_of_one_channel_at_the_end() -> Net:
    net = Net().conv(3, 4)
    return _in_blocks(net, [1, 1, 2, 2, 12, 12], [0, 1, 4, 2, 5, 3], [1, 1, 24, 24])
