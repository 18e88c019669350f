"""Several boards from a lab.toml share the images; boards that do not answer are named. labgrid, with all its parts."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from devices import build_folder, demo_options
from dummy_model import DummyModel
from firmware import build_firmware
from places import ROOT

from mbn2c.cli import main
from mbn2c.commands import demo
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.verify.open_devices import Place, read_lab
from mbn2c.emit.c_files import c_files
from mbn2c.errors import BoardError, UsageError
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware import toolchain
from mbn2c.link.transports.labgrid_console import LabgridConsole
from mbn2c.targets import load_board

NOBODY = "socket://127.0.0.1:9"  # the discard port: nobody listens there


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> OutputFolder:
    return build_folder(tmp_path_factory.mktemp("digits"), replace(demo_options("aarch64"), effort="fast"))


def verify_json(capsys: pytest.CaptureFixture[str], output: OutputFolder, lab: Path, *more: str) -> dict[str, object]:
    words = ["verify", str(output.path), "--images", str(demo.TEST_FOLDER), "--boards", str(lab), "--json", *more]
    assert main(words) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["device_vs_reference_mismatches"] == result["reference_vs_ort_int8_mismatches"] == 0
    return dict(result)


def test_boards_of_a_lab(output: OutputFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab = tmp_path / "lab.toml"
    lab.write_text(f'[[boards]]\nemulated = "host"\n[[boards]]\nport = "{NOBODY}"\n[[boards]]\nemulated = "host"\n')
    result = verify_json(capsys, output, lab, "--limit", "9")
    assert (result["images"], result["devices"], result["board"]) == (9, 2, "host")
    assert [str(one).split(": ")[0] for one in result["devices_lost"]] == [NOBODY]  # type: ignore[attr-defined]


def test_when_no_board_answers(output: OutputFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab = tmp_path / "lab.toml"
    lab.write_text(f'[[boards]]\nport = "{NOBODY}"\n')
    assert main(["verify", str(output.path), "--images", str(demo.TEST_FOLDER), "--boards", str(lab)]) == 5
    assert "cannot open port" in capsys.readouterr().err


def test_a_board_with_another_firmware_is_not_merely_lost(
    output: OutputFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other board could do all the images, and what this one runs would pass unseen."""
    elf = build_firmware(DummyModel(), load_board("host"), tmp_path / "other").path
    device, line = os.openpty()
    tty.setraw(line)
    lab = tmp_path / "lab.toml"
    lab.write_text(f'[[boards]]\nemulated = "host"\n[[boards]]\nport = "{os.ttyname(line)}"\n')
    with subprocess.Popen([elf], stdin=device, stdout=device) as other:
        code = main(["verify", str(output.path), "--images", str(demo.TEST_FOLDER), "--boards", str(lab)])
        other.kill()
    assert code == 5
    assert "the board runs another model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no boards"),
        ("boards = 3", "no boards"),
        ('[[boards]]\nport = "a"\n[more]\n', "no boards"),
        ("[[boards]\n", "not a TOML file"),
        ("[[boards]]\n", "not a board"),
        ('[[boards]]\nport = "a"\nlabgrid = "b"\n', "not a board"),
        ('[[boards]]\nport = "a"\nbaud = "fast"\n', "not a board"),
        ('[[boards]]\nport = "a"\nspeed = 3\n', "not a board"),
        ("[[boards]]\nport = 3\n", "not a board"),
    ],
)
def test_refusals(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_lab(tmp_path / "lab.toml")


def test_what_a_lab_may_hold(tmp_path: Path) -> None:
    text = (
        '[[boards]]\nport = "/dev/ttyACM0"\nbaud = 921600\n[[boards]]\nemulated = "host"\n[[boards]]\nlabgrid = "a1"\n'
    )
    (tmp_path / "lab.toml").write_text(text)
    expected = [Place(port="/dev/ttyACM0", baud=921600), Place(emulated="host"), Place(labgrid="a1")]
    assert read_lab(tmp_path / "lab.toml") == expected
    for baud in ("0", "-1", "1" + 30 * "0", 5000 * "9", "115200.5"):
        (tmp_path / "lab.toml").write_text(f'[[boards]]\nport = "/dev/ttyACM0"\nbaud = {baud}\n')
        with pytest.raises(UsageError, match="not a"):
            read_lab(tmp_path / "lab.toml")
    with pytest.raises(UsageError, match="no such list of boards"):
        read_lab(tmp_path / "nowhere.toml")


def test_the_page_shows_a_lab_that_is_read(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "lab.md").read_text()
    (tmp_path / "lab.toml").write_text(page.partition("```toml\n")[2].partition("```")[0])
    assert [bool(place.labgrid) for place in read_lab(tmp_path / "lab.toml")] == [False, False, True, True]


def test_without_labgrid_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "labgrid", None)
    with pytest.raises(BoardError, match="labgrid is not installed"):
        LabgridConsole("a1")


# --- a labgrid coordinator, an exporter and two emulated boards, all on this computer ---


@pytest.fixture
def programs() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts programs, and ends them with the test."""
    with ExitStack() as running:

        def start(*command: str, **how: object) -> subprocess.Popen[str]:
            program = subprocess.Popen(command, text=True, **how)  # type: ignore[call-overload]
            running.callback(program.wait)
            running.callback(program.kill)
            return program  # type: ignore[no-any-return]

        yield start


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def labgrid(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "labgrid.remote.client", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def until_it_works(*words: str) -> str:
    """Programs need time to start: the command's output, once it succeeds."""
    give_up = time.monotonic() + 60
    while (done := labgrid(*words)).returncode and time.monotonic() < give_up:
        time.sleep(0.5)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def places(
    output: OutputFolder,
    programs: Callable[..., subprocess.Popen[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """Two places of a coordinator, each with an emulated Raspberry Pi that runs the network."""
    if importlib.util.find_spec("labgrid") is None:
        pytest.skip("labgrid is not installed (pip install 'mbn2c[labgrid]')")
    emulator = shutil.which("qemu-aarch64")
    if emulator is None:
        pytest.skip("qemu-aarch64 is not installed (apt install qemu-user)")
    board = load_board("raspberry-pi")
    choice = output.choice(output.core)
    write_bundle(c_files(choice.plan, choice.kernels, output.names, output.core, board), tmp_path)
    elf = str(toolchain.build(tmp_path, output.prefix, output.core, board).path)
    exported = ""
    for name in ("one", "two"):
        pi = programs(emulator, elf, stdout=subprocess.PIPE, env={**os.environ, "MBN_TCP_PORT": "0"})
        assert pi.stdout is not None
        port = pi.stdout.readline().split()[-1]
        exported += f"{name}:\n  NetworkSerialPort:\n    host: 127.0.0.1\n    port: {port}\n    protocol: raw\n"
    (tmp_path / "exporter.yaml").write_text(exported)
    coordinator = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("LG_COORDINATOR", coordinator)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    programs(sys.executable, "-m", "labgrid.remote.coordinator", "-l", coordinator, **quiet)
    until_it_works("places")
    exporter = ["--name", "lab", "--hostname", "127.0.0.1", "exporter.yaml"]
    programs(sys.executable, "-m", "labgrid.remote.exporter", *exporter, **quiet)
    for name in ("one", "two"):
        until_it_works("-p", f"board-{name}", "create")
        until_it_works("-p", f"board-{name}", "add-match", f"lab/{name}/NetworkSerialPort")
    give_up = time.monotonic() + 60
    while labgrid("resources").stdout.count("NetworkSerialPort") < 2 and time.monotonic() < give_up:
        time.sleep(0.5)
    return ["board-one", "board-two"]


@pytest.mark.slow
def test_two_boards_of_a_labgrid_coordinator(
    places: list[str], output: OutputFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = tmp_path / "lab.toml"
    lab.write_text("".join(f'[[boards]]\nlabgrid = "{place}"\n' for place in [*places, "board-three"]))
    result = verify_json(capsys, output, lab, "--limit", "40")
    assert (result["images"], result["devices"], result["retries"]) == (40, 2, 0)
    assert result["board"] == "raspberry-pi" and "board-three" in str(result["devices_lost"])
    assert "acquired: None" in labgrid("-p", places[0], "show").stdout, "released again"
    until_it_works("-p", places[0], "acquire")
    lab.write_text(f'[[boards]]\nlabgrid = "{places[0]}"\n')
    assert verify_json(capsys, output, lab, "--limit", "2")["devices"] == 1
    assert "acquired: None" not in labgrid("-p", places[0], "show").stdout, "still the user's"
