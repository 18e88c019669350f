"""Stages of a command's work on standard error: a display on a terminal, else lines, and those only with --verbose."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from mbn2c.cli.streams import is_quiet, is_terminal, tell_stage
from mbn2c.progress import Stages


@contextlib.contextmanager
def shown_stages(names: Sequence[str]) -> Iterator[Stages]:
    """The stages of a command, whose block runs all of them unless an exception ends it."""
    with contextlib.ExitStack() as shown:
        stages = Stages(names, _display(shown))
        yield stages
        stages.end()


def _display(shown: contextlib.ExitStack) -> Lines:
    if is_quiet() or not is_terminal(sys.stderr):
        return Lines()
    columns = (
        TextColumn("{task.fields[stage]}", markup=False),
        TextColumn("{task.description}", markup=False),
        BarColumn(20),
        TextColumn("{task.fields[done]}", markup=False),
        TimeElapsedColumn(),
    )
    # What is printed on standard error meanwhile appears above it; standard output is not this display's.
    bars = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
    return Bars(shown.enter_context(bars))


class Lines:
    """A line for each stage, and each loop in it, when it is done."""

    def __init__(self) -> None:
        self._stage, self._started = "", time.monotonic()

    def begin(self, number: int, count: int, name: str) -> None:
        """As `Display` has it."""
        self.end()
        self._stage, self._started = f"stage {number} of {count}, {name}", time.monotonic()

    def items(self, items: Iterable[Any], title: str, total: int) -> Iterator[Any]:
        """As `Display` has it."""
        started = time.monotonic()
        yield from items
        tell_stage(f"{title}: {total} in {time.monotonic() - started:.1f} s")

    def end(self) -> None:
        """As `Display` has it."""
        if self._stage:
            tell_stage(f"{self._stage}: {time.monotonic() - self._started:.1f} s")


class Bars(Lines):
    """The same lines, below them the stages so far with the time of each, and a bar for the loop that runs."""

    def __init__(self, bars: Progress) -> None:
        super().__init__()
        self._bars, self._name, self._task = bars, "", TaskID(-1)

    def begin(self, number: int, count: int, name: str) -> None:
        """As `Display` has it."""
        super().begin(number, count, name)
        self._finish()
        self._task = self._bars.add_task(name, total=None, stage=f"[{number}/{count}]", done="")
        self._name = name

    def items(self, items: Iterable[Any], title: str, total: int) -> Iterator[Any]:
        """As `Display` has it."""
        task, words = self._task, self._name if title == self._name else f"{self._name}: {title}"
        for number, item in enumerate(super().items(items, title, total)):
            # Never complete before the stage is: rich's clock of a task stops then.
            self._bars.update(task, description=words, total=total, completed=number, done=f"{number}/{total}")
            yield item
        self._bars.update(task, description=self._name, completed=0, done="")

    def end(self) -> None:
        """As `Display` has it."""
        super().end()
        self._finish()

    def _finish(self) -> None:
        if self._task in self._bars.task_ids:
            self._bars.update(self._task, total=1, completed=1)
            self._bars.stop_task(self._task)
