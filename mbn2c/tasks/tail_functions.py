"""Outputs that end in a softmax or sigmoid -> the C functions that make it of the device's int8 values."""

from __future__ import annotations

from collections.abc import Sequence

from mbn2c.tasks.outputs import Output
from mbn2c.tasks.protocol import CFunction, CValues
from mbn2c.tasks.tails import TAILS


def tail_functions(prefix: str, outputs: Sequence[Output], values: Sequence[CValues]) -> list[CFunction]:
    """One for each output with a tail; with several outputs its name carries the output's number."""
    found = []
    for number, (output, one) in enumerate(zip(outputs, values, strict=True)):
        if output.tail:
            tail, words = TAILS[output.tail], output.tail.replace("_", " ")
            name = tail.function + (str(number) if len(outputs) > 1 else "")
            found.append(
                CFunction(
                    name,
                    _declaration(prefix, name, words, "the output" if len(outputs) == 1 else one.outside, one.bytes),
                    f"network/tasks/{tail.function}.c.j2",
                    {
                        "tail": words,
                        "function": name,
                        "offset": one.offset,
                        "count": one.bytes,
                        "scale": one.scale,
                        "table": tail.table(one.scale, one.zero_point),
                    },
                )
            )
    return found


def _declaration(prefix: str, name: str, tail: str, what: str, count: int) -> str:
    logarithms = " as logarithms" if tail == "log softmax" else ""
    return (
        f"/* {tail} of {what}, as the original model ends: for the host or for display. `output` is what\n"
        f" * {prefix}_run and {prefix}_finish fill; {count} probabilities are written{logarithms},"
        f" in the output's order. */\n"
        f"void {prefix}_{name}(const int8_t *output, float *probabilities);"
    )
