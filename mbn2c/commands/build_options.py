"""What the command line of `mbn2c build` says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mbn2c.emit.network.model import PlannedNetwork
from mbn2c.emit.packages.packagings import DEFAULT_EMITS
from mbn2c.network.network import NetworkOptions
from mbn2c.targets import Board, Core


@dataclass(frozen=True, kw_only=True)
class BuildOptions(NetworkOptions):
    """What the command line says: the network, and what it shall run on.

    ram_limit   bytes the network may take in all: arena, context and stack
    beside      networks built before whose C comes into the same folder, with shared kernels
    emit        packagings, of `emit.packages.EMITS`
    """

    core: Core
    board: Board | None = None
    name: str | None = None
    labels: Path | None = None
    optimize: str = "balanced"
    ram_limit: int | None = None
    beside: tuple[PlannedNetwork, ...] = ()
    emit: tuple[str, ...] = DEFAULT_EMITS
