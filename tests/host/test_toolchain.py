"""Stack bounds from call graphs, pieces from link maps, ELF files: what is known is exact, what is not is refused."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from models import tiny_mobilenet_v2
from networks import quantized

from mbn2c.emit.c_files import c_files
from mbn2c.emit.network.model import Names
from mbn2c.errors import BoardError, InternalError
from mbn2c.files.bundle import write_bundle
from mbn2c.files.elf import read_elf
from mbn2c.firmware.stack import COMPILER_BYTES, LIBRARY_BYTES, StackUse, worst_case_stack
from mbn2c.firmware.toolchain import Piece, build, find_compiler, linked_pieces
from mbn2c.planner.choice import choose_plan
from mbn2c.targets import load_core


def node(title: str, frame: str = "") -> str:
    label = f"{title}\\nfile.c:1:1" + (f"\\n{frame}" if frame else "")
    return f'node: {{ title: "{title}" label: "{label}" }}\n'


def edge(caller: str, callee: str) -> str:
    return f'edge: {{ sourcename: "{caller}" targetname: "{callee}" label: "file.c:2:2" }}\n'


STACKS = {
    "one": (node("run", "8 bytes (static)"), {}, StackUse(8, ("run",))),
    "deepest of two": (
        node("run", "8 bytes (static)") + node("a", "16 bytes (static)") + node("file.c:b", "24 bytes (static)")
        + edge("run", "a") + edge("run", "file.c:b"),
        {}, StackUse(32, ("run", "b")),
    ),
    "library": (
        node("run", "8 bytes (static)") + node("memcpy") + edge("run", "memcpy"),
        {}, StackUse(8 + LIBRARY_BYTES, ("run", "memcpy")),
    ),
    "helper": (
        node("run", "0 bytes (static)") + edge("run", "__aeabi_lmul"),
        {}, StackUse(COMPILER_BYTES, ("run", "__aeabi_lmul")),
    ),
    "bounded": (node("run", "40 bytes (dynamic,bounded)"), {}, StackUse(40, ("run",))),
    "pointer is null": (
        node("run", "8 bytes (static)") + edge("run", "__indirect_call"),
        {"run": ()}, StackUse(8, ("run",)),
    ),
    "pointer is named": (
        node("run", "8 bytes (static)") + edge("run", "__indirect_call") + node("file.c:look", "100 bytes (static)"),
        {"run": ("look",)}, StackUse(108, ("run", "look")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("graph, pointers, expected", STACKS.values(), ids=STACKS)
def test_stack(graph: str, pointers: dict[str, tuple[str, ...]], expected: StackUse, tmp_path: Path) -> None:
    (tmp_path / "file.ci").write_text(graph)
    assert worst_case_stack([tmp_path / "file.ci"], ["run"], pointers) == expected


UNBOUNDED = {
    "recursion": (
        node("run", "8 bytes (static)") + node("a", "8 bytes (static)") + edge("run", "a") + edge("a", "run"),
        "'run' calls itself",
    ),
    "alloca": (node("run", "8 bytes (dynamic)"), "no fixed size"),
    "pointer": (node("run", "8 bytes (static)") + edge("run", "__indirect_call"), "through a pointer"),
    "stranger": (node("run", "8 bytes (static)") + edge("run", "printf"), "stack of 'printf' is unknown"),
}


@pytest.mark.parametrize("graph, message", UNBOUNDED.values(), ids=UNBOUNDED)
def test_unbounded_stack_is_refused(graph: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "file.ci").write_text(graph)
    with pytest.raises(InternalError, match=message):
        worst_case_stack([tmp_path / "file.ci"], ["run"])


def test_no_call_graphs(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match="no call graphs"):
        worst_case_stack([], ["run"])
    with pytest.raises(BoardError, match="cannot read"):
        worst_case_stack([tmp_path / "file.ci"], ["run"])


MAP = """
Discarded input sections

 .text.gone     0x00000000       0x40 build/person.o

Linker script and memory map

.vectors        0x00000000       0x40
 *(.vectors)
 .vectors       0x00000000       0x40 build/startup_arm_m.o

.text           0x00000040      0xe8c
 .text.person_push_rows_with_a_long_name
                0x0000007c       0xa4 build/person.o
                0x0000007c                person_push_rows_with_a_long_name
 *fill*         0x00000120        0x4
 .text          0x00000124       0x20 /usr/lib/libc.a(memcpy.o)
.rodata         0x60000000       0x40
 .rodata.person_weights
                0x60000000       0x40 build/person.o
.bss            0x20000000       0x18
 COMMON         0x20000000        0x8 build/main.o
 .bss.now       0x20000008       0x10 build/main.o
.debug_info     0x00000000     0x1000
 .debug_info    0x00000000     0x1000 build/main.o
"""


def test_link_map() -> None:
    assert linked_pieces(MAP) == (
        Piece("startup_arm_m.o", ".vectors", "code", 0x40),
        Piece("person.o", ".text.person_push_rows_with_a_long_name", "code", 0xA4),
        Piece("libc.a(memcpy.o)", ".text", "code", 0x20),
        Piece("person.o", ".rodata.person_weights", "constants", 0x40),
        Piece("main.o", "COMMON", "zero", 8),
        Piece("main.o", ".bss.now", "zero", 16),
    )


@pytest.mark.parametrize("prefix", ["", "arm-none-eabi-"])
def test_elf_symbols(prefix: str, tmp_path: Path) -> None:
    if shutil.which(prefix + "gcc") is None:
        pytest.skip(f"{prefix}gcc is not installed")
    (tmp_path / "a.c").write_text("const int table[4] = {1}; int zero[3]; int answer(void) { return table[2]; }")
    subprocess.run([prefix + "gcc", "-c", "-fdata-sections", "a.c"], cwd=tmp_path, check=True)
    elf = read_elf(tmp_path / "a.o")
    sizes = {section.name: section.size_bytes for section in elf.sections}
    assert {"table", "zero", "answer"} <= set(elf.symbols)
    assert sizes[".rodata.table"] == 16 and sizes[".bss.zero"] == 12
    with pytest.raises(BoardError, match="no symbol 'question'"):
        elf.address("question")


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"MZ" + bytes(200), b"\x7fELF\x02\x01" + b"\xff" * 60])
def test_not_an_elf_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.elf").write_bytes(content)
    with pytest.raises(BoardError, match="not an ELF file"):
        read_elf(tmp_path / "a.elf")
    with pytest.raises(BoardError, match="cannot read"):
        read_elf(tmp_path / "nothing.elf")


def test_c_that_does_not_compile_is_our_fault(tmp_path: Path) -> None:
    core = load_core("host")
    if shutil.which("make") is None or shutil.which(core.prefix + "gcc") is None:
        pytest.skip("make or gcc is not installed")
    (tmp_path / "Makefile").write_text("all:\n\tgcc -c broken.c\n")
    (tmp_path / "broken.c").write_text("int main(void) { return }\n")
    with pytest.raises(InternalError, match="does not build") as caught:
        build(tmp_path, "person", core)
    assert "broken.c:1" in caught.value.where


def test_of_a_library_only_what_is_needed_counts(tmp_path: Path) -> None:
    """As much as a linker keeps that leaves out unused sections."""
    graph = quantized(tiny_mobilenet_v2())
    core = load_core("cortex-m4")
    planned = choose_plan(graph, core, "speed")
    files = c_files(planned.plan, planned.kernels, Names("net", "a test", bytes(32)), core, None)
    write_bundle(files, tmp_path)
    built = build(tmp_path, "net", core)
    objects = sorted(tmp_path.glob("build/*.o"))
    roots = [f"-Wl,-u,net_{name}" for name in ("init", "run", "begin", "push_rows", "finish", "observe")]
    command = [find_compiler(core), *core.cflags, "-r", "-nostdlib", "-Wl,--gc-sections", *roots, "-Wl,-Map=net.map"]
    subprocess.run([*command, *map(str, objects), "-o", "net.o"], cwd=tmp_path, check=True)
    kept = linked_pieces((tmp_path / "net.map").read_text())
    everything = sum(section.size_bytes for path in objects for section in read_elf(path).sections)
    sizes = {kind: sum(piece.size_bytes for piece in kept if piece.kind == kind) for kind in ("code", "constants")}
    assert sizes == {kind: built.size_bytes((kind,)) for kind in sizes}
    assert sum(sizes.values()) < everything
