"""What a build wrote -> README.md of the output folder: the next commands, what lies there, and what made it."""

from __future__ import annotations

from mbn2c import __version__
from mbn2c.emit.network.c_names import comment
from mbn2c.files.bundle import Bundle
from mbn2c.firmware.files import weight_sections
from mbn2c.resources.render import render
from mbn2c.targets import Board, Core

README = "README.md"
# Of OUT: what stands for the network where no compiler needs it.
MODEL_FOLDER = "model"
# (what a path begins or ends with, as a reader finds it, what it is); {name} is the network's prefix.
_SOURCES = (
    ("{name}.h", "`{name}.h`, `{name}.c`, `{name}_*`", "the network"),
    ("mbn_", "`mbn_*`", "its kernels and runtime, the same for every network of this version"),
    ("firmware/", "`firmware/`", "the program around it, for the board"),
    ("Makefile", "`Makefile`", "what compiles it; mbn2c itself runs it"),
    ("CMakeLists.txt", "`CMakeLists.txt`", "the same for CMake"),
)
_OTHERS = (
    ("", "`build/`", "what is compiled: {built}"),
    ("", "`report.html`, `report.json`", "RAM, flash, layers, quality"),
    ("", f"`{MODEL_FOLDER}/model.int8.onnx`", "the int8 network that the device is compared with, in ONNX Runtime"),
    ("", f"`{MODEL_FOLDER}/`, `mbn2c.json`", "what verify, bench and flash read; leave them as they are"),
)


def readme(
    code: Bundle, *, name: str, title: str, core: Core, board: Board | None, command: str, packagings: tuple[str, ...]
) -> Bundle:
    """README.md.

    code        the files that are compiled
    title       the model's file name
    command     the command line, as it may be shown; "" where there was none
    packagings  folders of `--emit`
    """
    sections = weight_sections(code)
    built = f"`lib{name}.a`" if board is None else f"`{name}.elf`"
    if board is not None and not core.hosted:
        built += f", `{name}.hex`" + (f", `{name}.bin`" if board.has_one_image(sections) else "")
    sources, others = (
        [
            (shown.format(name=name), words.format(built=built))
            for start, shown, words in files
            if not start or any(path.startswith(start.format(name=name)) for path in code)
        ]
        for files in (_SOURCES, _OTHERS)
    )
    sources += [(f"`{one}/`", "the C as this packaging wants it, with a README") for one in packagings]
    values = {
        "version": __version__,
        "name": name,
        "title": comment(title),
        "target": core.name,
        "board": board.name if board is not None else "",
        "is_emulated": board is not None and board.emulated,
        "command": command,
        "folder": ".",
        "sections": sorted(sections),
        "is_placed": board is not None and bool(board.memories),
        "sources": sources,
        "others": others,
    }
    return {README: render("output_readme.md.j2", values).encode()}
