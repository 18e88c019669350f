"""Where `templates/` and `targets/` lie: beside the package in a checkout, inside it when installed."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mbn2c.errors import InternalError

_PACKAGE = Path(__file__).resolve().parent.parent


@cache
def folder(name: str) -> Path:
    """The folder `templates` or `targets`. Raises InternalError if the installation lost it."""
    for place in (_PACKAGE / name, _PACKAGE.parent / name):
        if place.is_dir():
            return place
    raise InternalError(f"folder '{name}' is missing", where=str(_PACKAGE), hint="reinstall mbn2c")


def templates() -> Path:
    """The C, Makefile and linker script templates."""
    return folder("templates")


def targets() -> Path:
    """The facts of cores and boards."""
    return folder("targets")
