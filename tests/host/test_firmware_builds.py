"""Firmware as a program or a library: what is built, what is refused, and how a program ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from dummy_model import DummyModel
from firmware import build_firmware, open_host, write_firmware

from mbn2c.errors import BoardError, FitError, UsageError
from mbn2c.firmware.stack import worst_case_stack
from mbn2c.firmware.toolchain import build
from mbn2c.link.session import Session, Timing
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.targets import load_board, load_core

MODEL = DummyModel()
QUICK = Timing(hello_s=0.3, reply_s=0.05, rows_s=0.05, give_up_s=0.3)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_firmware(MODEL, load_board("host"), tmp_path_factory.mktemp("host")).path


ENDS = {
    "by itself": ("exit 3", "ended with code 3"),
    "by a signal": ("kill -SEGV $$", "was ended by SIGSEGV"),
    "by the processor": ("kill -ILL $$", "an instruction that its processor does not have"),
}


@pytest.mark.parametrize("command, message", ENDS.values(), ids=ENDS)
def test_a_program_that_ends_says_how(tmp_path: Path, command: str, message: str) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho out of luck >&2\n{command}\n")
    program.chmod(0o755)
    with pytest.raises(BoardError, match=message) as caught, open_host(program) as emulated:
        Session(emulated, timing=QUICK).hello()
    assert "out of luck" in caught.value.where


def test_an_emulator_is_ended_with_its_board(host: Path) -> None:
    emulated = open_host(host)
    process = emulated._process
    assert process is not None and process.poll() is None
    emulated.close()
    emulated.close()
    assert process.poll() is not None
    with pytest.raises(BoardError, match="is closed"):
        emulated.read(0.1)


def test_missing_tools_are_named(host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BoardError, match="qemu-system-arm is not installed") as caught:
        EmulatedBoard(load_board("qemu-mps2-an500"), host)
    assert "apt install qemu-system-arm" in caught.value.hint
    with pytest.raises(BoardError, match="arm-none-eabi-gcc is not installed") as caught:
        build(tmp_path, "person", load_core("cortex-m7"), load_board("qemu-mps2-an500"))
    assert "apt install gcc-arm-none-eabi" in caught.value.hint


def test_no_firmware(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match="no firmware"):
        EmulatedBoard(load_board("host"), tmp_path / "nothing.elf")


def test_wrong_core_for_a_board(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not execute code of cortex-m7"):
        write_firmware(MODEL, load_core("cortex-m7"), load_board("qemu-microbit"), tmp_path)


def test_what_does_not_fit_names_the_memory(tmp_path: Path) -> None:
    with pytest.raises(FitError, match=r"do not fit 'ram' \(16,384 B\)"):
        build_firmware(DummyModel(arena=20000), load_board("qemu-microbit"), tmp_path)


def test_library(tmp_path: Path) -> None:
    core = load_core("host")
    write_firmware(MODEL, core, None, tmp_path)
    built = build(tmp_path, "person", core)
    assert built.path.is_file()
    assert built.size_bytes(("code",)) > 100
    assert {piece.section for piece in built.pieces if piece.kind == "constants"} >= {".rodata.person_weights"}
    stack = worst_case_stack(tmp_path.glob("build/*.ci"), ["person_push_rows"], {"person_push_rows": ()})
    assert 0 < stack.bytes < 500 and stack.path == ("person_push_rows",)
