"""Cycles of a board that counts them, in verify and in bench."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from devices import assert_exact, build_folder, demo_options

from mbn2c.commands import demo
from mbn2c.commands.bench import bench_device
from mbn2c.commands.output_folder import OutputFolder, firmware_for
from mbn2c.commands.verify import Device, VerifyOptions, verify_on_all
from mbn2c.errors import BoardError
from mbn2c.link.session import EMULATED, Session
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.report.bench_text import bench_text
from mbn2c.report.text import verify_text
from mbn2c.targets import load_board


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> OutputFolder:
    return build_folder(tmp_path_factory.mktemp("digits"), demo_options("host", "host"), compiled=True)


class Attached:
    """An emulated board that passes for a real one: verify takes its cycle counter seriously."""

    baud = 0

    def __init__(self, line: EmulatedBoard) -> None:
        self.read, self.write, self.set_baud, self.close = line.read, line.write, line.set_baud, line.close


def test_cycles_of_a_board_with_a_counter(output: OutputFolder, tmp_path: Path) -> None:
    board = load_board("qemu-riscv32-virt")
    with EmulatedBoard(board, firmware_for(output, board, tmp_path)) as emulated:
        line = Attached(emulated)
        device = Device(line, Session(line, digest=output.digest, timing=EMULATED))
        few = VerifyOptions(demo.TEST_FOLDER, None, 3)
        result = verify_on_all(output, [device], few)
        assert_exact(result, 3)
        assert 0 < result["cycles_smallest"] <= result["cycles_per_inference"] <= result["cycles_largest"]
        assert result["layer_cycles"] is None and "cycles per inference" in verify_text(result)
        result = verify_on_all(output, [device], replace(few, layers=True))
        assert_exact(result, 3)
    layers = result["layer_cycles"]
    assert [layer["step"] for layer in layers] == list(range(len(layers))) and layers[0]["name"] == "input"
    assert sum(layer["cycles"] for layer in layers) > 0
    assert max(layers, key=lambda layer: layer["cycles"])["name"] in verify_text(result)


def test_bench_of_a_board_with_a_counter(output: OutputFolder, tmp_path: Path) -> None:
    board = load_board("qemu-riscv32-virt")
    with EmulatedBoard(board, firmware_for(output, board, tmp_path)) as emulated:
        session = Session(emulated, digest=output.digest, timing=EMULATED)
        session.hello()
        result = bench_device(output, Device(Attached(emulated), session))
        with pytest.raises(BoardError, match="counts no cycles"):
            bench_device(output, Device(emulated, session))
    layers = result["layers"]
    assert [layer["step"] for layer in layers] == list(range(len(layers)))
    assert sum(layer["macs"] for layer in layers) == output.report["model"]["macs"]
    assert all(layer["cycles"] > 0 for layer in layers) and result["cycles_per_inference"] > 0
    assert sum(layer["share"] for layer in layers) == pytest.approx(1, abs=0.01)
    assert result["instructions_per_inference"] is None
    text = bench_text(result)
    assert f"{result['cycles_per_inference']:,} cycles per inference, {result['cycles_per_mac']} per MAC" in text
    assert f"{layers[1]['cycles']:,}" in text.splitlines()[2]


def test_bench_of_a_program_of_this_computer(output: OutputFolder, tmp_path: Path) -> None:
    board = load_board("host")
    with EmulatedBoard(board, firmware_for(output, board, tmp_path)) as line:
        session = Session(line, digest=output.digest, timing=EMULATED)
        session.hello()
        result = bench_device(output, Device(line, session))
    layers = result["layers"]
    assert [layer["step"] for layer in layers] == list(range(len(layers)))
    assert sum(layer["macs"] for layer in layers) == output.report["model"]["macs"]
    assert result["cycles_per_inference"] is None and result["ms_per_inference"][0] > 0
    # The clock is read around every row, which takes time, but not most of it.
    assert 0.3 < sum(layer["ns"] for layer in layers) / 1e6 / result["ms_per_inference"][0] < 3
    assert max(layers, key=lambda layer: layer["ns"])["op"] != "input"
    assert f"{layers[1]['ns'] / 1e3:,.1f}" in bench_text(result).splitlines()[2]
    assert "ms per inference by one thread" in bench_text(result)


def test_an_emulators_cycles_are_not_reported(output: OutputFolder, tmp_path: Path) -> None:
    board = load_board("qemu-riscv32-virt")
    with EmulatedBoard(board, firmware_for(output, board, tmp_path)) as line:
        device = Device(line, Session(line, digest=output.digest, timing=EMULATED))
        result = verify_on_all(output, [device], VerifyOptions(demo.TEST_FOLDER, None, 2, layers=True))
    assert result["cycles_per_inference"] is result["layer_cycles"] is None
