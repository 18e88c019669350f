"""Real boards' images, to the byte as `mbn2c flash` writes them, on emulators that others made.

They judge what a model of our own cannot: whether the manuals were read rightly.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from devices import assert_exact, build_folder, demo_options
from firmware import missing_tool
from gdb_stub import GdbStub
from places import SUPPORT

from mbn2c.commands import demo
from mbn2c.commands.output_folder import OutputFolder, firmware_for
from mbn2c.commands.verify import VerifyOptions, verify
from mbn2c.files.elf import read_elf
from mbn2c.firmware.flash.tools import flash
from mbn2c.link.session import EMULATED, Session
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.link.transports.serial_port import SerialPort
from mbn2c.link.transports.transport import Transport
from mbn2c.targets import Board, load_board, load_core

BRIDGE = SUPPORT / "rp2040js" / "pico.js"
NODE_MODULES = Path(sys.prefix) / "node" / "node_modules"
NODE = shutil.which("node")
IMAGES = 3


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> OutputFolder:
    """The bundled network, quantized once; each board gets firmware for its own core from it."""
    return build_folder(tmp_path_factory.mktemp("network"), demo_options("host"))


def verified(output: OutputFolder, line: Transport) -> Session:
    """The line's session, after all images came out exact."""
    session = Session(line, digest=output.digest, timing=EMULATED)
    result = verify(output, line, session, VerifyOptions(demo.TEST_FOLDER, limit=IMAGES, layers=True))
    assert_exact(result, IMAGES)
    assert result["retries"] == 0
    return session


# --- Raspberry Pi Pico: rp2040js ---


@contextmanager
def pico(uf2: Path) -> Iterator[tuple[int, Any]]:
    """(TCP port of the running Pico's UART0, a function that gives what it says once the host has gone)."""
    assert NODE is not None
    environment = {**os.environ, "NODE_PATH": str(NODE_MODULES)}
    with subprocess.Popen(
        [NODE, str(BRIDGE), str(uf2)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            said = process.stdout.readline()
            yield (
                json.loads(said)["port"] if said else pytest.fail(process.stderr.read()),
                lambda: json.loads(process.stdout.readline()),  # type: ignore[union-attr]
            )
        finally:
            process.kill()
        assert process.stderr.read() == "", "the emulator complains"


@pytest.mark.skipif(
    NODE is None or not (NODE_MODULES / "rp2040js").is_dir(),
    reason="node and rp2040js are not installed (`make setup`, with npm on the PATH, installs rp2040js)",
)
def test_pico_on_rp2040js(output: OutputFolder, tmp_path: Path) -> None:
    board = load_board("pico")
    if lacking := missing_tool(load_core(board.core), board):
        pytest.skip(f"not installed: {lacking}")
    elf = firmware_for(output, board, tmp_path)
    drive = tmp_path / "drive"
    drive.mkdir()
    (drive / "INFO_UF2.TXT").write_text(f"Board-ID: {board.flash.target}\n")  # type: ignore[union-attr]
    flash(elf, board, lambda step: None, to=str(drive))
    with pico(drive / f"{elf.stem}.uf2") as (port, said):
        line = SerialPort(f"socket://127.0.0.1:{port}")
        try:
            verified(output, line).set_baud(921_600)
        finally:
            line.close()
        # What the emulator makes of the clock tree's registers and of the UART's.
        facts = said()
    assert facts["core_hz"] == board.clock_hz
    assert [int(rate) for rate in facts["bytes_at_baud"]] == pytest.approx([115_200, 921_600], rel=0.01)


# --- STM32F405: QEMU's netduinoplus2, which has the chip without its RCC and its FLASH registers ---


def loops_of_setup(elf: Path, board: Board) -> list[int]:
    """The addresses of the branches back, one for each wait and each pause of the board's setup."""
    image, origin = read_elf(elf), board.memory("code").origin
    at = image.address("mbn_board_clocks") & ~1
    code = image.image(origin, 2**20)
    found: list[int] = []
    while len(found) < len([step for step in board.setup if step.wait or step.pause_us]):
        (half,) = struct.unpack_from("<H", code, at - origin)
        if half & 0xF080 == 0xD080 and half >> 8 & 0xF < 0xE:  # B<c> to a lower address: DDI 0403, A7.7.12
            found.append(at)
        at += 4 if half >> 11 in (0x1D, 0x1E, 0x1F) else 2
    return found


def test_stm32f405_on_qemu(output: OutputFolder, tmp_path: Path) -> None:
    board, machine, gdb = load_board("stm32f405"), load_board("qemu-netduinoplus2").emulator, tmp_path / "gdb"
    assert machine is not None
    halted = replace(machine, args=(*machine.args, "-S", "-gdb", f"unix:{gdb},server=on,wait=off"))
    emulated = replace(board, emulator=halted)
    if lacking := missing_tool(load_core(board.core), emulated):
        pytest.skip(f"not installed: {lacking}")
    elf = firmware_for(output, board, tmp_path)
    with EmulatedBoard(emulated, elf) as line:
        GdbStub(gdb).pass_each_once(loops_of_setup(elf, board))
        verified(output, line)
        assert line.said().count("\n") <= 1, "QEMU complains"  # of waiting for us it always speaks
