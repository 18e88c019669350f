"""`mbn2c completion`: a script that lets a shell complete commands, options, names of boards and cores, and files."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import shtab

from mbn2c.cli.command_table import all_commands
from mbn2c.cli.streams import say
from mbn2c.targets import all_boards, all_cores

SHELLS = ("bash", "zsh", "fish")
_USE = """To use it, once:
  bash  mbn2c completion bash > ~/.local/share/bash-completion/completions/mbn2c
  zsh   mbn2c completion zsh > ~/.zfunc/_mbn2c    (with fpath+=~/.zfunc before compinit in ~/.zshrc)
  fish  mbn2c completion fish > ~/.config/fish/completions/mbn2c.fish"""


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Options of `completion`."""
    parser.epilog, parser.formatter_class = _USE, argparse.RawDescriptionHelpFormatter
    parser.add_argument("shell", choices=SHELLS, help="the shell that reads it")
    parser.set_defaults(run=_completion)


def _completion(options: argparse.Namespace) -> int:
    root = all_commands()
    names = {"board": [board.name for board in all_boards()], "target": [core.name for core in all_cores()]}
    for action in all_actions(root):
        if action.dest in names:
            action.choices = names[action.dest]  # of this parser, which reads no more words
        elif action.type is Path or "DIR" in str(action.metavar) or action.dest == "port":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    say(shtab.complete(root, options.shell).rstrip())
    return 0


def all_actions(root: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every option and argument of every command."""
    for action in root._actions:
        if isinstance(action, argparse._SubParsersAction):
            for parser in action.choices.values():
                yield from all_actions(parser)
        else:
            yield action
