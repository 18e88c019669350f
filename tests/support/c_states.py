"""Every call of the C API in every state, and what it has to answer; a C program that asks them all."""

from __future__ import annotations

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
