"""A detector's file -> its network, which ends with the heads' maps, and what the file makes of them.

Each family of heads is a module with `match`; what it finds is compared with the file, number by number, before it is
believed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper

from mbn2c.errors import ModelError
from mbn2c.frontend.convert import bare_copy
from mbn2c.frontend.cut import cut_command
from mbn2c.frontend.detectors import concatenated
from mbn2c.frontend.detectors.cut import Ends
from mbn2c.frontend.fold_constants import bound_constants
from mbn2c.frontend.load import run_tool
from mbn2c.frontend.order import drop_dead_nodes
from mbn2c.frontend.runtime import Oracle
from mbn2c.ir.graph import Decoding, Graph, Note
from mbn2c.tasks.detection.decode import probabilities
from mbn2c.tasks.detection.detector import SOFTMAX, Detector, DetectorFacts, HeadLevel, wrong_anchors

FAMILIES = (concatenated.match,)
# Two evaluations of the same float32 network differ by their rounding only.
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class CutFile:
    """A file whose decoding is cut off.

    model  the network
    file   all of it
    """

    model: ModelProto
    file: ModelProto
    ends: Ends


def cut_decoding(model: ModelProto, has_anchors: bool = False) -> CutFile | None:
    """The network of a detector, with the heads' maps as outputs; None for any other file, which stays as it is.

    has_anchors  the user gives the anchors of a file that has none
    """
    ends = next((found for match in FAMILIES if (found := match(model, has_anchors)) is not None), None)
    if ends is None:
        return None
    network = ModelProto()
    network.CopyFrom(model)
    del network.graph.output[:]
    for name in ends.maps:
        network.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    drop_dead_nodes(network.graph)
    return CutFile(network, model, ends)


def read_decoding(cut: CutFile, graph: Graph, given: np.ndarray | None = None) -> tuple[Decoding, Note]:
    """What was cut off, as data, and in words.

    graph   of `cut.model`
    given   anchors of a file that has none: x0, y0, x1, y1 of each in parts of the image
    raises  ModelError if the file does not make of the maps what was understood
    """
    ends, levels = cut.ends, []
    shapes = {port.outside: port.shape for port in graph.outputs}
    for name in ends.maps:
        if len(shapes[name]) != 4:
            raise _misread(cut, graph, f"'{name}' of shape {shapes[name]} is no map")
    found = _outputs(cut, graph)
    anchors = found[ends.anchors] if given is None else given
    scores, offsets = (found[head.output] for head in (ends.scores, ends.offsets))
    classes = scores.shape[-1]
    for score_map in ends.scores.maps:
        _, channels, height, width = shapes[score_map]
        levels.append(HeadLevel(height, width, channels // classes))
    places = sum(level.places for level in levels)
    anchors = anchors.reshape(-1, *anchors.shape[-1:])
    if wrong := wrong_anchors(anchors, places):
        raise _misread(cut, graph, wrong)
    values = offsets.size // places
    for score_map, offset_map, level in zip(ends.scores.maps, ends.offsets.maps, levels, strict=True):
        per_pixel = tuple(level.anchors * each for each in (classes, values))
        if (shapes[score_map][1], *shapes[offset_map][1:]) != (*per_pixel, level.height, level.width):
            what = f"a level of {shapes[score_map]} scores and {shapes[offset_map]} offsets"
            raise _misread(cut, graph, what)
    is_softmax = ends.scores.score == SOFTMAX
    facts = DetectorFacts(
        ends.family,
        tuple(levels),
        classes,
        0 if classes > 1 and (is_softmax or not ends.scores.is_applied) else -1,
        values,
        ends.scores.score,
        ends.coder,
        ends.order,
        ends.scales,
        ends.scores.passed + ends.offsets.passed,
    )
    for head, count in ((ends.scores, classes), (ends.offsets, values)):
        rows = [found[name].transpose(0, 2, 3, 1).reshape(-1, count) for name in head.maps]
        wanted, joined = found[head.output].reshape(-1, count), np.concatenate(rows)
        if head.score and head.is_applied:
            joined = probabilities(head.score, joined)
        bound = _TOLERANCE * max(1, np.abs(wanted).max())
        if joined.shape != wanted.shape or not np.abs(joined - wanted).max() <= bound:
            raise _misread(cut, graph, f"output '{head.output}' is not made of its maps as they lie")
    sizes = ", ".join(f"{one.height}x{one.width}x{one.anchors}" for one in levels)
    first = ", the first being the background" if classes > 1 else ""
    assumed = "" if ends.scores.is_applied else f" (assumed{first})"
    text = (
        f"{ends.family}: {len(anchors)} anchors ({sizes}), {classes} classes by {ends.scores.score}{assumed}; "
        f"{len(facts.cut)} nodes are cut off and made again on the device: {facts.cut[0]} to {facts.cut[-1]}"
    )
    return Detector(facts, anchors.astype(np.float64)).to_decoding(), Note("decoding", graph.name, text)


def _outputs(cut: CutFile, graph: Graph) -> dict[str, np.ndarray]:
    """The file's outputs and the heads' maps, of a random image."""
    where = f"model '{graph.name}'"
    whole = ModelProto()
    whole.CopyFrom(cut.file)
    for name in cut.ends.maps:
        whole.graph.output.append(helper.make_empty_tensor_value_info(name))
    bound_constants(whole)
    bare = bare_copy(cut.file, list(cut.file.graph.node))
    run_tool("the ONNX checker", where, lambda: onnx.checker.check_model(bare))
    image = np.random.default_rng(0).normal(size=graph.inputs[0].shape).astype(np.float32)
    return Oracle(whole.SerializeToString()).run({graph.inputs[0].outside: image})


def _misread(cut: CutFile, graph: Graph, what: str) -> ModelError:
    command = cut_command(graph.name, graph.inputs[0].outside, cut.ends.maps)
    return ModelError(
        f"a detector's head, read as {cut.ends.family}, is something else: {what}",
        where=f"outputs '{cut.ends.scores.output}' and '{cut.ends.offsets.output}'",
        hint=f"end the model with the maps, which the device then returns: {command}",
    )
