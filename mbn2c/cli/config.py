"""mbn2c.toml beside a model -> words of the command line, which stand before the user's own and so give way to them.

Paths in it are relative to its folder.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Sequence
from pathlib import Path

from mbn2c.errors import UsageError
from mbn2c.files.user_files import read_text

CONFIG = "mbn2c.toml"
# What a file beside the model may not say: it would be true of one run only.
_OF_ONE_RUN = ("json", "force", "help", "quiet", "verbose")


def words_of(model: Path, command: str, parser: argparse.ArgumentParser) -> list[str]:
    """The options that mbn2c.toml in the model's folder has in the table `[command]`, as words; [] without the file.

    parser  of the command
    raises  UsageError for what is no TOML, no option, or no value of one
    """
    file = model.parent / CONFIG
    if not file.is_file():
        return []
    try:
        table = tomllib.loads(read_text(file, "configuration", f"a TOML file with a table [{command}]")).get(
            command, {}
        )
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"not a TOML file: {error}", where=str(file)) from error
    known = {word[2:]: action for action in parser._actions for word in action.option_strings if word.startswith("--")}
    words: list[str] = []
    for key, value in table.items():
        name = key.replace("_", "-")
        if name not in known or name in _OF_ONE_RUN:
            hint = "options of the command without their dashes, " + ", ".join(sorted(set(known) - set(_OF_ONE_RUN)))
            raise UsageError(f"'{key}' is nothing that {CONFIG} can say of {command}", where=str(file), hint=hint)
        for one in value if isinstance(value, list) else [value]:
            is_path = known[name].type is Path or (name == "calib" and (file.parent / str(one)).exists())
            words += _words(name, str(file.parent / str(one)) if is_path else one, file)
    return words


def _words(name: str, value: object, file: Path) -> Sequence[str]:
    if isinstance(value, bool):
        return [f"--{name}"] if value else []
    if isinstance(value, str | int | float):
        return [f"--{name}={value}"]
    raise UsageError(f"the value of '{name}' is no text, number or list of them", where=str(file))
