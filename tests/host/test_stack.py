"""The stack that functions in assembly say they use is what their instructions use; what says nothing is refused."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from stack_walk import deepest

from mbn2c.emit.network.model import runtime_headers
from mbn2c.errors import InternalError
from mbn2c.files.elf import read_call_frames
from mbn2c.firmware.stack import StackUse, worst_case_stack
from mbn2c.firmware.toolchain import find_compiler
from mbn2c.resources.folders import templates
from mbn2c.targets import load_core

# A core for each ISA that has files, besides C99 for all.
CORES = {
    "armv6m": "cortex-m0plus",
    "armv7m": "cortex-m3",
    "arm_dsp": "cortex-m4",
    "arm_mve": "cortex-m55",
    "rv32im": "rv32imc",
}
SOURCES = [
    (isa, path.name, core)
    for isa, core in [*CORES.items(), ("scalar", "cortex-m0plus"), ("scalar", "cortex-m4"), ("scalar", "rv32imc")]
    for path in sorted((templates() / "kernels" / isa).glob("*.c"))
]
FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-ffunction-sections", "-fstack-usage", "-fcallgraph-info=su")


def compiled(folder: Path, source: Path, core: str, isa: str, *flags: str) -> Path:
    """The object file of a kernel file; what the compiler says of the stack lies beside it."""
    for name, text in runtime_headers().items():
        (folder / name).write_text(text)
    includes = [f"-iquote{place}" for place in (templates() / "kernels" / isa, templates() / "kernels" / "arm", folder)]
    command = [find_compiler(load_core(core)), *load_core(core).cflags, *FLAGS, *flags, *includes, "-c", str(source)]
    done = subprocess.run([*command, "-o", "a.o"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "a.o"


def stated(path: Path) -> dict[str, int]:
    """What compiler and call-frame information say of each function."""
    usage = re.findall(r"^\S+:([\w.]+)\t(\d+)\tstatic$", path.with_suffix(".su").read_text(), re.MULTILINE)
    frames = {name: frame.stack_bytes for name, frame in read_call_frames(path).items()}
    assert None not in frames.values()
    return {name: bytes_ for name, bytes_ in frames.items() if bytes_ is not None} | {n: int(size) for n, size in usage}


@pytest.mark.parametrize("isa, source, core", SOURCES, ids=[f"{isa}-{name}-{core}" for isa, name, core in SOURCES])
def test_every_function_uses_the_stack_it_states(tmp_path: Path, isa: str, source: str, core: str) -> None:
    path = compiled(tmp_path, templates() / "kernels" / isa / source, core, isa)
    objdump = find_compiler(load_core(core)).removesuffix("gcc") + "objdump"
    used = deepest(objdump, path)
    # GCC numbers the symbols of its clones, f.constprop.0, and leaves the number out of what it says of the stack.
    by_name = {re.sub(r"\.\d+$", "", name): bytes_ for name, bytes_ in used.items()}
    assert len(by_name) == len(used) and by_name == stated(path)


WRONG = {
    "too little is said": ("MBN_PUSHED(48)", "MBN_PUSHED(40)"),
    "too much is said": ("MBN_PUSHED(48)", "MBN_PUSHED(64)"),
    "nothing is said": ("MBN_PUSHED(48)", ""),
}


@pytest.mark.parametrize("right, wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_statement_is_found(tmp_path: Path, right: str, wrong: str) -> None:
    text = (templates() / "kernels" / "armv6m" / "conv2d_core.c").read_text()
    assert right in text
    source = tmp_path / "wrong.c"
    source.write_text(text.replace(right, wrong).replace("MBN_PUSHED(-48)", f"MBN_PUSHED(-{wrong[11:-1] or 0})"))
    path = compiled(tmp_path, source, "cortex-m0plus", "armv6m")
    objdump = find_compiler(load_core("cortex-m0plus")).removesuffix("gcc") + "objdump"
    assert deepest(objdump, path) != stated(path)


def test_what_assembly_in_a_c_function_pushes_is_found(tmp_path: Path) -> None:
    source = tmp_path / "push.c"
    source.write_text(
        'int f(int x);\nint f(int x)\n{\n    __asm__ volatile("push {r0}\\n\\tpop {r0}");\n    return x;\n}\n'
    )
    path = compiled(tmp_path, source, "cortex-m4", "arm_dsp")
    objdump = find_compiler(load_core("cortex-m4")).removesuffix("gcc") + "objdump"
    assert (deepest(objdump, path), stated(path)) == ({"f": 4}, {"f": 0})


# --- what the figures of a build are made of ------------------------------------------------------

_CALLER = "void core(void);\nvoid run(void);\nvoid run(void) { core(); core(); }\n"
_CORE = """
__asm__(".cfi_sections .debug_frame\\n.section .text.core,\\"ax\\",%progbits\\n"
        ".syntax unified\\n.thumb\\n.thumb_func\\n"
        ".global core\\n.type core, %function\\ncore:\\n"
        {body}
        ".size core, . - core\\n.text\\n");
"""
_SAVES = '"push {r4, r5, r6, lr}\\n.cfi_adjust_cfa_offset 16\\npop {r4, r5, r6, pc}\\n"'
BODIES = {
    "no information": (_SAVES.replace(".cfi_adjust_cfa_offset 16\\n", ""), "the stack of 'core' is unknown"),
    "a frame pointer": (
        '".cfi_startproc\\npush {r7, lr}\\n.cfi_adjust_cfa_offset 8\\nmov r7, sp\\n.cfi_def_cfa_register r7\\n"'
        '"pop {r7, pc}\\n.cfi_endproc\\n"',
        "the call frame of 'core' does not follow the stack pointer",
    ),
    "a call": (
        '".cfi_startproc\\npush {r4, lr}\\n.cfi_adjust_cfa_offset 8\\nbl run\\npop {r4, pc}\\n.cfi_endproc\\n"',
        "'core' is assembly and calls others",
    ),
}


def worst_case(folder: Path, body: str) -> StackUse:
    source = folder / "a.c"
    source.write_text(_CALLER + _CORE.replace("{body}", body))
    path = compiled(folder, source, "cortex-m4", "arm_dsp")
    return worst_case_stack([path.with_suffix(".ci")], ["run"], objects=[path])


def test_call_frames_of_assembly_count(tmp_path: Path) -> None:
    use = worst_case(tmp_path, f'".cfi_startproc\\n" {_SAVES} ".cfi_endproc\\n"')
    assert use == StackUse(8 + 16, ("run", "core"))


@pytest.mark.parametrize("body, message", BODIES.values(), ids=BODIES)
def test_assembly_without_a_bound_is_refused(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(InternalError, match=message):
        worst_case(tmp_path, body)
