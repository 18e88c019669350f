"""Serial ports and `socket://host:port` as a Transport; the one door to pyserial.

Reading never stops while writing: a device that talks before it listens again, with the buffers of both directions
full, would wait for us as we wait for it.
"""

from __future__ import annotations

import contextlib
import io
import select
import time
from typing import Any

import serial  # type: ignore[import-untyped]
from serial.tools import list_ports  # type: ignore[import-untyped]

from mbn2c.errors import BoardError
from mbn2c.link.dialogue import BITS_PER_BYTE

_REOPEN_S = 0.2
# One look at a port that has no file descriptor to wait on (Windows, rfc2217://), and what goes out between two looks.
_POLL_S = 0.02
_PIECE_BYTES = 64
_READ_BYTES = 4096
# More than all answers to a full window: what comes beyond that while we cannot write is a flood.
_MOST_INBOX_BYTES = 1 << 24


class SerialPort:
    """A port by name, "/dev/ttyACM0", "COM3", "socket://127.0.0.1:4000" or any other URL pyserial knows.

    baud         bits per second; 0 once opened as a socket, which has no such thing
    reconnect_s  how long a port that vanishes (a pulled cable) is waited for; 0 makes it an error at once
    write_s      how long a write may take, besides the time of its bytes on the line
    """

    def __init__(self, name: str, baud: int = 115200, reconnect_s: float = 30.0, write_s: float = 120.0) -> None:
        self.name = name
        self.baud = 0 if name.startswith("socket://") else baud
        self._reconnect_s = reconnect_s
        self._write_s = write_s
        self._lost_since: float | None = None
        self._inbox = bytearray()  # came while we wrote
        self._port: Any = None
        self._has_descriptor = False
        try:
            self._open()
        except (serial.SerialException, OSError, ValueError) as error:
            raise BoardError(f"cannot open port {name}: {error}", hint=_other_ports()) from error

    def _open(self) -> None:
        port = serial.serial_for_url(self.name, do_not_open=True)
        if self.baud:
            port.baudrate = self.baud
        if self.name.startswith("socket://"):
            port.reset_input_buffer = lambda: None  # pyserial's reads until nothing comes, and a flood always does
        port.timeout = _POLL_S  # stays: rfc2217:// negotiates all settings again whenever one is set
        port.open()
        self._has_descriptor = _has_descriptor(port)
        if self._has_descriptor:
            port.timeout = port.write_timeout = 0  # `select` waits
        self._port = port
        self._lost_since = None

    def read(self, timeout_s: float) -> bytes:
        if self._inbox:
            data = bytes(self._inbox)
            self._inbox.clear()
            return data
        try:
            if self._port is None:
                self._reopen(timeout_s)
                return b""
            return self._arrived(timeout_s)
        except (serial.SerialException, OSError) as error:
            self._lose(error)
            return b""

    def _arrived(self, timeout_s: float) -> bytes:
        if self._has_descriptor:
            ready, _, _ = select.select([self._port], [], [], max(timeout_s, 0.0))
            there: bytes = self._port.read(_READ_BYTES) if ready else b""
            return there
        until = time.monotonic() + timeout_s
        while not (first := self._port.read(1)):
            if time.monotonic() >= until:
                return b""
        found: bytes = first + self._port.read(self._port.in_waiting)
        return found

    def write(self, data: bytes) -> None:
        line_s = len(data) * BITS_PER_BYTE / self.baud if self.baud else 0.0
        until = time.monotonic() + self._write_s + line_s
        left = memoryview(data)
        try:
            while left and self._port is not None:  # None is a pulled cable: the session asks again
                left = left[self._write_some(left) :]
                if left and time.monotonic() >= until:
                    raise self._stuck(f"takes in nothing: {len(left):,} of {len(data):,} B are still to be sent")
        except (serial.SerialException, OSError) as error:
            self._lose(error)

    def _write_some(self, data: memoryview) -> int:
        """Write what there is room for, after at most _POLL_S; what comes meanwhile goes to the inbox."""
        if not self._has_descriptor:
            self._keep(self._port.read(self._port.in_waiting))
            return int(self._port.write(data[:_PIECE_BYTES]))
        readable, writable, _ = select.select([self._port], [self._port], [], _POLL_S)
        if readable:
            self._keep(self._port.read(_READ_BYTES))
        return int(self._port.write(data)) if writable else 0

    def _keep(self, data: bytes) -> None:
        self._inbox += data
        if len(self._inbox) > _MOST_INBOX_BYTES:
            raise self._stuck("sends without end and takes in nothing")

    def _stuck(self, what: str) -> BoardError:
        return BoardError(f"the board at {self.name} {what}", hint="reset the board, check the line")

    def set_baud(self, rate: int) -> None:
        """Raises BoardError, too, if the port cannot do the rate."""
        if not self.baud or rate == self.baud:
            return
        try:
            if self._port is not None:
                self._flush()
                self._port.baudrate = rate
        except ValueError as error:
            raise BoardError(f"port {self.name} cannot do {rate} baud: {error}", hint="another --baud") from error
        except (serial.SerialException, OSError) as error:
            self._lose(error)
        self.baud = rate

    def _flush(self) -> None:
        """Wait until all is sent, with a deadline that the operating system's own flush does not have."""
        until = time.monotonic() + self._write_s
        while left := getattr(self._port, "out_waiting", 0):
            if time.monotonic() >= until:
                raise self._stuck(f"takes in nothing: {left:,} B are still to be sent")
            self._keep(self._arrived(_POLL_S))
        self._port.flush()

    def close(self) -> None:
        if self._port is not None:
            with contextlib.suppress(serial.SerialException, OSError):
                self._port.close()
        self._port = None
        self._reconnect_s = 0.0

    def _lose(self, error: Exception) -> None:
        if self._reconnect_s <= 0:
            raise BoardError(f"port {self.name} is gone: {error}", hint="check the cable") from error
        with contextlib.suppress(serial.SerialException, OSError):
            self._port.close()
        self._port = None
        self._inbox.clear()
        self._lost_since = time.monotonic()

    def _reopen(self, timeout_s: float) -> None:
        if self._lost_since is None or time.monotonic() - self._lost_since > self._reconnect_s:
            raise BoardError(f"port {self.name} is gone", hint="check the cable, and that the board has power")
        time.sleep(min(timeout_s, _REOPEN_S))
        with contextlib.suppress(serial.SerialException, OSError):
            self._open()


def _has_descriptor(port: Any) -> bool:
    """Whether `select` can wait on it."""
    try:
        select.select([port], [], [], 0)
    except (AttributeError, io.UnsupportedOperation, OSError, TypeError, ValueError):
        return False
    return True


def attached_ports() -> dict[str, str]:
    """Serial ports of this computer by name, with what they say of themselves."""
    return {port.device: port.description or "" for port in list_ports.comports()}


def _other_ports() -> str:
    names = list(attached_ports())
    return f"one of {', '.join(names)}" if names else "no serial port is attached to this computer"
