"""Numbers and arrays as C99 literals."""

from __future__ import annotations

import numpy as np

_LINE_CHARS = 116
_C_TYPES = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "float32": "float",
}


def c_type(array: np.ndarray) -> str:
    """The C type of an array's elements. Raises KeyError for a dtype that no constant has."""
    return _C_TYPES[array.dtype.name]


def bytes_in_c(array: np.ndarray) -> bytes:
    """As every core that mbn2c knows keeps it: little-endian."""
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def int_literal(value: int) -> str:
    """An int32 as C; its minimum has no literal of its own."""
    return "(-2147483647 - 1)" if value == -(2**31) else str(value)


def float_literal(value: float) -> str:
    """A float32 as C, with the digits that bring it back exactly."""
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if any(char in text for char in ".e") else f"{text}.0f"


def array_lines(array: np.ndarray) -> str:
    """The elements, comma-separated, in indented lines."""
    if array.dtype == np.float32:
        words = [float_literal(value) for value in array.reshape(-1)]
    elif array.dtype == np.uint32:
        words = [f"0x{value:08x}u" for value in array.reshape(-1).tolist()]
    else:
        words = [int_literal(value) for value in array.reshape(-1).tolist()]
    lines: list[str] = []
    line: list[str] = []
    length = 0
    for word in words:
        if length + len(word) + 2 > _LINE_CHARS:
            lines.append("    " + ", ".join(line) + ",")
            line, length = [], 0
        line.append(word)
        length += len(word) + 2
    lines.append("    " + ", ".join(line))
    return "\n".join(lines)
