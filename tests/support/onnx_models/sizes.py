"""Maps that grow, shrink and lose their borders: ConvTranspose, Resize, Upsample, Slice, pools of all kinds."""

from __future__ import annotations

from typing import Any

from onnx_models.net import Net, dialect


def _transposed(cin: int, cout: int, k: int, group: int = 1, **attributes: Any) -> Net:
    net = Net(shape=(1, cin, 5, 4))
    weights, bias = net.random(cin, cout // group, k, k), net.random(cout)
    return net.then("ConvTranspose", weights, bias, group=group, **attributes)


@dialect("conv2d depth_to_space")
def conv_transpose_2x2_batch_norm_relu() -> Net:
    return _transposed(4, 3, 2, strides=[2, 2]).batch_norm(3).then("Relu")


@dialect("conv2d depth_to_space")
def conv_transpose_4x4_relu() -> Net:
    return _transposed(3, 5, 4, strides=[2, 2], pads=[1, 1, 1, 1]).then("Relu")


@dialect("conv2d depth_to_space")
def conv_transpose_3x3_output_padding() -> Net:
    return _transposed(3, 4, 3, strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])


@dialect("conv2d depth_to_space")
def conv_transpose_same() -> Net:
    return _transposed(3, 4, 3, strides=[2, 2], auto_pad="SAME_UPPER")


@dialect("conv2d depth_to_space")
def conv_transpose_output_shape() -> Net:
    return _transposed(3, 4, 3, strides=[2, 2], auto_pad="SAME_LOWER", output_shape=[10, 8])


@dialect("conv2d depth_to_space")
def conv_transpose_stride_3() -> Net:
    return _transposed(2, 3, 5, strides=[3, 3], pads=[0, 2, 1, 1])


@dialect("conv2d depth_to_space")
def conv_transpose_unequal_strides() -> Net:
    return _transposed(2, 3, 4, strides=[3, 2], pads=[0, 1, 2, 1], output_padding=[1, 0]).then("Relu")


@dialect("grouped_conv2d depth_to_space")
def conv_transpose_one_row_at_a_time() -> Net:
    return _transposed(4, 6, 3, group=2, strides=[1, 2])


@dialect("conv2d depth_to_space")
def conv_transpose_padded_beyond_its_window() -> Net:
    return _transposed(3, 3, 3, strides=[3, 3], pads=[1, 1, 1, 1], output_padding=[2, 2])


@dialect("depthwise_conv2d depth_to_space")
def conv_transpose_depthwise() -> Net:
    return _transposed(4, 4, 4, group=4, strides=[2, 2], pads=[1, 1, 1, 1]).batch_norm(4)


@dialect("grouped_conv2d depth_to_space")
def conv_transpose_grouped() -> Net:
    return _transposed(4, 6, 2, group=2, strides=[2, 2])


@dialect("conv2d")
def conv_transpose_stride_1() -> Net:
    return _transposed(3, 4, 3)


@dialect("depth_to_space conv2d")
def depth_to_space_and_slice() -> Net:
    net = Net(shape=(1, 12, 4, 5)).then("DepthToSpace", blocksize=2, mode="CRD")
    net.then("Slice", net.ints(1, 0), net.ints(-1, 9), net.ints(2, 3))
    return net.conv(3, 4)


@dialect("conv2d crop2d")
def slice_in_opset_9() -> Net:
    return Net(opset=9).conv(3, 4).then("Slice", starts=[1, 2], ends=[100, -1], axes=[2, 3]).then("Relu")


@dialect("resize2d")
def upsample_7() -> Net:
    return Net(opset=7).then("Upsample", mode="nearest", scales=[1.0, 1.0, 2.0, 3.0])


@dialect("resize2d")
def upsample_9_linear() -> Net:
    net = Net(opset=9)
    return net.then("Upsample", net.weight([1.0, 1.0, 2.0, 2.0]), mode="linear")


@dialect("resize2d")
def resize_10() -> Net:
    net = Net(opset=10)
    return net.then("Resize", net.weight([1.0, 1.0, 2.0, 2.0]), mode="linear")


@dialect("resize2d")
def resize_11_corners() -> Net:
    net = Net(opset=11)
    sizes = net.ints(1, 3, 23, 34)
    return net.then(
        "Resize", net.weight([]), net.weight([]), sizes, mode="linear", coordinate_transformation_mode="align_corners"
    )


@dialect("resize2d")
def resize_19_pytorch() -> Net:
    net = Net(opset=19)
    scales = net.weight([1.0, 1.0, 1.5, 0.25])
    return net.then("Resize", "", scales, mode="linear", coordinate_transformation_mode="pytorch_half_pixel")


@dialect("conv2d max_pool2d average_pool2d")
def pools_beyond_the_border() -> Net:
    net = Net(shape=(1, 3, 13, 14)).conv(3, 4).then("Relu")
    net.then("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)
    return net.then("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 0, 1], ceil_mode=1)


@dialect("conv2d average_pool2d")
def pool_counts_pads_but_not_beyond() -> Net:
    net = Net(shape=(1, 3, 12, 12)).conv(3, 4)
    pads = {"pads": [1, 1, 1, 1], "count_include_pad": 1}
    return net.then("AveragePool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, **pads)


@dialect("max_pool2d")
def largest_of_all() -> Net:
    return Net(opset=12).then("ReduceMax", axes=[2, 3], keepdims=1)
