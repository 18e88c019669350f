"""A detector's file -> its network, which ends with the heads' maps, and what the file makes of them.

Each family of heads is a module with `match`, which looks at nodes only; what it finds reads the rest, and compares it
with the file, number by number, before it is believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from onnx import ModelProto, TensorProto

from mbn2c.errors import ModelError
from mbn2c.frontend.convert import bare_copy
from mbn2c.frontend.cut import cut_command
from mbn2c.frontend.detectors import blazeface, centroids, concatenated, decoded, heatmaps, postprocess, yunet
from mbn2c.frontend.detectors.cut import Ends, HeadCut, MisreadError, ended
from mbn2c.frontend.fold_constants import bound_constants
from mbn2c.frontend.load import run_tool
from mbn2c.ir.graph import Graph, Note
from mbn2c.tasks.detection.anchors import GivenAnchors
from mbn2c.tasks.detection.detector import NAME, Detector

FAMILIES = (decoded.match, postprocess.match, concatenated.match, blazeface.match, yunet.match, heatmaps.match)


@dataclass(frozen=True)
class CutFile:
    """A file whose decoding is cut off.

    model  the network
    file   all of it, or what of it can be run
    """

    model: ModelProto
    file: ModelProto
    ends: Ends


def cut_decoding(model: ModelProto, has_anchors: bool = False, task: str = "") -> CutFile | None:
    """The network of a detector, with the heads' maps as outputs; None for any other file, which stays as it is.

    has_anchors  the user gives the anchors of a file that has none
    task         what the user says it is; of a detector, what could be a segmenter's map, too, is one of centroids
    """
    families = FAMILIES + ((centroids.match,) if task == NAME else ())
    ends = next((found for match in families if (found := match(model, has_anchors)) is not None), None)
    if ends is None:
        return None
    return CutFile(_ended(model, ends.maps), _ended(model, ends.stops) if ends.stops else model, ends)


def _ended(model: ModelProto, names: Sequence[str]) -> ModelProto:
    """With outputs of float32, as the ONNX checker wants them."""
    copy = ended(model, names)
    for port in copy.graph.output:
        port.type.tensor_type.elem_type = TensorProto.FLOAT
    return copy


def read_decoding(cut: CutFile, graph: Graph, given: GivenAnchors | None = None) -> Graph:
    """The Graph with what was cut off, as data, and in words.

    graph   of `cut.model`
    given   anchors of a file that has none
    raises  ModelError if the file does not make of the maps what was understood
    """
    bare = bare_copy(cut.file, list(cut.file.graph.node))
    run_tool("the ONNX checker", f"model '{graph.name}'", lambda: onnx.checker.check_model(bare))
    bound_constants(cut.file)
    try:
        found = cut.ends.read(HeadCut(cut.model, cut.file, graph, given))
    except MisreadError as misread:
        command = cut_command(graph.name, graph.inputs[0].outside, cut.ends.maps)
        raise ModelError(
            f"a detector's head, read as {cut.ends.family}, is something else: {misread}",
            where=f"model '{graph.name}'",
            hint=f"--task raw ends the network with the maps, which the device then returns; as this does: {command}",
        ) from None
    ports = {port.outside: port for port in graph.outputs}
    return graph.rebuild(
        outputs=tuple(ports[name] for name in found.maps) or graph.outputs,
        decoding=found.detector.to_decoding(),
        notes=[Note("decoding", graph.name, _described(found.detector, found.assumed))],
    )


def _described(detector: Detector, assumed: str) -> str:
    facts = detector.facts
    sizes = ", ".join(f"{one.height}x{one.width}x{one.anchors}" for one in facts.levels)
    return (
        f"{facts.family}: {len(detector.anchors)} anchors ({sizes}), {facts.classes} classes by {facts.score}{assumed}"
        f"; {len(facts.cut)} nodes are cut off and made again on the device: {facts.cut[0]} to {facts.cut[-1]}"
    )
