"""A segmenter's file -> its network, which ends with the classes' map, and what the file makes of it.

Its only output is a map as large as the image: enlarged linearly, or through a sigmoid or a softmax, or both, or the
largest class of each pixel already; of several outputs the first such one, where the user says that the file segments.
That is cut off, and made again on the device together with the choice of a class.
What is found is compared with the file, number by number, before it is believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper

from mbn2c.errors import ModelError
from mbn2c.frontend.convert import bare_copy
from mbn2c.frontend.fold_constants import bound_constants
from mbn2c.frontend.load import run_tool
from mbn2c.frontend.order import drop_dead_nodes
from mbn2c.frontend.runtime import Oracle
from mbn2c.ir.graph import Decoding, Graph, Note
from mbn2c.tasks.inputs import to_nhwc
from mbn2c.tasks.segmentation.segmenter import MOST_CLASSES, NAME, SIGMOID, SOFTMAX, SegmenterFacts

_TAILS = {"Sigmoid": SIGMOID, "Softmax": SOFTMAX}
_LOOKS = ("Identity", "Transpose")
# What may stand between a choice and the output.
_LOOKS_OF_CLASSES = ("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze")
# How many axes outputs have that are no maps, where the file says it.
_VECTORS = (1, 2)
# Two evaluations of the same float32 network differ by their rounding only.
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class CutMap:
    """A file without what it makes of its last map.

    model      the network
    file       all of it
    output     the file's
    map        the tensor that the network ends with
    transform  of the Resize behind it; "" if there is none
    tail       SIGMOID, SOFTMAX or ""
    is_choice  the file's output is the largest class of each pixel
    passed     names of the nodes between the map and the output
    """

    model: ModelProto
    file: ModelProto
    output: str
    map: str
    transform: str
    tail: str
    is_choice: bool
    passed: tuple[str, ...]

    @property
    def others(self) -> tuple[str, ...]:
        """The file's other outputs, which are left out."""
        return tuple(port.name for port in self.file.graph.output if port.name != self.output)


def cut_map(model: ModelProto, task: str = "") -> CutMap | None:
    """The network of a segmenter; None for any other file, which stays as it is.

    task  what the user says it is; "": nothing
    """
    ranks = {port.name: len(port.type.tensor_type.shape.dim) for port in model.graph.output}
    outputs = [name for name, rank in ranks.items() if len(ranks) == 1 or rank not in _VECTORS]
    if task not in ("", NAME) or (len(ranks) > 1 and task != NAME):
        return None
    found = (_cut(model, name, task == NAME and len(ranks) == 1) for name in outputs)
    return next((cut for cut in found if cut is not None), None)


def _cut(model: ModelProto, output: str, is_said: bool) -> CutMap | None:
    """is_said  it is a map whatever is behind it."""
    makers = {name: node for node in model.graph.node for name in node.output}
    passed = _choice(output, makers)
    is_choice = bool(passed)
    name = passed[-1].input[0] if is_choice else output
    transform, tail = "", ""
    while (node := makers.get(name)) is not None:
        if node.op_type in _TAILS and not tail and not transform:
            tail = _TAILS[node.op_type]
        elif node.op_type in ("Resize", "Upsample") and not transform and _is_linear(node):
            transform = _transform(node, model)
        elif node.op_type not in _LOOKS:
            break
        passed.append(node)
        name = node.input[0]
    # What only turns the axes of the map belongs to the network.
    while passed and passed[-1].op_type in _LOOKS:
        name = passed.pop().output[0]
    if node is None or not (is_said or transform or tail or is_choice):
        return None
    network = ModelProto()
    network.CopyFrom(model)
    del network.graph.output[:]
    network.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    drop_dead_nodes(network.graph)
    names = tuple(one.name or one.op_type for one in reversed(passed))
    return CutMap(network, model, output, name, transform, tail, is_choice, names)


def _choice(output: str, makers: Mapping[str, NodeProto]) -> list[NodeProto]:
    """The nodes from an output back to the one that chooses the largest class; [] if none does."""
    passed: list[NodeProto] = []
    name = output
    while (node := makers.get(name)) is not None and node.op_type in (*_LOOKS_OF_CLASSES, "ArgMax"):
        passed.append(node)
        if node.op_type == "ArgMax":
            return [] if _attribute(node, "select_last_index") else passed
        name = node.input[0]
    return []


def read_map(cut: CutMap, graph: Graph, task: str = "") -> tuple[Decoding, Note] | None:
    """What was cut off, as data, and in words; None if it is no map of classes as large as the image.

    graph   of `cut.model`
    task    as of `cut_map`
    raises  ModelError if the user says that it is one
    """
    [port] = graph.outputs
    _, height, width, _ = graph.tensors[graph.inputs[0].tensor].shape
    if len(port.shape) != 4:
        _refuse(cut, task, f"a last layer of shape {port.shape}")
        return None
    found = _chosen(cut, graph) if cut.is_choice else _outputs(cut, graph)
    values, whole = to_nhwc(found[cut.map].reshape(port.shape), port.permutation), found[cut.output]
    channels = values.shape[3]
    facts = SegmenterFacts(_words(cut, channels), height, width, cut.transform or "half_pixel", cut.tail, cut.passed)
    if wrong := _wrong_with(cut, facts, values, whole, task == NAME):
        _refuse(cut, task, wrong)
        return None
    choice = "the largest is chosen" if channels > 1 else f"{facts.threshold:g} or more is class 1"
    exact = "" if facts.is_exact(*values.shape[1:3]) else ", exact where ONNX Runtime's Resize rounds"
    left_out = f"; left out: {', '.join(cut.others)}" if cut.others else ""
    text = f"{facts.ending}; {choice} on the device, row by row{exact} (--task raw leaves the file's output){left_out}"
    return facts.to_decoding(), Note("decoding", graph.name, text)


def _wrong_with(cut: CutMap, facts: SegmenterFacts, values: np.ndarray, whole: np.ndarray, is_said: bool) -> str:
    """Why the file's output `whole` is no map of classes made of `values` [1, h, w, C]; "" if it is one.

    is_said  the user says that it is one
    """
    channels, size = values.shape[3], (facts.height, facts.width)
    if whole.size != size[0] * size[1] * (1 if cut.is_choice else channels) or (
        values.shape[1:3] != size and not cut.transform
    ):
        return f"an output of shape {whole.shape} for an image of {size[0]}x{size[1]}"
    wanted = {SIGMOID} if channels == 1 else {SOFTMAX, ""}
    if channels == 1 and cut.is_choice:
        return "the largest of one channel"
    if channels > MOST_CLASSES or not (cut.tail in wanted or (is_said and not cut.tail)):
        return f"{channels} channels through {cut.tail or 'no function'}"
    if cut.is_choice:
        is_made_so = not facts.differing(whole.reshape(size).astype(np.uint8), values)
        return "" if is_made_so else f"output '{cut.output}' is not the largest class of '{cut.map}' as it seems"
    made = _with_tail(cut.tail, facts.resized(values))
    bound = _TOLERANCE * max(1.0, float(np.abs(whole).max()))
    # The file's axes may lie in another order.
    orders = [one for one in (made, made.transpose(0, 3, 1, 2)) if one.shape == whole.shape]
    is_made_so = any(np.abs(one - whole).max() <= bound for one in orders)
    return "" if is_made_so else f"output '{cut.output}' is not made of '{cut.map}' as it seems"


def _words(cut: CutMap, channels: int) -> str:
    resized = f", enlarged linearly ({cut.transform})" if cut.transform else ""
    tail = f", {cut.tail}" if cut.tail else ""
    choice = ", the largest" if cut.is_choice else ""
    return f"a map of {channels} {'class' if channels == 1 else 'classes'}{resized}{tail}{choice}"


def _with_tail(tail: str, values: np.ndarray) -> np.ndarray:
    if tail == SIGMOID:
        return np.asarray(np.exp(-np.logaddexp(0.0, -values)))
    if tail == SOFTMAX:
        powers = np.exp(values - values.max(axis=3, keepdims=True))
        return np.asarray(powers / powers.sum(axis=3, keepdims=True))
    return values


def _refuse(cut: CutMap, task: str, what: str) -> None:
    """Raises ModelError if the user says that it is a segmenter."""
    if task == NAME:
        hint = "one output as large as the image: a channel for each class, or one through a sigmoid; else --task raw"
        raise ModelError(f"no segmenter: {what}", where=f"output '{cut.output}'", hint=hint)


def _attribute(node: NodeProto, name: str) -> object:
    return next((helper.get_attribute_value(one) for one in node.attribute if one.name == name), None)


def _is_linear(node: NodeProto) -> bool:
    return _attribute(node, "mode") in (b"linear", b"bilinear")


def _transform(node: NodeProto, model: ModelProto) -> str:
    """ONNX's coordinate_transformation_mode, which older opsets have no word for."""
    opset = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 0)
    if node.op_type == "Upsample" or opset < 11:
        return "asymmetric"
    said = _attribute(node, "coordinate_transformation_mode")
    return said.decode() if isinstance(said, bytes) else "half_pixel"


def _chosen(cut: CutMap, graph: Graph) -> dict[str, np.ndarray]:
    """The file's output of a random map, and that map: of a random image all pixels may be of one class."""
    behind = ModelProto()
    behind.CopyFrom(cut.file)
    kept = [node for node in cut.file.graph.node if cut.map not in node.output]
    del behind.graph.node[:]
    behind.graph.node.extend(kept)
    [port] = graph.outputs
    behind.graph.input.append(helper.make_tensor_value_info(cut.map, TensorProto.FLOAT, port.shape))
    drop_dead_nodes(behind.graph)
    bound_constants(behind)
    _check(behind, graph)
    generator = np.random.default_rng(0)
    image, values = (generator.normal(size=one).astype(np.float32) for one in (graph.inputs[0].shape, port.shape))
    found = Oracle(behind.SerializeToString()).run({graph.inputs[0].outside: image, cut.map: values})
    return {**found, cut.map: values}


def _outputs(cut: CutMap, graph: Graph) -> dict[str, np.ndarray]:
    """The file's output and the map, of a random image."""
    whole = ModelProto()
    whole.CopyFrom(cut.file)
    if cut.map not in {port.name for port in whole.graph.output}:
        whole.graph.output.append(helper.make_empty_tensor_value_info(cut.map))
    bound_constants(whole)
    _check(cut.file, graph)
    image = np.random.default_rng(0).normal(size=graph.inputs[0].shape).astype(np.float32)
    return Oracle(whole.SerializeToString()).run({graph.inputs[0].outside: image})


def _check(model: ModelProto, graph: Graph) -> None:
    """Raises ModelError if ONNX Runtime had better not see it."""
    bare = bare_copy(model, list(model.graph.node))
    run_tool("the ONNX checker", f"model '{graph.name}'", lambda: onnx.checker.check_model(bare))
