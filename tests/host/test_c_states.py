"""Every call of the generated C in every state of a context: an error code, never a crash. On this machine under
sanitizers, and on an emulated board, where writing at address 0 goes unseen."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from firmware import missing_tool
from host_c import SANITIZE, compile_c, write_c
from tiny_nets import tiny_nets

from mbn2c.files.bundle import write_bundle
from mbn2c.firmware.files import firmware_files, package_files
from mbn2c.firmware.toolchain import build
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.targets import load_board, load_core

CALLS = {
    "begin": "stream_begin(&net)",
    "push 0": "stream_push_rows(&net, rows, 0)",
    "push 1": "stream_push_rows(&net, rows, 1)",
    "push all": "stream_push_rows(&net, rows, STREAM_INPUT_ROWS)",
    "push more": "stream_push_rows(&net, rows, INT_MAX)",
    "push -1": "stream_push_rows(&net, rows, -1)",
    "push NULL": "stream_push_rows(&net, NULL, 1)",
    "finish": "stream_finish(&net, output)",
    "finish NULL": "stream_finish(&net, NULL)",
    "run": "stream_run(&net, rows, output)",
    "run NULL": "stream_run(&net, NULL, output)",
    "observe": "stream_observe(&net, NULL, NULL)",
}
SETUPS = {
    "static": "memset(&net, 0, sizeof net);",
    "init failed": "memset(&net, 0x5a, sizeof net); (void)stream_init(&net, arena, STREAM_ARENA_BYTES - 1);",
    "init NULL": "(void)stream_init(&net, arena, sizeof arena); (void)stream_init(&net, NULL, sizeof arena);",
    "ready": "(void)stream_init(&net, arena, sizeof arena);",
    "begun": "(void)stream_init(&net, arena, sizeof arena); (void)stream_begin(&net);",
    "some rows": "(void)stream_init(&net, arena, sizeof arena); (void)stream_begin(&net); "
    "(void)stream_push_rows(&net, rows, 3);",
    "all rows": "(void)stream_init(&net, arena, sizeof arena); (void)stream_begin(&net); "
    "(void)stream_push_rows(&net, rows, STREAM_INPUT_ROWS);",
    "finished": "(void)stream_init(&net, arena, sizeof arena); (void)stream_run(&net, rows, output);",
}
# In the order of CALLS: . OK, A E_ARGUMENT, O E_ORDER.
EXPECTED = {
    "static":      "OOOOOAAOAOOO",
    "init failed": "OOOOOAAOAOOO",
    "init NULL":   "OOOOOAAOAOOO",
    "ready":       ".OOOOAAOA.A.",
    "begun":       "....OAAOA.A.",
    "some rows":   "...OOAAOA.A.",
    "all rows":    "..OOOAA.A.A.",
    "finished":    ".OOOOAAOA.A.",
}  # fmt: skip
SOURCE = """#include <limits.h>
#include <string.h>
#include "stream.h"
static stream_t net;
static int8_t arena[STREAM_ARENA_BYTES] __attribute__((aligned(16)));
static stream_input_t rows[STREAM_INPUT_BYTES];
static int8_t output[STREAM_OUTPUT_BYTES];
static void enter(int state) { switch (state) {%s} }
static int call(int number) { switch (number) {%s} return -1; }
static char code(int state, int number)
{
    enter(state);
    const int found = call(number);
    return found == STREAM_OK ? '.' : found == STREAM_E_ARGUMENT ? 'A' : found == STREAM_E_ORDER ? 'O' : '?';
}
"""
ON_HOST = """#include <stdio.h>
int main(void) { for (int s = 0; s < %d; s++) for (int c = 0; c < %d; c++) putchar(code(s, c)); return 0; }
"""
ON_BOARD = """#include "mbn_port.h"
int main(void)
{
    mbn_board_setup();
    mbn_port_open();
    for (int s = 0; s < %d; s++) {
        for (int c = 0; c < %d; c++) {
            const uint8_t byte = (uint8_t)code(s, c);
            mbn_port_put(&byte, 1);
        }
    }
    mbn_port_flush();
    for (;;) { (void)mbn_port_get(); }
}
"""
COUNT = len(SETUPS) * len(CALLS)


def source(main: str) -> str:
    setups = " ".join(f"case {at}: {text} break;" for at, text in enumerate(SETUPS.values()))
    calls = " ".join(f"case {at}: return {text};" for at, text in enumerate(CALLS.values()))
    return SOURCE % (setups, calls) + main % (len(SETUPS), len(CALLS))


def assert_expected(said: str) -> None:
    assert len(said) == COUNT
    rows = {name: said[at * len(CALLS) : (at + 1) * len(CALLS)] for at, name in enumerate(SETUPS)}
    wrong = [
        f"{name}, {call}: {found} and not {wanted}"
        for name in SETUPS
        for call, found, wanted in zip(CALLS, rows[name], EXPECTED[name], strict=True)
        if found != wanted
    ]
    assert not wrong


def test_on_this_machine(tmp_path: Path) -> None:
    sources = write_c(tmp_path, [tiny_nets()["stream"]])
    (tmp_path / "states.c").write_text(source(ON_HOST))
    compile_c(tmp_path, [*sources, "states.c"], *SANITIZE, "-o", "states", "-lm", standard="-std=gnu11")
    done = subprocess.run([tmp_path / "states"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:2000]
    assert_expected(done.stdout)


def test_on_a_board(tmp_path: Path) -> None:
    board = load_board("qemu-mps2-an385")
    core = load_core(board.core)
    if lacking := missing_tool(core, board):
        pytest.skip(f"{board.name}: not installed: {lacking}")
    files = tiny_nets()["stream"].files()
    firmware = firmware_files(name="stream", core=core, board=board, network=files)
    firmware["firmware/main.c"] = source(ON_BOARD).encode()
    sources = sorted(path for path in files if path.endswith(".c"))
    package = package_files(name="stream", core=core, sources=sources, board=board, firmware=firmware)
    write_bundle({**files, **firmware, **package}, tmp_path)
    with EmulatedBoard(board, build(tmp_path, "stream", core, board).path) as line:
        said = b""
        while len(said) < COUNT:
            data = line.read(60.0)
            assert data, f"silence after {said!r}"
            said += data
    assert_expected(said.decode())
