"""A memory image <-> a UF2 file, which a chip's boot loader takes as a file copied to its USB drive.

source  Microsoft, USB Flashing Format, https://github.com/microsoft/uf2
"""

from __future__ import annotations

import struct

from mbn2c.errors import InternalError

BLOCK_BYTES = 512
PAYLOAD_BYTES = 256
_DATA_BYTES = 476
_MAGIC = (0x0A324655, 0x9E5D5157)
_MAGIC_END = 0x0AB16F30
_HAS_FAMILY = 0x2000
_HEAD = struct.Struct("<8I")


def to_uf2(image: bytes, address: int, family: int) -> bytes:
    """The file that writes `image` to `address`; the last block is filled up with 0xFF."""
    padded = image + b"\xff" * (-len(image) % PAYLOAD_BYTES)
    count = len(padded) // PAYLOAD_BYTES
    blocks = []
    for number in range(count):
        start = number * PAYLOAD_BYTES
        head = _HEAD.pack(*_MAGIC, _HAS_FAMILY, address + start, PAYLOAD_BYTES, number, count, family)
        data = padded[start : start + PAYLOAD_BYTES].ljust(_DATA_BYTES, b"\x00")
        blocks.append(head + data + struct.pack("<I", _MAGIC_END))
    return b"".join(blocks)


def from_uf2(data: bytes, family: int) -> tuple[int, bytes]:
    """Address and image of a UF2 file. Raises InternalError if a boot loader for `family` would not take all of it."""
    if not data or len(data) % BLOCK_BYTES:
        raise InternalError(f"a UF2 file of {len(data)} bytes")
    count = len(data) // BLOCK_BYTES
    first = 0
    image = b""
    for number in range(count):
        block = data[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES]
        *magic, flags, address, size, own, all_blocks, own_family = _HEAD.unpack_from(block)
        (end,) = struct.unpack_from("<I", block, BLOCK_BYTES - 4)
        if number == 0:
            first = address
        right = (*_MAGIC, _MAGIC_END, _HAS_FAMILY, PAYLOAD_BYTES, number, count, family, first + len(image))
        if (*magic, end, flags, size, own, all_blocks, own_family, address) != right:
            raise InternalError(f"block {number} of the UF2 file is wrong")
        image += block[_HEAD.size : _HEAD.size + size]
    return first, image
