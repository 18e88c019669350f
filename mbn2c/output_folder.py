"""What `mbn2c build` wrote -> what later commands need of it: report, int8 Graph, names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mbn2c.build import toolchain
from mbn2c.build.firmware import build_number, build_number_in
from mbn2c.build.sizes import network_sizes
from mbn2c.emit.bundle import write_bundle
from mbn2c.emit.model import Laid, Names
from mbn2c.errors import FitError, UsageError
from mbn2c.ir.graph import Graph
from mbn2c.layout import STACK_ALLOWANCE_BYTES, Layout, c_files, lay_out
from mbn2c.network import MODEL_FLOAT32, MODEL_FUSED, MODEL_INT8
from mbn2c.network_file import read_graph
from mbn2c.pipeline import NETWORK, REPORT, names_for, report_files
from mbn2c.report import SCHEMA, with_sizes
from mbn2c.target import Board, Core, load_board, load_core


@dataclass(frozen=True)
class OutputFolder:
    """An output folder, read when it is asked for."""

    path: Path

    @cached_property
    def report(self) -> dict[str, Any]:
        """report.json. Raises UsageError if it is missing, damaged or of another version."""
        file = self.path / REPORT
        try:
            report = json.loads(file.read_text(encoding="utf-8"))
            schema = report["schema"]
        except FileNotFoundError:
            raise UsageError(
                "no report.json", where=str(self.path), hint="name a folder that `mbn2c build` wrote"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"cannot read report.json: {error}", where=str(file), hint="build again") from None
        if schema != SCHEMA:
            raise UsageError(f"report.json has schema {schema}, not {SCHEMA}", where=str(file), hint="build again")
        assert isinstance(report, dict)
        return report

    @cached_property
    def graph(self) -> Graph:
        return read_graph(self.path / NETWORK)

    @property
    def int8_model(self) -> Path:
        return self._file(MODEL_INT8)

    @property
    def float_model(self) -> Path | None:
        """None for a model that came quantized."""
        return self._file(MODEL_FLOAT32) if self.report["build"]["given"] is None else None

    @property
    def fused_model(self) -> Path:
        return self._file(MODEL_FUSED)

    @property
    def core(self) -> Core:
        return load_core(self.report["target"])

    @property
    def board(self) -> Board | None:
        name = self.report["board"]
        return load_board(name) if name else None

    @property
    def prefix(self) -> str:
        return str(self.report["prefix"])

    @property
    def digest(self) -> bytes:
        return bytes.fromhex(self.report["model"]["int8_sha256"])

    @property
    def names(self) -> Names:
        return names_for(self.graph, self.prefix, self.report["model"]["file"], self.digest, self.report["build"])

    def layout(self, core: Core, board: Board | None = None) -> Layout:
        """As the firmware for a board has it; as the C for any board if that is None."""
        if (core, board) not in self._layouts:
            facts = self.report["build"]
            self._layouts[core, board] = lay_out(self.graph, core, facts["optimize"], facts["ram_limit"], board)
        return self._layouts[core, board]

    @cached_property
    def _layouts(self) -> dict[tuple[Core, Board | None], Layout]:
        """Those asked for so far: each takes seconds."""
        return {}

    def core_on(self, board: Board) -> Core:
        """Its own core, or else the board's, whose code runs there."""
        return self.core if self.core.name in board.cores else load_core(board.core)

    def laid(self, core: Core) -> Laid:
        """The network as another build for `core` takes it in beside its own (`build --beside`)."""
        layout = self.layout(core, self.board)
        return Laid(layout.plan, layout.kernels, self.names)

    def _file(self, name: str) -> Path:
        file = self.path / name
        if not file.is_file():
            raise UsageError(f"no {name}", where=str(self.path), hint="build the model again")
        return file


def firmware_for(output: OutputFolder, board: Board, folder: Path, cflags: Sequence[str] = ()) -> Path:
    """The ELF of the network for any board that runs its core's code, or else for the board's own core.

    folder  where sources and objects go
    cflags  compiler flags besides the core's own
    raises  FitError, BoardError
    """
    core = output.core_on(board)
    write_bundle(c_files(output.layout(core, board), output.names, core, board), folder)
    return toolchain.build(folder, output.prefix, core, board, cflags=cflags).path


def firmware_build(output: OutputFolder, board: Board) -> int:
    """The build number of its firmware for any board, as the folder has it or as `firmware_for` would make it."""
    if output.report["board"] == board.name:
        return build_number_in(output.path)
    core = output.core_on(board)
    return build_number(c_files(output.layout(core, board), output.names, core, board))


def compile_folder(output: OutputFolder) -> None:
    """Run make in the folder and complete its report with code, stack and totals.

    raises  BoardError if a tool is missing, FitError if a memory of the board or --ram-limit is not kept
    """
    core, board, report = output.core, output.board, output.report
    built = toolchain.build(output.path, output.prefix, core, board)
    steps = len(report["layers"]) + 1  # taking in the input is the first
    arrays = report["flash"]["weights_bytes"] + report["flash"]["constants_bytes"]
    sizes = network_sizes(output.path, output.prefix, report["sources"], steps, built, arrays)
    firmware = None
    if board is not None:
        firmware = {
            "file": str(built.path.relative_to(output.path)),
            "memories": toolchain.memory_use(built.path, board) if board.memories else {},
        }
    completed = with_sizes(report, sizes.code_bytes, sizes.stack_bytes, firmware)
    write_bundle(report_files(completed), output.path)
    limit, total = report["build"]["ram_limit"], completed["ram"]["total_bytes"]
    if limit is not None and total > limit:
        raise FitError(
            f"the network takes {total:,} B of RAM with its stack of {sizes.stack_bytes:,} B, the limit is {limit:,} B",
            where=str(output.path),
            hint=f"--ram-limit {limit + STACK_ALLOWANCE_BYTES}, or a smaller input",
        )
