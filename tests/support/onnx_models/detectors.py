"""Small SSDs with random weights: in the form of the ST SSD, scores, corner offsets and anchors of all levels; and such
whose file decodes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

from onnx_models.net import Net


def anchors_of(side: int, sizes: tuple[float, ...]) -> np.ndarray:
    """x0, y0, x1, y1 of each, in parts of the image: [side * side * len(sizes), 4]."""
    y, x = np.mgrid[:side, :side]
    centres = (np.stack([x, y, x, y], axis=-1) + 0.5) / side
    halves = np.array([[-size / 2, -size / 2, size / 2, size / 2] for size in sizes])
    return (centres[:, :, None] + halves).reshape(-1, 4).astype(np.float32)


def ssd(side: int = 32, sizes: tuple[float, ...] = (0.3, 0.6), has_anchors: bool = True) -> Net:
    """Levels of side / 4 and side / 8, and of one pixel without a Transpose; two classes, background first.

    has_anchors  the file ends in Softmax and anchors; else in logits and offsets, as TensorFlow's raw heads
    """
    net = Net(shape=(1, 3, side, side)).conv(3, 8, strides=[2, 2]).relu6()
    net.conv(8, 8, strides=[2, 2]).relu6()
    levels = [(net.x, side // 4)]
    net.conv(8, 8, strides=[2, 2]).relu6()
    levels.append((net.x, side // 8))
    net.conv(8, 8, k=side // 8, pads=[0, 0, 0, 0]).relu6()
    levels.append((net.x, 1))
    joined = []
    for values in (2, 4):
        parts = []
        for features, extent in levels:
            net.x = features
            net.conv(8, len(sizes) * values, k=1 if extent == 1 else 3)
            if extent > 1:
                net.then("Transpose", perm=[0, 2, 3, 1])
            parts.append(net.then("Reshape", net.ints(1, extent * extent * len(sizes), values)).x)
        joined.append(net.node("Concat", *parts, axis=1))
    if not has_anchors:
        net.outputs += [(joined[0], (1, None, 2)), (joined[1], (1, None, 4))]
        return net
    anchors = np.concatenate([anchors_of(extent, sizes) for _, extent in levels])[None]
    net.node("Softmax", joined[0], axis=2)
    net.output()
    net.outputs.append((joined[1], None))
    net.node("Identity", net.weight(anchors))
    return net.output()


@dataclass(frozen=True)
class Decoding:
    """How `decoded` makes boxes of offsets, beside NonMaxSuppression.

    coder     centres: logarithms of sizes; sizes: linear ones; distances; corners
    scales    of centre and size
    form      of the boxes: yx, xy, or centred (center_point_box)
    unit      1 for parts of the image, else pixels
    score     Sigmoid, Softmax, or "": the maps' own numbers
    classes   scores of an anchor
    first     classes before this are not read
    values    of an anchor
    """

    coder: str = "centres"
    scales: tuple[float, float] = (10.0, 5.0)
    form: str = "yx"
    unit: int = 1
    score: str = "Sigmoid"
    classes: int = 2
    first: int = 1
    values: int = 4
    limits: tuple[int, float, float] = (20, 0.6, 0.05)


def _heads(net: Net, classes: int, values: int, side: int, anchors: int) -> tuple[str, str]:
    """Scores [1, N, classes] and offsets [1, N, values] of levels of side / 4 and side / 8."""
    net.conv(3, 8, strides=[2, 2]).relu6()
    net.conv(8, 8, strides=[2, 2]).relu6()
    fine = net.x
    net.conv(8, 8, strides=[2, 2]).relu6()
    levels = [(fine, side // 4), (net.x, side // 8)]
    joined = []
    for count in (classes, values):
        parts = []
        for features, extent in levels:
            net.x = features
            net.conv(8, anchors * count, k=1).then("Transpose", perm=[0, 2, 3, 1])
            parts.append(net.then("Reshape", net.ints(1, extent * extent * anchors, count)).x)
        joined.append(net.node("Concat", *parts, axis=1))
    return joined[0], joined[1]


def raw_heads(values: int, side: int = 32, anchors: int = 2) -> Net:
    """Offsets and logits of one class, as BlazeFace returns them."""
    net = Net(shape=(1, 3, side, side))
    scores, offsets = _heads(net, 1, values, side, anchors)
    net.outputs += [(offsets, (1, None, values)), (scores, (1, None, 1))]
    return net


def before_postprocess(classes: int, domain: str = "tflite", **attributes: float) -> Net:
    """Heads before TFLite's own operator, which only its converters know."""
    net = Net(shape=(1, 3, 32, 32), domains={domain: 1} if domain else {})
    scores, offsets = _heads(net, classes, 4, 32, 2)
    corners = np.concatenate([anchors_of(side, (0.2, 0.35)) for side in (8, 4)])
    centres = (corners[:, :2] + corners[:, 2:]) / 2
    anchors = np.concatenate([centres, corners[:, 2:] - corners[:, :2]], axis=1)[:, [1, 0, 3, 2]]
    inputs = (offsets, net.node("Sigmoid", scores), net.weight(anchors))
    first = net.node("TFLite_Detection_PostProcess", *inputs, outputs=4, domain=domain, **attributes)
    net.outputs += [(first, None), *((f"{first}_{number}", None) for number in (1, 2, 3))]
    return net


def centroids(side: int = 32, classes: int = 3, is_nhwc: bool = False, score: str = "Softmax") -> Net:
    """As FOMO: scores of each cell of 8x8 pixels, a background's first."""
    net = Net(shape=(1, 3, side, side)).conv(3, 8, strides=[2, 2]).relu6()
    net.conv(8, 8, strides=[2, 2]).relu6().conv(8, 8, strides=[2, 2]).relu6()
    net.conv(8, classes, k=1)
    if is_nhwc:
        net.then("Transpose", perm=[0, 2, 3, 1])
    net.then(score, **({"axis": 3 if is_nhwc else 1} if score == "Softmax" else {}))
    return net.output(shape=(1, side // 8, side // 8, classes) if is_nhwc else (1, classes, side // 8, side // 8))


def heat_maps(side: int = 64, classes: int = 3, stride: float = 4.0, is_centred: bool = False) -> Net:
    """As CenterNet: peaks of sigmoids, of which TopK takes the best 20, and four numbers of each pixel: distances of
    the sides, or a shift of the centre and the size, all in pixels of the map. [1, 20, 6]: box, score and class."""
    net = Net(shape=(1, 3, side, side)).conv(3, 8, strides=[2, 2]).relu6()
    net.conv(8, 8, strides=[2, 2]).relu6()
    features, extent = net.x, side // 4
    net.conv(8, classes, k=1).then("Sigmoid")
    heat = net.node("Transpose", net.x, perm=[0, 2, 3, 1])
    net.x = features
    net.conv(8, 4, k=1)
    numbers = net.node("Reshape", net.node("Transpose", net.x, perm=[0, 2, 3, 1]), net.ints(extent * extent, 4))
    pooled = net.node("MaxPool", net.node("Transpose", heat, perm=[0, 3, 1, 2]), kernel_shape=[3, 3], pads=[1] * 4)
    peaks = net.node("Equal", heat, net.node("Transpose", pooled, perm=[0, 2, 3, 1]))
    left = net.node("Mul", heat, net.node("Cast", peaks, to=TensorProto.FLOAT))
    best = net.node("TopK", net.node("Reshape", left, net.ints(-1)), net.ints(20), outputs=2)
    place = net.node("Div", f"{best}_1", net.ints(classes))
    label = net.node("Sub", f"{best}_1", net.node("Mul", place, net.ints(classes)))
    row = net.node("Div", place, net.ints(extent))
    column = net.node("Sub", place, net.node("Mul", row, net.ints(extent)))
    found = net.node("Gather", numbers, place, axis=0)

    def as_column(name: str) -> str:
        return net.node("Unsqueeze", net.node("Cast", name, to=TensorProto.FLOAT), net.ints(1))

    def pair(first: int) -> str:
        return net.node("Slice", found, net.ints(first), net.ints(first + 2), net.ints(1))

    at = net.node("Concat", as_column(column), as_column(row), axis=1)
    if is_centred:
        at, half = net.node("Add", at, pair(0)), net.node("Mul", pair(2), net.weight(0.5))
        ends = (net.node("Sub", at, half), net.node("Add", at, half))
    else:
        ends = (net.node("Sub", at, pair(0)), net.node("Add", at, pair(2)))
    boxes = net.node("Mul", net.node("Concat", *ends, axis=1), net.weight(stride))
    joined = net.node("Concat", boxes, net.node("Unsqueeze", best, net.ints(1)), as_column(label), axis=1)
    net.node("Unsqueeze", joined, net.ints(0))
    return net.output()


def torchvision_ssd(
    classes: int = 4, side: int = 32, sizes: tuple[float, ...] = (0.2, 0.35), is_dynamo: bool = False
) -> ModelProto:
    """As torchvision's ssdlite320 is exported: one image [1, 3, side, side] of 0 to 1, normalized inside; each class by
    itself above 0.05, its best 30, then one NonMaxSuppression of boxes that are moved apart by class; boxes, scores and
    labels of the best 20. The exporters differ in what stands for a choice by a mask, for clipping and for columns;
    TorchScript has images without a batch, put together to a batch, and asks whether there are boxes at all."""
    net = torchvision_image(side, is_dynamo)
    logits, deltas = _heads(net, classes, 4, side, len(sizes))
    anchors = np.concatenate([anchors_of(extent, sizes) for extent in (side // 4, side // 8)])
    return torchvision_chosen(net, logits, deltas, anchors, classes, side, is_dynamo)


def torchvision_image(side: int, is_dynamo: bool) -> Net:
    """What stands before the backbone."""
    net = Net(opset=18 if is_dynamo else 17, shape=(1, 3, side, side) if is_dynamo else (3, side, side))
    if is_dynamo:
        net.then("Gather", net.weight(0, np.int64), axis=0)
    net.then("Sub", net.weight(np.full((3, 1, 1), 0.5))).then("Div", net.weight(np.full((3, 1, 1), 0.5)))
    net.then("Unsqueeze", net.ints(0))
    return net if is_dynamo else net.then("Concat", axis=0)


def torchvision_chosen(
    net: Net, logits: str, deltas: str, anchors: np.ndarray, classes: int, side: int, is_dynamo: bool
) -> ModelProto:
    """What stands behind the heads [1, N, classes] and [1, N, 4]; anchors: in parts of the image."""
    first = net.weight(0, np.int64)
    scores = net.node("Gather", net.node("Softmax", logits, axis=2), first, axis=0)
    boxes = _torch_boxes(net, net.node("Gather", deltas, first, axis=0), anchors * side, side, is_dynamo)
    found = [_best_of_class(net, scores, boxes, label, is_dynamo) for label in range(1, classes)]
    boxes, scores, labels = (net.node("Concat", *parts, axis=0) for parts in zip(*found, strict=True))
    inner = net if is_dynamo else Net(opset=17)
    keep = _batched_nms(inner, boxes, scores, labels)
    if not is_dynamo:
        keep = net.node("If", _is_empty(net, boxes), then_branch=_nothing(), else_branch=_branch(inner, keep))
    keep = net.node("Slice", keep, net.ints(0), net.ints(20), net.ints(0))
    for values in (boxes, scores, labels):
        net.node("Gather", values, keep, axis=0)
        net.output()
    model = net.model()
    model.graph.output[2].type.tensor_type.elem_type = TensorProto.INT64
    return model


def _batched_nms(net: Net, boxes: str, scores: str, labels: str) -> str:
    """torchvision's: which boxes are kept, the best first."""
    farthest = net.node("Add", net.node("ReduceMax", boxes, keepdims=0), net.weight(1.0))
    apart = net.node("Mul", net.node("Cast", labels, to=TensorProto.FLOAT), farthest)
    moved = net.node("Add", boxes, net.node("Unsqueeze", apart, net.ints(1)))
    chosen = net.node(
        "NonMaxSuppression",
        net.node("Unsqueeze", moved, net.ints(0)),
        net.node("Unsqueeze", scores, net.ints(0, 1)),
        net.ints(2**31 - 1),
        net.weight([0.55]),
    )
    return net.node("Squeeze", net.node("Gather", chosen, net.ints(2), axis=1), net.ints(1))


def _is_empty(net: Net, boxes: str) -> str:
    return net.node("Equal", net.node("ReduceProd", net.node("Shape", boxes), keepdims=0), net.weight(0, np.int64))


def _nothing() -> GraphProto:
    """A branch that makes int64 [0]."""
    value = numpy_helper.from_array(np.zeros(0, np.int64))
    port = helper.make_tensor_value_info("none", TensorProto.INT64, [0])
    return helper.make_graph([helper.make_node("Constant", [], ["none"], value=value)], "then", [], [port])


def _branch(net: Net, made: str) -> GraphProto:
    """What stands in a Net as a branch; its names are those of the outer graph, too, and hide them."""
    port = helper.make_tensor_value_info(f"inner_{made}", TensorProto.INT64, [None])
    constants = [helper.make_node("Constant", [], [f"inner_{one.name}"], value=one) for one in net.weights]
    own = {one.name for one in net.weights} | {name for node in net.nodes for name in node.output}
    for node in net.nodes:
        node.input[:] = [f"inner_{name}" if name in own else name for name in node.input]
        node.output[:] = [f"inner_{name}" for name in node.output]
    return helper.make_graph([*constants, *net.nodes], "else", [], [port])


def _torch_boxes(net: Net, deltas: str, anchors: np.ndarray, side: int, is_dynamo: bool) -> str:
    """BoxCoder.decode_single and clip_boxes_to_image: [N, 4]."""
    extents, middles = anchors[:, 2:] - anchors[:, :2], (anchors[:, 2:] + anchors[:, :2]) / 2
    low, high = [], []
    for axis in (0, 1):
        parts = []
        for column, weight in ((axis, 10.0), (axis + 2, 5.0)):
            ends = (net.ints(column), net.ints(2**31 - 1), net.ints(1), net.ints(4))
            parts.append(net.node("Div", net.node("Slice", deltas, *ends), net.weight(weight)))
        limit = net.weight(np.log(1000 / 16))
        grown = net.node("Min", parts[1], limit) if is_dynamo else net.node("Clip", parts[1], "", limit)
        extent, middle = net.weight(extents[:, axis, None]), net.weight(middles[:, axis, None])
        centre = net.node("Add", net.node("Mul", parts[0], extent), middle)
        half = net.node("Mul", net.node("Mul", net.node("Exp", grown), extent), net.weight(0.5))
        low.append(net.node("Sub", centre, half))
        high.append(net.node("Add", centre, half))
    stacked = [net.node("Unsqueeze", one, net.ints(2)) for one in (*low, *high)]
    boxes = net.node("Reshape", net.node("Concat", *stacked, axis=2), net.ints(-1, 4))
    sides = []
    for axis in (0, 1):
        ends = (net.ints(axis), net.ints(2**31 - 1), net.ints(1), net.ints(2))
        part = net.node("Slice", boxes, *ends)
        if is_dynamo:
            part = net.node("Min", net.node("Max", part, net.weight(0.0)), net.weight(float(side)))
        else:
            part = net.node("Clip", part, net.weight(0.0), net.weight(float(side)))
        sides.append(net.node("Unsqueeze", part, net.ints(2)))
    return net.node("Reshape", net.node("Concat", *sides, axis=2), net.ints(-1, 4))


def _best_of_class(net: Net, scores: str, boxes: str, label: int, is_dynamo: bool) -> tuple[str, str, str]:
    if is_dynamo:
        ends = (net.ints(label), net.ints(label + 1), net.ints(1))
        score = net.node("Squeeze", net.node("Slice", scores, *ends), net.ints(1))
    else:
        score = net.node("Gather", scores, net.weight(label, np.int64), axis=1)
    mask = net.node("Greater", score, net.weight(0.05))
    places = net.node("Transpose", net.node("NonZero", mask), perm=[1, 0])
    if is_dynamo:
        score, box = net.node("GatherND", score, places), net.node("GatherND", boxes, places)
    else:
        places = net.node("Squeeze", places, net.ints(1))
        score, box = net.node("Gather", score, places, axis=0), net.node("Gather", boxes, places, axis=0)
    count = net.node("Min", net.node("Shape", score), net.ints(30))
    best = net.node("TopK", score, count, outputs=2, axis=0)
    label_of = net.node("Expand", net.weight([label], np.int64), net.node("Shape", best))
    return net.node("Gather", box, f"{best}_1", axis=0), best, label_of


def decoded(how: Decoding, side: int = 32, sizes: tuple[float, ...] = (0.2, 0.35)) -> Net:
    """Levels of side / 4 and side / 8, boxes decoded and chosen in the file."""
    net = Net(shape=(1, 3, side, side))
    scores, offsets = _heads(net, how.classes, how.values, side, len(sizes))
    boxes = _boxes(
        net, how, offsets, np.concatenate([anchors_of(extent, sizes) for extent in (side // 4, side // 8)]) * how.unit
    )
    if how.score:
        scores = net.node(how.score, scores, **({"axis": 2} if how.score == "Softmax" else {}))
    if how.first:
        ends = (net.ints(how.first), net.ints(how.classes), net.ints(2))
        scores = net.node("Slice", scores, *ends)
    turned = net.node("Transpose", scores, perm=[0, 2, 1])
    most, iou, least = how.limits
    limits = (net.ints(most), net.weight([iou]), net.weight([least]))
    chosen = net.node("NonMaxSuppression", boxes, turned, *limits, center_point_box=int(how.form == "centred"))
    place = net.node("Gather", chosen, net.weight(2, np.int64), axis=1)
    pair = net.node("Slice", chosen, net.ints(1), net.ints(3), net.ints(1))
    net.node("Gather", net.node("Squeeze", boxes, net.ints(0)), place, axis=0)
    net.output()
    net.node("GatherND", net.node("Squeeze", turned, net.ints(0)), pair)
    net.output()
    return net


def _boxes(net: Net, how: Decoding, offsets: str, anchors: np.ndarray) -> str:
    """[1, anchors, 4] in the form that is asked for."""
    flip = [1, 0] if how.form == "yx" else [0, 1]
    low, high = anchors[:, :2][:, flip], anchors[:, 2:][:, flip]
    middle, size = net.weight((low + high)[None] / 2), net.weight((high - low)[None])

    def part(first: int) -> str:
        return net.node("Slice", offsets, net.ints(first), net.ints(first + 2), net.ints(2))

    def divided(name: str, by: float) -> str:
        return net.node("Div", name, net.weight(by))

    if how.coder in ("corners", "distances"):
        ends = [net.node("Mul", divided(part(2 * i), how.scales[0]), size) for i in (0, 1)]
        before = "Add" if how.coder == "corners" else "Sub"
        starts = (net.weight(low[None]), net.weight(high[None])) if how.coder == "corners" else (middle, middle)
        return net.node("Concat", net.node(before, starts[0], ends[0]), net.node("Add", starts[1], ends[1]), axis=2)
    centre = net.node("Add", net.node("Mul", divided(part(0), how.scales[0]), size), middle)
    growth = divided(part(2), how.scales[1])
    extent = net.node("Mul", net.node("Exp", growth) if how.coder == "centres" else growth, size)
    if how.form == "centred":
        return net.node("Concat", centre, extent, axis=2)
    half = net.node("Mul", extent, net.weight(0.5))
    return net.node("Concat", net.node("Sub", centre, half), net.node("Add", centre, half), axis=2)
