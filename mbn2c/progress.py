"""Progress reporting: the stages of a piece of work, all known before the first begins, and how far each one is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from mbn2c.errors import InternalError

# (items, title, how many) -> the same items
Progress = Callable[[Iterable[Any], str, int], Iterable[Any]]


def no_progress(items: Iterable[Any], title: str, total: int) -> Iterable[Any]:
    """The `Progress` that reports nothing."""
    return items


class Display(Protocol):
    """What shows stages to somebody."""

    def begin(self, number: int, count: int, name: str) -> None:
        """Stage `number` of `count`, from 1 on, has begun; the one before it has ended."""

    def items(self, items: Iterable[Any], title: str, total: int) -> Iterable[Any]:
        """A `Progress` of the stage that has begun."""

    def end(self) -> None:
        """The last stage has ended."""


class _NoDisplay:
    """Shows nothing."""

    def begin(self, number: int, count: int, name: str) -> None:
        pass

    def items(self, items: Iterable[Any], title: str, total: int) -> Iterable[Any]:
        return items

    def end(self) -> None:
        pass


class Stages:
    """The stages of a piece of work; each begins in its turn, and none is left out.

    names   in order. Who does the work keeps the list, and what does one part of it after others adds their lists up
    raises  InternalError from `begin` for a stage whose turn it is not, and from `end` for one that never began: the
            "k of n" that was shown was not true
    """

    def __init__(self, names: Sequence[str], display: Display | None = None) -> None:
        self._names = tuple(names)
        self._display = display or _NoDisplay()
        self._begun = 0

    def begin(self, name: str) -> Progress:
        """End the stage before, if any, and begin this one; returns what its loops report to."""
        if self._names[self._begun : self._begun + 1] != (name,):
            raise InternalError(f"bug in mbn2c: stage '{name}' begins as number {self._begun + 1} of {self._names}")
        self._begun += 1
        self._display.begin(self._begun, len(self._names), name)
        return self._display.items

    def end(self) -> None:
        """All is done."""
        if self._begun != len(self._names):
            raise InternalError(f"bug in mbn2c: stage '{self._names[self._begun]}' never began")
        self._display.end()
