"""What `explore` says of a network before it is trained, beside what its build takes and counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mbn2c.commands.bench import bench
from mbn2c.commands.build import build
from mbn2c.commands.build_options import BuildOptions
from mbn2c.commands.explore.export import export
from mbn2c.commands.explore.points import ExploreOptions, explore
from mbn2c.commands.output_folder import OutputFolder, write_build
from mbn2c.targets import load_board, load_core

# What the estimate is of the count where rates are known to be off: lookups, pools and products of a V3's small maps
# take more for a row than they say.
ESTIMATED = {"v3-small": 0.92}
# (family, width, size)
POINTS = [
    pytest.param("v1", 0.25, 48, id="v1"),
    pytest.param("v2", 0.35, 64, id="v2", marks=pytest.mark.slow),
    pytest.param("v3-small", 0.75, 64, id="v3-small", marks=pytest.mark.slow),
    pytest.param("v1", 0.5, 128, id="v1, wider", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("family", "width", "size"), POINTS)
def test_ram_is_the_builds_flash_within_1_and_instructions_within_2_percent(
    family: str, width: float, size: int, need_tool: Callable[[str], str], tmp_path: Path
) -> None:
    board = load_board("qemu-mps2-an386")
    for tool in ("qemu-system-arm", "arm-none-eabi-gcc"):
        need_tool(tool)
    options = ExploreOptions(
        load_core(board.core), board, (family,), widths=(width,), sizes=(size,), classes=10, jobs=1
    )
    found = explore(options)
    [point] = found.points
    export(options, found, tmp_path)
    model = tmp_path / f"{family}_{width:g}_{size}.onnx"
    write_build(build(BuildOptions(model=model, core=options.core, board=board, calib="random")), tmp_path / "out")
    output = OutputFolder(tmp_path / "out")
    ram, flash = output.record.ram, output.record.flash
    assert point.ram_bytes == ram.arena_bytes + ram.context_bytes
    assert point.flash_bytes == pytest.approx(flash.total_bytes, rel=0.01)
    counted = bench(output, board, tmp_path / "firmware")["instructions_per_inference"]
    assert point.time.instructions == pytest.approx(counted * ESTIMATED.get(family, 1.0), rel=0.02)
