"""Input bytes, packed here and unpacked by the firmware's C: the same again, and fewer on the line where that pays."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dummy_model import DummyModel
from faulty_line import FaultyLine, slow_session
from firmware import build_firmware
from hypothesis import given, settings
from hypothesis import strategies as st

from mbn2c.link import wire
from mbn2c.link.packing import LARGEST_RATIO, Packer
from mbn2c.link.session import Session, Timing
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.link.transports.transport import Transport
from mbn2c.resources.render import file_text
from mbn2c.targets import load_board

UNPACK = """
#include "mbn_unpack.h"
#include <stdio.h>
#include <stdlib.h>
int main(int count, char **words)
{
    static uint8_t row[4096], data[65536];
    const uint32_t row_bytes = (uint32_t)atoi(words[count - 2]), channels = (uint32_t)atoi(words[count - 1]);
    uint32_t at = 0, head[2];
    while (fread(head, 4, 2, stdin) == 2 && fread(data, 1, head[1], stdin) == head[1]) {
        mbn_packed_t from;
        mbn_unpack_begin(&from, data, head[1]);
        while (head[0] > 0) {
            const uint32_t place = at % row_bytes;
            const uint32_t part = head[0] < row_bytes - place ? head[0] : row_bytes - place;
            mbn_unpack(&from, row, place, part, channels);
            (void)fwrite(row + place, 1, part, stdout);
            at += part;
            head[0] -= part;
        }
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def unpack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The firmware's C as a filter, under ASan and UBSan."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed: the C end of packing is not tested")
    folder = tmp_path_factory.mktemp("unpack")
    for name in ("mbn_unpack.h", "mbn_unpack.c"):
        (folder / name).write_text(file_text(f"firmware/{name}", {}))
    (folder / "main.c").write_text(UNPACK)
    words = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-O1", "-fsanitize=address,undefined"]
    subprocess.run(
        ["gcc", *words, "-fno-sanitize-recover=all", "-o", "unpack", "main.c", "mbn_unpack.c"], cwd=folder, check=True
    )
    return folder / "unpack"


def through_c(program: Path, requests: list[tuple[int, bytes]], row_bytes: int, channels: int) -> bytes:
    sent = b"".join(struct.pack("<II", count, len(data)) + data for count, data in requests)
    command = [program, str(row_bytes), str(channels)]
    return subprocess.run(command, input=sent, capture_output=True, check=True).stdout


def packed(frame: np.ndarray, channels: int, room: int) -> list[tuple[int, bytes]]:
    packer, start, requests = Packer(frame.tobytes(), frame.shape[1], channels), 0, []
    while start < frame.size:
        count, data = packer.pack(start, room)
        assert 0 < count <= LARGEST_RATIO * room and len(data) <= room
        requests.append((count, data))
        start += count
    return requests


def scene(rows: int, row_bytes: int, noise: int) -> np.ndarray:
    """Slopes, steps and noise, as pictures have them."""
    y, x = np.mgrid[:rows, :row_bytes]
    levels = 3 * y + x // 3 + 60 * (x > row_bytes // 2) + np.random.default_rng(noise).integers(0, noise + 1, y.shape)
    return levels.astype(np.uint8)


@pytest.mark.parametrize("channels, width", [(1, 1), (1, 40), (3, 1), (3, 32), (4, 9)])
@pytest.mark.parametrize("room", [20, 57, 1000])
def test_round_trip(unpack: Path, channels: int, width: int, room: int) -> None:
    row_bytes = channels * width
    noise = np.random.default_rng(1).integers(0, 256, (7, row_bytes)).astype(np.uint8)
    flat = [np.full((7, row_bytes), value, np.uint8) for value in (0, 127, 128, 255)]
    for frame in (noise, scene(7, row_bytes, 4), *flat):
        assert through_c(unpack, packed(frame, channels, room), row_bytes, channels) == frame.tobytes()


@settings(max_examples=25)
@given(st.binary(min_size=96, max_size=96), st.integers(20, 60), st.sampled_from([1, 2, 3, 4]))
def test_any_bytes(unpack: Path, data: bytes, room: int, channels: int) -> None:
    frame = np.frombuffer(data, np.uint8).reshape(8, 12)
    assert through_c(unpack, packed(frame, channels, room), 12, channels) == data


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=60)), max_size=5), st.sampled_from([1, 3, 4]))
def test_junk_makes_as_many_bytes_as_were_asked_for(
    unpack: Path, requests: list[tuple[int, bytes]], channels: int
) -> None:
    assert len(through_c(unpack, requests, 24, channels)) == sum(count for count, _ in requests)


def test_pictures_shrink_and_noise_hardly_grows() -> None:
    def share(frame: np.ndarray) -> float:
        return sum(len(data) for _, data in packed(frame, 3, 1000)) / frame.size

    assert share(scene(96, 288, 4)) < 0.6
    assert share(np.random.default_rng(2).integers(0, 256, (96, 288)).astype(np.uint8)) < 1.03
    assert share(np.zeros((96, 288), np.uint8)) < 0.16


# --- on the line ---

MODEL = DummyModel(rows=96, row_bytes=288)
HOST = load_board("host")
CLOCKED = replace(HOST, clock_hz=100_000_000, console=replace(HOST.console, line_bytes=1024, window_bytes=4096))
SCENES = [scene(96, 288, noise).tobytes() for noise in (2, 4, 6, 8, 10)]
HASTY = Timing(hello_s=20.0, reply_s=0.05, rows_s=0.05, give_up_s=30.0)


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_firmware(MODEL, CLOCKED, tmp_path_factory.mktemp("clocked")).path


class Noting:
    """A line with a rate that notes the kinds of the requests."""

    def __init__(self, line: Transport, baud: int) -> None:
        self.line, self.baud, self.kinds = line, baud, set[str]()
        self.read, self.set_baud, self.close = line.read, line.set_baud, line.close

    def write(self, data: bytes) -> None:
        for frame in filter(None, data.split(wire.DELIMITER)):
            self.kinds.add(type(wire.decode(frame)[0]).__name__)
        self.line.write(data)


def run(session: Session, frames: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    left = iter(frames)
    return zip(session.run_many(lambda wait_s: next(left, b"")), map(MODEL.output, frames), strict=True)


@pytest.mark.parametrize(
    "baud, frames, is_packed",
    [(115_200, SCENES, True), (115_200, [MODEL.frame(1)], False), (0, SCENES, False), (12_000_000, SCENES, False)],
    ids=["pictures", "noise", "no rate", "faster than unpacking"],
)
def test_packed_where_it_pays(firmware: Path, baud: int, frames: list[bytes], is_packed: bool) -> None:
    with EmulatedBoard(CLOCKED, firmware) as emulated:
        line = Noting(emulated, baud)
        session = Session(line, digest=MODEL.digest, timing=HASTY)
        assert all(got == expected for got, expected in run(session, frames))
        assert session.retries == 0 and ("Compressed" in line.kinds) == is_packed


@pytest.mark.parametrize("baud", [9600, 115_200, 921_600])
def test_the_line_stays_full_and_carries_more_images(firmware: Path, baud: int) -> None:
    with EmulatedBoard(CLOCKED, firmware) as emulated, slow_session(emulated, baud, MODEL.digest) as (session, line):
        before = session.sent_bytes
        assert all(got == expected for got, expected in run(session, SCENES))
        seconds, sent = session.line_s, session.sent_bytes - before
        assert session.retries == 0 and line.held_bytes <= session.facts.window_bytes
    gain = 10 * sum(map(len, SCENES)) / baud / seconds
    print(f"{baud} baud: {10 * sent / baud / seconds:.1%} of the line, {gain:.2f} times the images of a full line")
    assert 10 * sent / baud / seconds >= 0.9 and gain > 1.5


@pytest.mark.parametrize("times, rate", [(6, 0.005), pytest.param(40, 0.01, marks=pytest.mark.slow)])
def test_faults_cost_retries_only(times: int, rate: float, firmware: Path) -> None:
    line = FaultyLine(lambda: EmulatedBoard(CLOCKED, firmware), rate, 7, frames_per_run=16, delay_s=0.02, pull_s=0.05)
    line.baud = 115_200  # type: ignore[misc]
    try:
        session = Session(line, digest=MODEL.digest, timing=HASTY)
        assert all(got == expected for got, expected in run(session, times * SCENES))
        assert session.retries > 0 and sum(line.faults.values()) > 5
    finally:
        line.close()
