"""What `mbn2c build` wrote -> what later commands need of it: report, int8 Graph, names, the C as it lies there.

Each file is compared with the manifest before it is used: what was damaged or belongs to another build is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mbn2c import __version__
from mbn2c.commands.build import REPORT, in_model_folder, names_of
from mbn2c.commands.build_record import is_record_of
from mbn2c.commands.output_folder.manifest import MANIFEST, Manifest, digest_of, read_manifest
from mbn2c.commands.output_folder.staging import is_code
from mbn2c.emit.expectations import Expectations, expectations
from mbn2c.emit.network.model import Names, PlannedNetwork
from mbn2c.errors import Page, UsageError
from mbn2c.files.typed_json import to_plain
from mbn2c.ir.graph import Graph
from mbn2c.network.file import NETWORK, read_graph
from mbn2c.network.network import MODEL_FLOAT32, MODEL_FUSED, MODEL_INT8
from mbn2c.planner.choice import Choice, choose_plan, fits_board
from mbn2c.planner.plan_file import PLAN, PlanSubject, read_plan
from mbn2c.report.json import read_record
from mbn2c.report.record import BuildRecord
from mbn2c.targets import Board, Core, load_board, load_core

_BUILD_AGAIN = "build the model again"


@dataclass(frozen=True)
class OutputFolder:
    """An output folder, read when it is asked for.

    Every property raises UsageError where a file that it needs is missing or not as the build wrote it.
    """

    path: Path

    @cached_property
    def manifest(self) -> Manifest:
        """Raises UsageError too if the last build was broken off, or is of another version of mbn2c."""
        found = read_manifest(self.path)
        if found is None:
            raise UsageError(f"no {MANIFEST}", where=str(self.path), hint="name a folder that `mbn2c build` wrote")
        if found.pending is not None:
            raise UsageError(
                "a build was broken off while it wrote into this folder",
                where=str(self.path),
                hint=_BUILD_AGAIN,
                page=Page.FOLDER,
            )
        if found.version != __version__:
            what = f"the folder is of mbn2c {found.version}, this is {__version__}"
            raise UsageError(what, where=str(self.path), hint=_BUILD_AGAIN, page=Page.FOLDER)
        return found

    @cached_property
    def record(self) -> BuildRecord:
        """What report.json says."""
        file = self._intact(REPORT)
        try:
            return read_record(file.read_bytes())
        except (OSError, ValueError) as error:
            reason = f"cannot read report.json: {str(error)[:300]}"
            raise UsageError(reason, where=str(file), hint=_BUILD_AGAIN) from None

    @property
    def report(self) -> dict[str, Any]:
        """The same as JSON has it."""
        plain: dict[str, Any] = to_plain(self.record)
        return plain

    @cached_property
    def graph(self) -> Graph:
        """The int8 Graph."""
        return read_graph(self._intact(in_model_folder(NETWORK)))

    @cached_property
    def int8_model(self) -> Path:
        """The ONNX file that the device's outputs are compared with."""
        return self._intact(in_model_folder(MODEL_INT8))

    @cached_property
    def float_model(self) -> Path | None:
        """None for a prequantized model."""
        return self._intact(in_model_folder(MODEL_FLOAT32)) if self.record.build.given is None else None

    @cached_property
    def fused_model(self) -> Path:
        """What ONNX Runtime makes of a prequantized model."""
        return self._intact(in_model_folder(MODEL_FUSED))

    @cached_property
    def code(self) -> Mapping[str, bytes]:
        """What the compiler is given, as it lies in the folder, by path: C, headers, firmware, Makefile."""
        return {path: self._content(path) for path in sorted(self.manifest.files) if is_code(path)}

    @cached_property
    def edited(self) -> tuple[str, ...]:
        """The paths of `code` that are not as the build wrote them."""
        return tuple(path for path, content in self.code.items() if digest_of(content) != self.manifest.files[path])

    @property
    def edits(self) -> str:
        """The paths in words, as far as they fit a line."""
        return ", ".join(self.edited[:3]) + (f" and {len(self.edited) - 3} more" if len(self.edited) > 3 else "")

    def refuse_edited(self, wanted: str) -> None:
        """Raises UsageError if the C in the folder was edited, for what is made from network.npz without that C."""
        if self.edited:
            board = self.record.board
            raise UsageError(
                f"the C in {self.path} was edited since its build, and {wanted} is not made from it",
                where=self.edits,
                hint="build the model again"
                + (f", or --board {board}, which runs the C as it lies there" if board else ""),
                page=Page.FOLDER,
            )

    def is_intact(self, path: str) -> bool:
        """Whether a file lies there as the build wrote it."""
        try:
            return digest_of(self._content(path)) == self.manifest.files.get(path)
        except UsageError:
            return False

    @property
    def core(self) -> Core:
        """The core it was built for."""
        return load_core(self.record.target)

    @property
    def board(self) -> Board | None:
        """The board it was built for, None if it was built for a core."""
        name = self.record.board
        return load_board(name) if name else None

    @property
    def prefix(self) -> str:
        """What the names of its C functions begin with."""
        return self.record.prefix

    @property
    def digest(self) -> bytes:
        """SHA-256 of the int8 model, 32 bytes, which the firmware tells."""
        return bytes.fromhex(self.record.model.int8_sha256)

    @property
    def names(self) -> Names:
        """The C names of the network."""
        return names_of(self.graph, self.record)

    def expectations(self, core: Core, board: Board) -> Expectations:
        """What a board has in its memory."""
        if (core, board) not in self._expectations:
            choice = self.choice(core, board)
            self._expectations[core, board] = expectations(choice.plan, choice.kernels, self.names)
        return self._expectations[core, board]

    @cached_property
    def own_choice(self) -> Choice:
        """What plan.json holds: kernels and Plan of the C in the folder."""
        subject = PlanSubject.of(self.manifest.files.get(in_model_folder(NETWORK), ""), self.core, self.board)
        file = self._intact(in_model_folder(PLAN))
        choice = read_plan(file.read_bytes(), str(file), self.graph, subject)
        if not is_record_of(self.record, choice):
            raise UsageError(
                f"{PLAN} and {REPORT} are of two builds", where=str(self.path), hint=_BUILD_AGAIN, page=Page.FOLDER
            )
        return replace(choice, sections=self.record.build.weights_in)

    def choice(self, core: Core, board: Board | None = None) -> Choice:
        """As the firmware for a board has it; as the C for any board if that is None.

        That of the folder wherever its C can run: on a core with the same kernels, and a board that it fits. For others
        the network is planned anew, which takes seconds.
        """
        own, has_own_kernels = self.core, (core.isas, core.bits) == (self.core.isas, self.core.bits)
        if has_own_kernels and ((core, board) == (own, self.board) or fits_board(self.own_choice, core, board)):
            return self.own_choice
        if (core, board) not in self._choices:
            facts = self.record.build
            self._choices[core, board] = choose_plan(
                self.graph, core, facts.optimize, facts.ram_limit, board, sections=facts.weights_in
            )
        return self._choices[core, board]

    @cached_property
    def _choices(self) -> dict[tuple[Core, Board | None], Choice]:
        """Those asked for so far: each takes seconds."""
        return {}

    @cached_property
    def _expectations(self) -> dict[tuple[Core, Board], Expectations]:
        """Likewise: each packs all constants, and verify asks for every device, and once more for its tally."""
        return {}

    def core_on(self, board: Board) -> Core:
        """Its own core, or else the board's, whose code runs there."""
        return self.core if self.core.name in board.cores else load_core(board.core)

    def planned(self, core: Core) -> PlannedNetwork:
        """The network as another build for `core` takes it in beside its own (`build --beside`)."""
        self.refuse_edited("--beside")
        choice = self.choice(core, self.board)
        return PlannedNetwork(choice.plan, choice.kernels, self.names)

    def _content(self, path: str) -> bytes:
        file = self.path / path
        try:
            if file.is_file():
                return file.read_bytes()
        except OSError as error:
            raise UsageError(
                f"cannot read {path}: {error.strerror}", where=str(self.path), hint=_BUILD_AGAIN
            ) from error
        raise UsageError(f"no {path}", where=str(self.path), hint=_BUILD_AGAIN, page=Page.FOLDER)

    def _intact(self, path: str) -> Path:
        """Where a file lies that is used as the build wrote it."""
        expected = self.manifest.files.get(path)
        if digest_of(self._content(path)) != expected:
            raise UsageError(
                f"{path} is not what the build wrote", where=str(self.path), hint=_BUILD_AGAIN, page=Page.FOLDER
            )
        return self.path / path
