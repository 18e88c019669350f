"""Networks that were explored -> untrained ONNX files, and what defines them in Keras and PyTorch to be trained."""

from __future__ import annotations

from pathlib import Path

from mbn2c.commands.explore.points import ExploreOptions, network_of
from mbn2c.files.bundle import Bundle, write_bundle
from mbn2c.frontend.export import to_onnx_float
from mbn2c.network.lowered import import_lowered
from mbn2c.report.exploration import Exploration
from mbn2c.resources.render import plain_text

_DEFINITIONS = ("mobilenets_keras.py", "mobilenets_torch.py")


def export(options: ExploreOptions, found: Exploration, folder: Path) -> list[str]:
    """Write every network found into a folder; returns the paths of files that changed. Raises UsageError."""
    imported = None if options.model is None else import_lowered(options.model)
    bundle: Bundle = {}
    for one in found.points:
        graph = network_of(options, imported, one.family, one.width, one.size)
        bundle[f"{one.family}_{one.width:g}_{one.size}.onnx"] = to_onnx_float(graph)
    if imported is None:
        bundle |= {name: plain_text(f"explore/{name}").encode() for name in _DEFINITIONS}
    return [str(folder / path) for path in write_bundle(bundle, folder)]
