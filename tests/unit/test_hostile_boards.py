"""Devices that flood the line, never advance or tell absurd numbers: a BoardError in words, within a stated time."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hostile_board import (
    FACTS,
    FRAME,
    IMAGE_S,
    OUTPUT,
    QUICK,
    SIZES,
    HostileLine,
    Wrong,
    ahead,
    fuzzing,
    one_by_one,
    session_on,
)  # fmt: skip

from mbn2c.errors import BoardError
from mbn2c.link import wire
from mbn2c.link.dialogue import board_timing
from mbn2c.link.session import Session, TensorSizes

WAYS = [ahead, one_by_one]
SLACK_S = 0.1
U32 = 2**32 - 1


def told(kind: type[wire.Message], **changes: Any) -> Wrong:
    """Each reply of this kind tells other numbers."""
    return lambda request, reply: replace(reply, **changes) if isinstance(reply, kind) else reply


def when(kind: type[wire.Message], instead: Any) -> Wrong:
    """Each request of this kind is answered so."""
    return lambda request, reply: instead if isinstance(request, kind) else reply


FACTS_TOLD = {
    "buffer 0": ({"buffer_bytes": 0}, "a buffer of 0 B"),
    "buffer 20": ({"buffer_bytes": 20}, "a buffer of 20 B"),
    "window 1": ({"window_bytes": 1}, "a window of 1 B, too small"),
    "window 60": ({"window_bytes": 60}, "a window of 60 B, too small"),
    "row 0": ({"row_bytes": 0}, "has rows of 0 B"),
    "row 33": ({"row_bytes": 33}, "has rows of 33 B"),
    "pixel 200": ({"pixel_bytes": 200}, "have pixels of 200 B"),
    "pixel 3": ({"pixel_bytes": 3}, "have pixels of 3 B"),
    "input": ({"input_bytes": 64}, "an input of 64 B, the network's has 96 B"),
    "output": ({"output_bytes": 11}, "an output of 11 B, the network's has 10 B"),
    "steps 0": ({"steps": 0}, "a network of 0 steps"),
    "clock 1": ({"clock_hz": 1}, "a clock of 1 Hz"),
    "has_cycles 7": ({"has_cycles": 7}, "has_cycles 7"),
    "name": ({"name": "\x1b[2J"}, r"tells '\\x1b\[2J' as its name"),
    "board": ({"board": "a\nb"}, r"tells 'a\\nb' as its board"),
    "core": ({"core": "\x07"}, r"tells '\\x07' as its core"),
    "version": ({"version": "\r1"}, r"tells '\\r1' as its version"),
}
IN_A_RUN: dict[str, tuple[Wrong, str]] = {
    "never advances": (
        lambda request, reply: replace(reply, received=0, state=1) if isinstance(request, wire.Input) else reply,
        "with 0 input bytes, not of",
    ),
    "received 2^32-1": (told(wire.State, received=U32), "has received 4,294,967,295 of 96"),
    "state 9": (told(wire.State, state=9), "tells state 9"),
    "always idle": (told(wire.State, state=0), "it is idle with 0 of 96"),
    "done at once": (told(wire.State, state=3), "done with 0 of 96"),
    "row waits in plain": (told(wire.State, state=2, row_bytes=8), "a row waits in a run of mode plain"),
    "crc of the input": (told(wire.State, crc=1), "was sent an input of CRC-32 .* and tells 00000001"),
    "run": (told(wire.State, run=7), "tells of run 00000007"),
    "total 0": (told(wire.Data, total=0), "an output of 0 B, not 10 B"),
    "total 2^32-1": (told(wire.Data, total=U32), "an output of 4,294,967,295 B, not 10 B"),
    "no data": (told(wire.Data, data=b""), "0 B of output where 10 B were asked for"),
    "more data": (told(wire.Data, data=bytes(11)), "11 B of output where 10 B were asked for"),
    "offset": (told(wire.Data, offset=3), "offset 3, not what was asked for"),
    "buffer": (told(wire.Data, buffer=77), "buffer 77"),
    "crc of the output": (told(wire.Data, crc=1), "a buffer 'output' of CRC-32 .* and tells 00000001"),
    "cycles": (told(wire.Data, cycles=2**63), "9,223,372,036,854,775,808 cycles"),
    "no answer": (when(wire.Input, None), "does not answer"),
    "another message": (when(wire.Input, FACTS), "in vain"),
    "always damaged": (when(wire.Input, wire.Refused(0, 0)), "in vain"),
    "refused": (when(wire.Input, wire.Refused(99, 5)), r"refused Input: 99 \(5\)"),
    "run unknown": (when(wire.Fetch, wire.Refused(3, 0)), r"lost the frame 5 times, at last because it refused Fetch"),
    "a frame without end": (when(wire.Input, b"\x01" * 100_000), "does not answer"),
}
FLOODS = {
    "zeros": lambda: bytes(100),
    "no delimiter": lambda: b"\x55" * 100,
    "damaged frames": lambda: 5 * b"\x55\x55\x00",
    "damaged, by its own word": lambda: wire.encode(wire.Refused(0, 0), 0),
    "valid frames that nobody asked for": lambda: wire.encode(wire.Vitals(0, 0, 0), 0x5555),
}


def fails(line: HostileLine, way: Callable[[Session], object], message: str, seconds: float, **options: Any) -> None:
    with session_on(line, **options) as session:
        session._line._sequence = 0  # never that of a flood's frames
        started = line.now
        with pytest.raises(BoardError, match=message) as caught:
            way(session)
        assert caught.value.exit_code == 5
        assert line.now - started <= seconds + SLACK_S


@pytest.mark.parametrize("way", WAYS)
def test_an_honest_board(way: Callable[[Session], list[bytes]]) -> None:
    with session_on(HostileLine()) as session:
        assert set(way(session)) == {OUTPUT}
        assert session.retries == 0
        assert session.layer_dump(FRAME, 0) == [FRAME[at : at + 32] for at in (0, 32, 64)]
        assert session.layer_digests(FRAME) == [0, 0]
        assert session.vitals().stack_bytes == 4096
        assert session.constant(3) == (100, 0x1234)


@pytest.mark.parametrize("changes, message", FACTS_TOLD.values(), ids=FACTS_TOLD)
@pytest.mark.parametrize("way", WAYS)
def test_facts(way: Callable[[Session], object], changes: dict[str, Any], message: str) -> None:
    fails(HostileLine(told(wire.Facts, **changes)), way, message, QUICK.hello_s)


@pytest.mark.parametrize("sizes", [SIZES, None])
def test_sizes_that_take_gigabytes(sizes: TensorSizes | None) -> None:
    for name in ("input_bytes", "output_bytes"):
        line = HostileLine(told(wire.Facts, **{name: U32 - U32 % 32}))
        fails(line, one_by_one, r"of 4,294,967,264 B", QUICK.hello_s, sizes=sizes)


@pytest.mark.parametrize("wrong, message", IN_A_RUN.values(), ids=IN_A_RUN)
@pytest.mark.parametrize("way", WAYS)
def test_in_a_run(way: Callable[[Session], object], wrong: Wrong, message: str) -> None:
    fails(HostileLine(wrong), way, message, QUICK.hello_s + IMAGE_S)


def test_in_a_dump() -> None:
    table: list[tuple[Wrong, str]] = [
        (told(wire.State, row_bytes=2**31), "a row of 2,147,483,648 B waits in an arena of 64 B"),
        (told(wire.State, row_bytes=0), "a row of 0 B waits"),
        (told(wire.State, row=5), "tells of row 5 where row 0 is due"),
        (when(wire.Fetch, wire.Data(1, 1, 0, 8, 0, 0, b"8 bytes!")), "lost the frame 5 times"),
        (rows_without_end, "has not finished an image within"),
    ]
    for wrong, message in table:
        fails(HostileLine(wrong), lambda session: session.layer_dump(FRAME, 0), message, QUICK.hello_s + IMAGE_S)


def rows_without_end(request: wire.Message, reply: wire.Message) -> wire.Message:
    """One more row waits after each that was read."""
    if isinstance(request, wire.Fetch):
        return wire.Data(request.run, 1, 0, 1, zlib.crc32(b"r"), 0, b"r")
    if isinstance(request, wire.Input | wire.Advance) and isinstance(reply, wire.State):
        row = request.row + 1 if isinstance(request, wire.Advance) else 0
        return replace(reply, state=wire.STATES.index("row_waiting"), row=row, row_bytes=1)
    return reply


def test_vitals_constants_and_tables() -> None:
    line = HostileLine(told(wire.Checksum, index=9))
    fails(line, lambda session: session.constant(3), "tells of constant array 9, not 3", QUICK.hello_s)
    line = HostileLine(told(wire.Vitals, stack_used_bytes=5000))
    fails(line, lambda session: session.vitals(), "5,000 B of stack used, of 4,096 B", QUICK.hello_s)
    line = HostileLine(told(wire.Data, total=9))
    fails(line, lambda session: session.layer_digests(FRAME), "an table of 9 B", QUICK.hello_s + IMAGE_S)


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mute", [wire.Hello, wire.Begin, wire.Input, wire.Fetch])
def test_a_flooded_line(mute: type[wire.Message], way: Callable[[Session], object], flood: Callable[[], bytes]) -> None:
    """From some request on nothing but junk comes."""
    line = HostileLine(when(mute, None), flood)
    fails(line, way, r"does not answer|in vain|not finished", QUICK.hello_s + IMAGE_S)


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_flood_while_the_rate_is_looked_for(flood: Callable[[], bytes]) -> None:
    line = HostileLine(when(wire.Hello, None), flood)
    line.baud = 115_200
    fails(line, lambda session: session.connect(921_600, 1_000_000), "does not answer", QUICK.hello_s)


@pytest.mark.parametrize("way", WAYS)
def test_a_flood_between_right_answers_costs_time_only(way: Callable[[Session], list[bytes]]) -> None:
    with session_on(HostileLine(flood=FLOODS["valid frames that nobody asked for"])) as session:
        assert set(way(session)) == {OUTPUT}


@pytest.mark.parametrize("way", WAYS)
def test_a_board_that_drips(way: Callable[[Session], object]) -> None:
    """Each answer comes in time, and brings one byte."""

    def drip(request: wire.Message, reply: wire.Message) -> wire.Message:
        return replace(reply, data=reply.data[:1]) if isinstance(reply, wire.Data) else reply

    patient = replace(QUICK, reply_s=0.3, rows_s=0.3)
    line = HostileLine(drip, delay_s=0.25)
    fails(line, way, r"has not finished an image within 2 s", QUICK.hello_s + IMAGE_S, timing=patient)


def test_a_slow_clock_does_not_make_the_host_wait_for_days() -> None:
    timing = board_timing(301_000_000, 1_000_000)
    assert timing.rows_s <= timing.give_up_s == 3600


def digests_ahead(session: Session) -> list[int]:
    left = iter([FRAME] * 2)
    return list(session.digest_many(lambda wait_s: next(left, b"")))


OPERATIONS: list[Callable[[Session], object]] = [
    one_by_one, ahead, ahead,
    lambda session: session.connect(115200, 1_000_000), lambda session: session.vitals(),
    lambda session: session.run_digest(FRAME), digests_ahead,
    lambda session: session.layer_digests(FRAME), lambda session: session.layer_cycles(FRAME),
    lambda session: session.layer_dump(FRAME, 0), lambda session: session.set_baud(9600),
    lambda session: session.reset(), lambda session: session.constant(3),
]  # fmt: skip
BOUND_S = 2 * QUICK.hello_s + 3 * IMAGE_S + 6.0  # hello, three images, or two trials of a rate


def fuzz(seeds: range) -> Counter[str]:
    """How the conversations ended, and which broke the promises."""
    ends = Counter[str]()
    for seed in seeds:
        line = fuzzing(seed)
        with session_on(line) as session:
            started = line.now
            try:
                OPERATIONS[seed % len(OPERATIONS)](session)
                ends["done"] += 1
            except BoardError:
                ends["BoardError"] += 1
            except Exception as error:
                ends[f"seed {seed}: {error!r}"] += 1
            if line.now - started > BOUND_S:
                ends[f"seed {seed}: {line.now - started:.1f} s"] += 1
    return ends


def test_hostile_streams() -> None:
    ends = fuzz(range(400))
    assert set(ends) == {"done", "BoardError"}, ends


@pytest.mark.slow
def test_35000_hostile_streams() -> None:
    """No exception but BoardError, no wait over the bound."""
    ends = fuzz(range(1000, 36_000))
    print(dict(ends))
    assert set(ends) == {"done", "BoardError"}, ends
