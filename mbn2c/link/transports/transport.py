"""What a session needs of a byte stream to a device."""

from __future__ import annotations

from typing import Protocol


class Transport(Protocol):
    """A byte stream that may lose, double, damage or split what it carries."""

    @property
    def baud(self) -> int:
        """Bits per second of this end; 0 for streams without a rate."""
        ...

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, at least one byte; b"" after `timeout_s`, 0 for one look.

        raises  BoardError when the line is gone for good
        """
        ...

    def write(self, data: bytes) -> None:
        """Send all of `data`, and keep for `read` what arrives meanwhile: the device may be writing, too.

        raises  BoardError when the line is gone for good, or the device takes in nothing for too long
        """
        ...

    def set_baud(self, rate: int) -> None:
        """Change the rate of this end; streams without a rate do nothing."""
        ...

    def close(self) -> None:
        """Give the line back, and stop what was started for it. May be called twice."""
        ...
