"""A port reads while it writes, on a pty, a socket and a port without a file descriptor; no write waits for ever."""

from __future__ import annotations

import os
import socket
import threading
import time
import tty
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest
import serial
from serial.rfc2217 import PortManager

from mbn2c.errors import BoardError
from mbn2c.link.session import Session, Timing
from mbn2c.link.transports.serial_port import SerialPort

TALK, HEARD = bytes(range(256)) * 800, bytes(range(255, -1, -1)) * 800  # 200 kB each way
Work = Callable[[Callable[[int], bytes], Callable[[bytes], object]], None]


@contextmanager
def on_a_pty(work: Work) -> Iterator[str]:
    board, port = os.openpty()
    tty.setraw(port)

    def write_all(data: bytes) -> None:
        while data:
            data = data[os.write(board, data) :]

    thread = threading.Thread(target=work, args=(lambda count: os.read(board, count), write_all), daemon=True)
    thread.start()
    yield os.ttyname(port)
    thread.join(20)
    for end in (board, port):
        os.close(end)


@contextmanager
def on_a_socket(work: Work) -> Iterator[str]:
    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            # As small as the kernel allows: both ends are full at once.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            work(connection.recv, connection.sendall)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"socket://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(20)


KINDS = {"pty": on_a_pty, "socket": on_a_socket}


@pytest.mark.parametrize("kind, times", [("pty", 1), ("socket", 40)])  # a socket's buffers hold megabytes
def test_a_board_that_talks_before_it_listens(kind: str, times: int) -> None:
    got, talk, heard = bytearray(), times * TALK, times * HEARD

    def talk_first(read: Callable[[int], bytes], write: Callable[[bytes], object]) -> None:
        assert read(1) == b"!"  # the port is open: what came before that is dropped
        write(talk)
        while len(got) < len(heard) and (data := read(4096)):
            got.extend(data)
        write(b"end")

    with ExitStack() as stack:
        port = stack.enter_context(closing(SerialPort(stack.enter_context(KINDS[kind](talk_first)), reconnect_s=0)))
        port.write(b"!" + heard)
        back = bytearray()
        while not back.endswith(b"end"):
            data = port.read(20.0)
            assert data, "silence"
            back += data
    assert got == heard and back == talk + b"end"


@pytest.mark.parametrize("kind", KINDS)
def test_a_board_that_never_listens_is_an_error(kind: str) -> None:
    over = threading.Event()
    with ExitStack() as stack:
        name = stack.enter_context(KINDS[kind](lambda read, write: (over.wait(20), None)[1]))
        stack.callback(over.set)
        port = stack.enter_context(closing(SerialPort(name, baud=10**9, reconnect_s=0, write_s=0.2)))
        with pytest.raises(BoardError, match=r"takes in nothing: .* of 20,000,000 B are still to be sent"):
            port.write(bytes(20_000_000))


def test_a_board_that_only_talks_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says while it takes in nothing is not kept without end."""
    monkeypatch.setattr("mbn2c.link.transports.serial_port._MOST_INBOX_BYTES", 100_000)
    over = threading.Event()

    def talk(read: object, write: Callable[[bytes], object]) -> None:
        while not over.is_set():
            try:
                write(bytes(4096))
            except OSError:
                return

    with ExitStack() as stack:
        port = stack.enter_context(closing(SerialPort(stack.enter_context(on_a_socket(talk)), reconnect_s=0)))
        stack.callback(over.set)
        with pytest.raises(BoardError, match=r"sends without end and takes in nothing"):
            port.write(bytes(20_000_000))
        port.close()


def test_a_line_that_is_flooded_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening it does not wait until nothing comes any more, as pyserial does; nor does looking for a device."""
    monkeypatch.setattr("serial.urlhandler.protocol_socket.Serial.reset_input_buffer", lambda _: pytest.fail("waits"))
    over = threading.Event()

    def talk(read: object, write: Callable[[bytes], object]) -> None:
        while not over.is_set():
            try:
                write(b"\x55\x00" * 1000)
            except OSError:
                return

    with ExitStack() as stack:
        name = stack.enter_context(on_a_socket(talk))
        stack.callback(over.set)
        port = stack.enter_context(closing(SerialPort(name, reconnect_s=0)))
        with pytest.raises(BoardError, match=r"does not answer .* B came that are no answer"):
            Session(port, timing=Timing(hello_s=0.5)).hello()


class Counting(serial.SerialBase):  # type: ignore[misc]
    """A port without a file descriptor that counts how often its settings are negotiated."""

    def __init__(self) -> None:
        super().__init__()
        self.negotiations = 0
        self.there: deque[int] = deque()
        self.sent: list[bytes] = []

    def open(self) -> None:
        self.is_open = True
        self._reconfigure_port()

    def _reconfigure_port(self) -> None:
        self.negotiations += 1
        if self._write_timeout is not None:
            raise NotImplementedError  # as rfc2217:// does

    def close(self) -> None:
        self.is_open = False

    @property
    def in_waiting(self) -> int:
        return len(self.there)

    def read(self, size: int = 1) -> bytes:
        if size and not self.there:
            time.sleep(self._timeout)
        return bytes(self.there.popleft() for _ in range(min(size, len(self.there))))

    def write(self, data: Any) -> int:
        self.sent.append(bytes(data))
        self.there.extend(b"heard")
        return len(data)

    def _update_dtr_state(self) -> None: ...
    def _update_rts_state(self) -> None: ...


def test_settings_are_negotiated_when_they_change_only(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting()
    monkeypatch.setattr(serial, "serial_for_url", lambda *_args, **_kwargs: counting)
    port = SerialPort("rfc2217://nobody:1", 9600)
    assert counting.negotiations == 1
    for timeout_s in (0.0, 0.01, 0.05, 0.01):
        assert port.read(timeout_s) == b""
    port.write(bytes(1000))
    assert b"".join(counting.sent) == bytes(1000)
    assert port.read(1.0) + port.read(1.0) == b"heard" * len(counting.sent) and len(counting.sent) > 1
    port.set_baud(9600)
    assert counting.negotiations == 1
    port.set_baud(115200)
    assert (counting.negotiations, port.baud) == (2, 115200)
    port.close()


def test_a_remote_port_of_rfc2217() -> None:
    """Against pyserial's own server: bytes of every value pass, and reads of any length negotiate nothing."""
    negotiated: list[int] = []
    there = serial.serial_for_url("loop://", timeout=0.05)

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            writer = type("Writer", (), {"write": staticmethod(connection.sendall)})
            manager = PortManager(there, writer)
            negotiate = manager._telnet_process_subnegotiation
            manager._telnet_process_subnegotiation = lambda option: (negotiated.append(1), negotiate(option))
            connection.settimeout(0.01)
            while True:
                try:
                    data = connection.recv(4096)
                except TimeoutError:
                    data = None
                if data == b"":
                    return
                there.write(b"".join(manager.filter(data or b"")))
                connection.sendall(b"".join(manager.escape(there.read(there.in_waiting))))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = SerialPort(f"rfc2217://127.0.0.1:{listener.getsockname()[1]}?ign_set_control", 115200, reconnect_s=0)
        before = len(negotiated)
        port.write(TALK[:2048])
        back = b""
        for number in range(10_000):
            back += port.read(0.001 * (number % 9))
            if len(back) >= 2048:
                break
        assert back == TALK[:2048] and len(negotiated) == before
        port.set_baud(9600)
        assert len(negotiated) > before and there.baudrate == 9600
        port.close()
        thread.join(10)


def test_a_rate_that_the_port_cannot_do_is_an_error_of_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting()
    monkeypatch.setattr(serial, "serial_for_url", lambda *_args, **_kwargs: counting)
    port = SerialPort("rfc2217://nobody:1", 9600)
    monkeypatch.setattr(Counting, "_reconfigure_port", lambda self: (_ for _ in ()).throw(ValueError("no such rate")))
    with pytest.raises(BoardError, match="cannot do 12345 baud"):
        port.set_baud(12345)
