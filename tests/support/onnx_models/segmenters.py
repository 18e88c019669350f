"""Segmenters' files, as exporters write their ends."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

# By name: classes, operators behind the map of a quarter of the image's size.
ENDS = {
    "logits, corners": (4, ("Resize",)),
    "softmax": (4, ("Resize", "Softmax")),
    "channels last": (4, ("Resize", "Transpose")),
    "yes and no": (1, ("Resize", "Sigmoid")),
    "turned inside": (4, ("Transpose", "Transpose back", "Resize")),
}
# Those that end in the number of the largest class.
CHOICES = {
    "argmax": (4, ("Resize", "ArgMax")),
    "softmax, argmax": (4, ("Resize", "Softmax", "ArgMax")),
    "argmax, channels last": (4, ("Resize", "Transpose", "ArgMax last")),
    "argmax, cast, squeezed": (4, ("Resize", "ArgMax", "Cast", "Squeeze")),
}


_OUTPUT_TYPES = {"ArgMax": TensorProto.INT64, "Squeeze": TensorProto.INT32}


def segmenter(ends: tuple[str, ...], classes: int, size: int = 17, out: tuple[int, int] | None = None) -> ModelProto:
    """A convolution of stride 4, then what `ends` names: Resize enlarges to the image's size, or to `out`."""
    generator = np.random.default_rng(1)
    weights = generator.normal(size=(classes, 3, 5, 5)).astype(np.float32)
    constants = {
        "weights": weights,
        "bias": generator.normal(size=classes).astype(np.float32),
        "sizes": np.array([1, classes, *(out or (size, size))], np.int64),
    }
    nodes = [helper.make_node("Conv", ["image", "weights", "bias"], ["map"], strides=[4, 4], pads=[2, 2, 2, 2])]
    for number, kind in enumerate(ends):
        source, made = nodes[-1].output[0], f"made_{number}"
        if kind == "Resize":
            transform = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
            nodes.append(helper.make_node("Resize", [source, "", "", "sizes"], [made], **transform))
        elif kind.startswith("Transpose"):
            order = [0, 3, 1, 2] if kind.endswith("back") else [0, 2, 3, 1]
            nodes.append(helper.make_node("Transpose", [source], [made], perm=order))
        elif kind == "Cast":
            nodes.append(helper.make_node("Cast", [source], [made], to=TensorProto.INT32))
        else:
            attributes = {"axis": 3 if kind.endswith("last") else 1} if kind[:4] in ("Soft", "ArgM") else {}
            nodes.append(helper.make_node(kind.split()[0], [source], [made], **attributes))
    graph = helper.make_graph(
        nodes,
        "segmenter",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, size, size))],
        [
            helper.make_tensor_value_info(
                nodes[-1].output[0], _OUTPUT_TYPES.get(nodes[-1].op_type, TensorProto.FLOAT), None
            )
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
