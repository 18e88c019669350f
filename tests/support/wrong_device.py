"""A device that is wrong, on a line that is right: every frame it sends has a valid CRC."""

from __future__ import annotations

import threading
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from mbn2c.errors import BoardError
from mbn2c.link import wire
from mbn2c.link.transports.transport import Transport

Spoil = Callable[[wire.Message], wire.Message]
Kind = Callable[[wire.Message], bool]


class WrongDevice:
    """A Transport to `line` that passes each answer of the device through `spoil` when it is its turn to be read."""

    baud = 0

    def __init__(self, line: Transport, spoil: Spoil) -> None:
        self.line, self.spoil = line, spoil
        self.write, self.set_baud, self.close = line.write, line.set_baud, line.close
        self.arrived = b""
        self.frames: deque[bytes] = deque()

    def read(self, timeout_s: float) -> bytes:
        if not self.frames:
            *frames, self.arrived = (self.arrived + self.line.read(timeout_s)).split(wire.DELIMITER)
            self.frames += filter(None, frames)
        if not self.frames:
            return b""
        message, sequence = wire.decode(self.frames.popleft())
        return wire.encode(self.spoil(message), sequence)


def nth(kind: Kind, number: int, spoil: Spoil, *, every: bool = False) -> Spoil:
    """Spoils the answer number `number` of that kind, from 0 on; `every`: and all later ones."""
    seen = -1

    def spoilt(message: wire.Message) -> wire.Message:
        nonlocal seen
        seen += kind(message)
        hit = seen >= number if every else seen == number
        return spoil(message) if kind(message) and hit else message

    return spoilt


def is_data(message: wire.Message) -> bool:
    return isinstance(message, wire.Data)


def is_done(message: wire.Message) -> bool:
    """The answer to the last rows of an input."""
    return isinstance(message, wire.State) and message.state == wire.STATES.index("done")


def flipped(message: wire.Message) -> wire.Message:
    """An answer as a device gives it whose first output byte is wrong: its CRC-32 is that of the wrong bytes."""
    assert isinstance(message, wire.Data)
    data = bytes([message.data[0] ^ 1]) + message.data[1:] if message.data else b""
    change = zlib.crc32(b"\x01" + bytes(message.total - 1)) ^ zlib.crc32(bytes(message.total))  # CRCs are linear
    return replace(message, data=data, crc=message.crc ^ change)


def resized(message: wire.Message) -> wire.Message:
    """An answer about an output of another size."""
    assert isinstance(message, wire.Data)
    return replace(message, total=message.total + 1)


def miscounted(message: wire.Message) -> wire.Message:
    """An answer whose bytes are right, beside a CRC-32 that is not theirs; of a State it is the input's."""
    assert isinstance(message, wire.Data | wire.State)
    return replace(message, crc=message.crc ^ 1)


class Dying:
    """A line that is gone for good after so many writes."""

    def __init__(self, line: Transport, writes: int) -> None:
        self.line, self.left, self.baud, self.is_gone = line, writes, 0, threading.Event()
        self.read, self.set_baud, self.close = line.read, line.set_baud, line.close

    def write(self, data: bytes) -> None:
        self.left -= 1
        if self.left < 0:
            self.is_gone.set()
            raise BoardError("port is gone")
        self.line.write(data)
