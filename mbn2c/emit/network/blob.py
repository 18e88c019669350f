"""Constant arrays -> a blob, which a program takes in when it starts, and where its C finds each array in there.

Offsets, no addresses: a blob may lie anywhere that is aligned to 16 bytes. Its head, little-endian:

    0  8 bytes   magic
    8  uint32    format, of this head
   12  uint32    bytes of the blob in all
   16  uint32    CRC-32 (zlib) of all bytes behind it
   20  uint32    version of the blob: of two, the one with the larger number is the newer
   24  8 bytes   0
   32  32 bytes  SHA-256 of the program that the constants are for
   64  32 bytes  SHA-256 of their model.int8.onnx
   96            the arrays, each aligned to 16 bytes
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import numpy as np

from mbn2c.emit.network.c_values import bytes_in_c, c_type
from mbn2c.emit.network.steps import FITTED, array_prefix, fitted_numbers
from mbn2c.ir.kernel import SHARED_NUMBERS, Packed

MAGIC, FORMAT = b"MBN2BLOB", 1
HEAD_BYTES = 96
_HEAD = struct.Struct("<8sII")
_BEHIND_CRC = struct.Struct("<I8x32s32s")
_ALIGNED = 16


def arrays_in_blob(arrays: Mapping[str, np.ndarray], constants: Mapping[int, Packed]) -> dict[str, np.ndarray]:
    """What a blob has: the arrays but those that a table of C functions points to, and numbers that go with weights.

    constants  of each step
    """
    found = {name: array for name, array in arrays.items() if not name.endswith(f"_{SHARED_NUMBERS}")}
    for step, one in constants.items():
        for way, packed in enumerate((one, *one.alternatives)):
            if numbers := fitted_numbers(packed):
                found[f"{array_prefix(step, way)}_{FITTED}"] = np.array(list(numbers.values()), np.int32)
    return found


def offsets(arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Where each array of a blob begins."""
    found, end = {}, HEAD_BYTES
    for name, array in arrays.items():
        found[name] = end
        end += _padded(array)
    return found


def size_bytes(arrays: Mapping[str, np.ndarray]) -> int:
    """Of the blob with its head."""
    return HEAD_BYTES + sum(_padded(array) for array in arrays.values())


def _padded(array: np.ndarray) -> int:
    return -(-array.nbytes // _ALIGNED) * _ALIGNED


def sources(arrays: Mapping[str, np.ndarray], blob: str) -> dict[str, str]:
    """Array -> the C expression for its address; blob: that of the blob's."""
    places = offsets(arrays).items()
    return {name: f"(const {c_type(arrays[name])} *)(const void *)({blob} + {offset})" for name, offset in places}


def blob_bytes(arrays: Mapping[str, np.ndarray], version: int, program: bytes, model: bytes) -> bytes:
    """The blob.

    version  uint32
    program  SHA-256 of the C that takes it in
    model    SHA-256 of the model's file
    """
    body = b"".join(
        bytes_in_c(array).ljust(-(-array.nbytes // _ALIGNED) * _ALIGNED, b"\0") for array in arrays.values()
    )
    checked = _BEHIND_CRC.pack(version, program, model) + body
    head = _HEAD.pack(MAGIC, FORMAT, HEAD_BYTES + len(body))
    return head + struct.pack("<I", zlib.crc32(checked)) + checked
