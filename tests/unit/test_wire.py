"""Frames survive round trips and refuse damage; the golden frames fix the protocol."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import VECTORS

from mbn2c.errors import BoardError
from mbn2c.link import wire
from mbn2c.resources.render import render

FRAMES = VECTORS / "wire_frames.json"
KINDS = {kind.__name__: kind for kind in wire.REQUESTS + wire.REPLIES}


def fields_of(kind: type[wire.Message]) -> st.SearchStrategy[Any]:
    strategies: dict[str, st.SearchStrategy[Any]] = {}
    for field in wire.layout(kind):
        if field.format == "":
            strategies[field.name] = st.binary(max_size=700)
        elif field.format == "24s":
            strategies[field.name] = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=24)
        elif field.format == "32s":
            strategies[field.name] = st.binary(min_size=32, max_size=32)
        else:
            strategies[field.name] = st.integers(0, 256**field.size_bytes - 1)
    return st.fixed_dictionaries(strategies)


messages = st.sampled_from(sorted(KINDS)).flatmap(
    lambda name: fields_of(KINDS[name]).map(lambda values: KINDS[name](**values))
)
sequences = st.integers(0, 0xFFFF)


@given(messages, sequences)
def test_round_trip(message: wire.Message, sequence: int) -> None:
    frame = wire.encode(message, sequence)
    assert frame.endswith(wire.DELIMITER) and 0 not in frame[:-1]
    assert wire.decode(frame[:-1]) == (message, sequence)


@given(st.binary(max_size=1200) | st.integers(230, 520).map(lambda n: b"\x01" * n) | st.integers(230, 520).map(bytes))
def test_a_frame_is_no_longer_than_promised(data: bytes) -> None:
    message = wire.Input(1, 0, data)
    frame = wire.encode(message, 1)
    assert len(frame) <= wire.most_bytes(message)
    tail_bytes = wire.largest_tail(wire.Input, wire.largest_body(len(frame)))
    if tail_bytes >= 0:
        assert wire.most_bytes(wire.Input(1, 0, bytes(tail_bytes))) <= len(frame)


@given(messages, sequences, st.data())
def test_damage_is_refused(message: wire.Message, sequence: int, data: st.DataObject) -> None:
    frame = bytearray(wire.encode(message, sequence)[:-1])
    place = data.draw(st.integers(0, len(frame) - 1))
    kind = data.draw(st.sampled_from(["flip", "drop", "double", "swap", "cut"]))
    if kind == "flip":
        frame[place] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "drop":
        del frame[place]
    elif kind == "double":
        frame.insert(place, frame[place])
    elif kind == "swap":
        frame[place], frame[place - 1] = frame[place - 1], frame[place]
    else:
        del frame[place:]
    try:
        got = wire.decode(bytes(frame))
    except BoardError:
        return
    assert got == (message, sequence), "damage changed a message and was not noticed"


@given(st.binary(max_size=80))
def test_noise_is_refused_not_crashed_on(noise: bytes) -> None:
    with pytest.raises(BoardError):
        wire.decode(noise)


def test_codes_are_unique_and_replies_have_the_high_bit() -> None:
    codes = [kind.code for kind in KINDS.values()]
    assert len(set(codes)) == len(codes)
    assert all(kind.code < 0x80 for kind in wire.REQUESTS) and all(kind.code >= 0x80 for kind in wire.REPLIES)


def test_golden_frames(request: pytest.FixtureRequest) -> None:
    """A frame that changes here breaks boards in the field: raise wire.PROTOCOL with it."""
    vectors = json.loads(FRAMES.read_text(encoding="utf-8"))
    assert vectors["protocol"] == wire.PROTOCOL
    assert {entry["message"] for entry in vectors["frames"]} == set(KINDS)
    for entry in vectors["frames"]:
        kind = KINDS[entry["message"]]
        formats = {field.name: field.format for field in wire.layout(kind)}
        values = {
            name: bytes.fromhex(value) if formats[name] in ("", "32s") else value
            for name, value in entry["fields"].items()
        }
        message = kind(**values)
        frame = bytes.fromhex(entry["frame"])
        assert wire.encode(message, entry["sequence"]) == frame, entry["message"]
        assert wire.decode(frame[:-1]) == (message, entry["sequence"])


def test_header_names_every_field() -> None:
    header = render("runtime/mbn_wire.h.j2", wire.header_values())
    for kind in KINDS.values():
        for field in dataclasses.fields(kind):
            assert f"#define MBN_{kind.__name__.upper()}_AT_{field.name.upper()} " in header
    assert "#define MBN_INPUT_AT_OFFSET 4u" in header
    assert "#define MBN_STATE_DONE 3u" in header
