"""Outputs that end in what the importer splits off -> the C functions that make it of the device's int8 values."""

from __future__ import annotations

from collections.abc import Sequence

from mbn2c.tasks.outputs import Output
from mbn2c.tasks.protocol import CFunction, CValues
from mbn2c.tasks.tails import TAILS, Tail


def tail_functions(
    prefix: str, outputs: Sequence[Output], values: Sequence[CValues], offered: int | None = None
) -> list[CFunction]:
    """One for each output with a tail; with several outputs its name carries the output's number.

    offered  the number of the output whose tail the model itself does not have
    """
    found = []
    for number, (output, one) in enumerate(zip(outputs, values, strict=True)):
        if output.tail:
            tail, words = TAILS[output.tail], output.tail.replace("_", " ")
            name = tail.function + (str(number) if len(outputs) > 1 else "")
            table = {"table": tail.table(one.scale, one.zero_point)} if tail.table else {}
            found.append(
                CFunction(
                    name,
                    _declaration(
                        prefix,
                        name,
                        f"{words} of {'the output' if len(outputs) == 1 else one.outside}",
                        "for a model that ends in logits" if number == offered else "as the original model ends",
                        one.bytes,
                        tail,
                    ),
                    f"network/tasks/{tail.template}.c.j2",
                    {
                        "tail": words,
                        "formula": tail.formula,
                        "function": name,
                        "makes": tail.makes,
                        "offset": one.offset,
                        "count": one.bytes,
                        "scale": one.scale,
                        "zero_point": one.zero_point,
                        **table,
                    },
                )
            )
    return found


def _declaration(prefix: str, name: str, what: str, why: str, count: int, tail: Tail) -> str:
    logarithms = " as logarithms" if what.startswith("log softmax") else ""
    return (
        f"/* {what}, {why}: for the host or for display. `output` is what\n"
        f" * {prefix}_run and {prefix}_finish fill; {count} {tail.makes} are written{logarithms},"
        f" in the output's order. */\n"
        f"void {prefix}_{name}(const int8_t *output, float *{tail.makes});"
    )
