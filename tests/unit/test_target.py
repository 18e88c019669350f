"""The facts of cores and boards are complete and agree; wrong facts are refused."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from mbn2c.errors import UsageError
from mbn2c.kernels import TABLES, isas_for
from mbn2c.kernels.cpu import isa_of
from mbn2c.resources.folders import targets
from mbn2c.targets import (
    HOSTED_DRIVERS,
    Flash,
    all_boards,
    all_cores,
    load_board,
    load_core,
    parse_board,
    parse_core,
)

BOARD = tomllib.loads((targets() / "boards" / "qemu-microbit.toml").read_text())
CORE = tomllib.loads((targets() / "cores" / "cortex-m4.toml").read_text())
MIB = 2**20


def test_every_core_has_a_board_and_every_board_a_core() -> None:
    cores = {core.name for core in all_cores()}
    assert cores == {core for board in all_boards() for core in (board.core, *board.also_runs)}


# Their boards have a core of the same family.
RUN_BY_OTHERS = ("x86-64", "x86-64-avx2", "x86-64-vnni", "aarch64-neon", "aarch64-dotprod")


@pytest.mark.parametrize("name", [core.name for core in all_cores()])
def test_core(name: str) -> None:
    core = load_core(name)
    assert core.isas[-1] == "scalar" and core.bits in (32, 64) and core.title and core.apt
    boards = [board for board in all_boards() if name in (board.core, *board.also_runs)]
    assert any(board.core == name for board in boards) or (boards and name in RUN_BY_OTHERS)


def test_cores_name_the_kernels_there_are() -> None:
    """What `mbn2c targets` lists exists, and every family of kernels has a core that runs it."""
    named = {isa_of(isa) for core in all_cores() for isa in core.isas}
    assert all(TABLES.get(isa) for isa in named), named - set(TABLES)
    goals = ("ram", "balanced", "speed", "lean", "smallest")
    assert {isa_of(isa) for core in all_cores() for goal in goals for isa in isas_for(core.isas, goal)} == set(TABLES)
    with pytest.raises(UsageError, match="no kernels are written for 'arm_sve'"):
        isas_for(("arm_sve", "scalar"), "balanced")


@pytest.mark.parametrize("name", [board.name for board in all_boards()])
def test_board(name: str) -> None:
    board = load_board(name)
    assert board.source and board.title
    assert (board.console.driver in HOSTED_DRIVERS) == load_core(board.core).hosted
    assert board.console.line_bytes >= 64
    assert board.emulated or board.flash is not None


@pytest.mark.parametrize(
    "name", ["qemu-mps2-an385", "qemu-mps2-an386", "qemu-mps2-an500", "qemu-mps2-an505", "qemu-mps3-an547"]
)
def test_mobilenet_v2_fits_the_large_boards(name: str) -> None:
    board = load_board(name)
    assert board.memory("constants").size_bytes >= 4 * MIB
    assert board.memory("arena").size_bytes >= 2 * MIB
    assert board.memory("code").size_bytes >= MIB // 2


def board_with(**changes: Any) -> dict[str, Any]:
    return {**BOARD, **changes}


MEMORIES = BOARD["memories"]
BARE_CONSOLE = {key: value for key, value in BOARD["console"].items() if key != "clock_hz"}


def clocked_board(**core: Any) -> dict[str, Any]:
    """With an oscillator of 16 MHz, and a core at half of it but for `core`."""
    half = {"name": "core", "hz": 8_000_000, "of": "HSI", "divide": 2, **core}
    facts = board_with(clocks=[{"name": "HSI", "hz": 16_000_000}, half], console={**BARE_CONSOLE, "clock": "HSI"})
    return {key: value for key, value in facts.items() if key != "clock_hz"}


BROKEN_BOARDS = {
    "no core": ({key: value for key, value in BOARD.items() if key != "core"}, "missing: core"),
    "unknown fact": (board_with(colour="red"), "unknown: colour"),
    "driver": (board_with(console={**BOARD["console"], "driver": "can"}), "console.driver is 'can'"),
    "emulator": (board_with(emulator={"kind": "renode"}), "emulator.kind is 'renode'"),
    "use": (board_with(memories=[{**MEMORIES[0], "holds": ["heap"]}, MEMORIES[1]]), "use of a memory is 'heap'"),
    "nobody holds": (board_with(memories=[MEMORIES[0]]), "0 memories hold 'data'"),
    "twice": (board_with(memories=[*MEMORIES, {**MEMORIES[1], "origin": 0x30000000}]), "2 memories hold 'data'"),
    "overlap": (board_with(memories=[MEMORIES[0], {**MEMORIES[1], "origin": 0x1000}]), "overlap"),
    "text for number": (board_with(console={**BOARD["console"], "baud": "fast"}), "console.baud is 'fast'"),
    "negative": (board_with(console={**BOARD["console"], "baud": -1}), "out of range"),
    "flash tool": (board_with(flash={"tool": "hammer"}), "flash.tool is 'hammer'"),
    "boot": (board_with(boot="grub"), "boot is 'grub'"),
    "setup": (board_with(setup=[{"address": 4, "set": 1}]), "missing: note"),
    "setup without address": (board_with(setup=[{"note": "on", "set": 1}]), "'on' needs an address, or pause_us"),
    "setup with both": (board_with(setup=[{"note": "on", "address": 4, "pause_us": 1}]), "not both"),
    "pause of what": (board_with(clock_hz=0, setup=[{"note": "1 us", "pause_us": 1}]), "clock_hz is not given"),
    "clock of nothing": (clocked_board(of="hsi"), "of, of clock 'core', is 'hsi'"),
    "arithmetic": (clocked_board(hz=8_000_001), "clock 'core' of 8,000,001 Hz is not 'HSI' \\* 1 / 2"),
    "divided by 0": (clocked_board(divide=0), "clock 'core' of 8,000,000 Hz is not 'HSI' \\* 1 / 0"),
    "too fast": (clocked_board(most_hz=7_999_999), "'core' has 8,000,000 Hz, at most 7,999,999"),
    "no core clock": (clocked_board(name="bus"), "no clock is called 'core'"),
    "two of a name": (clocked_board(name="HSI"), "two clocks are called 'HSI'"),
    "console's clock": ({**clocked_board(), "console": BARE_CONSOLE}, "console.clock is ''"),
    "told twice": ({**clocked_board(), "clock_hz": 8_000_000}, "clock_hz follows from clocks"),
    "kind": (board_with(memories=[{**MEMORIES[0], "kind": "disk"}, MEMORIES[1]]), "memory kind is 'disk'"),
}


def test_cycles_and_waits_that_make_no_sense_are_refused() -> None:
    for least, most in ((2.0, 1.0), (0, 1.0)):
        with pytest.raises(UsageError, match="cycles from"):
            parse_core("c", {**CORE, "cycles": {"least": least, "most": most, "source": "x"}})
    with pytest.raises(UsageError, match="waits, but not for how many bytes"):
        parse_board("b", board_with(memories=[{**MEMORIES[0], "wait_cycles": 5}, MEMORIES[1]]))


def test_every_core_without_an_operating_system_has_cycles_with_a_source() -> None:
    for core in all_cores():
        assert (core.cycles is None) == core.hosted
        assert core.cycles is None or (core.cycles.least < core.cycles.most and core.cycles.source)


def test_what_is_not_told_is_nothing() -> None:
    optional = ("clock_hz", "setup", "boot", "emulator", "flash")
    console = {"driver": "ns16550", "baud": 9600, "line_bytes": 80}
    facts = {key: value for key, value in BOARD.items() if key not in optional}
    board = parse_board("bare", {**facts, "console": console, "setup": [{"note": "on", "address": 4}]})
    assert (board.clock_hz, board.chip, board.clocks, board.boot) == (0, "", (), "")
    assert board.emulator is None and board.flash is None and not board.emulated
    told = board.console
    assert (told.base, told.clock, told.clock_hz, told.interrupt, told.interrupt_base) == (0, "", 0, None, 0)
    assert (told.tcp_port, told.window_bytes, told.note) == (0, 0, "")
    [step] = board.setup
    assert (step.clear, step.set, step.wait, step.until, step.pause_us) == (0, 0, 0, 0, 0)
    assert parse_board("bare", {**facts, "flash": {"tool": "uf2"}}).flash == Flash("uf2", "", False, False, 0, 0, 0, 0)


def test_frequencies_follow_from_clocks() -> None:
    board = parse_board("clocked", clocked_board(most_hz=8_000_000))
    assert (board.clock_hz, board.console.clock_hz) == (8_000_000, 16_000_000)


@pytest.mark.parametrize("facts, message", BROKEN_BOARDS.values(), ids=BROKEN_BOARDS)
def test_broken_board(facts: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_board("broken", facts, "targets/boards/broken.toml")


BROKEN_CORES = {
    "isas": ({**CORE, "isas": ["arm_dsp"]}, "last of isas"),
    "isas behind scalar": ({**CORE, "isas": ["scalar", "x86_sse"]}, "last of isas"),
    "no isas": ({**CORE, "isas": []}, "last of isas"),
    "startup": ({**CORE, "startup": "z80"}, "startup is 'z80'"),
    "counter": ({**CORE, "cycle_counter": "sundial"}, "cycle_counter is 'sundial'"),
    "bits": ({**CORE, "bits": "many"}, "core.bits is 'many'"),
}


@pytest.mark.parametrize("facts, message", BROKEN_CORES.values(), ids=BROKEN_CORES)
def test_broken_core(facts: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_core("broken", facts)


def test_a_misspelt_name_gets_a_hint() -> None:
    with pytest.raises(UsageError, match="no board is called 'qemu-mps2-an501'") as caught:
        load_board("qemu-mps2-an501")
    assert "qemu-mps2-an500" in caught.value.hint
    with pytest.raises(UsageError, match="no target is called 'cortexm7'") as caught:
        load_core("cortexm7")
    assert "cortex-m7" in caught.value.hint


@pytest.mark.parametrize(
    ("flags", "cores"),
    [
        ("fpu lm avx512bw avx512vl avx512_vnni avx2", ("host", "x86-64", "x86-64-avx2", "x86-64-vnni")),
        ("fpu lm avx512bw", ("host", "x86-64")),
        ("fp asimd asimddp", ("host",)),
    ],
)
def test_a_process_runs_what_this_processor_can(
    monkeypatch: pytest.MonkeyPatch, flags: str, cores: tuple[str, ...]
) -> None:
    monkeypatch.setattr("mbn2c.targets._cpu_flags", lambda: frozenset(flags.split()))
    assert load_board("host").cores == cores
    assert load_board("aarch64-user").cores == ("aarch64", "aarch64-neon", "aarch64-dotprod")
