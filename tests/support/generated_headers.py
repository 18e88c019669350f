"""The headers that no plain file of templates/ has, into a folder: `generated_headers.py build/include`.

What includes them is then C that clangd and clang parse by itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mbn2c.emit.network.model import runtime_headers
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware.files import firmware_files
from mbn2c.targets import load_board, load_core

# Any board will do whose console interrupts.
BOARD, CORE = "qemu-mps2-an386", "cortex-m4"


def generated_headers(board: str = BOARD, core: str = CORE) -> dict[str, bytes]:
    """By file name; those of the firmware are a board's."""
    firmware = firmware_files(name="network", core=load_core(core), board=load_board(board), network={})
    headers = {Path(path).name: content for path, content in firmware.items() if path.endswith(".h")}
    return headers | {name: text.encode() for name, text in runtime_headers().items()}


if __name__ == "__main__":
    write_bundle(generated_headers(), Path(sys.argv[1]))
