"""Serial ports and `socket://host:port` as a Transport; the one door to pyserial."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import serial  # type: ignore[import-untyped]
from serial.tools import list_ports  # type: ignore[import-untyped]

from mbn2c.errors import BoardError

_POLL_S = 0.2


class SerialPort:
    """A port by name, "/dev/ttyACM0", "COM3", "socket://127.0.0.1:4000" or any other URL pyserial knows.

    baud         bits per second; 0 once opened as a socket, which has no such thing
    reconnect_s  how long a port that vanishes (a pulled cable) is waited for; 0 makes it an error at once
    """

    def __init__(self, name: str, baud: int = 115200, reconnect_s: float = 30.0) -> None:
        self.name = name
        self.baud = 0 if name.startswith("socket://") else baud
        self._reconnect_s = reconnect_s
        self._lost_since: float | None = None
        self._port: Any = None
        try:
            self._open()
        except (serial.SerialException, OSError, ValueError) as error:
            raise BoardError(f"cannot open port {name}: {error}", hint=_other_ports()) from error

    def _open(self) -> None:
        port = serial.serial_for_url(self.name, do_not_open=True)
        if self.baud:
            port.baudrate = self.baud
        port.timeout = _POLL_S
        port.write_timeout = None
        port.open()
        self._port = port
        self._lost_since = None

    def read(self, timeout_s: float) -> bytes:
        try:
            if self._port is None:
                self._reopen(timeout_s)
                return b""
            if self._port.timeout != timeout_s:
                self._port.timeout = timeout_s
            first: bytes = self._port.read(1)
            return first + self._rest() if first else b""
        except (serial.SerialException, OSError) as error:
            self._lose(error)
            return b""

    def _rest(self) -> bytes:
        """What has arrived beyond the first byte, without waiting."""
        if not self.name.startswith("socket://"):
            rest: bytes = self._port.read(self._port.in_waiting)
            return rest
        timeout_s = self._port.timeout
        self._port.timeout = 0
        rest = self._port.read(4096)
        self._port.timeout = timeout_s
        return rest

    def write(self, data: bytes) -> None:
        if self._port is None:
            return  # a pulled cable: the session asks again
        try:
            self._port.write(data)
        except (serial.SerialException, OSError) as error:
            self._lose(error)

    def set_baud(self, rate: int) -> None:
        if not self.baud:
            return
        self.baud = rate
        if self._port is not None:
            self._port.flush()
            self._port.baudrate = rate

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
        self._lost_since = time.monotonic()

    def _reopen(self, timeout_s: float) -> None:
        if self._lost_since is None or time.monotonic() - self._lost_since > self._reconnect_s:
            raise BoardError(f"port {self.name} is gone", hint="check the cable, and that the board has power")
        time.sleep(min(timeout_s, _POLL_S))
        with contextlib.suppress(serial.SerialException, OSError):
            self._open()


def _other_ports() -> str:
    names = [port.device for port in list_ports.comports()]
    return f"one of {', '.join(names)}" if names else "no serial port is attached to this computer"
