"""A device's first answer to an image, and where it is wrong a second one -> what differs, and whether it is unstable.

A valid answer that differs is a mismatch, whatever comes later. The image runs once more only to learn how many bytes
differ where only their digest is known, and whether the device gives the same answer to the same input.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from mbn2c.link.session import Session


@dataclass(frozen=True)
class FirstAnswer:
    """What a device made of an image at first.

    expected  the output bytes it must return
    output    those it returned; None if only their digest was asked for
    crc       their CRC-32, as computed here or as the device says
    fault     in what the device contradicted itself on the way, in words; "" for nothing
    """

    expected: bytes
    output: bytes | None
    crc: int
    fault: str

    @classmethod
    def of(cls, expected: bytes, answer: bytes | int, fault: str) -> FirstAnswer:
        """answer: the output, or its CRC-32."""
        if isinstance(answer, int):
            return cls(expected, None, answer, fault)
        return cls(expected, answer, zlib.crc32(answer), fault)

    @property
    def is_right(self) -> bool:
        """Whether output and CRC-32 are the expected ones, and the device did not contradict itself."""
        return self.output in (None, self.expected) and self.crc == zlib.crc32(self.expected) and not self.fault


@dataclass(frozen=True)
class Finding:
    """What is known of an image's output.

    got        its bytes, of the first answer if that had any
    differing  how many of them differ; at least 1 where the first answer was wrong
    unstable   how the device contradicts itself, in words; "" if it does not
    """

    got: bytes
    differing: int = 0
    unstable: str = ""

    def with_doubt(self, unstable: str) -> Finding:
        """With what another run of the image has shown; "" if nothing."""
        if not unstable:
            return self
        said = "; ".join(dict.fromkeys(filter(None, (self.unstable, unstable))))
        return Finding(self.got, max(self.differing, 1), said)


def first_look(first: FirstAnswer) -> Finding:
    """The finding without a second answer."""
    return _finding(first, first.expected if first.output is None else first.output, first.fault)


def second_look(first: FirstAnswer, frame: bytes, session: Session) -> Finding:
    """The finding after the image has run again.

    raises  BoardError if the line or the device fails
    """
    second = session.run(frame)
    crc, changed = zlib.crc32(second), ""
    if crc != first.crc:
        changed = f"the same input gave an output of CRC-32 {first.crc:08x}, then {crc:08x}"
    found = _finding(first, second if first.output is None else first.output, changed)
    return found.with_doubt(first.fault).with_doubt(session.last_fault)


def _finding(first: FirstAnswer, got: bytes, unstable: str) -> Finding:
    differing = sum(a != b for a, b in zip(got, first.expected, strict=True))
    return Finding(got, differing if first.is_right else max(differing, 1), unstable)
