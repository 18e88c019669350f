"""The output folder of `mbn2c build`: written as a whole, read only as it was written, compiled for boards."""

from __future__ import annotations

from mbn2c.commands.output_folder.building import WRITE_STAGES, compile_folder, write_build
from mbn2c.commands.output_folder.firmware import (
    Firmware,
    Sources,
    expected_build,
    firmware_for,
    firmware_on,
    sources_for,
)
from mbn2c.commands.output_folder.reading import OutputFolder
from mbn2c.commands.output_folder.staging import check_folder, staged

__all__ = [
    "WRITE_STAGES",
    "Firmware",
    "OutputFolder",
    "Sources",
    "check_folder",
    "compile_folder",
    "expected_build",
    "firmware_for",
    "firmware_on",
    "sources_for",
    "staged",
    "write_build",
]
