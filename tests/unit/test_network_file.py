"""network.npz: a Graph comes back byte for byte; a file that was changed is refused in words, whatever was changed."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import tiny_mobilenet_v2
from networks import quantized

from mbn2c.errors import UsageError
from mbn2c.network.file import graph_to_bytes, read_graph

Parts = tuple[dict[str, Any], dict[str, np.ndarray]]  # the structure as JSON, and the arrays


@pytest.fixture(scope="module")
def content() -> bytes:
    return graph_to_bytes(quantized(tiny_mobilenet_v2()))


def taken_apart(content: bytes) -> Parts:
    with np.load(io.BytesIO(content)) as archive:
        arrays = dict(archive.items())
    return json.loads(arrays.pop("graph").tobytes()), arrays


def save(path: Path, structure: Any, arrays: dict[str, np.ndarray]) -> Path:
    np.savez(path, graph=np.frombuffer(json.dumps(structure).encode(), np.uint8), **arrays)
    return path


def field(structure: Any, *names: str | int) -> Any:
    """A part of the structure: fields by name, entries of tuples by number, values of maps by key."""
    for name in names:
        if isinstance(name, int):
            structure = structure["tuple"][name]
        elif "fields" in structure:
            structure = structure["fields"][name]
        else:
            structure = dict(structure["map"])[name]
    return structure


def set_field(structure: Any, *names: str | int, to: Any) -> None:
    holder = field(structure, *names[:-1])
    holder["fields" if isinstance(names[-1], str) else "tuple"][names[-1]] = to


CHANGES: dict[str, Callable[[Any, dict[str, np.ndarray]], object]] = {
    "another class": lambda s, a: s.update({"class": "Window"}),
    "an unknown class": lambda s, a: s.update({"class": "Popen"}),
    "a number as name": lambda s, a: set_field(s, "name", to=7),
    "a missing field": lambda s, a: s["fields"].pop("nodes"),
    "a field too many": lambda s, a: s["fields"].update(shell="rm"),
    "text as shape": lambda s, a: set_field(s, "inputs", 0, "shape", to="1x3x8x8"),
    "an operator of nobody": lambda s, a: set_field(s, "nodes", 0, "op", to="softplus"),
    "another operator's attributes": lambda s, a: set_field(s, "nodes", 0, "op", to="lookup"),
    "a stride of zero": lambda s, a: set_field(s, "nodes", 0, "attributes", "window", "stride", 0, to=0),
    "a huge kernel": lambda s, a: set_field(s, "nodes", 0, "attributes", "window", "kernel", 0, to=10**9),
    "a shift that is no number": lambda s, a: set_field(s, "nodes", 0, "attributes", "requantize", "shift", to="31"),
    "an end that no task knows": lambda s, a: set_field(s, "outputs", 0, "tail", to="hardmax"),
    "an end of the input": lambda s, a: set_field(s, "inputs", 0, "tail", to="sigmoid"),
    "a tensor that nobody makes": lambda s, a: field(s, "nodes", 1, "inputs")["tuple"].__setitem__(0, "ghost"),
    "an array that is missing": lambda s, a: a.pop("array0"),
    "weights of another shape": lambda s, a: a.update({key: value[..., :-1] for key, value in a.items()}),
    "weights of another type": lambda s, a: a.update({key: value.astype(np.float64) for key, value in a.items()}),
    "nesting without end": lambda s, a: set_field(s, "nodes", to=deep(100)),
}


def deep(levels: int) -> Any:
    value: Any = {"tuple": []}
    for _ in range(levels):
        value = {"tuple": [value]}
    return value


def test_a_graph_comes_back_byte_for_byte(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "network.npz").write_bytes(content)
    assert graph_to_bytes(read_graph(tmp_path / "network.npz")) == content


def test_taking_apart_changes_nothing(content: bytes, tmp_path: Path) -> None:
    """Or the table below would refuse for another reason than the change."""
    structure, arrays = taken_apart(content)
    assert graph_to_bytes(read_graph(save(tmp_path / "network.npz", structure, arrays))) == content


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_is_refused(change: str, content: bytes, tmp_path: Path) -> None:
    structure, arrays = taken_apart(content)
    CHANGES[change](structure, arrays)
    with pytest.raises(UsageError, match="cannot read network") as raised:
        read_graph(save(tmp_path / "network.npz", structure, arrays))
    assert raised.value.hint


def test_a_text_nested_deeper_than_python_follows(content: bytes, tmp_path: Path) -> None:
    text = b'{"tuple":[' * 100_000
    np.savez(tmp_path / "network.npz", graph=np.frombuffer(text, np.uint8))
    with pytest.raises(UsageError, match="cannot read network"):
        read_graph(tmp_path / "network.npz")
