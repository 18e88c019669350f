"""Boards that cannot run here: their firmware is built, and everything about it that can be checked without them is.

The clock and baud figures of a board's TOML are worked out again from the register writes in the same TOML, by one
function per chip family written from its reference manual.
"""

from __future__ import annotations

import itertools
import math
import os
import re
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chip_clocks import family_of
from devices import assert_exact, build_folder, demo_options
from dummy_model import DummyModel
from firmware import build_firmware, missing_tool
from model_board import CCR, CCR_CACHES, ModelBoard

from mbn2c.commands import demo
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.verify import VerifyOptions, verify
from mbn2c.emit.c_files import c_files
from mbn2c.errors import BoardError
from mbn2c.files.bundle import write_bundle
from mbn2c.files.elf import read_elf
from mbn2c.firmware.toolchain import build, memory_use
from mbn2c.link.session import EMULATED, Session
from mbn2c.link.transports.serial_port import SerialPort
from mbn2c.resources.render import file_text
from mbn2c.targets import all_boards, load_board, load_core

REAL = [board.name for board in all_boards() if not board.emulated]
BARE = [name for name in REAL if load_board(name).memories]
MIB = 2**20
VTOR, CPACR, CPACR_FPU = 0xE000ED08, 0xE000ED88, 0xF << 20
USUAL_RATES = (115200, 460800, 921600, 1_000_000)


# --- the firmware of each ---


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> OutputFolder:
    """The bundled network, quantized once; laid out for each core below."""
    return build_folder(tmp_path_factory.mktemp("network"), demo_options("cortex-m7"))


@pytest.fixture(scope="module")
def objects(network: OutputFolder, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of the network's objects for a core, compiled once."""
    made: dict[str, Path] = {}

    def compiled(name: str) -> Path:
        if name not in made:
            core, folder = load_core(name), tmp_path_factory.mktemp(name)
            choice = network.choice(core)
            write_bundle(c_files(choice.plan, choice.kernels, network.names, core, None), folder)
            build(folder, network.prefix, core)
            made[name] = folder / "build"
        return made[name]

    return compiled


@pytest.fixture(scope="module")
def built(
    network: OutputFolder, objects: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The ELF of the bundled network for a board; the network's objects are those compiled for its core."""
    made: dict[str, Path] = {}

    def firmware(name: str) -> Path:
        if name in made:
            return made[name]
        board = load_board(name)
        core = load_core(board.core)
        if lacking := missing_tool(core, board):
            pytest.skip(f"{name}: not installed: {lacking}")
        folder = tmp_path_factory.mktemp(name)
        choice = network.choice(core)
        write_bundle(c_files(choice.plan, choice.kernels, network.names, core, board), folder)
        shutil.copytree(objects(board.core), folder / "build", copy_function=shutil.copyfile)
        made[name] = build(folder, network.prefix, core, board).path
        return made[name]

    return firmware


@pytest.mark.parametrize("name", REAL)
def test_board_has_its_facts(name: str) -> None:
    board = load_board(name)
    assert board.flash is not None and board.console.note and len(board.source) > 20
    assert all(step.note and step.address % 4 == 0 for step in board.setup)
    assert all(not step.clear or step.set & ~step.clear == 0 or step.set for step in board.setup)
    if board.flash.tool == "pyocd":
        assert board.flash.target and board.flash.id_address


@pytest.mark.parametrize("name", BARE)
def test_everything_lies_inside_the_memories(name: str, built: Callable[[str], Path]) -> None:
    board = load_board(name)
    elf = read_elf(built(name))
    for section in elf.sections:
        if section.size_bytes:
            inside = [m for m in board.memories if m.origin <= section.address < m.origin + m.size_bytes]
            assert len(inside) == 1, f"{section.name} at {section.address:#x}"
            assert section.address + section.size_bytes <= inside[0].origin + inside[0].size_bytes
            assert inside[0].kind == "ram" or not section.writable
    for part in elf.segments:
        flash = [m for m in board.memories if m.kind == "flash" and m.origin <= part.address]
        assert any(part.address + len(part.data) <= m.origin + m.size_bytes for m in flash), hex(part.address)
    for memory, used in memory_use(built(name), board).items():
        size = next(m.size_bytes for m in board.memories if m.name == memory)
        assert 0 < used <= size
    top = board.memory("stack")
    assert elf.address("mbn_stack_top") == top.origin + top.size_bytes
    assert elf.address("mbn_stack_top") - elf.address("mbn_stack_limit") >= 2048


@pytest.mark.parametrize("name", BARE)
def test_vector_table_and_reset_handler(name: str, built: Callable[[str], Path]) -> None:
    board = load_board(name)
    elf = read_elf(built(name))
    flash = board.memory("vectors")
    image = elf.image(flash.origin, flash.size_bytes)
    table_at = 0x100 if board.boot == "rp2040" else 0
    table = struct.unpack_from("<16I", image, table_at)
    assert table[0] == elf.address("mbn_stack_top") and table[0] % 8 == 0
    assert table[1] == elf.address("mbn_start") | 1
    assert (flash.origin + table_at) % 128 == 0, "VTOR takes multiples of 128"
    code = board.memory("code")
    for handler in table[1:7]:
        assert handler % 2 == 1 and code.origin <= handler < code.origin + code.size_bytes


@pytest.mark.parametrize("name", BARE)
def test_reset_handler(name: str, built: Callable[[str], Path]) -> None:
    """As it was compiled: interrupts off first, memory made before main is called, no floating point until then."""
    command = ["arm-none-eabi-objdump", "--disassemble=mbn_start", "--no-show-raw-insn", str(built(name))]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = re.findall(r"^ *[0-9a-f]+:\t(\S+)(?:\t(.*))?$", said, re.MULTILINE)
    names = [mnemonic for mnemonic, _ in lines]
    first = next(mnemonic for mnemonic in names if not mnemonic.startswith(("push", "sub", "add", "stmdb", "mov")))
    assert first == "cpsid"
    calls = [operands.split("<")[1].rstrip(">") for mnemonic, operands in lines if mnemonic == "bl"]
    assert [call for call in calls if call not in ("memcpy", "memset")] == ["main", "mbn_board_reset"]
    before = names[: next(at for at, (_, operands) in enumerate(lines) if "<main>" in operands)]
    assert not any(mnemonic.startswith("v") for mnemonic in before), "the FPU is not on yet"
    stores = sum(mnemonic.startswith("st") for mnemonic in before) + calls.index("main")
    assert stores >= 4, "VTOR, data, zeros, paint"
    words = {int(value, 16) for value in re.findall(r"\.word\t(0x[0-9a-f]+)", said)}
    symbols = ("mbn_data_load", "mbn_data_start", "mbn_bss_start", "mbn_stack_limit")
    elf = read_elf(built(name))
    assert {elf.address(symbol) for symbol in symbols} <= words


# --- the firmware runs, on a CPU emulator and a model of its registers ---


@pytest.fixture
def model_board(built: Callable[[str], Path]) -> Callable[[str], ModelBoard]:
    unicorn = pytest.importorskip("unicorn", reason="unicorn, a CPU emulator, is not installed (pip install unicorn)")
    return lambda name: ModelBoard(load_board(name), built(name), unicorn, unicorn.arm_const)


@pytest.mark.parametrize("name", BARE)
def test_firmware_runs_bit_exact_on_modelled_registers(
    name: str, model_board: Callable[[str], ModelBoard], network: OutputFolder
) -> None:
    board = model_board(name)
    board.baud = 115_200  # a line with a rate: pictures go packed
    session = Session(board, digest=network.digest, timing=EMULATED)
    is_first = name == next(other for other in BARE if load_board(other).core == board.board.core)
    # Of each core one board layer by layer; of all boards one with the stress set.
    options = VerifyOptions(demo.TEST_FOLDER, limit=1, layers=is_first, stress=name == BARE[0])
    result = verify(network, board, session, options)
    assert_exact(result, 1)
    assert result["retries"] == 0 and result["board"] == name
    assert is_first or session.sent_bytes < session.facts.input_bytes, "not packed"
    if board.board.core == "cortex-m7":
        assert board.registers[CCR] & CCR_CACHES == CCR_CACHES
    vectors = board.board.memory("vectors").origin + (0x100 if board.board.boot == "rp2040" else 0)
    assert board.registers[VTOR] == vectors
    assert (board.registers.get(CPACR, 0) & CPACR_FPU == CPACR_FPU) == (board.board.core != "cortex-m0plus")


@pytest.mark.parametrize("name", BARE)
def test_baud_rate_registers(name: str, model_board: Callable[[str], ModelBoard]) -> None:
    board = model_board(name)
    console = board.board.console
    session = Session(board, timing=EMULATED)
    for rate in (*USUAL_RATES, 2_000_000):
        actual = _actual_rate(console.driver, console.clock_hz, rate)
        if abs(actual - rate) < 0.025 * rate:
            session.set_baud(rate)
            assert board.line_rate() == pytest.approx(actual)
        else:
            assert rate not in USUAL_RATES
            with pytest.raises(BoardError, match="cannot do 2000000 baud"):
                session.set_baud(rate)
    with pytest.raises(BoardError, match="cannot do 7 baud"):
        session.set_baud(7)


@pytest.mark.parametrize("name", BARE)
def test_nothing_of_a_boot_loader_interrupts(name: str, model_board: Callable[[str], ModelBoard]) -> None:
    board = model_board(name)
    Session(board, timing=EMULATED).hello()
    line, taken = board.board.console.interrupt, board.taken
    assert line is not None and taken is not None
    assert sum(word << 32 * at for at, word in enumerate(taken.enabled)) == 1 << line
    assert not any(taken.pending) and taken.system_pending == 0
    assert taken.timer == (7 if load_core(board.board.core).cycle_counter == "systick" else 0)


def changes(board: ModelBoard, address: int, mask: int) -> list[tuple[int, int]]:
    """(instructions since the setup's begin, new value) of each change of a field."""
    found, held = [], 0
    for when, where, value in board.setup:
        if where == address and value & mask != held:
            held = value & mask
            found.append((when, held))
    return found


FAST = [board for board in map(load_board, BARE) if board.clock_hz > 80_000_000 and family_of(board).switch]
THROUGH_HALF = [board.name for board in FAST if family_of(board).ahb_half]
DIVIDED = [board.name for board in FAST if family_of(board).dividers]


def pll_drives(board: ModelBoard) -> int:
    """When the PLL becomes the core's source: instructions since the setup's begin."""
    switch = family_of(board.board).switch
    assert switch is not None
    [(switched, _)] = [change for change in changes(board, *switch[:2]) if change[1] == switch[2]]
    return switched


def test_every_fast_clock_is_reached_in_steps() -> None:
    """Where the manual knows no clock multiplexer without glitches, it says how the clock may rise."""
    assert {board.name for board in FAST} == {*THROUGH_HALF, *DIVIDED}


@pytest.mark.parametrize("name", THROUGH_HALF)
def test_high_speed_is_reached_through_ahb_half(name: str, model_board: Callable[[str], ModelBoard]) -> None:
    board = model_board(name)
    half = family_of(board.board).ahb_half
    assert half is not None
    switched = pll_drives(board)
    (divided, first), (undivided, last) = changes(board, *half[:2])
    assert divided < switched and (first, last) == (half[2], 0)
    # An instruction takes a cycle at least, and a cycle lasts twice as long as later.
    assert undivided - switched >= board.board.clock_hz / 2 * 1e-6


@pytest.mark.parametrize("name", DIVIDED)
def test_dividers_have_settled_when_the_clock_rises(name: str, model_board: Callable[[str], ModelBoard]) -> None:
    board = model_board(name)
    dividers = family_of(board.board).dividers
    divided = [when for address, mask in dividers.items() for when, _ in changes(board, address, mask)]
    # A Cortex-M7 may take two instructions in one cycle.
    assert divided and pll_drives(board) - max(divided) >= 2 * 16


@pytest.mark.parametrize("name", [board.name for board in all_boards()])
def test_no_peripheral_is_touched_right_after_its_clock_is_on(name: str) -> None:
    """RCC chapters: two cycles have to lie between. Another step is that long."""
    for step, after in itertools.pairwise(load_board(name).setup):
        if found := re.fullmatch(r"RCC_\w*ENR\w*: (.*) on.*", step.note):
            peripherals = re.split(r", | and ", found.group(1))
            assert peripherals and not after.note.startswith(tuple(peripherals)), f"{step.note}; {after.note}"


NRF52840 = [name for name in BARE if load_board(name).chip == "nRF52840"]
APPROTECT_DISABLE, SW_DISABLE = 0x40000558, 0x5A


@pytest.mark.parametrize("name", NRF52840)
def test_debug_port_stays_open(name: str, model_board: Callable[[str], ModelBoard]) -> None:
    """nRF52840 PS 1.7, Debug and trace: from revision 3 on a reset closes it, and software has to write SwDisable."""
    assert model_board(name).registers[APPROTECT_DISABLE] == SW_DISABLE


# --- clocks: the register writes, worked out by the reference manual ---


@pytest.mark.parametrize("name", BARE)
def test_clocks_are_what_the_registers_make(name: str) -> None:
    board = load_board(name)
    family = family_of(board)
    assert {clock.name: clock.hz for clock in board.clocks} == family.clocks(board)
    assert family.uarts[board.console.base] == board.console.clock
    assert {clock.name for clock in board.clocks if clock.most_hz} >= set(family.limited)


@pytest.mark.parametrize("name", BARE)
def test_usual_baud_rates_are_met(name: str) -> None:
    console = load_board(name).console
    for rate in USUAL_RATES:
        actual = _actual_rate(console.driver, console.clock_hz, rate)
        assert abs(actual - rate) / rate < 0.02, f"{rate} baud would be {actual:.0f}"


NRF_RATES = {115200: 0x01D7E000, 460800: 0x075F7000, 921600: 0x0EBED000, 1_000_000: 0x10000000}


def _actual_rate(driver: str, clock_hz: int, rate: int) -> float:
    if driver == "nrf_uart":
        return NRF_RATES.get(rate, 0) * clock_hz / 2**32
    steps = {"stm32_usart": 1, "stm32_usart_v2": 1, "stm32_lpuart": 256, "pl011": 4}[driver]
    return clock_hz * steps / math.floor(clock_hz * steps / rate + 0.5)


# --- what boot ROMs want ---


def crc32_mpeg2(data: bytes) -> int:
    """RP2040 datasheet, section 2.8.1.3.1."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def test_second_stage_of_rp2040(built: Callable[[str], Path], tmp_path: Path) -> None:
    """Its words are what its source, the comment above them, assembles to; its checksum is right."""
    text = file_text("firmware/boot_rp2040.c", {})
    source = "\n".join(line[3:] for line in text.partition(" *  ")[2].partition(" * Behind")[0].splitlines())
    (tmp_path / "boot2.S").write_text("    " + source.lstrip(" *") + "\n")
    subprocess.run(["arm-none-eabi-as", "boot2.S", "-o", "boot2.o"], cwd=tmp_path, check=True)
    copy = ["arm-none-eabi-objcopy", "-O", "binary", "-j", ".text", "boot2.o", "boot2.bin"]
    subprocess.run(copy, cwd=tmp_path, check=True)
    code = (tmp_path / "boot2.bin").read_bytes()
    image = read_elf(built("pico")).image(0x10000000, 2 * MIB)
    assert image[:252] == code.ljust(252, b"\x00")
    assert struct.unpack_from("<I", image, 252)[0] == crc32_mpeg2(image[:252])


def test_image_definition_of_rp2350(built: Callable[[str], Path]) -> None:
    image = read_elf(built("pico2")).image(0x10000000, 4 * MIB)
    block = struct.pack("<5I", 0xFFFFDED3, 0x10210142, 0x000001FF, 0, 0xAB123579)
    assert 0 < image.find(block) < 4096 and image.find(block) % 4 == 0 and image.count(block) == 1


# --- a board that is Linux ---


@pytest.fixture
def pi_program(tmp_path: Path) -> Iterator[tuple[DummyModel, int]]:
    """The Raspberry Pi's program, run by QEMU's user-mode emulator; gives the TCP port it listens on."""
    model = DummyModel()
    emulator = shutil.which("qemu-aarch64")
    if emulator is None:
        pytest.skip("qemu-aarch64 is not installed (apt install qemu-user)")
    elf = build_firmware(model, load_board("raspberry-pi"), tmp_path).path
    environment = {**os.environ, "MBN_TCP_PORT": "0"}
    with subprocess.Popen([emulator, elf], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        yield model, int(said.split()[-1])
        process.kill()


def test_raspberry_pi_over_tcp(pi_program: tuple[DummyModel, int]) -> None:
    model, number = pi_program
    for _ in range(2):  # the program waits for the next host when one has gone
        port = SerialPort(f"socket://127.0.0.1:{number}")
        try:
            session = Session(port, digest=model.digest, timing=EMULATED)
            assert session.hello().board == "raspberry-pi"
            frame = model.frame(1)
            assert session.run(frame) == model.output(frame)
        finally:
            port.close()
        time.sleep(0.05)
