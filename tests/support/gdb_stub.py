"""Steps a QEMU machine over what QEMU does not emulate. Source: GDB manual, appendix E, the remote serial protocol."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection
from pathlib import Path

CONNECT_S = 60.0


class GdbStub:
    """The line to QEMU's `-gdb unix:SOCKET,server=on,wait=off`, whose machine waits to be started (`-S`)."""

    def __init__(self, place: Path) -> None:
        self.line = socket.socket(socket.AF_UNIX)
        self.line.settimeout(CONNECT_S)
        deadline = time.monotonic() + CONNECT_S
        while self.line.connect_ex(str(place)) != 0:
            assert time.monotonic() < deadline, f"QEMU does not listen at {place}"
            time.sleep(0.02)
        self.heard = b""
        self.ask("qXfer:features:read:target.xml:0,ff")  # who has read it may use single registers

    def ask(self, request: str) -> str:
        self.line.sendall(f"+${request}#{sum(request.encode()) % 256:02x}".encode())
        while b"#" not in self.heard[:-2]:
            data = self.line.recv(4096)
            assert data, "QEMU has ended"
            self.heard += data
        packet, _, rest = self.heard.partition(b"#")
        self.heard = rest[2:]
        return packet.rpartition(b"$")[2].decode()

    def pass_each_once(self, branches: Collection[int]) -> None:
        """Start the machine; at each of these 16-bit branches it goes on behind it, once; then it is left alone."""
        assert all(self.ask(f"Z1,{branch:x},2") == "OK" for branch in branches)
        for _ in branches:
            assert self.ask("c").startswith("T05")
            branch = int.from_bytes(bytes.fromhex(self.ask("pf")), "little")
            assert branch in branches and self.ask(f"z1,{branch:x},2") == "OK"
            assert self.ask("Pf=" + (branch + 2).to_bytes(4, "little").hex()) == "OK"
        assert self.ask("D") == "OK"
        self.line.close()
