"""A file of an opset before 7 -> the same in opset 7, by ONNX's version converter."""

from __future__ import annotations

from onnx import ModelProto, checker, helper, numpy_helper, version_converter

from mbn2c.frontend.limits import inferred

# The oldest opset that importer and ONNX Runtime know.
OLDEST_OPSET = 7
_BROADCASTING = ("Add", "Sub", "Mul", "Div", "Pow", "PRelu")


def to_known_opset(model: ModelProto) -> ModelProto:
    """The model converted; nodes may come back in another order.

    raises  whatever the converter does where it knows no way
    """
    checked, prepared = ModelProto(), ModelProto()
    checked.CopyFrom(model)
    for port in checked.graph.output:  # which the checker wants to have a shape; an empty one will do
        port.type.tensor_type.shape.SetInParent()
    checker.check_model(checked)  # before the converter's native code works on it
    prepared.CopyFrom(model)
    _spread_constants(prepared)
    return version_converter.convert_version(prepared, OLDEST_OPSET)


def _spread_constants(model: ModelProto) -> None:
    """Constants that are broadcast from an axis on get the axes behind it: the converter puts them elsewhere.

    source  ONNX operators Add and others before opset 7, attributes axis and broadcast; PRelu
    """
    ranks = {port.name: len(port.type.tensor_type.shape.dim) for port in (*model.graph.input, *inferred(model))}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        if node.op_type == "PRelu":
            attributes["axis"] = 1  # its slopes are of the channels
        if node.op_type not in _BROADCASTING or "axis" not in attributes or node.input[1] not in constants:
            continue
        array, rank = numpy_helper.to_array(constants[node.input[1]]), ranks.get(node.input[0], 0)
        axis = attributes["axis"] + (rank if attributes["axis"] < 0 else 0)
        if node.op_type == "PRelu" and array.size == 1:
            continue
        missing = rank - axis - array.ndim
        if missing < 0:
            continue
        name = f"{node.output[0]}__spread"
        spread = numpy_helper.from_array(array.reshape(array.shape + (1,) * missing), name)
        model.graph.initializer.append(spread)
        model.graph.input.append(helper.make_tensor_value_info(name, spread.data_type, spread.dims))
        node.input[1] = name
        kept = [one for one in node.attribute if one.name != "axis"]
        del node.attribute[:]
        node.attribute.extend(kept)
