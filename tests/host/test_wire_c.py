"""The C end of the line reads and writes the same frames, and survives noise."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbn2c.link import wire
from mbn2c.link.packing import repeated
from mbn2c.resources.render import plain_text, render

ECHO = """
#include "mbn_line.h"
#include "mbn_port.h"
#include "mbn_wire.h"
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
            const uint32_t fields = body[0] == MBN_REPEATS ? MBN_REPEATS_BYTES : (uint32_t)length - 3u;
            const uint32_t tail = (uint32_t)length - 3u - fields;
            mbn_send_begin(body[0], mbn_get_u16(body + 1));
            mbn_send_bytes(body + 3, fields);
            mbn_send_pairs(body + 3 + fields, tail);
        }
        mbn_send_end();
    }
    return 0;
}
"""


DAMAGED = wire.Refused(wire.REASONS.index("damaged"), 0)


@pytest.fixture(scope="module")
def c_echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C end of the line as a filter: frames in, the same frames out; under ASan and UBSan."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed: the C end of the line is not tested")
    folder = tmp_path_factory.mktemp("echo")
    for name in ("mbn_line.h", "mbn_line.c", "mbn_port.h"):
        (folder / name).write_text(plain_text(f"firmware/{name}"))
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


def test_c_end_says_equal_bytes_in_pairs(c_echo: Path) -> None:
    tails = [b"", b"\0", bytes(255), bytes(256), bytes(510) + b"\1", b"\1\2\2\3", bytes(range(200)), b"\xff" * 900]
    data = b"".join(wire.encode(wire.Repeats(1, 0, 0, 0, 0, 0, tail), 1) for tail in tails)
    pairs = [reply.data for reply, _ in through_c(c_echo, data) if isinstance(reply, wire.Repeats)]
    assert [repeated(one) for one in pairs] == tails
    assert [len(one) for one in pairs] == [0, 2, 2, 4, 6, 6, 400, 8]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=2500), max_size=8))
def test_c_end_survives_noise(c_echo: Path, noise: list[bytes]) -> None:
    last = (wire.Hello(1), 77)
    got = through_c(c_echo, b"\x00".join(noise) + b"\x00" + wire.encode(*last))
    assert got[-1] == last
    assert all(message == DAMAGED for message, _ in got[:-1])
