"""What a core and a board are: the TOML facts of `targets/` as frozen dataclasses.

A core says how code is compiled for it, a board where the code lies and how one talks to it. A board
names one core and the cores whose code it executes as well; nothing is inherited. Facts are checked by hand and not by
msgspec, because `setup.sh` reads them, through `doctor`, before any package is installed.
"""

from __future__ import annotations

import difflib
import itertools
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from mbn2c.errors import UsageError
from mbn2c.resources.folders import targets

MEMORY_KINDS = ("flash", "ram")
USES = ("vectors", "code", "constants", "data", "arena", "stack")
STARTUPS = ("arm_m", "riscv", "hosted")
CYCLE_COUNTERS = ("dwt", "systick", "mcycle", "none")
HOSTED_DRIVERS = ("stdio", "tcp")
DRIVERS = (
    "cmsdk_uart",
    "nrf_uart",
    "ns16550",
    "pl011",
    "stm32_lpuart",
    "stm32_usart",
    "stm32_usart_v2",
    *HOSTED_DRIVERS,
)
BOOTS = ("", "rp2040", "rp2350")
EMULATORS = ("qemu_system", "qemu_user", "process")
FLASH_TOOLS = ("pyocd", "uf2", "bossac", "ssh")

T = TypeVar("T")


@dataclass(frozen=True)
class CycleRate:
    """Cycles an instruction of our kernels, none of whose accesses waits, between least and most.

    source  whose figures these are
    """

    least: float
    most: float
    source: str


@dataclass(frozen=True)
class Core:
    """A processor core: how code for it is compiled.

    isas           kernel families it executes, best first; "scalar" is always last. "name?": where the processor has
                   it, which the C asks when it starts
    bits           width of a pointer
    prefix         of the compiler and binutils, "arm-none-eabi-"
    cflags         architecture and optimisation flags, for the compiler and the linker driver
    startup        "arm_m", "riscv" (bare metal) or "hosted" (an operating system calls main)
    cycle_counter  "dwt", "systick", "mcycle" or "none"
    apt            Debian packages that install the compiler
    rows_per_run   rows that a step makes at once where speed is wanted
    cpu_flags      what /proc/cpuinfo says of a processor that runs its programs; not asked of emulators
    cycles         an instruction; None: nobody says, as of processors that run several at once
    """

    name: str
    title: str
    isas: tuple[str, ...]
    bits: int
    prefix: str
    cflags: tuple[str, ...]
    startup: str
    cycle_counter: str
    apt: str
    cpu_flags: tuple[str, ...] = ()
    rows_per_run: int = 1
    cycles: CycleRate | None = None

    @property
    def asks_cpu(self) -> bool:
        """Whether its C asks the processor which kernels it can run."""
        return any(isa.endswith("?") for isa in self.isas)

    @property
    def hosted(self) -> bool:
        """Whether code runs on an operating system."""
        return self.startup == "hosted"


@dataclass(frozen=True)
class Memory:
    """One memory of a board. `holds` says what the linker puts there: see USES.

    wait_bytes   what one access brings that waits: a line of the cache or buffer before it; 0: nobody says
    wait_cycles  of the core that such an access waits, as `setup` leaves the memory; 0: none does
    cache_bytes  of a cache between it and the core; 0: nobody says
    """

    name: str
    kind: str
    origin: int
    size_bytes: int
    holds: tuple[str, ...]
    wait_bytes: int = 0
    wait_cycles: int = 0
    cache_bytes: int = 0


@dataclass(frozen=True)
class SetupStep:
    """One step before the console opens: `*address = (*address & ~clear) | set`; or wait until
    `(*address & wait) == until`, where `wait` is not 0; or let `pause_us` pass, where there is no address.

    note  the register's name and what is meant, for the reader of the TOML and of the C
    """

    note: str
    address: int = 0
    clear: int = 0
    set: int = 0
    wait: int = 0
    until: int = 0
    pause_us: int = 0


@dataclass(frozen=True)
class Clock:
    """One clock of a chip once `setup` is done: an oscillator, or another clock multiplied and divided.

    hz       what it is: the clock `of` * multiply / divide
    of       name of an earlier clock; "" for an oscillator
    most_hz  what the manual allows; 0: stated for another clock of the tree
    """

    name: str
    hz: int
    of: str = ""
    multiply: int = 1
    divide: int = 1
    most_hz: int = 0


@dataclass(frozen=True)
class Console:
    """The serial port of a board.

    driver      one of DRIVERS
    base        address of its registers
    clock       name of the clock that its baud rate divider divides, on a board that lists its clocks
    clock_hz    frequency of it; that of `clock` where there is one
    baud        rate after reset
    line_bytes  receive buffer of the firmware: the largest frame the board takes
    window_bytes  of requests that the board holds while its network works; 0: one request at a time
    note        which pins, and what is connected there
    interrupt   number of its receive interrupt, which wakes a sleeping core; None: the port is polled
    interrupt_base  address of the interrupt controller, where the core does not fix it (RISC-V: the PLIC)
    tcp_port    that a "tcp" console listens on
    """

    driver: str
    baud: int
    line_bytes: int
    base: int = 0
    clock: str = ""
    clock_hz: int = 0
    interrupt: int | None = None
    interrupt_base: int = 0
    tcp_port: int = 0
    window_bytes: int = 0
    note: str = ""


@dataclass(frozen=True)
class Emulator:
    """How a board is emulated: "qemu_system" (a machine), "qemu_user" or "process" (a Linux program on a pty)."""

    kind: str
    program: str = ""
    args: tuple[str, ...] = ()
    apt: str = ""


@dataclass(frozen=True)
class Flash:
    """How a real board is programmed, and how the wrong chip is told from the right one.

    tool        one of FLASH_TOOLS
    target      what the tool calls the chip: pyOCD's target type, the UF2 bootloader's Board-ID
    pack        pyOCD finds the target in a CMSIS pack that has to be installed first
    locks       the chip's debug port may be locked; pyOCD's target opens it, by erasing the chip whole
    id_address  register that names the chip; 0: not checked
    id_mask, id_value   (register & id_mask) == id_value on the right chip
    family      UF2 family number
    """

    tool: str
    target: str = ""
    pack: bool = False
    locks: bool = False
    id_address: int = 0
    id_mask: int = 0
    id_value: int = 0
    family: int = 0


@dataclass(frozen=True)
class Board:
    """A board: core, memories, console, and an emulator or a flash tool.

    core       the core it has
    also_runs  other cores whose code it executes
    chip       part number, by which its manual is found; "" for an emulated board
    clocks     of the chip once `setup` is done, oscillators first; () where they mean nothing
    clock_hz   of the core: its clock named "core"; 0 where that means nothing
    setup      clocks and pins, in order, done once before the console opens
    boot       what the chip's boot ROM wants to find in flash: one of BOOTS
    source     where the facts come from
    """

    name: str
    title: str
    core: str
    also_runs: tuple[str, ...]
    memories: tuple[Memory, ...]
    console: Console
    source: str
    chip: str = ""
    clocks: tuple[Clock, ...] = ()
    clock_hz: int = 0
    setup: tuple[SetupStep, ...] = ()
    boot: str = ""
    emulator: Emulator | None = None
    flash: Flash | None = None

    @property
    def emulated(self) -> bool:
        """Whether it is an emulator."""
        return self.emulator is not None

    @property
    def is_process(self) -> bool:
        """Whether its program runs on this computer as it is."""
        return self.emulator is not None and self.emulator.kind == "process"

    def has_one_image(self, sections: Collection[str] = ()) -> bool:
        """Whether one memory holds all of a program, so that a file without addresses can.

        sections  names of memories that hold weights besides
        """
        program = {"vectors", "code", "constants"}
        return sum(bool(program & set(memory.holds)) or memory.name in sections for memory in self.memories) == 1

    @property
    def cores(self) -> tuple[str, ...]:
        """The cores whose code it executes, its own first; a process, only what this computer's processor can."""
        if not self.is_process:
            return (self.core, *self.also_runs)
        found = _cpu_flags()
        return (self.core, *(core for core in self.also_runs if found.issuperset(load_core(core).cpu_flags)))

    def memory(self, use: str) -> Memory:
        """The memory that holds `use`; only for boards with memories."""
        return next(memory for memory in self.memories if use in memory.holds)

    def flash_called(self, name: str) -> Memory | None:
        """Its memory of that name that weights may lie in; None: it has none."""
        return next((memory for memory in self.memories if (memory.name, memory.kind) == (name, "flash")), None)


@cache
def _cpu_flags() -> frozenset[str]:
    """What Linux says of this computer's processor; nothing elsewhere."""
    try:
        return frozenset(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return frozenset()


def load_core(name: str) -> Core:
    """The core called `name`. Raises UsageError if there is none."""
    return _load_all_cores()[_known(name, "target", tuple(_load_all_cores()))]


def load_board(name: str) -> Board:
    """The board called `name`. Raises UsageError if there is none."""
    return _load_all_boards()[_known(name, "board", tuple(_load_all_boards()))]


def all_cores() -> tuple[Core, ...]:
    """Every core of targets/cores, loaded once."""
    return tuple(_load_all_cores().values())


def all_boards() -> tuple[Board, ...]:
    """Every board of targets/boards, loaded once."""
    return tuple(_load_all_boards().values())


def boards_running(core: str) -> tuple[Board, ...]:
    """The boards that execute code of `core`, those that have this very core first."""
    running = [board for board in all_boards() if core in board.cores]
    return tuple(sorted(running, key=lambda board: board.cores.index(core)))


def parse_core(name: str, facts: Mapping[str, Any], where: str = "") -> Core:
    """A core from its TOML table. Raises UsageError for a missing, unknown or wrong fact."""
    tables = dict(facts)
    if "cycles" in facts:
        tables["cycles"] = rate = _build(CycleRate, facts["cycles"], where)
        if not 0 < rate.least <= rate.most:
            raise UsageError(f"cycles from {rate.least} to {rate.most} an instruction", where=where, hint="least first")
    core = _build(Core, {"name": name, **tables}, where)
    _one_of(core.startup, STARTUPS, "startup", where)
    _one_of(core.cycle_counter, CYCLE_COUNTERS, "cycle_counter", where)
    if not core.isas or core.isas[-1] != "scalar":
        raise UsageError(f"core '{name}': the last of isas must be \"scalar\"", where=where)
    return core


def parse_board(name: str, facts: Mapping[str, Any], where: str = "") -> Board:
    """A board from its TOML table. Raises UsageError for a missing, unknown or wrong fact."""
    tables = dict(facts)
    tables["memories"] = tuple(_build(Memory, entry, where) for entry in facts.get("memories", ()))
    tables["setup"] = tuple(_build(SetupStep, entry, where) for entry in facts.get("setup", ()))
    tables["clocks"] = tuple(_build(Clock, entry, where) for entry in facts.get("clocks", ()))
    tables["console"] = _build(Console, facts.get("console", {}), where)
    if tables["clocks"]:
        tables |= _clocked(tables["clocks"], tables["console"], facts, where)
    for key, kind in (("emulator", Emulator), ("flash", Flash)):
        if key in facts:
            tables[key] = _build(kind, facts[key], where)
    board = _build(Board, {"name": name, **tables}, where)
    _check_board(board, where)
    return board


def _clocked(clocks: tuple[Clock, ...], console: Console, facts: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The facts that follow from a board's clocks: the frequencies of the core and of the console."""
    if "clock_hz" in facts or console.clock_hz:
        raise UsageError("clock_hz follows from clocks and is not stated beside them", where=where)
    known: dict[str, int] = {}
    for clock in clocks:
        if clock.name in known:
            raise UsageError(f"two clocks are called '{clock.name}'", where=where)
        if clock.of:
            _one_of(clock.of, tuple(known), f"of, of clock '{clock.name}',", where)
            made = known[clock.of] * clock.multiply
            if clock.divide == 0 or made != clock.hz * clock.divide:
                words = f"'{clock.of}' * {clock.multiply} / {clock.divide}"
                raise UsageError(f"clock '{clock.name}' of {clock.hz:,} Hz is not {words}", where=where)
        if clock.hz > (clock.most_hz or clock.hz):
            limit = f"at most {clock.most_hz:,} are allowed"
            raise UsageError(f"clock '{clock.name}' has {clock.hz:,} Hz, {limit}", where=where)
        known[clock.name] = clock.hz
    if "core" not in known:
        raise UsageError("no clock is called 'core'", where=where, hint=f"name that of the core so: {', '.join(known)}")
    _one_of(console.clock, tuple(known), "console.clock", where)
    return {"clock_hz": known["core"], "console": replace(console, clock_hz=known[console.clock])}


def _check_board(board: Board, where: str) -> None:
    _one_of(board.console.driver, DRIVERS, "console.driver", where)
    if board.emulator is not None:
        _one_of(board.emulator.kind, EMULATORS, "emulator.kind", where)
    if board.flash is not None:
        _one_of(board.flash.tool, FLASH_TOOLS, "flash.tool", where)
    _one_of(board.boot, BOOTS, "boot", where)
    for step in board.setup:
        if (step.address != 0) == (step.pause_us != 0):
            raise UsageError(f"setup step '{step.note}' needs an address, or pause_us, not both", where=where)
        if step.pause_us and not board.clock_hz:
            raise UsageError(f"setup step '{step.note}' pauses, but clock_hz is not given", where=where)
    if board.console.driver in HOSTED_DRIVERS:
        return
    for memory in board.memories:
        _one_of(memory.kind, MEMORY_KINDS, "memory kind", where)
        for use in memory.holds:
            _one_of(use, USES, "use of a memory", where)
        if memory.wait_cycles and not memory.wait_bytes:
            raise UsageError(f"memory '{memory.name}' waits, but not for how many bytes", where=where)
    for use in USES:
        holders = [memory.name for memory in board.memories if use in memory.holds]
        if len(holders) != 1:
            raise UsageError(f"board '{board.name}': {len(holders)} memories hold '{use}', not one", where=where)
    ordered = sorted(board.memories, key=lambda memory: memory.origin)
    for low, high in itertools.pairwise(ordered):
        if low.origin + low.size_bytes > high.origin:
            raise UsageError(f"board '{board.name}': memories '{low.name}' and '{high.name}' overlap", where=where)


@cache
def _load_all_cores() -> dict[str, Core]:
    return {file.stem: parse_core(file.stem, _toml(file), _place(file)) for file in _files("cores")}


@cache
def _load_all_boards() -> dict[str, Board]:
    return {file.stem: parse_board(file.stem, _toml(file), _place(file)) for file in _files("boards")}


def _files(kind: str) -> list[Path]:
    return sorted((targets() / kind).glob("*.toml"))


def _place(file: Path) -> str:
    return f"targets/{file.parent.name}/{file.name}"


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"not a TOML file: {error}", where=_place(file)) from error


def _known(name: str, kind: str, names: tuple[str, ...]) -> str:
    if name in names:
        return name
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    hint = f"{' or '.join(close)}; `mbn2c {kind}s` lists all" if close else f"one of {', '.join(names)}"
    raise UsageError(f"no {kind} is called '{name}'", hint=hint)


def _one_of(value: str, allowed: tuple[str, ...], fact: str, where: str) -> None:
    if value not in allowed:
        raise UsageError(f"{fact} is '{value}'", where=where, hint=f"one of {', '.join(allowed)}")


def _build(kind: type[T], facts: Mapping[str, Any], where: str) -> T:
    """`kind(**facts)` with lists made tuples; refuses unknown, missing and wrongly typed facts."""
    known = {entry.name: entry for entry in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(facts) - set(known))
    missing = [name for name, entry in known.items() if name not in facts and entry.default is MISSING]
    if unknown or missing:
        text = f"unknown: {', '.join(unknown) or '-'}; missing: {', '.join(missing) or '-'}"
        raise UsageError(f"wrong facts for a {kind.__name__.lower()}: {text}", where=where)
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()}
    types: dict[str, Any] = {"int": int, "str": str, "float": (int, float)}
    for name, value in values.items():
        wanted = types.get(str(known[name].type))
        if wanted is not None and (not isinstance(value, wanted) or isinstance(value, bool)):
            raise UsageError(f"{kind.__name__.lower()}.{name} is {value!r}, not {known[name].type}", where=where)
        if isinstance(value, int) and not 0 <= value < 2**64:
            raise UsageError(f"{kind.__name__.lower()}.{name} is {value}, out of range", where=where)
    return kind(**values)
