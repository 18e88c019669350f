"""C that no template makes: copied byte for byte, it says its licence and its version, and refuses to be mixed."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from generated_headers import generated_headers
from host_c import Net, write_c
from models import tiny_mobilenet_v2
from networks import kernels_of, quantized

from mbn2c import __version__
from mbn2c.emit.network.model import version_number
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware.files import firmware_files
from mbn2c.firmware.toolchain import find_compiler
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.resources.folders import templates
from mbn2c.targets import load_board, load_core

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
    *(
        f"kernels/{isa}/mbn_{isa}.h"
        for isa in ("arm_mve", "arm_dsp", "arm_dotprod", "arm_neon", "armv6m", "armv7m", "rv32im")
    ),
}


@pytest.mark.parametrize("path", PLAIN)
def test_no_value_is_left_open(path: str) -> None:
    text = (templates() / path).read_text(encoding="utf-8")
    assert text.startswith("/* SPDX-License-Identifier: 0BSD */\n/* ")
    assert "{{ " not in text and "{%" not in text and "\r" not in text


@pytest.mark.parametrize("path", sorted(CHECKING))
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


# --- what a compiler and an editor say of them -----------------------------------------------------

STRICT_CLANG = (
    "-std=c99",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Werror",
    "-fsyntax-only",
)
KERNEL_CORES = {
    "armv6m": "cortex-m0plus",
    "armv7m": "cortex-m3",
    "arm_dsp": "cortex-m4",
    "arm_mve": "cortex-m55",
    "arm_neon": "aarch64-neon",
    "arm_dotprod": "aarch64-dotprod",
    "x86_avx512_vnni": "x86-64-vnni",
    "x86": "x86-64",
    "x86_avx2": "x86-64-avx2",
    "rv32im": "rv32imc",
    "scalar": "host",
}
# A board whose firmware has the file, and its core.
BOARDS = {
    "qemu-mps2-an386": "cortex-m4",
    "qemu-riscv32-virt": "rv32imc",
    "host": "host",
    "raspberry-pi": "aarch64",
    "pico": "cortex-m0plus",
    "pico2": "cortex-m33",
    "nrf52840-dk": "cortex-m4",
    "nucleo-f446re": "cortex-m4",
    "nucleo-l4r5zi": "cortex-m4",
    "nucleo-h743zi2": "cortex-m7",
}


def clang_flags(core: str) -> list[str]:
    """As GCC compiles for the core, with its C library; clang has not all of GCC's attributes."""
    facts = load_core(core)
    if facts.hosted and not facts.prefix:
        return []
    target = "arm-none-eabi" if facts.startup == "arm_m" else facts.prefix[:-1] if facts.hosted else "riscv32"
    own = [flag for flag in facts.cflags if not flag.startswith(("--specs", "-fno-schedule", "-mcmodel"))]
    command = [find_compiler(facts), *facts.cflags, "-xc", "-E", "-v", "/dev/null"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    words = said.split("search starts here:\n")[-1].split("End of search list")[0].split()
    folders = [folder for word in words if "/gcc" not in (folder := str(Path(word).resolve()))]
    return [f"--target={target}", "-Wno-unknown-attributes", *own, *(f"-isystem{folder}" for folder in folders)]


def parse(source: Path, core: str, *includes: Path) -> None:
    places = [f"-iquote{place}" for place in includes]
    command = ["clang", *clang_flags(core), *STRICT_CLANG, *places, str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]


@pytest.mark.parametrize("path", [path for path in PLAIN if path.startswith("kernels/") and path.endswith(".c")])
def test_clang_parses_the_kernels(tmp_path: Path, path: str, need_tool: Callable[[str], str]) -> None:
    need_tool("clang")
    write_bundle(generated_headers(), tmp_path)
    kernels, isa, source = templates() / "kernels", path.split("/")[1], templates() / path
    folders = [
        source.parent,
        kernels / isa,
        kernels / "arm",
        kernels / "arm_neon",
        kernels / "simd",
        kernels / "x86",
        tmp_path,
    ]
    if source.parent.name == "portable":
        parse(
            source, "host", source.parent, *(kernels / room / "portable" for room in ("arm_dsp", "arm_neon")), *folders
        )
    else:
        parse(source, KERNEL_CORES[isa], *folders)


def test_clang_parses_the_firmware(tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    """Each plain file with the generated headers of a board that has it."""
    need_tool("clang")
    left = {Path(path).name for path in PLAIN if path.startswith("firmware/") and path.endswith(".c")}
    for board, core in BOARDS.items():
        files = firmware_files(name="network", core=load_core(core), board=load_board(board), network={})
        write_bundle(files, tmp_path / board)
        here = {Path(path).name for path in files} & left
        for name in sorted(here):
            parse(tmp_path / board / "firmware" / name, core, tmp_path / board / "firmware")
        left -= here
    assert not left


def test_plain_files_are_formatted(need_tool: Callable[[str], str]) -> None:
    need_tool("clang-format")
    paths = [str(templates() / path) for path in PLAIN if path.endswith((".c", ".h"))]
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", *paths], capture_output=True, text=True)
    assert done.returncode == 0, f"clang-format -i\n{done.stderr[:3000]}"
