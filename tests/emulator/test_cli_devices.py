"""The command line's way to real boards: flash --dry-run, and verify with --port on two boards over TCP."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from devices import build_folder, demo_options
from places import ROOT

from mbn2c.cli import main
from mbn2c.commands import demo
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.verify import JOURNAL
from mbn2c.emit.c_files import c_files
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware import toolchain
from mbn2c.link import wire
from mbn2c.targets import Board, load_board


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> OutputFolder:
    return build_folder(tmp_path_factory.mktemp("digits"), replace(demo_options("aarch64"), effort="fast"))


@pytest.fixture(scope="module")
def pi_program(output: OutputFolder, tmp_path_factory: pytest.TempPathFactory) -> list[str | Path]:
    """The command that runs a Raspberry Pi's program in QEMU's user-mode emulator."""
    emulator = shutil.which("qemu-aarch64")
    if emulator is None or shutil.which("aarch64-linux-gnu-gcc") is None:
        pytest.skip("not installed: qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross (apt install)")
    folder, board = tmp_path_factory.mktemp("pi"), load_board("raspberry-pi")
    choice = output.choice(output.core)
    write_bundle(c_files(choice.plan, choice.kernels, output.names, output.core, board), folder)
    elf = toolchain.build(folder, output.prefix, output.core, board).path
    return [emulator, elf]


@contextmanager
def running_pi(command: Sequence[str | Path], port: int = 0) -> Iterator[str]:
    """Where a Raspberry Pi listens; port 0: any free one."""
    environment = {**os.environ, "MBN_TCP_PORT": str(port)}
    pi = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert pi.stdout is not None
        yield f"socket://127.0.0.1:{pi.stdout.readline().split()[-1]}"
    finally:
        pi.kill()
        pi.wait()


@pytest.fixture(scope="module")
def pis(pi_program: list[str | Path]) -> Iterator[list[str]]:
    """The ports of two Raspberry Pis."""
    with running_pi(pi_program) as one, running_pi(pi_program) as two:
        yield [one, two]


def verify_json(capsys: pytest.CaptureFixture[str], output: OutputFolder, *more: str) -> dict[str, object]:
    labels = str(demo.TEST_LABELS)
    words = ["verify", str(output.path), "--images", str(demo.TEST_FOLDER), "--labels", labels, "--json", *more]
    assert main(words) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["device_vs_reference_mismatches"] == result["reference_vs_ort_int8_mismatches"] == 0
    return dict(result)


def test_verify_on_two_ports(pis: list[str], output: OutputFolder, capsys: pytest.CaptureFixture[str]) -> None:
    one = verify_json(capsys, output, "--port", pis[0], "--limit", "6", "--digest")
    two = verify_json(capsys, output, "--port", pis[0], "--port", pis[1], "--limit", "6", "--baud", "921600")
    assert one["board"] == two["board"] == "raspberry-pi"
    assert (one["devices"], two["devices"]) == (1, 2)
    assert one["top1_device"] == two["top1_device"] and one["images"] == two["images"] == 6
    assert not (output.path / "verify.journal").exists()


@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a72", "cortex-a76"])
def test_the_program_on_each_raspberry_pi(
    cpu: str, pi_program: list[str | Path], output: OutputFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 3 and Zero 2, of 4, of 5: the same ELF chooses its kernels, and every tensor is the reference's."""
    emulator, elf = pi_program
    with running_pi([emulator, "-cpu", cpu, elf]) as port:
        result = verify_json(capsys, output, "--port", port, "--limit", "4", "--layers")
    assert (result["board"], result["images"]) == ("raspberry-pi", 4)


@pytest.mark.parametrize(
    ("stale", "message"),
    [
        ({"version": "0.0.1"}, "firmware is of mbn2c 0.0.1"),
        ({"clock_hz": 16_000_000}, "runs at 16,000,000 Hz, its TOML says"),
        ({"build": 1}, "another build of this network: 00000001"),
        ({"digest": bytes(32)}, "runs another model"),
        ({"protocol": 1}, "speaks protocol 1"),
    ],
    ids=lambda case: next(iter(case)) if isinstance(case, dict) else "",
)
def test_a_stale_firmware_is_refused_before_the_first_image(
    stale: dict[str, object],
    message: str,
    pis: list[str],
    output: OutputFolder,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decode, asked = wire.decode, set[type]()

    def decoded(frame: bytes) -> tuple[wire.Message, int]:
        message, sequence = decode(frame)
        asked.add(type(message))
        return (replace(message, **stale) if isinstance(message, wire.Facts) else message), sequence

    monkeypatch.setattr(wire, "decode", decoded)
    assert main(["verify", str(output.path), "--images", str(demo.TEST_FOLDER), "--port", pis[0]]) == 5
    assert message in capsys.readouterr().err
    assert asked == {wire.Facts}


def test_resume_with_nothing_to_go_on_with(
    pis: list[str], output: OutputFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify_json(capsys, output, "--port", pis[1], "--limit", "2", "--resume")["resumed_images"] == 0


def verify_until(journal: Path, images: int, *words: str) -> subprocess.Popen[str]:
    """A verify in a process of its own, which has just finished so many images."""
    command = [sys.executable, "-m", "mbn2c", "verify", *words, "--images", str(demo.TEST_FOLDER), "--limit", "60"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    while program.poll() is None and (not journal.exists() or journal.read_text().count("\n") <= images):
        time.sleep(0.002)
    return program


def test_a_verify_that_was_killed_is_resumed(
    pis: list[str], output: OutputFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(output.path), "--labels", str(demo.TEST_LABELS), "--port", pis[0]]
    program = verify_until(output.path / JOURNAL, 3, *words)
    program.kill()
    program.communicate()
    assert program.returncode == -signal.SIGKILL
    finished = (output.path / JOURNAL).read_text().count("\n") - 1
    result = verify_json(capsys, output, "--port", pis[0], "--limit", "60", "--resume")
    assert finished >= 3 and result["resumed_images"] == finished
    whole = verify_json(capsys, output, "--port", pis[1], "--limit", "60")
    assert all(result[key] == whole[key] for key in ("images", "outputs_compared", "top1_device", "sqnr_db"))


def test_a_board_that_was_killed_is_gone_on_with(
    output: OutputFolder, pi_program: list[str | Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """It comes back at its place while verify waits for it, or verify is called again: nothing counts twice."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]
    words = [str(output.path), "--labels", str(demo.TEST_LABELS), "--json"]
    with running_pi(pi_program, number) as port:
        program = verify_until(output.path / JOURNAL, 3, *words, "--port", port)
    with running_pi(pi_program, number):
        said, complaints = program.communicate(timeout=120)
    assert program.returncode == 0, complaints
    result = json.loads(said)
    assert (result["device_vs_reference_mismatches"], result["resumed_images"]) == (0, 0) and result["retries"] > 0
    assert result["images"] == 60


def test_flash_dry_run(output: OutputFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flash", str(output.path), "--board", "pico", "--dry-run"]) == 0
    assert "family 0xe48bff56" in capsys.readouterr().out
    assert main(["flash", str(output.path), "--board", "nucleo-h743zi2", "--dry-run", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["board"] == "nucleo-h743zi2" and said["dry_run"] and "pyocd load" in said["steps"][1]


def test_flash_needs_a_board(output: OutputFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flash", str(output.path)]) == 2
    assert "no board to flash" in capsys.readouterr().err
    assert main(["flash", str(output.path), "--board", "host"]) == 2


def test_demo_on_a_board_that_is_flashed_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator = shutil.which("qemu-aarch64")
    if emulator is None or shutil.which("aarch64-linux-gnu-gcc") is None:
        pytest.skip("not installed: qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross (apt install)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with ExitStack() as running:

        def flash(elf: Path, board: Board, tell: object) -> None:
            assert board.name == "raspberry-pi"
            running.enter_context(running_pi([emulator, elf], port))

        monkeypatch.setattr("mbn2c.cli.demo.flash", flash)
        place = f"socket://127.0.0.1:{port}"
        assert main(["demo", "-b", "raspberry-pi", "-p", place, "--images", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)["verify"]
    assert (result["board"], result["images"], result["device_vs_reference_mismatches"]) == ("raspberry-pi", 2, 0)


@pytest.mark.parametrize("words", [["-p", "socket://nowhere:1"], ["-b", "raspberry-pi"]])
def test_demo_wants_a_port_for_a_real_board_and_only_there(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", *words]) == 2
    assert "emulated" in capsys.readouterr().err
