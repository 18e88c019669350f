"""mbn2c.toml beside a model -> words of the command line, which stand before the user's own and so give way to them.

Paths in it are relative to its folder. Of an output folder it is the file beside the model that OUT was built from, in
the nearest folder above OUT that has both.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path

from mbn2c.errors import UsageError
from mbn2c.files.user_files import read_text

CONFIG = "mbn2c.toml"
# What a file beside the model may not say: it would be true of one run only.
_OF_ONE_RUN = ("json", "force", "help", "quiet", "verbose", "resume", "dry-run", "unlock")


def file_above(folder: Path, model: str) -> Path | None:
    """The file for an output folder whose model has this name; None if there is none."""
    name = Path(model).name
    above = (one for one in folder.resolve().parents if (one / CONFIG).is_file() and (one / name).is_file())
    return next((one / CONFIG for one in above), None)


def words_of(
    file: Path | None,
    command: str,
    parser: argparse.ArgumentParser,
    options: argparse.Namespace,
    given: Collection[str] = (),
) -> list[str]:
    """The options that the file has in the table `[command]`, as words; [] without the file.

    parser   of the command
    options  what the command line alone says: an option that it has is left out, and one that excludes it
    given    names of options that count as said there
    raises   UsageError for what is no TOML, no option, or no value of one
    """
    if file is None or not file.is_file():
        return []
    try:
        table = tomllib.loads(read_text(file, "configuration", f"a TOML file with a table [{command}]")).get(
            command, {}
        )
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"not a TOML file: {error}", where=str(file)) from error
    known = {word[2:]: action for action in parser._actions for word in action.option_strings if word.startswith("--")}
    said = [one for one in parser._actions if one.dest in given or getattr(options, one.dest, None) != one.default]
    for group in parser._mutually_exclusive_groups:
        if any(one in said for one in group._group_actions):
            said += group._group_actions
    words: list[str] = []
    for key, value in table.items():
        name = key.replace("_", "-")
        if name not in known or name in _OF_ONE_RUN:
            hint = "options of the command without their dashes, " + ", ".join(sorted(set(known) - set(_OF_ONE_RUN)))
            raise UsageError(f"'{key}' is nothing that {CONFIG} can say of {command}", where=str(file), hint=hint)
        found: list[str] = []
        for one in value if isinstance(value, list) else [value]:
            is_path = known[name].type is Path or (name == "calib" and (file.parent / str(one)).exists())
            found += _words(name, str(file.parent / str(one)) if is_path else one, file)
        words += found if known[name] not in said else []
    return words


def _words(name: str, value: object, file: Path) -> Sequence[str]:
    if isinstance(value, bool):
        return [f"--{name}"] if value else []
    if isinstance(value, str | int | float):
        return [f"--{name}={value}"]
    raise UsageError(f"the value of '{name}' is no text, number or list of them", where=str(file))
