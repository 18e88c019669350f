"""A firmware -> its UF2 file, on the USB drive of the right boot loader."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mbn2c.errors import BoardError, UsageError
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware.flash.image import FlashContents, Say
from mbn2c.firmware.flash.uf2 import from_uf2, to_uf2
from mbn2c.targets import Flash

_DRIVES = ("/media/*/*", "/run/media/*/*", "/media/*", "/mnt/*", "/Volumes/*")
_INFO = "INFO_UF2.TXT"


def flash_uf2(firmware: FlashContents, say: Say, to: str, dry_run: bool) -> None:
    """Make the file, and copy it to the drive `to`, or to the one whose boot loader is the board's."""
    facts = firmware.flash
    file = firmware.elf.with_suffix(".uf2")
    wanted = firmware.only_image()
    data = to_uf2(wanted.data, wanted.address, facts.family)
    address, image = from_uf2(data, facts.family)
    if address != wanted.address or not image.startswith(wanted.data):
        raise BoardError("the UF2 file does not hold the firmware", where=str(file), hint="this is a bug in mbn2c")
    say(f"write {file}: {len(data):,} bytes for {len(wanted.data):,} at {address:#010x}, family {facts.family:#010x}")
    if dry_run:
        say(f"copy it to {to or f'the USB drive of the boot loader, whose {_INFO} says Board-ID: {facts.target}'}")
        return
    write_bundle({file.name: data}, file.parent)
    drive = _uf2_drive(facts, to)
    say(f"copy it to {drive}")
    try:
        with (drive / file.name).open("wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
    except PermissionError as error:
        raise BoardError(f"no permission to write to {drive}", hint="mount the drive as your own user") from error
    except OSError as error:
        raise BoardError(
            f"copying stopped: {error.strerror}", where=str(drive), hint="unplug, hold BOOTSEL, plug in"
        ) from error


def _uf2_drive(facts: Flash, to: str) -> Path:
    """The drive of a boot loader for this chip."""
    roots = [Path(to)] if to else sorted({path for pattern in _DRIVES for path in Path("/").glob(pattern[1:])})
    found = {drive: board_id for drive in roots if (board_id := _board_id(drive))}
    right = [drive for drive, board_id in found.items() if board_id == facts.target]
    if len(right) == 1:
        return right[0]
    if len(right) > 1:
        raise UsageError(
            f"{len(right)} boot loaders to choose from", hint="--to with one of: " + ", ".join(map(str, right))
        )
    if found:
        listing = ", ".join(f"{drive} ({board_id})" for drive, board_id in found.items())
        raise BoardError(f"the boot loader is not that of a {facts.target}", where=listing, hint="nothing was written")
    raise BoardError(
        "no USB drive of a boot loader" + (f" at {to}" if to else ""),
        hint="hold BOOTSEL while you plug the board in, mount the drive that appears, or name it with --to",
    )


def _board_id(drive: Path) -> str:
    """The Board-ID of a UF2 boot loader's drive; "" if it is none."""
    try:
        text = (drive / _INFO).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(r"^Board-ID:\s*(\S+)", text, re.MULTILINE)
    return found.group(1) if found else ""
