"""int8 Graph <-> network.npz, so that an output folder can be verified, and built for another board, on its own.

The file holds one JSON text (structure) and the constant arrays; no code, no pickles.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from mbn2c.errors import InternalError, UsageError
from mbn2c.files.user_files import read_npz
from mbn2c.ir import graph as graph_module
from mbn2c.ir import window as window_module
from mbn2c.ir.check import check
from mbn2c.ir.graph import Graph
from mbn2c.ir.window import Window
from mbn2c.ops import OPERATORS
from mbn2c.ops.base import requantize as requantize_module
from mbn2c.tasks.registry import task_of_graph
from mbn2c.tasks.tails import TAILS

_CLASSES: dict[str, type] = {
    name: value
    for module in (graph_module, window_module, requantize_module)
    for name, value in vars(module).items()
    if isinstance(value, type) and is_dataclass(value)
} | {one.attributes.__name__: one.attributes for one in OPERATORS.values() if "quantized" in one.stages}
NETWORK = "network.npz"
_HINT = "build the model again; name a folder that `mbn2c build` wrote"


def graph_to_bytes(graph: Graph) -> bytes:
    """The Graph as an .npz file; equal Graphs give equal bytes."""
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(_encode(graph, arrays), sort_keys=True)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, graph=np.frombuffer(text.encode(), np.uint8), **arrays)
    return buffer.getvalue()


def read_graph(path: Path) -> Graph:
    """The Graph of a network.npz, its structure checked against the classes and the laws of `ir.check`.

    raises  UsageError if the file is missing, damaged or not ours
    """
    arrays = read_npz(path, NETWORK, _HINT)
    try:
        graph = _decode(json.loads(arrays["graph"].tobytes().decode()), Graph, arrays)
        assert isinstance(graph, Graph)
        _check_attributes(graph)
        _check_tails(graph)
        check(graph, "quantized", OPERATORS)
        _check_decoding(graph)
        return graph
    except InternalError as error:  # a Graph that mbn2c wrote keeps the laws, so this one was changed
        raise UsageError(f"cannot read {NETWORK}: {error.what}", where=f"{path}, {error.where}", hint=_HINT) from None
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise UsageError(f"cannot read {NETWORK}: {reason}", where=str(path), hint=_HINT) from error


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


def _decode(value: Any, wanted: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """What `_encode` wrote, as a field with the annotation `wanted` may hold it.

    raises  TypeError, ValueError or LookupError for anything else
    """
    origin, inner = get_origin(wanted), get_args(wanted)
    if wanted is Any:  # the attributes of a node: `_check_attributes` knows which
        return None if value is None else _decode(value, _CLASSES[value["class"]], arrays)
    if origin is UnionType:
        return _decode_one_of(value, inner, arrays)
    if origin is tuple:
        items = value["tuple"]
        types = [inner[0]] * len(items) if inner[-1] is Ellipsis else inner
        return tuple(_decode(item, kind, arrays) for item, kind in zip(items, types, strict=True))
    if origin is Mapping:
        return {_decode(key, inner[0], arrays): _decode(item, inner[1], arrays) for key, item in value["map"]}
    if wanted is np.ndarray:
        return arrays[value["array"]]
    if is_dataclass(wanted) and isinstance(wanted, type):
        if value["class"] != wanted.__name__:
            raise TypeError(f"{value['class']} where {wanted.__name__} is expected")
        hints = get_type_hints(wanted)
        return wanted(**{name: _decode(item, hints[name], arrays) for name, item in value["fields"].items()})
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise TypeError(f"{type(value).__name__} where {wanted.__name__} is expected")
    return value


def _decode_one_of(value: Any, wanted: tuple[Any, ...], arrays: Mapping[str, np.ndarray]) -> Any:
    if value is None and NoneType in wanted:
        return None
    for kind in wanted:
        if not (isinstance(value, dict) and "class" in value) or kind is _CLASSES[value["class"]]:
            return _decode(value, kind, arrays)
    raise TypeError(f"{value['class']} where one of {wanted} is expected")


def _check_tails(graph: Graph) -> None:
    """Raises ValueError if an output ends in what no task knows."""
    for port in graph.outputs:
        if port.tail not in ("", *TAILS):
            raise ValueError(f"the tail of output '{port.outside}' is '{port.tail}'")


def _check_decoding(graph: Graph) -> None:
    """Raises ValueError, LookupError or InternalError if it is not what the task has put behind the network."""
    if graph.heads:
        check(graph.network, "quantized", OPERATORS)
    if graph.decoding is not None:
        task_of_graph(graph, {})


def _check_attributes(graph: Graph) -> None:
    """Raises ValueError if a node's attributes are not those of its operator, or not for its channels."""
    for node in graph.nodes:
        operator = OPERATORS.get(node.op)
        if operator is None or type(node.attributes) is not operator.attributes:
            raise ValueError(f"{type(node.attributes).__name__} at '{node.name}', operator {node.op}")
        window = getattr(node.attributes, "window", Window())
        if not min(*window.kernel, *window.stride, *window.dilation) >= 1 or min(window.pad) < 0:
            raise ValueError(f"the window of '{node.name}' is {window}")
        if wrong := operator.check_attributes(node, graph):
            raise ValueError(f"{wrong}, of '{node.name}'")
        requantize = getattr(node.attributes, "requantize", None)
        if requantize is not None:
            allowed = [(count,) for count in operator.multipliers(node, graph)]
            if requantize.multiplier.shape not in allowed:
                raise ValueError(f"{requantize.multiplier.shape} multipliers for '{node.name}', not one of {allowed}")
