"""Starts a firmware in its emulator, or as a process, and is a Transport to its serial port.

A machine's console is a socket that we listen on before QEMU starts, so no port number is ever raced for;
a Linux program's console is a pty. Both are reached through `SerialPort`, as real boards are.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import tty
from collections.abc import Iterator
from pathlib import Path

from mbn2c.errors import BoardError
from mbn2c.link.dialogue import EMULATED
from mbn2c.link.instruction_counter import InstructionCounter, Table, instruction_counter
from mbn2c.link.transports.serial_port import SerialPort
from mbn2c.targets import Board

_END_S = 5.0


class EmulatedBoard:
    """A running emulator with the line to it.

    board   an emulated board, or `host`
    elf     its firmware
    count   count instructions (not for `host`)
    histogram  file for the count of each instruction, written at close
    table   counts per function, written at close
    raises  BoardError if the emulator is missing or does not start
    """

    def __init__(
        self,
        board: Board,
        elf: Path,
        *,
        count: bool = False,
        histogram: Path | None = None,
        table: Table | None = None,
    ) -> None:
        if board.emulator is None:
            raise BoardError(f"board '{board.name}' is not emulated", hint="--port, with the board attached")
        self.board = board
        self._emulator = board.emulator
        self._folder = tempfile.TemporaryDirectory(prefix="mbn2c-")
        self._errors = Path(self._folder.name) / "errors.txt"
        self._process: subprocess.Popen[bytes] | None = None
        self._port: SerialPort | None = None
        self._counter: InstructionCounter | None = None
        try:
            if not elf.is_file():
                raise BoardError(f"no firmware {elf}", hint="build it first")
            if count and self._emulator.kind != "process":
                self._counter = instruction_counter(elf, Path(self._folder.name), histogram, table)
            if self._emulator.kind == "qemu_system":
                self._start_machine(elf)
            else:
                self._start_program(elf)
        except BaseException:
            self.close()
            raise

    @property
    def baud(self) -> int:
        return 0

    @property
    def counts(self) -> bool:
        """Whether instructions are counted."""
        return self._counter is not None

    def instruction_counts(self) -> list[int]:
        """Instructions of each bracket (begin, each row, finish) since the start; [] if they are not counted."""
        return self._counter.read() if self._counter is not None else []

    def read(self, timeout_s: float) -> bytes:
        with self._while_alive() as port:
            data = port.read(timeout_s)
        if not data:
            self._alive()
        return data

    def write(self, data: bytes) -> None:
        with self._while_alive() as port:
            port.write(data)

    def set_baud(self, rate: int) -> None:
        """An emulator carries bytes at any rate."""

    def said(self) -> str:
        """What the emulator, or the program, has written to its standard error so far."""
        return self._errors.read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """End the emulator; a histogram is complete after this."""
        if self._port is not None:
            self._port.close()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._process = None
        self._port = None
        self._folder.cleanup()

    def __enter__(self) -> EmulatedBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start_machine(self, elf: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            number = listener.fileno()
            console = f"socket,id=console,fd={number},server=on,wait=on,nodelay=on"
            command = [
                *self._program(),
                *("-display", "none", "-monitor", "none", "-parallel", "none", "-no-user-config"),
                *("-chardev", console, "-serial", "chardev:console"),
                *self._plugin(),
                *("-kernel", str(elf)),
            ]
            self._spawn(command, subprocess.DEVNULL, keep=(number,))
            url = f"socket://127.0.0.1:{listener.getsockname()[1]}"
            self._port = SerialPort(url, reconnect_s=0, write_s=EMULATED.give_up_s)

    def _start_program(self, elf: Path) -> None:
        ours, theirs = os.openpty()
        try:
            tty.setraw(theirs)
            name = os.ttyname(theirs)
            command = [str(elf.resolve())]
            if self._emulator.kind == "qemu_user":
                command = [*self._program(), *self._plugin(), *command]
            # The program gets the controlling end: pyserial opens the other one by name.
            self._spawn(command, ours)
            self._port = SerialPort(name, reconnect_s=0, write_s=EMULATED.give_up_s)
        finally:
            os.close(ours)
            os.close(theirs)

    def _program(self) -> list[str]:
        program = shutil.which(self._emulator.program)
        if program is None:
            raise BoardError(
                f"{self._emulator.program} is not installed",
                where=f"targets/boards/{self.board.name}.toml",
                hint=f"apt install {self._emulator.apt}",
            )
        return [program, *self._emulator.args]

    def _plugin(self) -> list[str]:
        return self._counter.arguments if self._counter is not None else []

    def _spawn(self, command: list[str], console: int, keep: tuple[int, ...] = ()) -> None:
        # An emulator must not outlive us, whatever ends us; closing is still our own business.
        if keeper := shutil.which("setpriv"):
            command = [keeper, "--pdeathsig", "TERM", "--", *command]
        is_pty = console != subprocess.DEVNULL
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=console,
                stdout=console if is_pty else errors,
                stderr=errors,
                pass_fds=keep,
                start_new_session=True,
            )

    @contextlib.contextmanager
    def _while_alive(self) -> Iterator[SerialPort]:
        """The line; when it fails because the emulator has ended, the emulator's last words are the error."""
        port = self._alive()
        try:
            yield port
        except BoardError:
            self._alive()
            time.sleep(0.05)  # a dying process closes its line before it can be waited for
            self._alive()
            raise

    def _alive(self) -> SerialPort:
        """The line, while the emulator runs. Raises BoardError with the emulator's last words when it has ended."""
        if self._port is None or self._process is None:
            raise BoardError(f"the line to '{self.board.name}' is closed")
        code = self._process.poll()
        if code is None:
            return self._port
        words = ""
        with contextlib.suppress(OSError):
            words = self.said().strip()[-600:]
        if code == -signal.SIGILL:
            what = f"'{self.board.name}' met an instruction that its processor does not have"
            raise BoardError(what, where=words, hint="build for another --target; `mbn2c targets` says what each needs")
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        raise BoardError(f"'{self.board.name}' {how}", where=words, hint="mbn2c doctor")
