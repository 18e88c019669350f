"""What a device tells of itself and of a run -> DeviceFaultError if it cannot be.

A frame's checksum says that the line is good, not that the device is: every number is checked here before it sets a
size, a count or a wait.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mbn2c.errors import DeviceFaultError
from mbn2c.link import wire
from mbn2c.link.packing import MOST_CHANNELS, repeated

SMALLEST_CHUNK = 32
"""Input bytes that a device must be able to take with one request, and of two within its window."""
_MOST_TENSOR_BYTES = 1 << 26
_SLOWEST_CLOCK_HZ = 1_000_000
_MOST_CYCLES = 1 << 48
_HINT = "build and flash the firmware anew"


@dataclass(frozen=True)
class TensorSizes:
    """Bytes of the network's input and output, as the host knows them."""

    input_bytes: int
    output_bytes: int


def check_texts(facts: wire.Facts) -> None:
    """Raises DeviceFaultError if a text could do more to a terminal than be read."""
    for name in ("name", "core", "board", "version"):
        text = getattr(facts, name)
        if not text.isprintable():
            raise DeviceFaultError(f"the board tells {text!a} as its {name}", hint=_HINT)


def check_facts(facts: wire.Facts, sizes: TensorSizes | None) -> None:
    """Raises DeviceFaultError for facts that no device can have, or not one that runs a network of `sizes`."""
    if sizes is not None:
        for what, told, known in (
            ("input", facts.input_bytes, sizes.input_bytes),
            ("output", facts.output_bytes, sizes.output_bytes),
        ):
            if told != known:
                raise _wrong(facts, f"an {what} of {told:,} B, the network's has {known:,} B")
    body_bytes = facts.buffer_bytes
    if facts.window_bytes:
        body_bytes = min(body_bytes, wire.largest_body(facts.window_bytes // 2))
    _refuse(
        facts,
        (
            (not 0 < facts.input_bytes <= _MOST_TENSOR_BYTES, f"an input of {facts.input_bytes:,} B"),
            (not 0 < facts.output_bytes <= _MOST_TENSOR_BYTES, f"an output of {facts.output_bytes:,} B"),
            (
                facts.row_bytes == 0 or facts.input_bytes % max(facts.row_bytes, 1) != 0,
                f"that its input of {facts.input_bytes:,} B has rows of {facts.row_bytes:,} B",
            ),
            (
                facts.pixel_bytes > MOST_CHANNELS or facts.row_bytes % max(facts.pixel_bytes, 1) != 0,
                f"that rows of {facts.row_bytes:,} B have pixels of {facts.pixel_bytes} B",
            ),
            (
                wire.largest_tail(wire.Compressed, body_bytes) < SMALLEST_CHUNK,
                f"a buffer of {facts.buffer_bytes} B and a window of {facts.window_bytes} B, too small for a request",
            ),
            (facts.steps == 0, "a network of 0 steps"),
            (0 < facts.clock_hz < _SLOWEST_CLOCK_HZ, f"a clock of {facts.clock_hz:,} Hz"),
            (facts.has_cycles > 1, f"has_cycles {facts.has_cycles}"),
        ),
    )


def check_state(state: wire.State, facts: wire.Facts, mode: str) -> None:
    """Raises DeviceFaultError for a state that no run of `mode` can be in."""
    known = state.state < len(wire.STATES)
    row_waits = known and wire.STATES[state.state] == "row_waiting"
    _refuse(
        facts,
        (
            (not known, f"state {state.state}"),
            (
                state.received > facts.input_bytes,
                f"that it has received {state.received:,} of {facts.input_bytes:,} input bytes",
            ),
            (row_waits and mode != "dump", f"that a row waits in a run of mode {mode}"),
            (
                row_waits and not 0 < state.row_bytes <= min(facts.arena_bytes, _MOST_TENSOR_BYTES),
                f"that a row of {state.row_bytes:,} B waits in an arena of {facts.arena_bytes:,} B",
            ),
        ),
    )


def check_data(data: wire.Data, facts: wire.Facts, request: wire.Fetch, total: int) -> bytes:
    """The bytes of the buffer that data brings.

    total   bytes of the buffer
    raises  DeviceFaultError for data that no answer to `request` can be
    """
    what = wire.BUFFERS[request.buffer]
    room = min(request.length, total - request.offset)
    part = repeated(data.data) if isinstance(data, wire.Repeats) else data.data
    if part is None:
        raise _wrong(facts, f"{len(data.data):,} B of {what} that are no pairs of a count and a value")
    _refuse(
        facts,
        (
            (data.total != total, f"an {what} of {data.total:,} B, not {total:,} B"),
            (len(part) > room, f"{len(part):,} B of {what} where {room:,} B were asked for"),
            (room > 0 and not part, f"0 B of {what} where {room:,} B were asked for"),
            (data.cycles >= _MOST_CYCLES, f"{data.cycles:,} cycles of one inference"),
        ),
    )
    return part


def check_vitals(vitals: wire.Vitals, facts: wire.Facts) -> None:
    """Raises DeviceFaultError if more stack was used than there is."""
    used, there = vitals.stack_used_bytes, vitals.stack_bytes
    _refuse(facts, ((used > there, f"{used:,} B of stack used, of {there:,} B"),))


def _refuse(facts: wire.Facts, table: Iterable[tuple[bool, str]]) -> None:
    for is_wrong, what in table:
        if is_wrong:
            raise _wrong(facts, what)


def _wrong(facts: wire.Facts, what: str) -> DeviceFaultError:
    return DeviceFaultError(f"the board tells {what}", where=facts.board, hint=_HINT)
