"""A hook of mkdocs: pages of the reference, made of what the code says of itself."""

from __future__ import annotations

import argparse
import dataclasses
import html
import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import mbn2c
from mbn2c.cli.command_table import all_commands
from mbn2c.commands.api import Verification
from mbn2c.commands.host_network import HostNetwork, HostRun
from mbn2c.commands.inspect import ModelInspection
from mbn2c.files.typed_json import schema_of
from mbn2c.report.difference import Difference
from mbn2c.report.exploration import Exploration
from mbn2c.report.record import BuildRecord

_ROOT = Path(__file__).resolve().parents[1]
_HEADER = _ROOT / "tests" / "golden" / "block_stream.h"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """mkdocs asks for this: its files, and ours."""
    for name, make in PAGES.items():
        files.append(File.generated(config, f"reference/{name}.md", content=make()))
    return files


def command_page() -> str:
    """Every command with its options, from the parser."""
    root = all_commands()
    commands = next(one for one in root._actions if isinstance(one, argparse._SubParsersAction))
    lines = ["# Command line", "", root.description or "", "", f"```\n{root.epilog}\n```"]
    for name, command in commands.choices.items():
        lines += ["", f"## mbn2c {name}", "", html.escape(command.description or ""), ""]
        lines += ["| option | |", "| --- | --- |"]
        formatter = command._get_formatter()
        for action in command._actions:
            if not isinstance(action, argparse._HelpAction):
                lines.append(f"| {_invocation(action, formatter)} | {_cell(formatter._expand_help(action))} |")
    return "\n".join(lines) + "\n"


def _invocation(action: argparse.Action, formatter: argparse.HelpFormatter) -> str:
    words = formatter._format_action_invocation(action)
    return f"<code>{_cell(words)}</code>"


def _cell(text: str) -> str:
    return html.escape(text).replace("|", "&#124;").replace("\n", " ").replace("*", "&#42;").replace("`", "&#96;")


def python_page() -> str:
    """The functions of `import mbn2c`, and the classes of their results."""
    lines = ["# Python, every function", ""]
    for name in mbn2c.__all__:
        if name != "__version__":
            lines += _described(f"mbn2c.{name}", getattr(mbn2c, name))
    for kind in (HostNetwork, HostRun, Verification, ModelInspection, Exploration, BuildRecord):
        lines += _described(kind.__name__, kind)
        lines += [f"- `{one.name}`: `{one.type}`" for one in dataclasses.fields(kind)]
        lines += [""]
    lines += _described("HostNetwork.run", HostNetwork.run)
    return "\n".join(lines) + "\n"


def _described(name: str, what: Callable[..., object]) -> Iterator[str]:
    yield f"## {name}"
    yield ""
    if not inspect.isclass(what):
        yield f"```python\n{name}{inspect.signature(what)}\n```"
    yield f"```text\n{inspect.getdoc(what)}\n```"
    yield ""


def json_page() -> str:
    """The JSON Schemas of what has one type: report.json, `inspect`, `explore`, `diff`."""
    kinds = {
        "report.json, and `build --json`": BuildRecord,
        "`inspect --json`": ModelInspection,
        "`explore --json`": Exploration,
        "`diff --json`": Difference,
    }
    lines = [
        "# JSON",
        "",
        "JSON Schemas of what mbn2c writes. `verify --json`: its keys are in [accuracy](../accuracy.md).",
        "",
    ]
    for name, kind in kinds.items():
        lines += [f"## {name}", "", "```json", json.dumps(schema_of(kind), indent=1), "```", ""]
    return "\n".join(lines) + "\n"


def header_page() -> str:
    """The C API: the header of a small network."""
    lines = [
        "# C",
        "",
        "A network's header is all that a program includes; this one is of a small network called `net`.",
    ]
    return "\n".join([*lines, "", "```c", _HEADER.read_text(encoding="utf-8").rstrip(), "```", ""])


PAGES = {"cli": command_page, "python": python_page, "json": json_page, "c": header_page}
