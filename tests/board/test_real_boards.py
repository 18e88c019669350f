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
from mbn2c.progress import no_progress
from mbn2c.resources.render import file_text
from mbn2c.targets import Board, all_boards, load_board, load_core

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
    result = verify(network, board, session, options, no_progress)
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


# Where the core's clock source is chosen, and where the buses' dividers are: (address, mask, value).
PLL_DRIVES = {
    "stm32f405": (0x40023808, 0x3, 0x2),
    "nucleo-f446re": (0x40023808, 0x3, 0x2),
    "nucleo-f767zi": (0x40023808, 0x3, 0x2),
    "nucleo-h743zi2": (0x58024410, 0x7, 0x3),
    "nucleo-l4r5zi": (0x40021008, 0x3, 0x3),
    "nucleo-u575zi-q": (0x46020C1C, 0x3, 0x3),
}
# RM0432 and RM0456, RCC, "System clock (SYSCLK) selection": a PLL of more than 80 MHz takes over with AHB / 2, and
# AHB / 1 comes at least 1 us later.
AHB_HALF = {"nucleo-l4r5zi": (0x40021008, 0xF0, 0x80), "nucleo-u575zi-q": (0x46020C20, 0xF, 0x8)}
# RM0090, RM0390 and RM0410, RCC_CFGR, RM0433, RCC_D1CFGR: a new divider counts from 1 to 16 AHB cycles after it is set.
DIVIDERS = {
    "stm32f405": {0x40023808: 0xFCF0},
    "nucleo-f446re": {0x40023808: 0xFCF0},
    "nucleo-f767zi": {0x40023808: 0xFCF0},
    "nucleo-h743zi2": {0x58024418: 0xF7F, 0x5802441C: 0x770, 0x58024420: 0x70},
}


def changes(board: ModelBoard, address: int, mask: int) -> list[tuple[int, int]]:
    """(instructions since the setup's begin, new value) of each change of a field."""
    found, held = [], 0
    for when, where, value in board.setup:
        if where == address and value & mask != held:
            held = value & mask
            found.append((when, held))
    return found


# RP2040 and RP2350 do without: their clocks' multiplexers change over without glitches.
FAST = [name for name in BARE if load_board(name).clock_hz > 80_000_000 and load_board(name).console.driver != "pl011"]


@pytest.mark.parametrize("name", FAST)
def test_every_fast_clock_is_reached_in_steps(name: str) -> None:
    known = name in PLL_DRIVES and (name in AHB_HALF or name in DIVIDERS)
    assert known, "a line in PLL_DRIVES, and in AHB_HALF or DIVIDERS: who added a board says how its clock may rise"


@pytest.mark.parametrize("name", AHB_HALF)
def test_high_speed_is_reached_through_ahb_half(name: str, model_board: Callable[[str], ModelBoard]) -> None:
    board, (address, mask, half) = model_board(name), AHB_HALF[name]
    switch, pll = PLL_DRIVES[name][:2], PLL_DRIVES[name][2]
    [(switched, _)] = [change for change in changes(board, *switch) if change[1] == pll]
    (divided, first), (undivided, last) = changes(board, address, mask)
    assert divided < switched and (first, last) == (half, 0)
    # An instruction takes a cycle at least, and a cycle lasts twice as long as later.
    assert undivided - switched >= board.board.clock_hz / 2 * 1e-6


@pytest.mark.parametrize("name", DIVIDERS)
def test_dividers_have_settled_when_the_clock_rises(name: str, model_board: Callable[[str], ModelBoard]) -> None:
    board = model_board(name)
    switch, pll = PLL_DRIVES[name][:2], PLL_DRIVES[name][2]
    [(switched, _)] = [change for change in changes(board, *switch) if change[1] == pll]
    divided = [when for address, mask in DIVIDERS[name].items() for when, _ in changes(board, address, mask)]
    # A Cortex-M7 may take two instructions in one cycle.
    assert divided and switched - max(divided) >= 2 * 16


@pytest.mark.parametrize("name", [board.name for board in all_boards()])
def test_no_peripheral_is_touched_right_after_its_clock_is_on(name: str) -> None:
    """RCC chapters: two cycles have to lie between. Another step is that long."""
    for step, after in itertools.pairwise(load_board(name).setup):
        if found := re.fullmatch(r"RCC_\w*ENR\w*: (.*) on.*", step.note):
            peripherals = re.split(r", | and ", found.group(1))
            assert peripherals and not after.note.startswith(tuple(peripherals)), f"{step.note}; {after.note}"


NRF52840 = ("nrf52840-dk", "arduino-nano-33-ble")
APPROTECT_DISABLE, SW_DISABLE = 0x40000558, 0x5A


@pytest.mark.parametrize("name", NRF52840)
def test_debug_port_stays_open(name: str, model_board: Callable[[str], ModelBoard]) -> None:
    """nRF52840 PS 1.7, Debug and trace: from revision 3 on a reset closes it, and software has to write SwDisable."""
    assert model_board(name).registers[APPROTECT_DISABLE] == SW_DISABLE


# --- clocks: the register writes, worked out by the reference manual ---


def registers(board: Board, reset: dict[int, int]) -> dict[int, int]:
    """What the registers hold after the setup, starting from their values after reset (0 if not given)."""
    held = dict(reset)
    for step in board.setup:
        if not step.wait:
            held[step.address] = (held.get(step.address, 0) & ~step.clear) | step.set
    return held


def field(value: int, high: int, low: int) -> int:
    return (value >> low) & ((1 << (high - low + 1)) - 1)


def _apb(code: int) -> int:
    """ST's coding of APB dividers: 0xx is 1, 100 is 2 ... 111 is 16."""
    return 1 if code < 4 else 2 << (code - 4)


def stm32f4(board: Board, apb1_limit: int = 50_000_000, *, over_drive: bool = False) -> tuple[int, int]:
    """(core, APB1) in Hz. RM0390 6.3, RM0383 6.3, RM0410 5.3: VCO input 1 to 2 MHz, VCO output 100 to 432 MHz."""
    rcc = 0x40023800
    held = registers(board, {rcc: 0x83, rcc + 4: 0x24003010, 0x40007000: 0xC000, 0x40023C00: 0})
    pll, cfgr = held[rcc + 4], held[rcc + 8]
    assert not pll >> 22 & 1, "HSI is the source"
    vco_in = 16_000_000 / field(pll, 5, 0)
    vco = vco_in * field(pll, 14, 6)
    core = vco / (2 * field(pll, 17, 16) + 2)
    assert 1e6 <= vco_in <= 2e6 and 100e6 <= vco <= 432e6
    assert vco / field(pll, 27, 24) <= 48e6
    assert field(cfgr, 1, 0) == 2 and field(cfgr, 7, 4) < 8
    apb1, apb2 = core / _apb(field(cfgr, 12, 10)), core / _apb(field(cfgr, 15, 13))
    assert apb1 <= apb1_limit and apb2 <= 2 * apb1_limit
    # The F405 has one bit of voltage scale, its successors two.
    assert field(held[0x40007000], 15, 14) == 3 and held[0x40007000] >> 16 & 3 == (3 if over_drive else 0)
    # One wait state per started 30 MHz, at 2.7 V and above (RM0390 table 5, RM0383 table 5, RM0410 table 7).
    assert field(held[0x40023C00], 3, 0) == math.ceil(core / 30e6) - 1
    return int(core), int(apb1)


def stm32f4_f7(board: Board, apb1_limit: int) -> tuple[int, int]:
    """With over-drive: RM0390 5.1.4, RM0410 4.1.4."""
    return stm32f4(board, apb1_limit, over_drive=True)


def stm32f405(board: Board, apb1_limit: int) -> tuple[int, int]:
    """RM0090 5.4.1 (one bit of voltage scale: 1), 7.3: APB1 to 42, APB2 to 84 MHz; USART1 is on APB2."""
    held = registers(board, {0x40007000: 0x4000})
    assert held[0x40007000] == 0x4000 and field(held[0x40023844], 4, 4) == 1 and field(held[0x40023840], 28, 28) == 1
    core, apb1 = stm32f4(board, apb1_limit)
    return core, 2 * apb1


def stm32h7(board: Board, _: object) -> tuple[int, int]:
    """RM0433 8.7: reference 8 to 16 MHz in range 3, wide VCO to 960 MHz on revision V, at voltage scale 0."""
    rcc = 0x58024400
    held = registers(board, {rcc + 0x28: 0x02020200, rcc + 0x2C: 0x01FF0000, rcc + 0x30: 0x01010280})
    select, config, dividers = held[rcc + 0x28], held[rcc + 0x2C], held[rcc + 0x30]
    assert field(select, 1, 0) == 0, "HSI is the source"
    reference = 64_000_000 / field(select, 9, 4)
    assert field(config, 3, 2) == 3 and 8e6 <= reference <= 16e6
    assert not config & 3 and config >> 16 & 1, "wide, no fraction, P on"
    vco = reference * (field(dividers, 8, 0) + 1)
    assert 192e6 <= vco <= 960e6
    pll = vco / (field(dividers, 15, 9) + 1)
    d1 = held[rcc + 0x18]
    assert field(d1, 11, 8) == 0 and field(d1, 3, 0) == 8
    bus = pll / 2
    assert field(held[rcc + 0x10], 2, 0) == 3 and pll <= 480e6 and bus <= 240e6
    for register, high, low in ((0x18, 6, 4), (0x1C, 6, 4), (0x1C, 10, 8), (0x20, 6, 4)):
        assert bus / _apb(field(held[rcc + register], high, low)) <= 120e6
    assert held[0x52002000] == 0x24, "225 to 240 MHz at scale 0: RM0433 table 17"
    assert held[0x5800042C] & 1 and field(held[0x58024818], 15, 14) == 3
    return int(pll), int(bus / _apb(field(held[rcc + 0x1C], 6, 4)))


def stm32l4plus(board: Board, _: object) -> tuple[int, int]:
    """RM0432 6.4: PLL input 2.66 to 16 MHz, VCO 64 to 344 MHz; 120 MHz in boost mode; LPUART1 by RCC_CCIPR."""
    rcc = 0x40021000
    held = registers(board, {0x40007080: 0x100, 0x40022000: 0x600})
    pll, cfgr = held[rcc + 0xC], held[rcc + 8]
    assert field(pll, 1, 0) == 2 and held[rcc] & 1 << 8, "HSI16"
    vco_in = 16_000_000 / (field(pll, 7, 4) + 1)
    vco = vco_in * field(pll, 14, 8)
    core = vco / (2 * field(pll, 26, 25) + 2)
    assert 2.66e6 <= vco_in <= 16e6 and 64e6 <= vco <= 344e6 and pll >> 24 & 1
    assert field(cfgr, 1, 0) == 3 and field(cfgr, 7, 4) == 0
    assert not held[0x40007080] & 0x100, "boost mode"
    assert field(held[0x40022000], 3, 0) == math.ceil(core / 20e6) - 1, "RM0432 table 12, range 1 boost"
    assert field(held[rcc + 0x88], 11, 10) == 2
    return int(core), 16_000_000


def stm32u5(board: Board, _: object) -> tuple[int, int]:
    """RM0456 11.8: PLL input 4 to 16 MHz, VCO 128 to 544 MHz; booster input 4 to 16 MHz."""
    rcc, pwr = 0x46020C00, 0x46020800
    held = registers(board, {0x46020C20: 0})
    config, dividers = held[rcc + 0x28], held[rcc + 0x34]
    assert field(config, 1, 0) == 2 and field(config, 3, 2) == 0
    vco_in = 16_000_000 / (field(config, 11, 8) + 1)
    vco = vco_in * (field(dividers, 8, 0) + 1)
    core = vco / (field(dividers, 30, 24) + 1)
    assert 4e6 <= vco_in <= 8e6 and 128e6 <= vco <= 544e6 and config >> 18 & 1
    assert field(config, 15, 12) == 1, "booster: 16 MHz / 2"
    assert field(held[pwr + 0xC], 17, 16) == 3 and held[pwr + 0xC] >> 18 & 1
    assert field(held[rcc + 0x1C], 1, 0) == 3 and not held[rcc + 0x20] & 0x77F, "AHB, APB1, APB2 / 1"
    assert field(held[0x40022000], 3, 0) == math.ceil(core / 32e6) - 1, "RM0456 table 54, range 1"
    return int(core), int(core)


def stm32g0(board: Board, _: object) -> tuple[int, int]:
    """RM0444 5.4: PLL input 2.66 to 16 MHz, VCO 64 to 344 MHz."""
    rcc = 0x40021000
    held = registers(board, {0x40022000: 0x600})
    pll = held[rcc + 0xC]
    assert field(pll, 1, 0) == 2 and pll >> 28 & 1
    vco_in = 16_000_000 / (field(pll, 6, 4) + 1)
    vco = vco_in * field(pll, 14, 8)
    core = vco / (field(pll, 31, 29) + 1)
    assert 2.66e6 <= vco_in <= 16e6 and 64e6 <= vco <= 344e6
    assert field(held[rcc + 8], 2, 0) == 2 and not field(held[rcc + 8], 14, 8)
    assert field(held[0x40022000], 2, 0) == 2, "48 to 64 MHz: RM0444 table 13"
    return int(core), int(core)


def rp2(board: Board, bases: tuple[int, ...]) -> tuple[int, int]:
    """RP2040 2.18, RP2350 8.6: VCO 750 to 1600 MHz."""
    pll, clocks = bases
    held = registers(board, {pll: 1, pll + 4: 0x2D, pll + 0xC: 0x00077000})
    vco = 12_000_000 / field(held[pll], 5, 0) * held[pll + 8]
    core = vco / field(held[pll + 0xC], 18, 16) / field(held[pll + 0xC], 14, 12)
    assert 750e6 <= vco <= 1600e6 and field(held[pll + 0xC], 18, 16) >= field(held[pll + 0xC], 14, 12)
    assert held[pll + 4] & 0b101001 == 0, "powered"
    assert held[clocks + 0x30] & 3 == 2 and held[clocks + 0x3C] & 0xE1 == 1 and held[clocks + 0x48] >> 11 & 1
    return int(core), int(core)


def nrf52(board: Board, _: object) -> tuple[int, int]:
    """nRF52840 PS 5.4: the core runs at 64 MHz, peripherals at 16 MHz; the crystal is started."""
    assert registers(board, {})[0x40000000] == 1
    return 64_000_000, 16_000_000


CLOCKS: dict[str, tuple[Callable[..., tuple[int, int]], object]] = {
    "nucleo-f446re": (stm32f4_f7, 45_000_000),
    "nucleo-f767zi": (stm32f4_f7, 54_000_000),
    "stm32f405": (stm32f405, 42_000_000),
    "nucleo-h743zi2": (stm32h7, None),
    "nucleo-l4r5zi": (stm32l4plus, None),
    "nucleo-u575zi-q": (stm32u5, None),
    "nucleo-g0b1re": (stm32g0, None),
    "pico": (rp2, (0x40028000, 0x40008000)),
    "pico2": (rp2, (0x40050000, 0x40010000)),
    "nrf52840-dk": (nrf52, None),
    "arduino-nano-33-ble": (nrf52, None),
}


@pytest.mark.parametrize("name", BARE)
def test_no_clock_is_taken_on_trust(name: str) -> None:
    assert name in CLOCKS, "a line in CLOCKS: who added a board says how its registers make its clock"


@pytest.mark.parametrize("name", CLOCKS)
def test_clock_and_baud_arithmetic(name: str) -> None:
    board = load_board(name)
    work_out, facts = CLOCKS[name]
    assert work_out(board, facts) == (board.clock_hz, board.console.clock_hz)
    for rate in USUAL_RATES:
        actual = _actual_rate(board.console.driver, board.console.clock_hz, rate)
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
