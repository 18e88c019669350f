"""Nodes that compute nothing of the network: identities, casts, shapes, constants, functions."""

from __future__ import annotations

import numpy as np
from onnx import GraphProto, TensorProto, helper, numpy_helper

from onnx_models.net import HEAD, Net, dialect, features


@dialect(HEAD)
def identity_dropout_constant() -> Net:
    net = features().then("Identity").then("Dropout", outputs=2)
    net.node("Constant", value=numpy_helper.from_array(np.array(6.0, np.float32)))
    six = net.x
    net.x = net.nodes[-2].output[0]
    return net.then("Clip", "", six).head(4)


@dialect(HEAD)
def dropout_with_inputs() -> Net:
    net = features()
    return net.then("Dropout", net.weight(0.5), net.weight(False, np.bool_)).head(4)


@dialect(HEAD)
def weights_listed_as_inputs() -> Net:
    net = features().head(4)
    net.weights_are_inputs = True
    return net


@dialect(HEAD)
def dynamic_batch() -> Net:
    return features(shape=("batch", 3, 12, 12)).head(4).output(shape=["batch", 5])


@dialect(HEAD)
def unknown_batch() -> Net:
    return features(shape=(None, 3, 12, 12)).head(4).output(shape=[None, 5])


@dialect(HEAD)
def shape_chain() -> Net:
    net = features(shape=("n", 3, 12, 12)).then("GlobalAveragePool")
    pooled = net.x
    net.then("Shape").then("Gather", net.weight(0, np.int64), axis=0).then("Unsqueeze", net.ints(0))
    net.node("Concat", net.x, net.ints(-1), axis=0)
    net.node("Reshape", pooled, net.x)
    return net.then("Gemm", net.random(4, 6))


@dialect(HEAD)
def shape_chain_with_slice_and_cast() -> Net:
    net = features(15, ("n", 3, 12, 12)).then("GlobalAveragePool")
    pooled = net.x
    net.then("Shape", start=0, end=2).then("Cast", to=TensorProto.INT32).then("Cast", to=TensorProto.INT64)
    net.then("Slice", net.ints(0), net.ints(2), net.ints(0))
    net.node("Reshape", pooled, net.x)
    return net.then("Gemm", net.random(4, 6))


@dialect("conv2d")
def half_weights_cast() -> Net:
    net = Net()
    image = net.x
    weight = net.node("Cast", net.weight(net.rng.normal(size=(4, 3, 3, 3)), np.float16), to=TensorProto.FLOAT)
    net.node("Conv", image, weight)
    return net


@dialect(HEAD)
def half_network_between_casts() -> Net:
    net = Net().then("Cast", to=TensorProto.FLOAT16)
    half = [net.weight(net.rng.normal(size=shape), np.float16) for shape in ((4, 3, 3, 3), (4,), (5, 4), (5,))]
    net.then("Conv", half[0], half[1]).then("Clip", net.weight(0, np.float16), net.weight(6, np.float16))
    net.then("GlobalAveragePool").then("Flatten").then("Gemm", half[2], half[3], transB=1)
    return net.then("Cast", to=TensorProto.FLOAT)


@dialect(HEAD)
def negative_batch() -> Net:
    return features(shape=(-1, 3, 12, 12)).head(4).output(shape=[-1, 5])


@dialect("conv2d conv2d")
def clip_bounds_cast_like_the_input() -> Net:
    net = Net(opset=18).conv(3, 4)
    image = net.x
    low, high = (net.node("CastLike", net.weight(bound, np.int64), image) for bound in (0, 6))
    net.node("Clip", image, low, high)
    return net.conv(4, 4)


@dialect("conv2d conv2d")
def computed_weights() -> Net:
    net = Net()
    weight = net.node("Transpose", net.random(3, 3, 3, 4), perm=[3, 2, 0, 1])
    weight = net.node("Mul", weight, net.random(4, 1, 1, 1))
    net.node("Conv", "x", weight)
    return net.conv(4, 4)


@dialect(HEAD)
def nodes_out_of_order() -> Net:
    net = features().head(4).output()
    net.nodes.reverse()
    return net


@dialect("conv2d")
def dead_branch_with_unknown_operator() -> Net:
    net = Net().conv(3, 4).output()
    return net.then("Sigmoid")


@dialect("conv2d conv2d")
def local_function() -> Net:
    net = Net(opset=15, domains={"mine": 1})
    body = [helper.make_node("Relu", ["a"], ["b"]), helper.make_node("Neg", ["b"], ["c"])]
    net.functions.append(helper.make_function("mine", "NegRelu", ["a"], ["c"], body, [helper.make_opsetid("", 15)]))
    return net.conv(3, 4).then("NegRelu", domain="mine").conv(4, 4, k=1)


@dialect("conv2d conv2d")
def if_with_constant_condition() -> Net:
    net = Net().conv(3, 4)

    def branch(op: str) -> GraphProto:
        made = helper.make_tensor_value_info(f"made_{op}", TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(op, [net.x], [f"made_{op}"])], op, [], [made])

    condition = net.weight(True, np.bool_)
    net.node("If", condition, then_branch=branch("Relu"), else_branch=branch("Sigmoid"))
    return net.conv(4, 4)


@dialect("conv2d conv2d add conv2d")
def fused_conv() -> Net:
    net = Net(domains={"com.microsoft": 1})
    weights = [net.random(4, 3, 3, 3), net.random(4)]
    net.then("FusedConv", *weights, domain="com.microsoft", activation="Relu")
    first = net.x
    weights = [net.random(4, 4, 1, 1), net.random(4)]
    net.then("FusedConv", *weights, first, domain="com.microsoft", activation="Relu")
    weights = [net.random(4, 4, 1, 1), net.random(4)]
    return net.then("FusedConv", *weights, domain="com.microsoft", activation="Clip", activation_params=[0.0, 6.0])


@dialect(HEAD)
def gather_that_takes_all() -> Net:
    net = features().then("GlobalAveragePool")
    net.then("Reshape", net.ints(-1)).then("Gather", net.weight(np.arange(4).reshape(1, 4, 1, 1), np.int64))
    net.then("Reshape", net.ints(1, 4))
    return net.then("Gemm", net.random(4, 6))


@dialect("conv2d conv2d")
def nameless_nodes() -> Net:
    net = Net().conv(3, 4).then("Relu").conv(4, 4)
    for node in net.nodes:
        node.name = ""
    return net
