"""What `mbn2c explore` found, typed: its JSON, text and page are views of it."""

from __future__ import annotations

from dataclasses import dataclass

from mbn2c.report.time_facts import TimeFacts

SCHEMA = 1


@dataclass(frozen=True)
class ExplorePoint:
    """One untrained network.

    ram_bytes    arena and context, as the planner places them; the stack (some hundred bytes) needs a compiler
    flash_bytes  weights, constants as C will read them, and `code_bytes` of it
    code_bytes   of another network of the family on this core; None, and not in flash_bytes: not known
    schedule     how its plan was chosen
    fits         the board; None without one
    accuracy     published for ImageNet, in per cent; None where there is none, as for other classes
    is_best      no other of these has as much accuracy for as little RAM, flash and time (and none is as good)
    """

    family: str
    width: float
    size: int
    macs: int
    parameters: int
    ram_bytes: int
    flash_bytes: int
    code_bytes: int | None
    time: TimeFacts
    schedule: str
    fits: bool | None
    accuracy: float | None
    is_best: bool = False


@dataclass(frozen=True)
class Exploration:
    """Networks by family, width and size.

    asked            how many were looked at
    unfit            how many of them the limits left out
    impossible       those that do not exist, and why
    accuracy_source  who publishes the accuracies
    """

    schema: int
    target: str
    board: str | None
    optimize: str
    classes: int
    max_ms: float | None
    asked: int
    unfit: int
    points: tuple[ExplorePoint, ...]
    impossible: tuple[str, ...]
    accuracy_source: str
