"""Dilations as TensorFlow has them: an image taken apart into every d-th row and column, and put together again."""

from __future__ import annotations

from onnx_models.net import Net, dialect

LAST = 2**31 - 1


def space_to_batch(net: Net, block: int, pads: tuple[int, int, int, int]) -> Net:
    """As tf2onnx writes SpaceToBatchND; pads: top, left, bottom, right."""
    top, left, bottom, right = pads
    net.then("Transpose", perm=[1, 0, 2, 3]).then("Pad", net.ints(0, 0, top, left, 0, 0, bottom, right))
    return net.then("SpaceToDepth", blocksize=block).then("Transpose", perm=[1, 0, 2, 3])


def batch_to_space(net: Net, block: int, crop: tuple[int, int] = (0, 0)) -> Net:
    """As tf2onnx writes BatchToSpaceND; crop: so many rows and columns at the end."""
    net.then("Transpose", perm=[1, 0, 2, 3]).then("DepthToSpace", blocksize=block)
    ends = [-size if size else LAST for size in crop]
    return net.then("Transpose", perm=[1, 0, 2, 3]).then("Slice", net.ints(0, 0), net.ints(*ends), net.ints(2, 3))


@dialect("conv2d depthwise_conv2d conv2d")
def dilated_between_batches() -> Net:
    """17 rows are no multiple of 4: three more are padded, and cropped."""
    net = Net(shape=(1, 3, 17, 18)).conv(3, 4).relu6()
    space_to_batch(net, 4, (4, 4, 7, 6)).conv(4, 4, group=4, pads=[0, 0, 0, 0]).relu6()
    return batch_to_space(net, 4, (3, 2)).conv(4, 5, k=1)


@dialect("conv2d depthwise_conv2d conv2d")
def dilated_between_batches_bias_behind() -> Net:
    """Keras: the bias and the batch norm come when the image is whole again."""
    net = space_to_batch(Net(shape=(1, 4, 12, 12)).conv(4, 4), 2, (2, 2, 2, 2))
    net.conv(4, 4, group=4, pads=[0, 0, 0, 0], bias=False)
    batch_to_space(net, 2).then("Add", net.random(4, 1, 1)).batch_norm(4)
    return net.conv(4, 5, k=1)


@dialect("conv2d conv2d conv2d add")
def two_layers_between_batches() -> Net:
    """The second has pads of its own; what a sum adds is the same image, taken apart as well."""
    net = space_to_batch(Net(shape=(1, 3, 12, 12)).conv(3, 4), 2, (0, 0, 0, 0))
    first = net.x
    net.conv(4, 4).then("Relu").conv(4, 4, k=1).node("Add", first, net.x)
    return batch_to_space(net, 2)


@dialect("conv2d conv2d")
def dilated_between_batches_channels_last() -> Net:
    """The Transposes joined with those around it."""
    net = Net(shape=(1, 12, 12, 3)).then("Transpose", perm=[3, 0, 1, 2])
    net.then("Pad", net.ints(0, 0, 3, 3, 0, 0, 3, 3)).then("SpaceToDepth", blocksize=3)
    net.then("Transpose", perm=[1, 0, 2, 3]).conv(3, 4, pads=[0, 0, 0, 0]).then("Transpose", perm=[1, 0, 2, 3])
    net.then("DepthToSpace", blocksize=3).then("Transpose", perm=[1, 0, 2, 3]).conv(4, 5, k=1)
    return net.then("Transpose", perm=[0, 2, 3, 1])
