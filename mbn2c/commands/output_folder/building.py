"""Bundle -> output folder: written, compiled, its report completed, then moved into its place."""

from __future__ import annotations

from pathlib import Path

from mbn2c.commands.build import REPORT, report_files
from mbn2c.commands.output_folder.staging import staged
from mbn2c.errors import BoardError, FitError
from mbn2c.files.bundle import Bundle, write_bundle
from mbn2c.firmware import toolchain
from mbn2c.firmware.sizes import network_sizes
from mbn2c.planner.choice import STACK_ALLOWANCE_BYTES
from mbn2c.progress import Stages
from mbn2c.report.json import read_record
from mbn2c.report.record import FirmwareFacts
from mbn2c.targets import load_board, load_core

WRITE_STAGES = (_COMPILE,) = ("compile",)


def write_build(bundle: Bundle, folder: Path, *, force: bool = False, stages: Stages | None = None) -> str:
    """Make `folder` the output folder of a build; if anything is refused or fails it stays as it is.

    force    as `staged` has it
    stages   that WRITE_STAGES begin in
    returns  a note in words if there is no compiler, and no board: the C is complete all the same
    raises   UsageError, BoardError if a tool is missing, FitError if a memory of the board or --ram-limit is not kept
    """
    (stages or Stages(WRITE_STAGES)).begin(_COMPILE)
    with staged(folder, force=force) as stage:
        write_bundle(bundle, stage)
        try:
            compile_folder(stage)
        except BoardError as error:
            if read_record(bundle[REPORT]).board is not None:
                raise
            return f"not compiled, so code and stack are not known: {error.what}; {error.hint}"
    return ""


def compile_folder(folder: Path) -> None:
    """Run make in the folder of a build that was just written, and complete its report with code, stack and totals.

    raises  BoardError if a tool is missing, FitError if a memory of the board or --ram-limit is not kept
    """
    record = read_record((folder / REPORT).read_bytes())
    core, board = load_core(record.target), load_board(record.board) if record.board else None
    built = toolchain.build(folder, record.prefix, core, board)
    arrays = record.flash.weights_bytes + record.flash.constants_bytes
    sizes = network_sizes(folder, record.prefix, record.sources, built, arrays)
    firmware = None
    if board is not None:
        memories = toolchain.memory_use(built.path, board) if board.memories else {}
        firmware = FirmwareFacts(built.path.relative_to(folder).as_posix(), memories)
    completed = record.with_sizes(sizes.code_bytes, sizes.stack_bytes, firmware)
    write_bundle(report_files(completed), folder)
    limit, total = record.build.ram_limit, completed.ram.total_bytes
    if limit is not None and total is not None and total > limit:
        raise FitError(
            f"the network takes {total:,} B of RAM with its stack of {sizes.stack_bytes:,} B, the limit is {limit:,} B",
            where="--ram-limit",
            hint=f"--ram-limit {limit + STACK_ALLOWANCE_BYTES}, or a smaller input",
        )
    limit, total = record.build.flash_limit, completed.flash.own_bytes
    if limit is not None and total is not None and total > limit:
        raise FitError(
            f"the network takes {total:,} B of flash, the limit is {limit:,} B",
            where="--flash-limit",
            hint=f"--flash-limit {total}, --weights 4, or a narrower network",
        )
