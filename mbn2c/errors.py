"""What can go wrong, in three lines each: what is wrong, where, and what to do.

Every error the user can meet is an `Mbn2cError`; `cli` prints it and exits with its `exit_code`.
"""

from __future__ import annotations

from enum import StrEnum

from mbn2c.printable import printable

# A command that a hint holds must stay whole: one that cuts a network at a dozen tensors has up to 2,000 characters.
_LONGEST_PART = 2500


class Page(StrEnum):
    """Where the documentation, which the wheel carries, says more of an error; the last words of its hint."""

    PIXELS = "docs/troubleshooting.md#which-pixels"
    FIRMWARE = "docs/troubleshooting.md#another-firmware-on-the-board"
    BYTES = "docs/troubleshooting.md#bytes-that-differ"
    FOLDER = "docs/troubleshooting.md#what-lies-in-out"
    DEVICE = "docs/troubleshooting.md#no-device"
    IMAGES = "docs/troubleshooting.md#images"


class Mbn2cError(Exception):
    """An error with a message for the user.

    what   one line: what is wrong
    where  the layer, file or board it is wrong in; may be empty
    hint   what the user can do about it; may be empty
    page   where more is said of it, which ends the hint
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", hint: str = "", page: Page | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint if page is None else f"{hint}; {page.value}"

    def __str__(self) -> str:
        parts = (("error: ", self.what), ("where: ", self.where), ("try:   ", self.hint))
        return "\n".join(head + _indented(_bounded(text)) for head, text in parts if text or head == "error: ")


def _indented(text: str) -> str:
    """As a terminal may show it; lines after the first (a compiler's words) do not look like ours."""
    return printable(text, lines=True).replace("\n", "\n       ")


def _bounded(text: str) -> str:
    """Names of thousands of characters, of files or of tensors, would hide the message they stand in."""
    return text if len(text) <= _LONGEST_PART else f"{text[: _LONGEST_PART // 2]} ... {text[-_LONGEST_PART // 2 :]}"


class GateError(Mbn2cError):
    """A comparison or an accuracy gate failed."""

    exit_code = 1


class UsageError(Mbn2cError):
    """The command line, a file name or an image folder is wrong."""

    exit_code = 2


class ModelError(Mbn2cError):
    """The model is broken, or uses something that is not supported."""

    exit_code = 3


class QuantError(ModelError):
    """A tensor cannot be quantized, or its quantization cannot be proved exact."""


class FitError(Mbn2cError):
    """The network does not fit the board's memory."""

    exit_code = 4


class BoardError(Mbn2cError):
    """A tool, a board or the line to it does not work."""

    exit_code = 5


class DeviceFaultError(BoardError):
    """The device itself fails, not its line: it crashed, it contradicts itself in frames whose CRC is right, or it runs
    another firmware than it should. No other device can make that good.
    """


class InternalError(Mbn2cError):
    """One of our own laws does not hold: a bug in mbn2c, never the user's fault."""

    exit_code = 70
