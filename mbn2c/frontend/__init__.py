"""ONNX file -> float32 Graph: NHWC, one batch, no layout nodes left. The only door to the `onnx` package for reading.

`load` makes sure the file is whole, `convert` walks its nodes in order (folding constants with ONNX's reference
implementation), `nodes` turns each into plain data, `operators` says what it becomes, `ir.axes` keeps track of axis
orders. `unsupported` lists what cannot compile, `cut` says where the model could end instead.
"""

from __future__ import annotations

from pathlib import Path

from onnx import ModelProto

from mbn2c.errors import ModelError
from mbn2c.files.user_files import text_of
from mbn2c.frontend.conditions import without_conditions
from mbn2c.frontend.cut import convert_or_cut
from mbn2c.frontend.detectors import cut_decoding, read_decoding
from mbn2c.frontend.load import Loaded, load_model, notes_of
from mbn2c.frontend.loops import without_loops
from mbn2c.frontend.segmenters import cut_map, read_map
from mbn2c.ir.graph import Graph
from mbn2c.tasks.detection.anchors import GivenAnchors
from mbn2c.tasks.detection.detector import NAME as DETECTION
from mbn2c.tasks.protocol import RAW
from mbn2c.tasks.segmentation.segmenter import NAME as SEGMENTATION

_NO_HEAD = "docs/detection.md lists the heads that are recognised; build without --anchors returns raw outputs"

_IS_CENTROIDS = "if connected cells of the map are objects, as FOMO's, build with --task detection"
_NO_DETECTOR = (
    "docs/detection.md lists the heads that are recognised; of TensorFlow's SSDs without anchors give these, too"
)

_NO_SEGMENTER = "docs/segmentation.md lists the ends of files that are recognised"

__all__ = ["import_model", "model_bytes"]

_WANTS_ANCHORS = "if these are heads of an SSD, build with --anchors FILE.npy and --box-coder tf or torchvision"


def import_model(path: Path, anchors: GivenAnchors | None = None, task: str = "") -> Graph:
    """Read a float MobileNet from an ONNX file.

    path    the .onnx file; external weights must lie in its folder
    anchors of a detector whose file has none
    task    what the user says that it is; RAW: what a detector's heads or a last map mean is not read; "": as found
    returns the Graph, stage "imported" of `ir.check`; named after the file
    raises  UsageError if there is no such file; ModelError if the model is broken or not supported
    """
    try:
        loaded = load_model(path)
        model = without_conditions(without_loops(loaded.model))
        cut = cut_decoding(model, anchors is not None, task)
        if cut is None and anchors is not None:
            raise ModelError("no head is recognised that wants anchors", where=str(path), hint=_NO_HEAD)
        if cut is None and task == DETECTION:
            raise ModelError("no detector's head is recognised", where=str(path), hint=_NO_DETECTOR)
        if cut is None and (segmenter := _segmenter(loaded, path, task)) is not None:
            return segmenter
        try:
            graph = convert_or_cut(cut.model if cut else model, text_of(path.stem))
        except ModelError as error:
            hint = _wanted(model) if cut is None else ""
            if not hint:
                raise
            raise ModelError(error.what, where=error.where, hint=f"{hint}; or {error.hint}") from None
        graph = graph.rebuild(notes=notes_of(loaded))
        if cut is None or task == RAW:
            return graph
        return read_decoding(cut, graph, anchors)
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
        raise ModelError(
            f"the model cannot be understood ({type(error).__name__}: {str(error)[:200]})",
            where=str(path),
            hint="the file is damaged; if ONNX Runtime runs it, please report it with the model as a bug in mbn2c",
        ) from error


def _wanted(model: ModelProto) -> str:
    """What makes a detector of a file that is none by itself; "" if nothing does."""
    if cut_decoding(model, has_anchors=True) is not None:
        return _WANTS_ANCHORS
    return _IS_CENTROIDS if cut_decoding(model, task=DETECTION) is not None else ""


def _segmenter(loaded: Loaded, path: Path, task: str) -> Graph | None:
    """The Graph of a segmenter, up to the map that a class is chosen from; None for any other file."""
    cut = None if task == RAW else cut_map(loaded.model, task)
    if cut is None and task == SEGMENTATION:
        what = f"no segmenter: none of its {len(loaded.model.graph.output)} outputs is a map of classes"
        raise ModelError(what, where=str(path), hint=_NO_SEGMENTER)
    if cut is None:
        return None
    graph = convert_or_cut(cut.model, text_of(path.stem))
    found = read_map(cut, graph, task)
    return graph.rebuild(decoding=found[0], notes=[*notes_of(loaded), found[1]]) if found is not None else None


def model_bytes(path: Path, has_anchors: bool = False, graph: Graph | None = None) -> bytes:
    """The user's own model as one serialized file, external weights included; of a detector, up to the heads' maps.

    graph  what was made of it: of a segmenter that ends with the map, of a detector in which order its maps come
    """
    model = without_conditions(without_loops(load_model(path).model))
    task = graph.decoding.task if graph is not None and graph.decoding is not None else ""
    cut = cut_map(model, task) if task == SEGMENTATION else cut_decoding(model, has_anchors, task)
    found = cut.model if cut else model
    if cut and graph is not None:
        places = {port.outside: place for place, port in enumerate(graph.outputs)}
        ports = sorted(found.graph.output, key=lambda port: places.get(port.name, len(places)))
        del found.graph.output[:]
        found.graph.output.extend(ports)
    return bytes(found.SerializeToString(deterministic=True))
