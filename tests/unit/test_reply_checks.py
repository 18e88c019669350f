"""What a device may tell, to the last number: the largest and the smallest that is taken, and the next that is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hostile_board import FACTS, SIZES

from mbn2c.errors import DeviceFaultError
from mbn2c.link import wire
from mbn2c.link.reply_checks import check_data, check_facts, check_state, check_texts, check_vitals

MIB = 2**20
# A Compressed request has 3 bytes of head, 12 of fields and 4 of checksum around its 32 bytes at least.
LEAST_BODY = 3 + wire.fixed_bytes(wire.Compressed) + 4 + 32


def frame_bytes(body_bytes: int) -> int:
    """Bytes on the line: COBS adds one, and one for each 254; a delimiter ends it."""
    return body_bytes + 1 + body_bytes // 254 + 1


# (changes of sane facts, what is refused; "" for facts that are taken)
FACTS_TOLD: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"input_bytes": 64 * MIB, "row_bytes": MIB}, ""),
    ({"input_bytes": 64 * MIB + 1, "row_bytes": 64 * MIB + 1}, "an input of 67,108,865 B"),
    ({"input_bytes": 0, "row_bytes": 1}, "an input of 0 B"),
    ({"input_bytes": 1, "row_bytes": 1}, ""),
    ({"output_bytes": 64 * MIB}, ""),
    ({"output_bytes": 64 * MIB + 1}, "an output of 67,108,865 B"),
    ({"output_bytes": 0}, "an output of 0 B"),
    ({"output_bytes": 1}, ""),
    ({"row_bytes": 96}, ""),
    ({"row_bytes": 1}, ""),
    ({"row_bytes": 0}, "rows of 0 B"),
    ({"row_bytes": 95}, "rows of 95 B"),
    ({"row_bytes": 192}, "rows of 192 B"),
    ({"pixel_bytes": 0}, ""),
    ({"pixel_bytes": 1}, ""),
    ({"pixel_bytes": 2}, ""),
    ({"pixel_bytes": 4}, ""),
    ({"pixel_bytes": 3}, "pixels of 3 B"),
    ({"pixel_bytes": 8}, "pixels of 8 B"),
    ({"buffer_bytes": LEAST_BODY, "window_bytes": 0}, ""),
    ({"buffer_bytes": LEAST_BODY - 1, "window_bytes": 0}, "too small for a request"),
    ({"window_bytes": 2 * frame_bytes(LEAST_BODY) + 2}, ""),  # largest_body rounds down
    ({"window_bytes": 2 * frame_bytes(LEAST_BODY) - 1}, "too small for a request"),
    ({"buffer_bytes": LEAST_BODY - 1, "window_bytes": 4000}, "too small for a request"),
    ({"steps": 1}, ""),
    ({"steps": 0}, "a network of 0 steps"),
    ({"clock_hz": 0}, ""),
    ({"clock_hz": 1}, "a clock of 1 Hz"),
    ({"clock_hz": 999_999}, "a clock of 999,999 Hz"),
    ({"clock_hz": 1_000_000}, ""),
    ({"has_cycles": 0}, ""),
    ({"has_cycles": 1}, ""),
    ({"has_cycles": 2}, "has_cycles 2"),
]


def refusal(check: Any, *told: Any) -> str:
    """What is said of what is told; "" for nothing."""
    try:
        check(*told)
    except DeviceFaultError as error:
        assert error.where == FACTS.board and error.hint == "build and flash the firmware anew"
        return error.what
    return ""


@pytest.mark.parametrize("changes, expected", FACTS_TOLD, ids=[str(changes) for changes, _ in FACTS_TOLD])
def test_facts(changes: dict[str, Any], expected: str) -> None:
    said = refusal(check_facts, replace(FACTS, **changes), None)
    assert bool(said) == bool(expected) and expected in said


@pytest.mark.parametrize("field, what", [("input_bytes", "an input of 97 B"), ("output_bytes", "an output of 11 B")])
def test_sizes_are_the_networks(field: str, what: str) -> None:
    assert refusal(check_facts, FACTS, SIZES) == ""
    said = refusal(check_facts, FACTS, replace(SIZES, **{field: getattr(SIZES, field) - 1}))
    assert said == f"the board tells {what.replace('97', '96').replace('11', '10')}, the network's has " + (
        "95 B" if field == "input_bytes" else "9 B"
    )


@pytest.mark.parametrize("field", ["name", "core", "board", "version"])
def test_texts(field: str) -> None:
    check_texts(FACTS)
    with pytest.raises(DeviceFaultError, match=rf"tells '\\x1b' as its {field}"):
        check_texts(replace(FACTS, **{field: "\x1b"}))


IDLE = wire.State(**{field.name: 0 for field in wire.layout(wire.State)})
ROW_WAITS = wire.STATES.index("row_waiting")
STATES: list[tuple[dict[str, int], str, str]] = [
    ({}, "plain", ""),
    ({"received": 96}, "plain", ""),
    ({"received": 97}, "plain", "received 97 of 96 input bytes"),
    ({"state": len(wire.STATES) - 1}, "plain", ""),
    ({"state": len(wire.STATES)}, "plain", f"state {len(wire.STATES)}"),
    ({"state": ROW_WAITS, "row_bytes": 1}, "plain", "a row waits in a run of mode plain"),
    ({"state": ROW_WAITS, "row_bytes": 1}, "dump", ""),
    ({"state": ROW_WAITS, "row_bytes": 0}, "dump", "a row of 0 B waits in an arena of 64 B"),
    ({"state": ROW_WAITS, "row_bytes": 64}, "dump", ""),
    ({"state": ROW_WAITS, "row_bytes": 65}, "dump", "a row of 65 B waits in an arena of 64 B"),
    ({"state": 0, "row_bytes": 65}, "dump", ""),
]


@pytest.mark.parametrize("changes, mode, expected", STATES)
def test_states(changes: dict[str, int], mode: str, expected: str) -> None:
    said = refusal(check_state, replace(IDLE, **changes), FACTS, mode)
    assert bool(said) == bool(expected) and expected in said


# (offset and length that were asked for, total told, bytes that came, cycles) of a buffer of 10 bytes
DATA: list[tuple[int, int, int, int, int, str]] = [
    (0, 10, 10, 10, 0, ""),
    (0, 4, 10, 4, 0, ""),
    (0, 4, 10, 5, 0, "5 B of output where 4 B were asked for"),
    (8, 4, 10, 2, 0, ""),
    (8, 4, 10, 3, 0, "3 B of output where 2 B were asked for"),
    (8, 4, 10, 0, 0, "0 B of output where 2 B were asked for"),
    (9, 4, 10, 0, 0, "0 B of output where 1 B were asked for"),
    (10, 4, 10, 0, 0, ""),
    (0, 10, 11, 10, 0, "an output of 11 B, not 10 B"),
    (0, 10, 9, 9, 0, "an output of 9 B, not 10 B"),
    (0, 10, 10, 10, 2**48 - 1, ""),
    (0, 10, 10, 10, 2**48, "281,474,976,710,656 cycles"),
]


@pytest.mark.parametrize("offset, length, total, came, cycles, expected", DATA)
def test_data(offset: int, length: int, total: int, came: int, cycles: int, expected: str) -> None:
    request = wire.Fetch(run=1, buffer=wire.BUFFERS.index("output"), offset=offset, length=length)
    zeros = {field.name: 0 for field in wire.layout(wire.Data)}
    data = wire.Data(**{**zeros, "total": total, "data": bytes(came), "cycles": cycles})  # type: ignore[arg-type]
    said = refusal(check_data, data, FACTS, request, 10)
    assert bool(said) == bool(expected) and expected in said


# (bytes on the line, what they say of 10 that were asked for, or what is refused)
PAIRS: list[tuple[bytes, bytes | str]] = [
    (b"\x0a\x07", b"\7" * 10),
    (b"\x01\x07\x02\x00", b"\7\0\0"),
    (b"\x0b\x07", "11 B of output where 10 B were asked for"),
    (b"\xff\x07" * 1024, "261,120 B of output where 10 B were asked for"),
    (b"\x0a\x07\x01", "3 B of output that are no pairs"),
    (b"\x00\x07", "2 B of output that are no pairs"),
    (b"\x05\x07\x00\x01", "4 B of output that are no pairs"),
    (b"", "0 B of output where 10 B were asked for"),
]


@pytest.mark.parametrize("pairs, expected", PAIRS)
def test_repeats(pairs: bytes, expected: bytes | str) -> None:
    request = wire.Fetch(run=1, buffer=wire.BUFFERS.index("output"), offset=0, length=10)
    data = wire.Repeats(1, request.buffer, 0, 10, 0, 0, pairs)
    if isinstance(expected, bytes):
        assert check_data(data, FACTS, request, 10) == expected
    else:
        assert expected in refusal(check_data, data, FACTS, request, 10)


@pytest.mark.parametrize("used, there, expected", [(8, 8, ""), (0, 8, ""), (9, 8, "9 B of stack used, of 8 B")])
def test_stack(used: int, there: int, expected: str) -> None:
    zeros = {field.name: 0 for field in wire.layout(wire.Vitals)}
    vitals = wire.Vitals(**{**zeros, "stack_used_bytes": used, "stack_bytes": there})
    said = refusal(check_vitals, vitals, FACTS)
    assert bool(said) == bool(expected) and expected in said
