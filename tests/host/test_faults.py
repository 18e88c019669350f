"""Frames through a line with every fault there is: each comes back right, none is lost. libFuzzer on the device's C."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dummy_model import DummyModel
from faulty_line import FAULTS, FaultyLine
from firmware import build_firmware

from mbn2c.link import wire
from mbn2c.link.session import Session, Timing
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.resources.render import plain_text, render
from mbn2c.targets import load_board

MODEL = DummyModel(rows=3, row_bytes=40, output_bytes=10)
HASTY = Timing(hello_s=20.0, reply_s=0.01, rows_s=0.01, give_up_s=30.0)
RATE = 0.01

FUZZ = """
#include "mbn_line.h"
#include "mbn_port.h"
#include <stddef.h>
static const uint8_t *next;
static size_t left;
int mbn_port_get(void) { return left > 0 ? (left--, *next++) : MBN_PORT_CLOSED; }
void mbn_port_put(const uint8_t *bytes, uint32_t count) { (void)bytes; (void)count; }
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t body[64];
    int32_t length;
    next = data;
    left = size;
    while ((length = mbn_line_receive(body, sizeof body)) != MBN_LINE_CLOSED) {
        if (length > (int32_t)sizeof body - 4 || (length < 3 && length != MBN_LINE_DAMAGED)) {
            __builtin_trap();
        }
    }
    return 0;
}
"""
FUZZ_WHOLE = """
#include <stdint.h>
#include <stddef.h>
#include "mbn_port.h"
static const uint8_t *next;
static size_t left;
int mbn_port_get(void) { return left > 0 ? (left--, *next++) : MBN_PORT_CLOSED; }
void mbn_port_put(const uint8_t *bytes, uint32_t count) { (void)bytes; (void)count; }
void mbn_port_open(void) {}
void mbn_port_flush(void) {}
int firmware_main(void);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t crc32(const uint8_t *bytes, size_t count)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
        }
    }
    return ~crc;
}

/* Each chunk of the input, behind its length, becomes a frame with a right CRC: the fuzzer gets past the checksum. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t line[4096];
    size_t used = 0;
    while (size > 0 && used + 300 < sizeof line) {
        uint8_t body[130];
        size_t count = data[0] % 120u;
        data++;
        size--;
        if (count > size) {
            count = size;
        }
        for (size_t i = 0; i < count; i++) {
            body[i] = data[i];
        }
        data += count;
        size -= count;
        const uint32_t crc = crc32(body, count);
        for (int i = 0; i < 4; i++) {
            body[count++] = (uint8_t)(crc >> (8 * i));
        }
        size_t code = used++;
        line[code] = 1;
        for (size_t i = 0; i < count; i++) {
            if (body[i] == 0) {
                code = used++;
                line[code] = 1;
            } else {
                line[used++] = body[i];
                line[code]++;
            }
        }
        line[used++] = 0;
    }
    next = line;
    left = used;
    return firmware_main();
}
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_firmware(MODEL, load_board("host"), tmp_path_factory.mktemp("host")).path


def one_by_one(session: Session, frames: list[bytes]) -> Iterator[bytes]:
    return (session.run(frame) for frame in frames)


def ahead(session: Session, frames: list[bytes]) -> Iterator[bytes]:
    """Without waiting for each answer, as `verify` does."""
    left = iter(frames)
    return session.run_many(lambda wait_s: next(left, b""))


Way = Callable[[Session, list[bytes]], Iterator[bytes]]


def through_faults(host: Path, count: int, seed: int, way: Way) -> FaultyLine:
    """Sends that many frames; every answer must be right."""
    line = FaultyLine(
        lambda: EmulatedBoard(load_board("host"), host),
        RATE,
        seed,
        frames_per_run=2 + MODEL.rows,
        delay_s=0.02,
        pull_s=0.05,
    )
    try:
        session = Session(line, digest=MODEL.digest, timing=HASTY)
        frames = [MODEL.frame(number) for number in range(count)]
        completed = 0
        for frame, output in zip(frames, way(session, frames), strict=True):
            assert output == MODEL.output(frame), f"frame {completed}: a wrong verdict"
            completed += 1
        assert completed == count
        assert session.retries > 0
    finally:
        line.close()
    return line


@pytest.mark.parametrize("way", [one_by_one, ahead])
def test_faults_of_every_kind_cost_retries_only(way: Way, host: Path) -> None:
    line = through_faults(host, 250, 1, way)
    assert sum(line.faults.values()) > 50


@pytest.mark.slow
@pytest.mark.parametrize("way", [one_by_one, ahead])
def test_ten_thousand_frames_with_one_percent_of_each_fault(way: Way, host: Path) -> None:
    line = through_faults(host, 10_000, 2, way)
    assert all(line.faults[fault] >= 50 for fault in FAULTS), line.faults
    print(dict(line.faults))


@pytest.mark.slow
def test_a_cable_pulled_for_ten_seconds(host: Path) -> None:
    line = FaultyLine(
        lambda: EmulatedBoard(load_board("host"), host), 0.0, 3, frames_per_run=1, delay_s=0.0, pull_s=10.0
    )
    try:
        session = Session(line, digest=MODEL.digest, timing=HASTY)
        session.hello()
        line.pulled_until = time.monotonic() + line.pull_s
        assert session.run(MODEL.frame(0)) == MODEL.output(MODEL.frame(0))
    finally:
        line.close()


def fuzzer(folder: Path, files: dict[str, str], sources: list[str]) -> Path:
    """Compiles a libFuzzer target with ASan and UBSan; skips in words where clang cannot."""
    if shutil.which("clang") is None:
        pytest.skip("clang is not installed (apt install clang libclang-rt-dev)")
    for name, text in files.items():
        (folder / name).write_text(text)
    flags = ["-O1", "-g", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
    done = subprocess.run(["clang", *flags, "-o", "fuzz", *sources], cwd=folder, capture_output=True, text=True)
    if "libclang_rt" in done.stderr:
        pytest.skip("clang has no fuzzer library (apt install libclang-rt-dev)")
    assert done.returncode == 0, done.stderr
    return folder / "fuzz"


def fuzz(program: Path, runs: int) -> None:
    command = [program, f"-runs={runs}", "-seed=1", "-max_len=400", "-print_final_stats=1", "-verbosity=0"]
    done = subprocess.run(command, cwd=program.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"stat::number_of_executed_units: {runs}" in done.stderr


def line_fuzzer(folder: Path) -> Path:
    names = ("mbn_line.h", "mbn_line.c", "mbn_port.h")
    files = {name: plain_text(f"firmware/{name}") for name in names}
    files |= {"mbn_wire.h": render("runtime/mbn_wire.h.j2", wire.header_values()), "fuzz.c": FUZZ}
    return fuzzer(folder, files, ["fuzz.c", "mbn_line.c"])


def firmware_fuzzer(folder: Path) -> Path:
    """The whole firmware: requests of any content and order, with right checksums."""
    build_firmware(MODEL, load_board("host"), folder)
    inner = folder / "firmware"
    main = (inner / "main.c").read_text().replace("int main(void)", "int firmware_main(void)")
    files = {"fuzz.c": FUZZ_WHOLE, "fuzz_main.c": "int firmware_main(void);\n" + main}
    sources = ["fuzz.c", "fuzz_main.c", "person.c", "-I.", "-Ifirmware"]
    sources += [f"firmware/{name}" for name in ("mbn_line.c", "mbn_unpack.c", "mbn_count.c", "startup_hosted.c")]
    return fuzzer(folder, files, sources)


@pytest.mark.parametrize("make", [line_fuzzer, firmware_fuzzer])
def test_device_parser_survives_a_short_fuzz(make: Callable[[Path], Path], tmp_path: Path) -> None:
    fuzz(make(tmp_path), 20_000)


@pytest.mark.slow
@pytest.mark.parametrize("make, runs", [(line_fuzzer, 10_000_000), (firmware_fuzzer, 2_000_000)])
def test_device_parser_survives_a_long_fuzz(make: Callable[[Path], Path], runs: int, tmp_path: Path) -> None:
    fuzz(make(tmp_path), runs)
