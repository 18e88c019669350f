"""Files that the user names -> bytes, text or arrays, never more of them than the file can honestly hold.

Devices and FIFOs have no end and no size, so only regular files are read; sizes that a file declares are compared
with its own size before anything is allocated.
"""

from __future__ import annotations

import math
import os
import stat
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from mbn2c.errors import UsageError

# Of a text file: labels, class names, lab.toml, report.json. A CSV with a line for each of a million images has 40 MB.
MAX_TEXT_BYTES = 1 << 28
# How much larger than its file an .npz may be unpacked: images that compress a hundredfold are next to empty.
MAX_UNPACKED_RATIO = 100
# What any .npz may be unpacked, however small its file.
ALWAYS_UNPACKED_BYTES = 1 << 28


def regular_file(path: Path, what: str, hint: str) -> int:
    """The size in bytes of a regular file.

    what    "model", "labels file": for the message
    raises  UsageError if there is none, or it is a folder, a device or a FIFO
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise UsageError(f"no such {what}", where=str(path), hint="check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot read the {what}: {reason}", where=str(path), hint=hint) from None
    if stat.S_ISDIR(status.st_mode):
        raise UsageError(f"the {what} is a folder, not a file", where=str(path), hint=hint)
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"the {what} is a device or a pipe, not a file", where=str(path), hint="copy it into a file")
    return status.st_size


def read_bytes(path: Path, what: str, hint: str, most_bytes: int) -> bytes:
    """The content of a regular file.

    raises  UsageError as `regular_file`, or if the file is larger or cannot be read
    """
    if regular_file(path, what, hint) > most_bytes:
        raise UsageError(f"the {what} is larger than {most_bytes:,} bytes", where=str(path), hint=hint)
    try:
        with path.open("rb") as file:
            return file.read(most_bytes)
    except OSError as error:
        reason = f"cannot read the {what}: {error.strerror}"
        raise UsageError(reason, where=str(path), hint="check its rights") from None


def read_text(path: Path, what: str, hint: str) -> str:
    """The content of a text file, UTF-8 with or without a byte order mark.

    raises  UsageError as `read_bytes`, or if it is not UTF-8
    """
    try:
        return read_bytes(path, what, hint, MAX_TEXT_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"the {what} is not UTF-8 text", where=str(path), hint="save it as UTF-8") from None


def text_of(name: str) -> str:
    """A file name as text that every file can hold: bytes that are no UTF-8 become replacement characters."""
    return os.fsencode(name).decode("utf-8", "replace")


# --- .npz ----------------------------------------------------------------------------------------


def read_npz(path: Path, what: str, hint: str) -> dict[str, np.ndarray]:
    """The arrays of an .npz by name; read-only.

    raises  UsageError if it is damaged, holds anything but arrays of numbers or text, or declares more than it has
    """
    size_bytes = regular_file(path, what, hint)
    try:
        with path.open("rb") as file:
            if file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
                raise ValueError("it is an .npy, one bare array; numpy.savez writes an .npz")
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            unpacked = sum(entry.file_size for entry in entries)
            if unpacked > max(MAX_UNPACKED_RATIO * size_bytes, ALWAYS_UNPACKED_BYTES):
                raise ValueError(f"it declares {unpacked:,} bytes of content in a file of {size_bytes:,}")
            return {entry.filename.removesuffix(".npy"): _read_array(archive, entry) for entry in entries}
    except Exception as error:  # zipfile, its decompressors and numpy's header parser raise some twenty classes
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise UsageError(f"cannot read the {what}: {reason}", where=str(path), hint=hint) from None


def _read_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    """One array, its declared shape compared with the bytes there are before they are read."""
    if not entry.filename.endswith(".npy"):
        raise ValueError(f"'{entry.filename}' in it is no array")
    with archive.open(entry) as file:
        major, _ = npy.read_magic(file)
        if major not in (1, 2):
            raise ValueError(f"'{entry.filename}' has the unknown version {major}")
        read_header = npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0
        shape, is_fortran, dtype = read_header(file)
        if dtype.hasobject:
            raise ValueError(f"'{entry.filename}' holds Python objects, not numbers")
        expected, found = math.prod(shape) * dtype.itemsize, entry.file_size - file.tell()
        if expected != found:
            raise ValueError(f"'{entry.filename}' of shape {list(shape)} needs {expected:,} bytes, {found:,} are there")
        values = np.frombuffer(file.read(), dtype)
    return values.reshape(shape, order="F" if is_fortran else "C")
