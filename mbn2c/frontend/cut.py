"""A model that is refused -> where to cut it so that what is left compiles, and the command that does."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper

from mbn2c.errors import ModelError
from mbn2c.frontend.convert import bare_copy, convert, input_layouts, input_shape, walk
from mbn2c.frontend.load import run_tool
from mbn2c.frontend.nodes import domain_of
from mbn2c.frontend.operators import IMPORTERS, WEIGHTED
from mbn2c.frontend.order import drop_dead_nodes, used_names
from mbn2c.frontend.tails import ends_of
from mbn2c.frontend.unsupported import PASS_ON
from mbn2c.ir.axes import LayoutError, labeled, nhwc_shape, port_permutation
from mbn2c.ir.graph import Graph
from mbn2c.ops.base.builder import Builder

_MOST_CUTS = 12
# What a walk over nodes that nothing has checked yet may raise; `import_model` knows the same.
_NOT_UNDERSTOOD = (ModelError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def convert_or_cut(model: ModelProto, name: str) -> Graph:
    """As `convert`; where it refuses and most of the network does compile, the hint also says where to cut.

    raises  ModelError
    """
    try:
        return convert(model, name)
    except ModelError as error:
        try:
            cuts = cut_points(model, name)
        except _NOT_UNDERSTOOD:
            cuts = []
        if not cuts:
            raise
        words = f"or end the model where all before it compiles: {cut_command(name, _entrances(model)[0], cuts)}"
        raise ModelError(error.what, where=error.where, hint=f"{error.hint}; {words}") from None


def cut_command(name: str, entrance: str, cuts: Sequence[str]) -> str:
    """What ends the file of a model at these tensors."""
    command = f"onnx.utils.extract_model('{name}.onnx', '{name}_cut.onnx', {[entrance]}, {list(cuts)})"
    return f'python -c "import onnx.utils; {command}"'


def cut_points(model: ModelProto, name: str) -> list[str]:
    """The tensors up to which everything compiles, each tried; [] where that is less than half of the layers.

    raises  ModelError and others where the model is broken, too
    """
    nodes = list(model.graph.node)
    entrances = _entrances(model)
    total = sum(node.op_type in WEIGHTED for node in nodes)
    if len(entrances) != 1 or not total:
        return []
    kept = _supported(nodes, {tensor.name for tensor in model.graph.initializer} | set(entrances))
    part = ModelProto()
    part.CopyFrom(bare_copy(model, kept))
    del part.graph.output[:]
    run_tool("the ONNX checker", f"model '{name}'", lambda: onnx.checker.check_model(part))
    shape = input_shape(next(port for port in model.graph.input if port.name == entrances[0]))
    tried = [_walked(model, kept, entrances[0], shape, layout) for layout in input_layouts(shape)]
    builder, done = max(tried, key=lambda one: len(one[1]))
    if 2 * sum(node.op_type in WEIGHTED for node in done) < total:
        return []
    cuts = _frontier(builder, nodes, done, {port.name for port in model.graph.output}, entrances[0])
    outputs = [port.name for port in model.graph.output]
    if not cuts or len(cuts) > _MOST_CUTS or cuts == outputs:
        return []
    convert(_ended(model, builder, cuts), name)
    return cuts


def _entrances(model: ModelProto) -> list[str]:
    constants = {tensor.name for tensor in model.graph.initializer}
    return [port.name for port in model.graph.input if port.name not in constants]


def _supported(nodes: Sequence[NodeProto], known: set[str]) -> list[NodeProto]:
    """The nodes of known kinds that nothing unknown is needed for."""
    kept = []
    for node in nodes:
        kind = (domain_of(node), node.op_type)
        fits = kind in IMPORTERS or node.op_type in ("Constant", "Shape", "Size", "CastLike")
        if all(name in known for name in used_names(node)) and (fits or not node.input):
            known.update(node.output)
            kept.append(node)
    return kept


def _walked(
    model: ModelProto, nodes: Sequence[NodeProto], entrance: str, shape: tuple[int, ...], layout: tuple[int, ...]
) -> tuple[Builder, list[NodeProto]]:
    """The walk of `convert` past what fails; returns the nodes that did not, too."""
    opsets = {domain_of(NodeProto(domain=one.domain)): one.version for one in model.opset_import}
    builder = Builder(opsets, ends_of(model.graph, PASS_ON))
    for tensor in model.graph.initializer:
        builder.constants[tensor.name] = onnx.numpy_helper.to_array(tensor)
    builder.values[entrance] = labeled(builder.add_activation(entrance, nhwc_shape(shape, layout)), shape, layout)
    done = []
    for node in nodes:
        try:
            walk(builder, [node])
            done.append(node)
        except _NOT_UNDERSTOOD:
            continue
    return builder, done


def _frontier(
    builder: Builder, nodes: Sequence[NodeProto], done: Sequence[NodeProto], outputs: set[str], entrance: str
) -> list[str]:
    """What the rest of the network reads, or earlier tensors where that can be no output; [] if it reads the image."""
    maker = {name: node for node in done for name in node.output}
    finished = {id(node) for node in done}
    needed = outputs | {name for node in nodes if id(node) not in finished for name in used_names(node)}
    cuts: list[str] = []
    waiting = [name for name in builder.values if name in needed]
    while waiting:
        name = waiting.pop(0)
        if name == entrance or builder.values[name].tensor == builder.values[entrance].tensor:
            return []
        try:
            port_permutation(builder.values[name])
            if name not in cuts:
                cuts.append(name)
        except LayoutError:
            waiting += [source for source in maker[name].input if source in builder.values]
    return cuts


def _ended(model: ModelProto, builder: Builder, cuts: Sequence[str]) -> ModelProto:
    ended = ModelProto()
    ended.CopyFrom(model)
    del ended.graph.output[:]
    for name in cuts:
        shape = builder.values[name].shape
        ended.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    drop_dead_nodes(ended.graph)
    return ended
