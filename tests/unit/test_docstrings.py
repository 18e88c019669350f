"""Where ruff's D102 is off (pyproject.toml), a public method without a docstring overrides one that has one."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages

import mbn2c.link.transports
import mbn2c.ops
import mbn2c.tasks
from mbn2c.link.transports.transport import Transport


def undocumented(owner: type, promises: tuple[type, ...]) -> Iterator[str]:
    """Public methods and properties of a class that neither it nor `promises` document."""
    for name, member in vars(owner).items():
        function = getattr(member, "fget", None) or getattr(member, "func", None) or getattr(member, "__func__", member)
        is_method = inspect.isfunction(function) and function.__name__ == name and not name.startswith("_")
        if (
            is_method
            and not function.__doc__
            and not any(vars(base)[name].__doc__ for base in promises if name in vars(base))
        ):
            yield f"{owner.__module__}.{owner.__qualname__}.{name}"


def test_a_method_without_docstring_overrides_one_with() -> None:
    looked_at, found = 0, []
    for package in (mbn2c.ops, mbn2c.tasks, mbn2c.link.transports):
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            for owner in vars(import_module(module.name)).values():
                if inspect.isclass(owner) and owner.__module__ == module.name:
                    keeps = (Transport,) if package is mbn2c.link.transports else owner.__mro__[1:]
                    looked_at += 1
                    found += undocumented(owner, keeps)
    assert looked_at > 20 and found == []
