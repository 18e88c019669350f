"""Progress reporting: a progress bar is whatever is passed as `Progress`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

# (items, title, how many) -> the same items
Progress = Callable[[Iterable[Any], str, int], Iterable[Any]]


def no_progress(items: Iterable[Any], title: str, total: int) -> Iterable[Any]:
    """The `Progress` that reports nothing."""
    return items
