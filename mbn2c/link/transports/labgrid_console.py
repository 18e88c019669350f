"""A place of a labgrid coordinator -> a Transport to the serial port that its exporter offers; the one door to labgrid.

labgrid is optional (`pip install mbn2c[labgrid]`) and slow to load, so it is loaded when a place is opened. Its
coordinator is the one that its own tools use: environment variable LG_COORDINATOR.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
import sys

from mbn2c.errors import BoardError
from mbn2c.link.transports.serial_port import SerialPort

_CLIENT_S = 60.0
_COORDINATOR = "127.0.0.1:20408"  # labgrid's own default
_HINT = "labgrid-client places; LG_COORDINATOR names the coordinator"


class LabgridConsole:
    """The console of a place. The place is acquired if nobody holds it, and released again at close.

    raises  BoardError if labgrid is not installed, or the place cannot be had or offers no serial port
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self._port: SerialPort | None = None
        try:
            importlib.import_module("labgrid")
        except ImportError:
            raise BoardError("labgrid is not installed", where=place, hint="pip install 'mbn2c[labgrid]'") from None
        self._is_ours = self._acquire()
        try:
            self._port = SerialPort(*self._url_and_speed())
        except BaseException:
            self.close()
            raise

    def _client(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "labgrid.remote.client", "-p", self.place, *words]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_CLIENT_S)
        except subprocess.TimeoutExpired:
            raise BoardError("the labgrid coordinator does not answer", where=self.place, hint=_HINT) from None

    def _acquire(self) -> bool:
        """Whether the place is to be released again; one that the user holds already is only used."""
        done = self._client("acquire")
        if done.returncode == 0:
            return True
        said = done.stderr.strip() or done.stdout.strip() or "no reason given"
        if "You have already acquired" in said:
            return False
        raise BoardError(f"cannot acquire labgrid place '{self.place}': {said.splitlines()[-1]}", hint=_HINT)

    def _url_and_speed(self) -> tuple[str, int]:
        """Where pyserial finds the console: the exporter's port, or labgrid's tunnel to it."""
        client = importlib.import_module("labgrid.remote.client")
        session = None
        try:
            session = client.start_session(os.environ.get("LG_COORDINATOR", _COORDINATOR), extra={"env": None})
            resources = session.get_target_resources(session.get_place(self.place)).values()
            entry = next((one for one in resources if one.cls == "NetworkSerialPort"), None)
            if entry is None:
                raise LookupError("it has no NetworkSerialPort")
            target = importlib.import_module("labgrid").Target(f"mbn2c-{self.place}")
            factory = importlib.import_module("labgrid.factory").target_factory
            console = factory.make_resource(target, entry.cls, "console", entry.args)
            console.extra = entry.extra
            host, port = importlib.import_module("labgrid.util.proxy").proxymanager.get_host_and_port(console)
        except Exception as error:
            # labgrid raises errors of many kinds, and so does what lies below it
            raise BoardError(f"labgrid place '{self.place}' offers no console: {error}", hint=_HINT) from error
        finally:
            if session is not None:
                session.loop.run_until_complete(session.stop())
                session.loop.run_until_complete(session.close())
        if console.protocol == "raw":
            return f"socket://{host}:{port}", int(console.speed)
        return f"rfc2217://{host}:{port}?ign_set_control", int(console.speed)

    @property
    def _line(self) -> SerialPort:
        if self._port is None:
            raise BoardError(f"the line to labgrid place '{self.place}' is closed")
        return self._port

    @property
    def baud(self) -> int:
        return self._line.baud

    def read(self, timeout_s: float) -> bytes:
        return self._line.read(timeout_s)

    def write(self, data: bytes) -> None:
        self._line.write(data)

    def set_baud(self, rate: int) -> None:
        self._line.set_baud(rate)

    def close(self) -> None:
        if self._port is not None:
            self._port.close()
        self._port = None
        if self._is_ours:
            self._is_ours = False
            with contextlib.suppress(BoardError):
                self._client("release")
