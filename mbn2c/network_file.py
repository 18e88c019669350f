"""int8 Graph <-> network.npz, so that an output folder can be verified, and built for another board, on its own.

The file holds one JSON text (structure) and the constant arrays; no code, no pickles.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mbn2c.errors import UsageError
from mbn2c.ir import graph as graph_module
from mbn2c.ir import window as window_module
from mbn2c.ir.graph import Graph
from mbn2c.ops import attributes as attributes_module

_CLASSES: dict[str, type] = {
    name: value
    for module in (graph_module, window_module, attributes_module)
    for name, value in vars(module).items()
    if isinstance(value, type) and is_dataclass(value)
}


def graph_to_bytes(graph: Graph) -> bytes:
    """The Graph as an .npz file; equal Graphs give equal bytes."""
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(_encode(graph, arrays), sort_keys=True)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, graph=np.frombuffer(text.encode(), np.uint8), **arrays)
    return buffer.getvalue()


def read_graph(path: Path) -> Graph:
    """The Graph of a network.npz.

    raises  UsageError if the file is missing or not ours
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        graph = _decode(json.loads(arrays["graph"].tobytes().decode()), arrays)
        if not isinstance(graph, Graph):
            raise TypeError("it does not hold a Graph")
        return graph
    except FileNotFoundError:
        raise UsageError(
            "no network.npz", where=str(path.parent), hint="name a folder that `mbn2c build` wrote"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise UsageError(f"cannot read network.npz: {error}", where=str(path), hint="build the model again") from error


def _encode(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, np.ndarray):
        key = f"array{len(arrays)}"
        arrays[key] = value
        return {"array": key}
    if isinstance(value, np.generic):
        return value.item()
    if is_dataclass(value):
        contents = {field.name: _encode(getattr(value, field.name), arrays) for field in fields(value)}
        return {"class": type(value).__name__, "fields": contents}
    if isinstance(value, Mapping):
        return {"map": [[key, _encode(item, arrays)] for key, item in value.items()]}
    if isinstance(value, (tuple, list)):
        return {"tuple": [_encode(item, arrays) for item in value]}
    return value


def _decode(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "class" in value:
        contents = {name: _decode(item, arrays) for name, item in value["fields"].items()}
        return _CLASSES[value["class"]](**contents)
    if "map" in value:
        return {key: _decode(item, arrays) for key, item in value["map"]}
    return tuple(_decode(item, arrays) for item in value["tuple"])
