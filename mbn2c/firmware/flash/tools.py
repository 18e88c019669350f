"""A firmware and a board attached to this computer -> the board programmed, by the tool that its TOML names.

Each tool is a list of commands that can be shown before they are run. Nothing is written before the right chip has
answered, where it can be asked; what was written is read back, where it can be read.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from mbn2c.errors import BoardError, UsageError
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware.flash.image import FlashContents, Say, firmware_of
from mbn2c.firmware.flash.uf2_drive import flash_uf2
from mbn2c.targets import Board, Flash

LOCKED = "Target is locked"
_TOOL_SECONDS = 600
_WORD = re.compile(r"^[0-9a-f]{8}:\s+([0-9a-f]{8})", re.MULTILINE)
# USB vendors of debug probes: ST-LINK, J-Link, CMSIS-DAP, Raspberry Pi Debug Probe.
_PROBE_VENDORS = ("0483", "1366", "0d28", "2e8a")
_RULES_HINT = (
    "install udev rules for debug probes (pyOCD's are at https://github.com/pyocd/pyOCD/tree/main/udev), "
    "then `sudo udevadm control --reload && sudo udevadm trigger`, and plug the board in again"
)


def flash(elf: Path, board: Board, say: Say, *, to: str = "", dry_run: bool = False, unlock: bool = False) -> None:
    """Program `board` with the firmware `elf`.

    say      called with each step, before it is done
    to       which one: a debug probe's id or a unique start of it; the drive of a UF2 boot loader; the serial port of a
             bossac boot loader; user@host of a Linux board
    unlock   erase the chip whole if its debug port is locked, which opens it
    raises   UsageError if the board cannot be programmed, BoardError for a missing tool, probe, permission or chip
    """
    if board.flash is None:
        hint = "it is emulated: `mbn2c verify OUT --board " + board.name + "`" if board.emulated else ""
        raise UsageError(
            f"board '{board.name}' is not programmed", where=f"targets/boards/{board.name}.toml", hint=hint
        )
    if unlock and not board.flash.locks:
        raise UsageError(f"the debug port of a board '{board.name}' is not locked", hint="flash it without --unlock")
    firmware = firmware_of(elf, board, board.flash)
    if board.flash.tool == "pyocd":
        _flash_pyocd(firmware, say, to, dry_run, unlock)
    else:
        _TOOLS[board.flash.tool](firmware, say, to, dry_run)
    if board.memories:
        say(f"its serial port: {board.console.note}")


# --- pyOCD ---


def _flash_pyocd(firmware: FlashContents, say: Say, to: str, dry_run: bool, unlock: bool) -> None:
    facts = firmware.flash
    probe = to or "PROBE"
    if not dry_run:
        pyocd = _pyocd_command()
        probe = _choose_probe(pyocd, to)
    else:
        pyocd = ["pyocd"]
    chosen = ["-u", probe]
    if facts.id_address:
        # A locked port answers to nobody but its own target type; to be opened the chip has to be erased whole.
        opening = ["-O", "auto_unlock=true"] if unlock else []
        target = facts.target if facts.locks else "cortex_m"
        read = f"read32 {facts.id_address:#010x}"
        ask = [*pyocd, "commander", *chosen, "-W", "-t", target, *opening, "-c", read]
        first = "erase the chip whole if it is locked, and " if unlock else ""
        _announce(say, f"{first}ask the chip who it is: & {facts.id_mask:#x} must be {facts.id_value:#x}", ask)
        if not dry_run:
            _check_chip(firmware, _run(ask, facts))
    load = [*pyocd, "load", *chosen, "-W", "-t", facts.target, "--no-reset", str(firmware.elf)]
    reset = [*pyocd, "reset", *chosen, "-W", "-t", facts.target]
    _announce(say, f"write {firmware.size_bytes:,} bytes", load)
    if not dry_run:
        _run(load, facts)
    for number, image in enumerate(firmware.images):
        binary = firmware.elf.with_suffix(f".{image.memory}.bin" if number else ".bin")
        compare = f"compare {image.address:#010x} {binary.name}"
        check = [*pyocd, "commander", *chosen, "-W", "-t", facts.target, "-d", str(binary.parent), "-c", compare]
        _announce(say, "read them back", check)
        if not dry_run:
            write_bundle({binary.name: image.data}, binary.parent)
            if "bytes match" not in (said := _run(check, facts)):
                hint = "flash once more"
                raise BoardError("the board does not hold what was written", where=said.strip()[-200:], hint=hint)
    _announce(say, "start the firmware", reset)
    if not dry_run:
        _run(reset, facts)


def _pyocd_command() -> list[str]:
    if importlib.util.find_spec("pyocd") is not None:
        return [sys.executable, "-m", "pyocd"]
    if found := shutil.which("pyocd"):
        return [found]
    raise BoardError("pyocd is not installed", hint="pip install pyocd")


def attached_probes() -> dict[str, str]:
    """Debug probes by id, with what they say of themselves. Raises BoardError where pyOCD is missing or fails."""
    return _probes(_pyocd_command())


def _probes(pyocd: Sequence[str]) -> dict[str, str]:
    result = _start([*pyocd, "json", "--probes"])
    try:
        boards = json.loads(result.stdout)["boards"]
        return {str(entry["unique_id"]): str(entry.get("info", "")) for entry in boards}
    except (ValueError, KeyError, TypeError) as error:
        raise BoardError(f"pyocd does not list its probes: {error}", where=result.stderr.strip()[-300:]) from error


def _choose_probe(pyocd: Sequence[str], prefix: str) -> str:
    """The id of the one probe whose id starts with `prefix`."""
    names = _probes(pyocd)
    listing = ", ".join(f"{name} ({info})" if info else name for name, info in names.items())
    if not names:
        if blocked := blocked_probes():
            raise BoardError("no permission for the debug probe", where=", ".join(blocked), hint=_RULES_HINT)
        raise BoardError(
            "no debug probe is attached",
            hint="connect the board's debug USB socket with a cable that carries data; `lsusb` shows if it arrives",
        )
    matching = [name for name in names if name.lower().startswith(prefix.lower())]
    if not matching:
        raise BoardError(f"no debug probe's id starts with '{prefix}'", hint=f"attached: {listing}")
    if len(matching) > 1:
        raise UsageError(
            f"{len(matching)} debug probes to choose from", hint=f"--to with the start of one of: {listing}"
        )
    return matching[0]


def blocked_probes(devices: Path = Path("/sys/bus/usb/devices"), bus: Path = Path("/dev/bus/usb")) -> list[str]:
    """Device files of debug probes that are attached but that this user may not open."""
    blocked = []
    for vendor in sorted(devices.glob("*/idVendor")):
        try:
            if vendor.read_text().strip() not in _PROBE_VENDORS:
                continue
            numbers = [int((vendor.parent / name).read_text()) for name in ("busnum", "devnum")]
        except (OSError, ValueError):
            continue
        node = bus / f"{numbers[0]:03}" / f"{numbers[1]:03}"
        if node.exists() and not os.access(node, os.R_OK | os.W_OK):
            blocked.append(str(node))
    return blocked


def _check_chip(firmware: FlashContents, said: str) -> None:
    facts, board = firmware.flash, firmware.board
    word = _WORD.search(said)
    if word is None:
        raise BoardError(
            "the chip does not say who it is", where=said.strip()[-300:], hint="reset the board, try again"
        )
    value = int(word.group(1), 16) & facts.id_mask
    if value != facts.id_value:
        raise BoardError(
            f"this is not a {board.name}: its chip calls itself {value:#x}, not {facts.id_value:#x}",
            where=f"targets/boards/{board.name}.toml",
            hint="choose the right board with --board, or the right probe with --to; nothing was written",
        )


# --- others ---


def _flash_bossac(firmware: FlashContents, say: Say, to: str, dry_run: bool) -> None:
    image, binary = firmware.only_image(), firmware.elf.with_suffix(".bin")
    command = ["bossac", f"--port={Path(to).name if to else 'PORT'}", "-U", "-i", "-e", "-w", str(binary), "-R"]
    _announce(say, f"write {len(image.data):,} bytes through the boot loader", command)
    if dry_run:
        return
    if not to:
        hint = "press the reset button twice, then --to with the serial port that appears, /dev/ttyACM0"
        raise UsageError("which serial port the boot loader has is not given", hint=hint)
    if shutil.which("bossac") is None:
        hint = (
            "Arduino's bossac 1.9.1: it comes with the Arduino core 'Arduino Mbed OS Nano Boards'; put it on the PATH"
        )
        raise BoardError("bossac is not installed", hint=hint)
    write_bundle({binary.name: image.data}, binary.parent)
    _run(command, firmware.flash)


def _flash_ssh(firmware: FlashContents, say: Say, to: str, dry_run: bool) -> None:
    host = to or "USER@HOST"
    copy = ["scp", "-q", str(firmware.elf), f"{host}:"]
    port = firmware.board.console.tcp_port
    _announce(say, "copy the program", copy)
    if not dry_run:
        if not to:
            raise UsageError("which computer to copy to is not given", hint="--to pi@raspberrypi.local")
        if shutil.which("scp") is None:
            raise BoardError("scp is not installed", hint="apt install openssh-client")
        _run(copy, firmware.flash)
    say(f"now start it there: ssh {host} ./{firmware.elf.name}")
    say(f"and verify with --port socket://{host.rpartition('@')[2]}:{port}")


_TOOLS = {"uf2": flash_uf2, "bossac": _flash_bossac, "ssh": _flash_ssh}


def _announce(say: Say, what: str, command: Iterable[str]) -> None:
    say(f"{what}\n    {shlex.join(command)}")


def _start(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=_TOOL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BoardError(
            f"{command[0]} does not come to an end", hint="unplug the board, plug it in, try again"
        ) from error
    except OSError as error:
        raise BoardError(f"cannot run {command[0]}: {error.strerror}", hint="mbn2c doctor") from error


def _run(command: Sequence[str], facts: Flash) -> str:
    """What the command says. Raises BoardError with its last words, and the fix where it is known, if it fails."""
    result = _start(command)
    said = result.stdout + result.stderr
    if LOCKED in said:
        hint = "flash with --unlock, which erases all that the chip holds and opens its port; nothing was written"
        raise BoardError("the chip's debug port is locked", where=said.strip()[-200:], hint=hint)
    if result.returncode == 0:
        return said
    hint = "unplug the board, plug it in, try again"
    if "not recognized" in said and facts.pack:
        hint = f"pyocd pack update && pyocd pack install {facts.target}"
    elif "ermission" in said or "ccess denied" in said:
        hint = _RULES_HINT
    name = next((Path(word).name for word in command if word not in (sys.executable, "-m")), command[0])
    raise BoardError(f"{name} failed", where=said.strip()[-400:], hint=hint)
