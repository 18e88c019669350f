"""Turns a model's C and a board into the files around it: firmware, linker script, Makefile, CMakeLists.

Returns path -> bytes relative to the output folder, as a Bundle wants it. The model's own C is the caller's.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath

from mbn2c import __version__
from mbn2c.errors import UsageError
from mbn2c.link import wire
from mbn2c.resources.render import file_text, render
from mbn2c.targets import Board, Core

DEFAULT_STACK_BYTES = 2048
# picolibc, the usual C library of bare RISC-V, copies and fills byte by byte.
_OWN_LIBRARY = {"riscv": ("mbn_memory.c",)}
_COMMON = ("mbn_port.h", "mbn_line.h", "mbn_line.c", "mbn_unpack.h", "mbn_unpack.c", "mbn_count.c")
# What two drivers share.
_DRIVER_HEADERS = dict.fromkeys(("stm32_usart_v2", "stm32_lpuart"), ("mbn_stm32_usart_v2.h",))
_FOLDER = "firmware"
_BUILD = "mbn_build.h"
_SECTION = re.compile(rb'section\("\.weights\.(\w+)"\)')
_NUMBER = re.compile(rb"MBN_BUILD 0x([0-9A-F]{8})u")


def firmware_files(
    *,
    name: str,
    core: Core,
    board: Board,
    network: Mapping[str, bytes],
    constants: Sequence[str] = (),
    stack_bytes: int = DEFAULT_STACK_BYTES,
    folder: str = _FOLDER,
) -> dict[str, bytes]:
    """The firmware for `board`, running code of `core`, in `folder`: sources, headers, linker script.

    name         prefix of the model's C functions
    network      its C files, which the firmware's build number stands for, too
    constants    its arrays, without the prefix, in the order in which the host asks for them
    stack_bytes  what the linker must find free for the stack
    raises       UsageError if the board does not execute this core's code
    """
    if core.name not in board.cores:
        raise UsageError(
            f"board '{board.name}' does not execute code of {core.name}",
            where=f"targets/boards/{board.name}.toml",
            hint=f"--target {board.core}",
        )
    values = _firmware_values(name, core, board, stack_bytes) | {"constants": constants}
    values |= _section_values(board, weight_sections(network))
    names = ["main.c", "mbn_board.h", *_COMMON]
    if core.hosted:
        names += ["startup_hosted.c", f"port_{board.console.driver}.c"]
    else:
        names += _OWN_LIBRARY.get(core.startup, ())
        names += ["mbn_baud.h", "mbn_clocks.c", f"uart_{board.console.driver}.c", f"startup_{core.startup}.c"]
        names += _DRIVER_HEADERS.get(board.console.driver, ())
        # Only where the interrupt is taken do bytes come in while the network works.
        takes_interrupts = core.startup == "arm_m" and board.console.interrupt is not None
        names += ["receive_ring.c" if takes_interrupts else "receive_direct.c"]
        names += [f"boot_{board.boot}.c"] if board.boot else []
        names += ["link.ld"]
    files = {item: file_text(f"firmware/{item}", values) for item in names}
    files["mbn_wire.h"] = render("runtime/mbn_wire.h.j2", wire.header_values())
    number = _build_number(network, files, core)
    files[_BUILD] = render(f"firmware/{_BUILD}.j2", {"build": number})
    return {str(PurePosixPath(folder) / path): text.encode() for path, text in sorted(files.items())}


def weight_sections(network: Mapping[str, bytes]) -> frozenset[str]:
    """The sections of weights, apart from the other constants, that the C of networks names."""
    return frozenset(name.decode() for text in network.values() for name in _SECTION.findall(text))


def _section_values(board: Board, sections: frozenset[str]) -> dict[str, object]:
    """What the linker script says of them: one that is no memory of the board lies with the other constants."""
    placed = sorted(name for name in sections if board.flash_called(name) is not None)
    return {"placed": placed, "has_others": bool(sections.difference(placed))}


def _build_number(network: Mapping[str, bytes], firmware: Mapping[str, str], core: Core) -> int:
    """CRC-32 of all that the compiler is given."""
    number = zlib.crc32(" ".join(core.cflags).encode())
    for path, data in [*sorted(network.items()), *((path, text.encode()) for path, text in sorted(firmware.items()))]:
        number = zlib.crc32(data, zlib.crc32(path.encode(), number))
    return number


def build_number(files: Mapping[str, bytes]) -> int:
    """That of the firmware among these files; 0 if there is none."""
    found = _NUMBER.search(files.get(f"{_FOLDER}/{_BUILD}", b""))
    return int(found.group(1), 16) if found else 0


def renumbered(files: Mapping[str, bytes], changed: Mapping[str, bytes]) -> dict[str, bytes]:
    """The file that holds the build number, with one that stands for the changes among these files too."""
    path, number = f"{_FOLDER}/{_BUILD}", build_number(files)
    for name, content in sorted(changed.items()):
        number = zlib.crc32(content, zlib.crc32(name.encode(), number))
    return {path: _NUMBER.sub(f"MBN_BUILD 0x{number:08X}u".encode(), files.get(path, b""))}


def package_files(
    *,
    name: str,
    core: Core,
    sources: Sequence[str],
    include_folders: Sequence[str] = (".",),
    board: Board | None = None,
    firmware: Mapping[str, bytes] | None = None,
    firmware_folder: str = "firmware",
    build: str = "build",
    sections: Collection[str] = (),
) -> dict[str, bytes]:
    """Makefile and CMakeLists.txt.

    sources   C files of the model and its kernels, relative to the Makefile
    board     None for a library
    firmware  what `firmware_files` returned for that board
    sections  of weights that lie apart from the other constants
    """
    programs = [path for path in firmware or {} if path.endswith(".c")]
    bare_metal = board is not None and not core.hosted
    values: dict[str, object] = {
        "name": name,
        "target": core.name,
        "board": board.name if board is not None else "",
        "sources": list(sources),
        "main_source": f"{firmware_folder}/main.c",
        "firmware_folder": firmware_folder,
        "firmware_sources": [path for path in programs if path != f"{firmware_folder}/main.c"],
        "include_folders": [*include_folders, *([firmware_folder] if programs else [])],
        "prefix": core.prefix,
        "cflags": list(core.cflags),
        "ldflags": ["-nostartfiles", "-lm"] if bare_metal else ["-static", "-lm"],
        "link_script": f"{firmware_folder}/link.ld" if bare_metal else "",
        "has_one_image": bare_metal and board is not None and board.has_one_image(sections),
        "build": build,
        "bare_metal": not core.hosted,
    }
    return {
        "Makefile": render("packages/make/Makefile.j2", values).encode(),
        "CMakeLists.txt": render("packages/cmake/CMakeLists.txt.j2", values).encode(),
    }


def _cycle_counter(core: Core, board: Board) -> str:
    """An emulator's timer goes by the computer's clock; its interrupts would count as the network's instructions."""
    return "none" if board.emulated and core.cycle_counter == "systick" else core.cycle_counter


def _firmware_values(name: str, core: Core, board: Board, stack_bytes: int) -> dict[str, object]:
    console = board.console
    place = {use: memory.name for memory in board.memories for use in memory.holds}
    return {
        "name": name,
        "NAME": name.upper(),
        "board": board.name,
        "core": core.name,
        "version": __version__,
        "hosted": core.hosted,
        "base": console.base,
        "interrupt": console.interrupt,
        "interrupt_base": console.interrupt_base,
        "clock_hz": board.clock_hz,
        "uart_clock_hz": console.clock_hz,
        "baud": console.baud,
        "line_bytes": console.line_bytes,
        "window_bytes": console.window_bytes,
        "tcp_port": console.tcp_port,
        "setup": [
            {
                "note": step.note,
                "address": step.address,
                "clear_bits": step.clear,
                "set_bits": step.set,
                "wait_bits": step.wait,
                "until_bits": step.until,
                # The clock after the setup is the fastest; a pause may be longer, not shorter.
                "pause_cycles": -(-step.pause_us * board.clock_hz // 1_000_000),
            }
            for step in board.setup
        ],
        "cycle_counter": _cycle_counter(core, board),
        "memories": [
            {"name": m.name, "kind": m.kind, "origin": m.origin, "size_bytes": m.size_bytes} for m in board.memories
        ],
        "place": place,
        "stack_bytes": stack_bytes,
    }
