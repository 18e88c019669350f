"""No stage knows an operator by name: outside ops/ and kernels/ none is written, compared with `.op`, or imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from mbn2c.ops import OPERATORS

ROOT = Path(__file__).resolve().parents[2] / "mbn2c"
ROOMS = sorted(path.name for path in ROOT.iterdir() if path.name not in ("ops", "kernels", "__pycache__"))
# Words that mean something else, too: what a byte of a row is, what an output may end with, an option.
ALSO_OTHER_WORDS = {"pad", "sigmoid", "tanh", "resize"}

# What tasks put behind the network: operators of theirs, the pool that finds peaks of heat maps, and the enlarging of
# a map that a class is chosen from.
OF_TASKS = [name for name, operator in OPERATORS.items() if operator.is_postprocessing] + ["max_pool2d", "resize2d"]


# A network is written in operators, as in a model file: no stage that asks what a node is.
WRITES_NETWORKS = ROOT / "commands" / "explore" / "untrained.py"


def names_said(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, what) of each operator that a file knows."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value in OPERATORS.keys() - ALSO_OTHER_WORDS:
                yield node.lineno, repr(node.value)
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            in_a_set = isinstance(node.ops[0], (ast.In, ast.NotIn)) and isinstance(sides[1], ast.Name)
            if not in_a_set and any(isinstance(side, ast.Attribute) and side.attr == "op" for side in sides):
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            package, _, rest = (node.module or "").partition("mbn2c.ops.")
            if not package and rest and rest.split(".")[0] != "base":
                yield node.lineno, ast.unparse(node)


@pytest.mark.parametrize("room", ROOMS)
def test_room_names_no_operator(room: str) -> None:
    files = [ROOT / room] if room.endswith(".py") else sorted((ROOT / room).rglob("*.py"))
    said = [(path, line, what) for path in files for line, what in names_said(ast.parse(path.read_text()))]
    if room == "commands":
        said = [one for one in said if one[0] != WRITES_NETWORKS or not one[2].startswith(("from mbn2c.ops.", "'"))]
    if room == "tasks":
        said = [one for one in said if not any(name in one[2] for name in OF_TASKS)]
    assert [f"{path}:{line}: {what}" for path, line, what in said] == []


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ('if node.op == "conv2d": pass', True),
        ("if node.op != other.op: pass", True),
        ('if node.op in ("pad",): pass', True),
        ('WINDOWED = ("average_pool2d",)', True),
        ("from mbn2c.ops.pad import PadAttributes", True),
        ("from mbn2c.ops.base.weighted import Weighted", False),
        ("from mbn2c.ops import OPERATORS", False),
        ("if node.op not in OPERATORS: pass", False),
    ],
)
def test_what_is_found(line: str, is_found: bool) -> None:
    assert bool(list(names_said(ast.parse(line)))) == is_found
