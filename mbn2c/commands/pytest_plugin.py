"""The user's accuracy test as a pytest test, the same on host, emulator and board.

    def test_accuracy(mbn2c_board):
        result = mbn2c_board.verify("images", labels="labels.csv")
        assert result["device_vs_reference_mismatches"] == 0
        assert result["top1_device"] > 0.9      # figures of the task; this one is a classifier's

    pytest --mbn2c-out OUT                                  the firmware as a program on this computer
    pytest --mbn2c-out OUT --mbn2c-board qemu-mps2-an500    an emulated board
    pytest --mbn2c-out OUT --mbn2c-port /dev/ttyACM0        a real one; the option again for each further one
    pytest --mbn2c-out OUT --mbn2c-boards lab.toml          several, by port, emulated or labgrid place

Without --mbn2c-out such tests are skipped. Figures of each verify become properties of the test in a JUnit report.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.verify import Device, VerifyOptions, check_gates, verify_on_all
from mbn2c.commands.verify.open_devices import Place, open_devices, read_lab
from mbn2c.errors import UsageError
from mbn2c.tasks.registry import task_named

_REPORTED = (
    "verified",
    "board",
    "images",
    "device_vs_reference_mismatches",
    "retries",
)


@dataclass
class BoardUnderTest:
    """The devices of this test run, with the firmware of one output folder."""

    output: OutputFolder
    devices: list[Device]
    report: Callable[[str, object], None] = field(default=lambda name, value: None)

    def verify(
        self,
        images: str | Path,
        *,
        labels: str | Path | None = None,
        limit: int | None = None,
        layers: bool = False,
        max_drop: float | None = None,
        min_sqnr: float | None = None,
    ) -> dict[str, Any]:
        """What `mbn2c verify --json` prints.

        max_drop  percent that the device may lose against the float model, with 95 % confidence, as --max-drop
        min_sqnr  dB that every output must have against the float model, as --min-sqnr
        raises    GateError where a gate is given, and it, or a byte that differs, does not let the device pass
        """
        options = VerifyOptions(Path(images), Path(labels) if labels else None, limit, layers, max_drop)
        result = verify_on_all(self.output, self.devices, options)
        for name in (*_REPORTED, *task_named(result["task"]).figures):
            self.report(f"mbn2c_{name}", result[name])
        if max_drop is not None or min_sqnr is not None:
            check_gates(result, max_drop, min_sqnr=min_sqnr)
        return result

    def run(self, frame: bytes) -> bytes:
        """One inference on the first device: input bytes as the network takes them -> output bytes."""
        return self.devices[0].session.run(frame)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options that say what is tested and on which devices."""
    group = parser.getgroup("mbn2c", "networks on microcontrollers")
    group.addoption("--mbn2c-out", metavar="OUT", help="folder that `mbn2c build` wrote")
    group.addoption("--mbn2c-board", metavar="BOARD", help="emulated board to run it on (default: host)")
    group.addoption("--mbn2c-port", metavar="PORT", action="append", help="serial port of a board that runs it")
    group.addoption("--mbn2c-boards", metavar="LAB.toml", help="several boards that share the images")
    group.addoption("--mbn2c-baud", metavar="RATE", type=int, default=115200, help="rate to change to on --mbn2c-port")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker `mbn2c`."""
    config.addinivalue_line("markers", "mbn2c: needs a network's output folder and a device (--mbn2c-out)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use a fixture of this plugin."""
    for item in items:
        if {"mbn2c_board", "mbn2c_build"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.mbn2c)


@pytest.fixture(scope="session")
def mbn2c_build(request: pytest.FixtureRequest) -> OutputFolder:
    """The output folder under test; its `report` is report.json."""
    folder = request.config.getoption("--mbn2c-out")
    if not folder:
        pytest.skip("no network to test: --mbn2c-out OUT")
    return OutputFolder(Path(folder))


@pytest.fixture(scope="session")
def _mbn2c_devices(request: pytest.FixtureRequest, mbn2c_build: OutputFolder) -> Iterator[list[Device]]:
    option = request.config.getoption
    ports, board, lab = option("--mbn2c-port"), option("--mbn2c-board"), option("--mbn2c-boards")
    if sum(map(bool, (ports, board, lab))) > 1:
        raise UsageError("--mbn2c-port, --mbn2c-board and --mbn2c-boards exclude each other")
    places = [Place(port=name, baud=option("--mbn2c-baud")) for name in ports or ()]
    if lab:
        places = read_lab(Path(lab))
    with contextlib.ExitStack() as opened:
        folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="mbn2c-"))
        devices, _ = open_devices(mbn2c_build, places or [Place(emulated=board or "host")], Path(folder), opened)
        yield devices


@pytest.fixture
def mbn2c_board(
    mbn2c_build: OutputFolder, _mbn2c_devices: list[Device], record_property: Callable[[str, object], None]
) -> BoardUnderTest:
    """The device or devices under test."""
    return BoardUnderTest(mbn2c_build, _mbn2c_devices, record_property)
