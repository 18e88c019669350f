"""The line between host and device: messages as dataclasses, and frames of them on a byte stream.

    frame    COBS(body) 0x00, consistent overhead byte stuffing: Cheshire and Baker, 1999
    body     code u8, sequence u16, fields, CRC-32 (zlib) of all that; every integer little-endian

The host asks, the device answers each request with one reply that repeats the request's sequence number.
A request may arrive twice and does no harm: rows of a frame carry their offset, a dumped row its number.
So a damaged or lost frame costs one more try and nothing else. The C header `mbn_wire.h` is printed from
the tables of this module.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, get_type_hints

from cobs import cobs

from mbn2c.errors import BoardError, DeviceFaultError

PROTOCOL = 5
HEAD_BYTES = 3
CRC_BYTES = 4
DELIMITER = b"\x00"

MODES = ("plain", "digests", "cycles", "dump")
STATES = ("idle", "awaiting_input", "row_waiting", "done")
BUFFERS = ("output", "row", "table")
REASONS = ("damaged", "unknown", "length", "run", "state", "network", "fault")

U8 = Annotated[int, "B"]
U16 = Annotated[int, "H"]
U32 = Annotated[int, "I"]
U64 = Annotated[int, "Q"]
Digest = Annotated[bytes, "32s"]
Text = Annotated[str, "24s"]
Tail = Annotated[bytes, ""]


class ProtocolError(DeviceFaultError):
    """The device answers, but in another version of this protocol."""


@dataclass(frozen=True)
class Message:
    """A message: `code` on the line, then its fields in order; a Tail takes what is left."""

    code: ClassVar[int]


@dataclass(frozen=True)
class Hello(Message):
    """Identify: answered by Facts. Any state; changes nothing."""

    code = 0x01
    protocol: U16


@dataclass(frozen=True)
class Begin(Message):
    """Start a frame called `run` (the host's choice, never 0); `step` is the step to dump. Answered by State."""

    code = 0x02
    run: U32
    mode: U8
    step: U16


@dataclass(frozen=True)
class Input(Message):
    """Input bytes from `offset` on; in a dump none beyond the end of the input row they start in. Answered by State."""

    code = 0x03
    run: U32
    offset: U32
    data: Tail


@dataclass(frozen=True)
class Advance(Message):
    """The dumped row number `row` has been read, go on. Answered by State."""

    code = 0x04
    run: U32
    row: U32


@dataclass(frozen=True)
class Fetch(Message):
    """Send up to `length` bytes from `offset` on of output, waiting row or table of steps. Answered by Data, or by
    Repeats where that is shorter."""

    code = 0x05
    run: U32
    buffer: U8
    offset: U32
    length: U16


@dataclass(frozen=True)
class Health(Message):
    """Report health. Answered by Vitals."""

    code = 0x06


@dataclass(frozen=True)
class Baud(Message):
    """Change to `rate` after the answer, Done; falls back if nothing understandable follows."""

    code = 0x07
    rate: U32


@dataclass(frozen=True)
class Reset(Message):
    """Start anew after the answer, Done."""

    code = 0x08


@dataclass(frozen=True)
class Compressed(Message):
    """As Input, with `count` input bytes in fewer: see below. Answered by State."""

    code = 0x09
    run: U32
    offset: U32
    count: U16
    data: Tail


@dataclass(frozen=True)
class Constant(Message):
    """What is constant array number `index`, as it lies in memory? Any state; changes nothing. Answered by Checksum."""

    code = 0x0A
    index: U16


@dataclass(frozen=True)
class Facts(Message):
    """Answer to Hello. `buffer_bytes` is the largest body (head, fields and CRC) the device can take, `window_bytes`
    how many bytes of requests may be unanswered (0: one request at a time), `pixel_bytes` the channels of the input
    (0: it takes no
    Compressed), `build` a CRC-32 of the firmware's sources.
    """

    code = 0x81
    protocol: U16
    buffer_bytes: U16
    window_bytes: U16
    digest: Digest
    build: U32
    input_bytes: U32
    row_bytes: U32
    pixel_bytes: U8
    output_bytes: U32
    arena_bytes: U32
    clock_hz: U32
    steps: U16
    has_cycles: U8
    name: Text
    core: Text
    board: Text
    version: Text


@dataclass(frozen=True)
class State(Message):
    """Where the run stands. `row`, `row_bytes` tell of the row that waits; `crc` is of the input received so far."""

    code = 0x82
    run: U32
    state: U8
    received: U32
    row: U32
    row_bytes: U32
    crc: U32


@dataclass(frozen=True)
class Data(Message):
    """Part of a buffer; `crc` is of the whole buffer of `total` bytes, `cycles` of the network so far (0: unknown)."""

    code = 0x85
    run: U32
    buffer: U8
    offset: U32
    total: U32
    crc: U32
    cycles: U64
    data: Tail


@dataclass(frozen=True)
class Repeats(Data):
    """As Data, in fewer bytes: see below."""

    code = 0x89


@dataclass(frozen=True)
class Vitals(Message):
    """Stack bytes ever used and available (0: not measured) and damaged frames seen."""

    code = 0x86
    stack_used_bytes: U32
    stack_bytes: U32
    damaged: U32


@dataclass(frozen=True)
class Done(Message):
    """Answer to Baud and Reset; `value` is the rate in use from now on, 0 if it cannot be had."""

    code = 0x87
    value: U32


@dataclass(frozen=True)
class Checksum(Message):
    """Size and CRC-32 of a constant array: weights, biases, multipliers, tables."""

    code = 0x88
    index: U16
    size_bytes: U32
    crc: U32


@dataclass(frozen=True)
class Refused(Message):
    """The request was not understood or came at the wrong time; `detail` depends on the reason."""

    code = 0xFF
    reason: U8
    detail: U32


REQUESTS: tuple[type[Message], ...] = (
    Hello,
    Begin,
    Input,
    Advance,
    Fetch,
    Health,
    Baud,
    Reset,
    Compressed,
    Constant,
)
REPLIES: tuple[type[Message], ...] = (Facts, State, Data, Repeats, Vitals, Done, Checksum, Refused)
_BY_CODE = {kind.code: kind for kind in REQUESTS + REPLIES}


@dataclass(frozen=True)
class Field:
    """Name, struct format ("" for a Tail), size and place of a field, counted from the first field."""

    name: str
    format: str
    size_bytes: int
    offset: int


def _fields_of(kind: type[Message]) -> tuple[Field, ...]:
    hints = get_type_hints(kind, include_extras=True)
    found: list[Field] = []
    offset = 0
    for entry in fields(kind):
        code = hints[entry.name].__metadata__[0]
        size = struct.calcsize("<" + code)
        found.append(Field(entry.name, code, size, offset))
        offset += size
    return tuple(found)


_LAYOUTS = {kind: _fields_of(kind) for kind in REQUESTS + REPLIES}


def layout(kind: type[Message]) -> tuple[Field, ...]:
    """The fields of a message in line order."""
    return _LAYOUTS[kind]


def fixed_bytes(kind: type[Message]) -> int:
    """Bytes of all fields but the Tail."""
    return sum(field.size_bytes for field in layout(kind))


def has_tail(kind: type[Message]) -> bool:
    """Whether a message ends in a field of any length."""
    return any(not field.format for field in layout(kind))


def largest_tail(kind: type[Message], buffer_bytes: int) -> int:
    """How many Tail bytes of `kind` fit a body of `buffer_bytes`."""
    return buffer_bytes - HEAD_BYTES - fixed_bytes(kind) - CRC_BYTES


def most_bytes(message: Message) -> int:
    """Bytes of its frame at most: COBS adds one to each 254, and one; a delimiter ends it."""
    tails = [len(getattr(message, field.name)) for field in layout(type(message)) if not field.format]
    body_bytes = HEAD_BYTES + fixed_bytes(type(message)) + sum(tails) + CRC_BYTES
    return body_bytes + body_bytes // 254 + 2


def largest_body(frame_bytes: int) -> int:
    """How large a body may be whose frame has at most `frame_bytes`."""
    return max(frame_bytes - 2, 0) * 254 // 255


def encode(message: Message, sequence: int) -> bytes:
    """The frame of a message, with its delimiter."""
    body = struct.pack("<BH", message.code, sequence)
    for field in layout(type(message)):
        value = getattr(message, field.name)
        if field.format == "":
            body += value
        else:
            body += struct.pack("<" + field.format, value.encode() if isinstance(value, str) else value)
    return cobs.encode(body + struct.pack("<I", zlib.crc32(body))) + DELIMITER


def decode(frame: bytes) -> tuple[Message, int]:
    """Message and sequence number of a frame without its delimiter. Raises BoardError if it is damaged."""
    try:
        body = cobs.decode(frame)
    except cobs.DecodeError as error:
        raise BoardError("damaged frame") from error
    if len(body) < HEAD_BYTES + CRC_BYTES:
        raise BoardError(f"frame of {len(body)} bytes")
    (crc,) = struct.unpack("<I", body[-CRC_BYTES:])
    if crc != zlib.crc32(body[:-CRC_BYTES]):
        raise BoardError("damaged frame")
    code, sequence = struct.unpack_from("<BH", body)
    kind = _BY_CODE.get(code)
    payload = body[HEAD_BYTES:-CRC_BYTES]
    if kind is None:
        raise BoardError(f"unknown message 0x{code:02x}", hint="host and firmware of the same mbn2c version")
    if kind is Facts and len(payload) >= 2 and len(payload) != fixed_bytes(Facts):
        (protocol,) = struct.unpack_from("<H", payload)
        raise ProtocolError(
            f"the board speaks protocol {protocol}, mbn2c speaks {PROTOCOL}", hint="build and flash the firmware anew"
        )
    if len(payload) < fixed_bytes(kind) or (len(payload) > fixed_bytes(kind) and not has_tail(kind)):
        raise BoardError(f"message {kind.__name__} of {len(payload)} bytes")
    values: dict[str, Any] = {}
    for field in layout(kind):
        if field.format == "":
            values[field.name] = payload[field.offset :]
            continue
        (value,) = struct.unpack_from("<" + field.format, payload, field.offset)
        values[field.name] = _text(value) if field.format == "24s" else value
    return kind(**values), sequence


def _text(value: bytes) -> str:
    return value.rstrip(b"\x00").decode("utf-8", "replace")


def header_values() -> dict[str, object]:
    """What `templates/runtime/mbn_wire.h.j2` prints: the messages, their field offsets, the enumerations."""
    enums = (("MODE", MODES), ("STATE", STATES), ("BUFFER", BUFFERS), ("REASON", REASONS))
    return {
        "protocol": PROTOCOL,
        "head_bytes": HEAD_BYTES,
        "crc_bytes": CRC_BYTES,
        "messages": [
            {
                "name": kind.__name__.upper(),
                "code": kind.code,
                "doc": " ".join((kind.__doc__ or "").split()),
                "fixed_bytes": fixed_bytes(kind),
                "fields": [{"name": field.name.upper(), "offset": field.offset} for field in layout(kind)],
            }
            for kind in REQUESTS + REPLIES
        ],
        "enums": [
            {"name": name, "entries": [{"name": entry.upper(), "value": value} for value, entry in enumerate(entries)]}
            for name, entries in enums
        ],
    }
