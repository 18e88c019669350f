"""What the command line of `mbn2c build` says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mbn2c import __version__
from mbn2c.emit.network.model import PlannedNetwork
from mbn2c.emit.packages.packagings import DEFAULT_EMITS
from mbn2c.errors import UsageError
from mbn2c.network.options import NetworkOptions
from mbn2c.targets import Board, Core, load_board, load_core


@dataclass(frozen=True, kw_only=True)
class BuildOptions(NetworkOptions):
    """What the command line says: the network, and what it shall run on.

    ram_limit   bytes the network may take in all: arena, context and stack
    beside      networks built before whose C comes into the same folder, with shared kernels
    emit        packagings, of `emit.packages.EMITS`
    package_version  of the packagings
    command     the command line, as it may be shown: without OUT and absolute paths; "": there is none
    slice       instructions of a slice of an inference; None: the C offers whole ones only
    weights_in  of layers whose weights lie apart from the other constants: "SECTION", or "LAYER=SECTION" each
    prefetch    whether the C asks for those before each call
    """

    core: Core
    board: Board | None = None
    name: str | None = None
    labels: Path | None = None
    optimize: str = "balanced"
    ram_limit: int | None = None
    beside: tuple[PlannedNetwork, ...] = ()
    emit: tuple[str, ...] = DEFAULT_EMITS
    slice: int | None = None
    weights_in: tuple[str, ...] = ()
    prefetch: bool = False
    package_version: str = __version__
    command: str = ""


def core_and_board(target: str | None, board: str | None) -> tuple[Core, Board | None]:
    """By name; the core of the board where no target is said.

    raises  UsageError for names that nobody knows, for none at all, and for a board that does not run the core's code
    """
    found = load_board(board) if board is not None else None
    if target is None and found is None:
        hint = "--target cortex-m7, or --board; `mbn2c targets` and `mbn2c boards` list them"
        raise UsageError("no target", hint=hint)
    core = load_core(found.core if target is None else target)  # type: ignore[union-attr]
    if found is not None and core.name not in found.cores:
        raise UsageError(f"board '{found.name}' does not run code of {core.name}", hint=f"--target {found.core}")
    return core, found
