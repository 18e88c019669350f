"""A Jupyter notebook without Jupyter: its code cells are run one after the other, in one namespace."""

from __future__ import annotations

import ast
import contextlib
import io
import json
from pathlib import Path
from typing import Any


def cells_of(file: Path) -> list[tuple[str, str]]:
    """Source and saved text output of each code cell."""
    cells = [cell for cell in json.loads(file.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    return [("".join(cell["source"]), "".join(map(_text, cell["outputs"]))) for cell in cells]


def _text(output: dict[str, Any]) -> str:
    return "".join(output["text"] if output["output_type"] == "stream" else output["data"]["text/plain"]) + "\n"


def run_cell(source: str, names: dict[str, Any]) -> str:
    """What a cell prints, and the value of its last expression, as Jupyter shows it."""
    *body, last = ast.parse(source).body
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(body, []), "cell", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
            if value is not None:
                print(repr(value))
        else:
            exec(compile(ast.Module([last], []), "cell", "exec"), names)
    return printed.getvalue()
