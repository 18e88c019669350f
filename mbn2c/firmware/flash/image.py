"""A linked firmware and its board -> what a flash tool has to write, memory by memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mbn2c.errors import BoardError, UsageError
from mbn2c.files.elf import read_elf
from mbn2c.targets import Board, Flash

Say = Callable[[str], None]


@dataclass(frozen=True)
class Image:
    """What one memory must hold from `address` on."""

    memory: str
    address: int
    data: bytes


@dataclass(frozen=True)
class FlashContents:
    """What is written: the ELF file, and the images in it; the first is that of the memory with the vectors."""

    board: Board
    flash: Flash
    elf: Path
    images: Sequence[Image]

    @property
    def size_bytes(self) -> int:
        """Bytes of all images."""
        return sum(len(image.data) for image in self.images)

    def only_image(self) -> Image:
        """Raises UsageError if there is more than the board's tool can write."""
        first, *others = self.images
        if others:
            raise UsageError(
                f"{self.flash.tool} writes '{first.memory}' only, and the firmware is in '{others[0].memory}' too",
                where=f"targets/boards/{self.board.name}.toml",
                hint="let another memory hold the constants, or program the board with another tool",
            )
        return first


def firmware_of(elf: Path, board: Board, facts: Flash) -> FlashContents:
    """Raises BoardError if nothing in the ELF file belongs into the memory with the vectors."""
    if not board.memories:
        return FlashContents(board, facts, elf, (Image("", 0, b""),))
    vectors, loaded = board.memory("vectors"), read_elf(elf)
    others = [memory for memory in board.memories if memory.kind == "flash" and memory is not vectors]
    images = [
        Image(memory.name, memory.origin, data)
        for memory in (vectors, *others)
        if (data := loaded.image(memory.origin, memory.size_bytes))
    ]
    if not images or images[0].memory != vectors.name:
        raise BoardError(f"nothing in the firmware belongs into '{vectors.name}'", where=str(elf), hint="build again")
    return FlashContents(board, facts, elf, images)
