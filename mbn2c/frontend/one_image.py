"""A model of a fixed batch of N images -> the same model of one, where it treats each image by itself."""

from __future__ import annotations

import numpy as np
from onnx import AttributeProto, ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

from mbn2c.errors import ModelError
from mbn2c.frontend.runtime import Oracle
from mbn2c.ir.graph import Note

# Two evaluations of the same float32 network differ by their rounding only.
_TOLERANCE = 1e-4


def to_one_image(model: ModelProto) -> tuple[ModelProto, int]:
    """A copy with batch 1, and the batch of the file; the model as it is, and 1, where that is dynamic or no batch."""
    entrance = _entrance(model)
    shape = [] if entrance is None else [dim.dim_value for dim in entrance.type.tensor_type.shape.dim]
    if len(shape) not in (2, 4) or min(shape) < 1 or shape[0] == 1:
        return model, 1
    return _with_batch_1(model, shape[0]), shape[0]


def check_images_are_apart(original: ModelProto, single: ModelProto) -> Note:
    """Whether `single` makes of each of some random images what the file makes of all of them together.

    original  with its own batch; what both are made of is known to be supported
    raises    ModelError if an image's result depends on the others
    """
    entrance = _entrance(original)
    assert entrance is not None
    shape = [dim.dim_value for dim in entrance.type.tensor_type.shape.dim]
    generator = np.random.default_rng(0)
    kind = helper.tensor_dtype_to_np_dtype(entrance.type.tensor_type.elem_type)
    is_real = np.issubdtype(kind, np.floating)
    images = (generator.normal(size=shape) if is_real else generator.integers(0, 128, shape)).astype(kind)
    if not _are_apart(original, single, entrance.name, images):
        raise ModelError(
            f"the batch size is {shape[0]}, and not every operator treats its images separately",
            where=f"input '{entrance.name}'",
            hint="export with batch 1 or a dynamic batch axis",
        )
    text = (
        f"the file's batch of {shape[0]} images is compiled for one; none of them was seen to change another's result"
    )
    return Note("batch", entrance.name, text)


def _entrance(model: ModelProto) -> ValueInfoProto | None:
    constants = {tensor.name for tensor in model.graph.initializer}
    entrances = [port for port in model.graph.input if port.name not in constants]
    return entrances[0] if len(entrances) == 1 else None


def _with_batch_1(model: ModelProto, batch: int) -> ModelProto:
    single = ModelProto()
    single.CopyFrom(model)
    graph = single.graph
    constants = {tensor.name for tensor in graph.initializer}
    for port in (*graph.input, *graph.output, *graph.value_info):
        dims = port.type.tensor_type.shape.dim
        if port.name not in constants and dims and dims[0].dim_value == batch:
            dims[0].dim_value = 1
    shapes = {node.input[1] for node in graph.node if node.op_type in ("Reshape", "Expand") and len(node.input) > 1}
    for tensor in graph.initializer:
        if tensor.name in shapes:
            tensor.CopyFrom(_leading_one(tensor, batch))
    for node in graph.node:
        if node.op_type == "Constant" and node.output[0] in shapes:
            for attribute in node.attribute:
                if attribute.type == AttributeProto.TENSOR:
                    attribute.t.CopyFrom(_leading_one(attribute.t, batch))
    return single


def _leading_one(tensor: TensorProto, batch: int) -> TensorProto:
    numbers = numpy_helper.to_array(tensor).copy()
    if numbers.ndim == 1 and numbers.size > 1 and numbers[0] == batch:
        numbers[0] = 1
    return numpy_helper.from_array(numbers, tensor.name)


def _are_apart(original: ModelProto, single: ModelProto, name: str, images: np.ndarray) -> bool:
    together = Oracle(original.SerializeToString()).run({name: images})
    alone = Oracle(single.SerializeToString())
    found = [alone.run({name: image[None]}) for image in images]
    for output, expected in together.items():
        parts = [one[output] for one in found]
        if any(part.ndim == 0 or part.shape[0] != 1 for part in parts):
            return False
        joined = np.concatenate(parts)
        allowed = _TOLERANCE * float(np.abs(expected).max(initial=0))
        if joined.shape != expected.shape or not np.allclose(joined, expected, rtol=0, atol=allowed):
            return False
    return True
