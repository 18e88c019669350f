"""C that no template makes: copied byte for byte, it says its licence and its version, and refuses to be mixed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from host_c import Net, write_c
from models import tiny_mobilenet_v2
from networks import kernels_of, quantized

from mbn2c import __version__
from mbn2c.emit.network.model import version_number
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.resources.folders import templates

ROOMS = ("kernels", "runtime", "firmware")
PLAIN = sorted(
    path.relative_to(templates()).as_posix()
    for room in ROOMS
    for path in (templates() / room).rglob("*")
    if path.suffix in (".c", ".h", ".S", ".ld")
)
CHECK = re.compile(r"#if MBN_VERSION != (\d+)\n#error \"(\w+\.h) is of another version")
CHECKING = {
    *("runtime/mbn_guard.h", "runtime/mbn_math.h", "runtime/mbn_rows.h"),
    *(f"kernels/{isa}/mbn_{isa}.h" for isa in ("arm_mve", "arm_dsp", "armv6m", "armv7m", "rv32im")),
}


@pytest.mark.parametrize("path", PLAIN)
def test_no_value_is_left_open(path: str) -> None:
    text = (templates() / path).read_text(encoding="utf-8")
    assert text.startswith("/* SPDX-License-Identifier: 0BSD */\n/* ")
    assert "{{ " not in text and "{%" not in text and "\r" not in text


@pytest.mark.parametrize("path", sorted(path for path in CHECKING if (templates() / path).is_file()))
def test_headers_name_this_version(path: str) -> None:
    """Whoever raises __version__ raises it there too: sed -i 's/MBN_VERSION != 100/MBN_VERSION != 200/'."""
    assert CHECK.findall((templates() / path).read_text()) == [(str(version_number(__version__)), path.split("/")[-1])]


def test_plain_files_come_out_as_they_are(tmp_path: Path) -> None:
    graph = quantized(tiny_mobilenet_v2())
    write_c(tmp_path, [Net("net", plan_layerwise(graph, kernels_of(graph)))])
    kernels = {path: f"mbn_{Path(path).stem}_scalar.c" for path in PLAIN if path.startswith("kernels/scalar/")}
    copied = {path: name for path, name in kernels.items() if (tmp_path / name).is_file()}
    assert len(copied) >= 4
    for path, name in [*copied.items(), ("runtime/mbn_math.h", "mbn_math.h")]:
        assert (tmp_path / name).read_bytes() == (templates() / path).read_bytes()


def test_version_numbers_keep_the_order_of_versions() -> None:
    assert [version_number(text) for text in ("0.1.0", "0.2.0", "0.2.13", "1.0.0")] == [100, 200, 213, 10000]


@pytest.mark.parametrize("source", ["net.c", "net_constants.c", "mbn_conv2d_scalar.c"])
def test_files_of_another_version_do_not_compile(tmp_path: Path, source: str) -> None:
    graph = quantized(tiny_mobilenet_v2())
    write_c(tmp_path, [Net("net", plan_layerwise(graph, kernels_of(graph)))])
    command = ["gcc", "-fsyntax-only", source]
    assert subprocess.run(command, cwd=tmp_path).returncode == 0
    header = tmp_path / "mbn_version.h"
    header.write_text(header.read_text().replace(f"MBN_VERSION {version_number(__version__)}", "MBN_VERSION 99"))
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode != 0 and "take all files from one build" in refused.stderr
