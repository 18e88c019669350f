"""`mbn2c flash`: the right commands, the right message for each thing that lacks; with tools that only pretend."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from dummy_model import DummyModel
from firmware import build_firmware
from hypothesis import given
from hypothesis import strategies as st

from mbn2c.errors import BoardError, InternalError, UsageError
from mbn2c.files.elf import read_elf
from mbn2c.firmware.flash import tools as flash_module
from mbn2c.firmware.flash.tools import blocked_probes, flash
from mbn2c.firmware.flash.uf2 import from_uf2, to_uf2
from mbn2c.targets import Board, Memory, all_boards, load_board

RP2040 = 0xE48BFF56
PYOCD = """#!/bin/sh
echo "$@" >> "{folder}/calls.txt"
case "$1 $*" in
json*) cat "{folder}/probes.json" ;;
commander*auto_unlock=true*read32*) echo "e0042000:  {chip:08x}    |...|" ;;
commander*read32*)
  if [ -n "{locked}" ]; then
    echo "Warning: Target is locked, limited operations available."
    exit 1
  fi
  echo "e0042000:  {chip:08x}    |...|" ;;
commander*compare*) echo "{compare}" ;;
load*) echo "{load}"; exit {load_code} ;;
esac
"""


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("flash")
    names = ("nucleo-f446re", "pico", "arduino-nano-33-ble", "nrf52840-dk", "raspberry-pi")
    return {name: build_firmware(DummyModel(), load_board(name), folder / name).path for name in names}


def pretend_pyocd(
    folder: Path, monkeypatch: pytest.MonkeyPatch, probes: list[str], *, chip: int = 0x10006421,
    compare: str = "All 4567 bytes match.", load: str = "", load_code: int = 0, locked: str = "",
) -> Path:  # fmt: skip
    """A pyocd on the PATH that has these probes; gives the file with its calls."""
    listing = {"boards": [{"unique_id": probe, "info": "STM32 STLink"} for probe in probes]}
    (folder / "probes.json").write_text(json.dumps(listing))
    script = PYOCD.format(folder=folder, chip=chip, compare=compare, load=load, load_code=load_code, locked=locked)
    tool(folder, monkeypatch, "pyocd", script)
    monkeypatch.setattr(flash_module.importlib.util, "find_spec", lambda name: None)
    return folder / "calls.txt"


def tool(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, script: str) -> None:
    (folder / name).write_text(script)
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def run(elf: Path, board: str, *, to: str = "", dry_run: bool = False, unlock: bool = False) -> list[str]:
    said: list[str] = []
    flash(elf, load_board(board), said.append, to=to, dry_run=dry_run, unlock=unlock)
    return said


def test_pyocd(firmware: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = pretend_pyocd(tmp_path, monkeypatch, ["066AFF49", "E6614103"])
    elf = firmware["nucleo-f446re"]
    run(elf, "nucleo-f446re", to="066a")
    text = calls.read_text().splitlines()
    assert [line.split()[0] for line in text] == ["json", "commander", "load", "commander", "reset"]
    assert all("-u 066AFF49" in line for line in text[1:])
    assert "read32 0xe0042000" in text[1] and "-t stm32f446retx" in text[2] and "compare 0x08000000" in text[3]
    assert elf.with_suffix(".bin").read_bytes() == read_elf(elf).image(0x08000000, 2**20)


MISTAKES = {
    "no probe": ({"probes": []}, "", BoardError, "no debug probe is attached"),
    "which probe": ({"probes": ["AA1", "AA2"]}, "aa", UsageError, "2 debug probes to choose from"),
    "no such probe": ({"probes": ["AA1"]}, "b", BoardError, "no debug probe's id starts with 'b'"),
    "wrong chip": ({"probes": ["AA1"], "chip": 0x10006413}, "", BoardError, "calls itself 0x413, not 0x421"),
    "bad flash": ({"probes": ["AA1"], "compare": "Mismatched byte"}, "", BoardError, "does not hold what was written"),
    "no pack": (
        {"probes": ["AA1"], "load": "Target type stm32f446retx not recognized", "load_code": 1},
        "", BoardError, "pyocd failed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("pretence, to, kind, message", MISTAKES.values(), ids=MISTAKES)
def test_pyocd_mistakes(
    pretence: dict[str, object], to: str, kind: type[Exception], message: str, firmware: dict[str, Path],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    calls = pretend_pyocd(tmp_path, monkeypatch, **pretence)  # type: ignore[arg-type]
    monkeypatch.setattr(flash_module, "blocked_probes", list)
    with pytest.raises(kind, match=re.escape(message)) as caught:
        run(firmware["nucleo-f446re"], "nucleo-f446re", to=to)
    if "load" in pretence:
        assert "pyocd pack install stm32f446retx" in caught.value.hint  # type: ignore[attr-defined]
    elif "compare" not in pretence:
        assert "load" not in calls.read_text(), "something was written"


# locked, unlock -> what pyocd is asked for; a chip is only erased to unlock it where the user says so
LOCKS = {
    "open": ("", False, ["json", "commander", "load", "commander", "reset"]),
    "open, unlock": ("", True, ["json", "commander", "load", "commander", "reset"]),
    "locked": ("yes", False, ["json", "commander"]),
    "locked, unlock": ("yes", True, ["json", "commander", "load", "commander", "reset"]),
}


@pytest.mark.parametrize("locked, unlock, wanted", LOCKS.values(), ids=LOCKS)
def test_a_locked_chip(
    locked: str, unlock: bool, wanted: list[str], firmware: dict[str, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    calls = pretend_pyocd(tmp_path, monkeypatch, ["AA1"], chip=0x52840, locked=locked)
    if locked and not unlock:
        with pytest.raises(BoardError, match="the chip's debug port is locked") as caught:
            run(firmware["nrf52840-dk"], "nrf52840-dk")
        assert "--unlock, which erases all" in caught.value.hint
    else:
        run(firmware["nrf52840-dk"], "nrf52840-dk", unlock=unlock)
    text = calls.read_text().splitlines()
    assert [line.split()[0] for line in text] == wanted
    assert "-t nrf52840" in text[1] and "read32 0x10000100" in text[1], "cortex_m cannot tell a locked chip"
    assert [number for number, line in enumerate(text) if "auto_unlock" in line] == ([1] if unlock else [])


def test_only_chips_that_lock_are_unlocked(firmware: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="'nucleo-f446re' is not locked"):
        run(firmware["nucleo-f446re"], "nucleo-f446re", unlock=True, dry_run=True)


BY_PYOCD = [board for board in all_boards() if board.flash is not None and board.flash.tool == "pyocd"]


@pytest.mark.parametrize("board", BY_PYOCD, ids=lambda board: board.name)
def test_pyocd_knows_the_target(board: Board) -> None:
    """pyOCD itself as the judge: its own targets, and the names in CMSIS packs that its list of ST boards has."""
    builtin = pytest.importorskip("pyocd.target.builtin", reason="pyocd is not installed (pip install pyocd)")
    boards = importlib.import_module("pyocd.board.board_ids").BOARD_ID_TO_INFO.values()
    assert board.flash is not None
    if not board.flash.pack:
        assert board.flash.target in builtin.BUILTIN_TARGETS
    else:
        # The list leaves out the Q of chips with their own voltage converter, which the packs have.
        assert board.flash.target.removesuffix("q") in {entry.target for entry in boards}


def test_pyocd_says_what_we_look_for() -> None:
    """Of a locked chip; and its commander does not erase one unasked."""
    commander = pytest.importorskip("pyocd.commands.commander", reason="pyocd is not installed (pip install pyocd)")
    source = inspect.getsource(commander)
    assert flash_module.LOCKED in source and "'auto_unlock': False" in source


def test_no_permission_for_the_probe(
    firmware: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_pyocd(tmp_path, monkeypatch, [])
    monkeypatch.setattr(flash_module, "blocked_probes", lambda: ["/dev/bus/usb/001/004"])
    with pytest.raises(BoardError, match="no permission") as caught:
        run(firmware["nucleo-f446re"], "nucleo-f446re")
    assert "udev rules" in caught.value.hint


def test_blocked_probes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "devices" / "1-2"
    device.mkdir(parents=True)
    for name, value in (("idVendor", "0483"), ("busnum", "1"), ("devnum", "4")):
        (device / name).write_text(value + "\n")
    node = tmp_path / "bus" / "001" / "004"
    node.parent.mkdir(parents=True)
    node.touch()
    assert blocked_probes(tmp_path / "devices", tmp_path / "bus") == []
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert blocked_probes(tmp_path / "devices", tmp_path / "bus") == [str(node)]
    (device / "idVendor").write_text("1d6b\n")
    assert blocked_probes(tmp_path / "devices", tmp_path / "bus") == []


def test_pyocd_missing(firmware: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash_module.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BoardError, match="pyocd is not installed") as caught:
        run(firmware["nucleo-f446re"], "nucleo-f446re")
    assert caught.value.hint == "pip install pyocd"


@pytest.mark.parametrize("name", [board.name for board in all_boards() if board.flash])
def test_dry_run_touches_nothing(name: str, firmware: dict[str, Path], tmp_path: Path) -> None:
    elf = firmware["raspberry-pi" if not load_board(name).memories else "nucleo-f446re"]
    board = load_board(name)
    if board.memories and board.memory("vectors").origin != 0x08000000:
        elf = build_firmware(DummyModel(rows=2, row_bytes=64), board, tmp_path).path
    before = {path: path.stat().st_mtime_ns for path in elf.parent.iterdir()}
    said = run(elf, name, dry_run=True)
    assert elf.name.split(".")[0] in "".join(said)
    assert not board.memories or board.console.note in said[-1]
    assert {path: path.stat().st_mtime_ns for path in elf.parent.iterdir()} == before


def test_emulated_boards_are_not_flashed(firmware: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="is not programmed") as caught:
        run(firmware["pico"], "qemu-mps2-an500")
    assert "--board qemu-mps2-an500" in caught.value.hint


@given(st.binary(min_size=1, max_size=3000), st.integers(0, 2**20).map(lambda page: page * 256))
def test_uf2_round_trip(image: bytes, address: int) -> None:
    data = to_uf2(image, address, RP2040)
    assert len(data) == 512 * -(-len(image) // 256)
    back_at, back = from_uf2(data, RP2040)
    assert back_at == address and back[: len(image)] == image and set(back[len(image) :]) <= {0xFF}


@pytest.mark.parametrize("place", [0, 4, 8, 13, 16, 20, 24, 28, 508, 512 + 12])
def test_a_damaged_uf2_is_refused(place: int) -> None:
    data = bytearray(to_uf2(bytes(600), 0x10000000, RP2040))
    data[place] ^= 1
    with pytest.raises(InternalError, match="UF2"):
        from_uf2(bytes(data), RP2040)
    with pytest.raises(InternalError, match="UF2"):
        from_uf2(bytes(data[:-1]), RP2040)


def drive(folder: Path, board_id: str) -> Path:
    folder.mkdir()
    (folder / "INFO_UF2.TXT").write_text(f"UF2 Bootloader v3.0\nModel: X\nBoard-ID: {board_id}\n")
    return folder


def test_uf2(firmware: dict[str, Path], tmp_path: Path) -> None:
    place = drive(tmp_path / "RPI-RP2", "RPI-RP2")
    run(firmware["pico"], "pico", to=str(place))
    address, image = from_uf2((place / "person.uf2").read_bytes(), RP2040)
    assert address == 0x10000000 and image.startswith(read_elf(firmware["pico"]).image(0x10000000, 2**21))


def with_outside_memory(name: str) -> Board:
    """The board with its constants in an external memory."""
    board = load_board(name)
    inside = [
        replace(memory, holds=tuple(use for use in memory.holds if use != "constants")) for memory in board.memories
    ]
    return replace(board, memories=(*inside, Memory("qspi", "flash", 0x90000000, 2**24, ("constants",))))


def test_weights_in_an_external_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They alone are there; what the start needs before the memory is set up is not, and both are read back."""
    board = with_outside_memory("nucleo-h743zi2")
    elf = build_firmware(DummyModel(), board, tmp_path).path
    loaded, weights = read_elf(elf), bytes(int(value) for value in DummyModel().weights)
    outside = loaded.image(0x90000000, 2**24)
    assert weights in outside and weights not in loaded.image(0x08000000, 2**21)
    assert 0x08000000 <= loaded.address("mbn_data_load") < 0x08200000
    calls = pretend_pyocd(tmp_path, monkeypatch, ["AA1"], chip=0x20036450)
    flash(elf, board, lambda what: None)
    text = calls.read_text()
    assert "compare 0x08000000 person.bin" in text and "compare 0x90000000 person.qspi.bin" in text
    assert (elf.parent / "person.qspi.bin").read_bytes() == outside


def test_a_boot_loader_that_does_not_reach_the_external_memory_is_refused(tmp_path: Path) -> None:
    board = with_outside_memory("pico")
    elf = build_firmware(DummyModel(), board, tmp_path).path
    with pytest.raises(UsageError, match="uf2 writes 'flash' only, and the firmware is in 'qspi' too"):
        flash(elf, board, lambda what: None, dry_run=True)


def test_uf2_mistakes(firmware: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(BoardError, match="no USB drive of a boot loader at") as caught:
        run(firmware["pico"], "pico", to=str(tmp_path))
    assert "BOOTSEL" in caught.value.hint
    other = drive(tmp_path / "RP2350", "RP2350")
    with pytest.raises(BoardError, match="not that of a RPI-RP2"):
        run(firmware["pico"], "pico", to=str(other))
    locked = drive(tmp_path / "locked", "RPI-RP2")
    (locked / "person.uf2").mkdir()
    with pytest.raises(BoardError, match="copying stopped"):
        run(firmware["pico"], "pico", to=str(locked))


def test_bossac_and_ssh(firmware: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nano, pi = firmware["arduino-nano-33-ble"], firmware["raspberry-pi"]
    with pytest.raises(UsageError, match="serial port"):
        run(nano, "arduino-nano-33-ble")
    with pytest.raises(UsageError, match="which computer"):
        run(pi, "raspberry-pi")
    for name in ("bossac", "scp"):
        tool(tmp_path, monkeypatch, name, f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/calls.txt\n')
    run(nano, "arduino-nano-33-ble", to="/dev/ttyACM3")
    said = run(pi, "raspberry-pi", to="pi@berry")
    calls = (tmp_path / "calls.txt").read_text()
    assert "bossac --port=ttyACM3 -U -i -e -w" in calls and "person.elf pi@berry:" in calls
    assert "--port socket://berry:4242" in said[-1]
    assert nano.with_suffix(".bin").read_bytes()[4] & 1 and (tmp_path / "bossac").stat().st_mode & stat.S_IXUSR
