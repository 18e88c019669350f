"""Frames survive round trips and refuse damage; the golden frames fix the protocol; the C end agrees."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import VECTORS

from mbn2c.errors import BoardError
from mbn2c.link import wire
from mbn2c.resources.render import render

FRAMES = VECTORS / "wire_frames.json"
KINDS = {kind.__name__: kind for kind in wire.REQUESTS + wire.REPLIES}

ECHO = """
#include "mbn_line.h"
#include "mbn_port.h"
#include <stdio.h>
int mbn_port_get(void) { return getchar(); }
void mbn_port_put(const uint8_t *bytes, uint32_t count) { (void)fwrite(bytes, 1, count, stdout); }
int main(void)
{
    static uint8_t body[1024];
    int32_t length;
    while ((length = mbn_line_receive(body, sizeof body)) != MBN_LINE_CLOSED) {
        if (length == MBN_LINE_DAMAGED) {
            mbn_send_begin(0xFFu, 0);
            mbn_send_u8(0);
            mbn_send_u32(0);
        } else {
            mbn_send_begin(body[0], mbn_get_u16(body + 1));
            mbn_send_bytes(body + 3, (uint32_t)length - 3u);
        }
        mbn_send_end();
    }
    return 0;
}
"""
DAMAGED = wire.Refused(wire.REASONS.index("damaged"), 0)


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


@pytest.fixture(scope="module")
def c_echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C end of the line as a filter: frames in, the same frames out; under ASan and UBSan."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed: the C end of the line is not tested")
    folder = tmp_path_factory.mktemp("echo")
    for name in ("mbn_line.h", "mbn_line.c", "mbn_port.h"):
        (folder / name).write_text(render(f"firmware/{name}.j2", {}))
    (folder / "mbn_wire.h").write_text(render("runtime/mbn_wire.h.j2", wire.header_values()))
    (folder / "echo.c").write_text(ECHO)
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    subprocess.run(
        ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", *sanitize, "-o", "echo", "echo.c", "mbn_line.c"],
        cwd=folder,
        check=True,
    )
    return folder / "echo"


def through_c(echo: Path, data: bytes) -> list[tuple[wire.Message, int]]:
    out = subprocess.run([echo], input=data, capture_output=True, check=True).stdout
    return [wire.decode(frame) for frame in out.split(wire.DELIMITER)[:-1]]


def test_c_end_reads_and_writes_the_same_frames(c_echo: Path) -> None:
    sizes = [*range(20), *range(240, 275), 495, 500, 508, 509, 700, 1000]
    tails = [bytes(size) for size in sizes] + [b"\x07" * size for size in sizes]
    tails += [bytes((7 * place) % 256 for place in range(size)) for size in sizes]
    sent = [(wire.Input(1, place, tail), place) for place, tail in enumerate(tails)]
    data = b"".join(wire.encode(message, sequence) for message, sequence in sent)
    assert through_c(c_echo, data) == sent


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=2500), max_size=8))
def test_c_end_survives_noise(c_echo: Path, noise: list[bytes]) -> None:
    last = (wire.Hello(1), 77)
    got = through_c(c_echo, b"\x00".join(noise) + b"\x00" + wire.encode(*last))
    assert got[-1] == last
    assert all(message == DAMAGED for message, _ in got[:-1])
