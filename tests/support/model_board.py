"""A board made of its register addresses: runs a real board's firmware image in the Unicorn CPU emulator.

The image is loaded where a programmer would write it, and entered through its vector table. Registers hold what is
written to them; those that the board's setup waits for answer as if the hardware were ready; the UART is modelled by
its driver's reference manual. What this cannot tell is whether the manual was read rightly.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbn2c.files.elf import read_elf
from mbn2c.targets import Board

PAGE = 0x1000


@dataclass(frozen=True)
class Uart:
    """A UART by its reference manual: offsets of its registers, and bits of the status register.

    ready     a byte has come; `empty` none has
    room      the buffer of bytes to be sent is empty; `full` it can take no more
    done      the last bit of the last byte has left; `busy` it has not
    depth     bytes the buffer holds before the shift register
    settings  registers that spoil what is still being sent when they are written
    sent      register that is set when a byte has left, if there is one
    """

    status: int
    receive: int
    send: int
    settings: tuple[int, ...]
    ready: int = 0
    empty: int = 0
    room: int = 0
    full: int = 0
    done: int = 0
    busy: int = 0
    depth: int = 1
    sent: int | None = None


_V2 = Uart(0x1C, 0x24, 0x28, (0x00, 0x0C), ready=1 << 5, done=1 << 6, room=1 << 7)
UARTS = {
    "stm32_usart": Uart(0x00, 0x04, 0x04, (0x08, 0x0C), ready=1 << 5, done=1 << 6, room=1 << 7),
    "stm32_usart_v2": _V2,
    "stm32_lpuart": _V2,
    "pl011": Uart(0x18, 0x00, 0x00, (0x24, 0x28, 0x2C, 0x30), empty=1 << 4, busy=1 << 3, full=1 << 5, depth=32),
    "nrf_uart": Uart(0x108, 0x518, 0x51C, (0x500, 0x524), ready=1, sent=0x11C),
    "cmsdk_uart": Uart(0x04, 0x00, 0x00, (0x08, 0x10), ready=1 << 1, full=1 << 0),
    "ns16550": Uart(0x05, 0x00, 0x00, (0x02, 0x03), ready=1 << 0, room=1 << 5, done=1 << 6, depth=16),
}
# How often its status is read, or its driver's flush goes round, while a byte leaves the shift register.
BYTE_TICKS = 8
CLIDR, CCSIDR, CCR = 0xE000ED78, 0xE000ED80, 0xE000ED14
CCR_CACHES = 3 << 16
AIRCR, AIRCR_RESET = 0xE000ED0C, 0x05FA0004
FLUSH_BYTES = 64
# DDI 0403, B3.2 and B3.4; DDI 0419, B3.2 and B3.4.
SYST_CSR, ICTR, ICSR = 0xE000E010, 0xE000E004, 0xE000ED04
NVIC_SETS = {0xE000E100: "enabled", 0xE000E200: "pending"}
NVIC_CLEARS = {0xE000E180: "enabled", 0xE000E280: "pending"}
NVIC_BYTES = 0x40


@dataclass(frozen=True)
class Interrupts:
    """What can interrupt: the NVIC's lines (number 32 n + bit is bit of word n), the system's exceptions, its timer."""

    enabled: tuple[int, ...]
    pending: tuple[int, ...]
    system_pending: int
    timer: int


class ModelBoard:
    """A Transport to the firmware `elf` of `board`; `registers` is what the peripherals hold.

    A byte that is sent passes a buffer and a shift register: a reset loses what is in them, new settings spoil it.
    It is entered as a careless boot loader would: every interrupt enabled and pending, the system's timer running.

    setup    what `mbn_board_clocks` stored: (instructions since its begin, address, value)
    taken    what could interrupt when the firmware first let it
    """

    baud = 0

    def __init__(self, board: Board, elf: Path, unicorn: Any, arm: Any) -> None:
        self.board, self.unicorn, self.arm = board, unicorn, arm
        self.uart = UARTS[board.console.driver]
        self.registers: dict[int, int] = {SYST_CSR: 7, ICSR: 1 << 28 | 1 << 26}
        words = 1 if board.core == "cortex-m0plus" else 8
        if words > 1:
            self.registers[ICTR] = words - 1
        self.nvic = {"enabled": [0xFFFFFFFF] * words, "pending": [0xFFFFFFFF] * words}
        self.setup: list[tuple[int, int, int]] = []
        self.taken: Interrupts | None = None
        self.in_setup = False
        self.instructions = 0
        if board.core == "cortex-m7":  # caches of 16 KiB: DDI 0489, sections 3.4 and 4.5
            self.registers |= {CLIDR: 0x09000003, CCSIDR: 0xF01FE019}
        self.waits: dict[int, deque[tuple[int, int]]] = {}
        for step in board.setup:
            if step.wait:
                self.waits.setdefault(step.address, deque()).append((step.wait, step.until))
        self.to_board: deque[int] = deque()
        self.from_board = bytearray()
        self.to_send: deque[int] = deque()  # the first one in the shift register
        self.ticks_left = 0
        self.resets = 0
        self.is_resetting = False
        self.awaiting_input = False
        cpus = {
            "cortex-m0plus": arm.UC_CPU_ARM_CORTEX_M0,
            "cortex-m3": arm.UC_CPU_ARM_CORTEX_M3,
            "cortex-m4": arm.UC_CPU_ARM_CORTEX_M4,
            "cortex-m7": arm.UC_CPU_ARM_CORTEX_M7,
            "cortex-m33": arm.UC_CPU_ARM_CORTEX_M33,
        }
        self.cpu = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self.cpu.ctl_set_cpu_model(cpus[board.core])
        image = read_elf(elf)
        for memory in board.memories:
            size = (memory.size_bytes + PAGE - 1) // PAGE * PAGE
            self.cpu.mem_map(memory.origin, size)
            if memory.kind == "flash":
                self.cpu.mem_write(memory.origin, image.image(memory.origin, memory.size_bytes))
            else:
                self.cpu.mem_write(memory.origin, b"\xc5" * size)  # as after power-up: anything
        for start, size in self._peripherals():
            self.cpu.mmio_map(start, size, self._load, start, self._store, start)
        table = board.memory("vectors").origin + (0x100 if board.boot == "rp2040" else 0)
        self.vectors = [int.from_bytes(self.cpu.mem_read(table + 4 * word, 4), "little") for word in range(4)]
        self._start(self.vectors[1])
        # The firmware sleeps here when the line is silent.
        sleep = image.address("mbn_board_wait") & ~1
        self.cpu.hook_add(unicorn.UC_HOOK_CODE, self._sleep, begin=sleep, end=sleep)
        for name in ("mbn_port_flush", "mbn_port_set_baud"):  # which may have the first one inlined
            start = image.address(name) & ~1
            self.cpu.hook_add(unicorn.UC_HOOK_BLOCK, lambda *_: self._tick(), begin=start, end=start + FLUSH_BYTES)
        release = image.address("mbn_board_release") & ~1
        self.release = self.cpu.hook_add(unicorn.UC_HOOK_CODE, self._released, begin=release, end=release)
        self._run_setup(image.address("mbn_board_clocks") & ~1)

    def _start(self, entry: int) -> None:
        self.cpu.reg_write(self.arm.UC_ARM_REG_MSP, self.vectors[0])
        self.cpu.reg_write(self.arm.UC_ARM_REG_SP, self.vectors[0])
        self.pc = entry

    def fault(self) -> None:
        """A hard fault happens now."""
        self._start(self.vectors[3])

    def _run_setup(self, start: int) -> None:
        """From reset to the return of the clocks' function, whose instructions are counted."""
        self.cpu.emu_start(self.pc | 1, start)
        end = self.cpu.reg_read(self.arm.UC_ARM_REG_LR) & ~1
        counter = self.cpu.hook_add(self.unicorn.UC_HOOK_CODE, self._count)
        self.in_setup = True
        self.cpu.emu_start(start | 1, end)
        self.in_setup = False
        self.cpu.hook_del(counter)
        self.pc = end

    def _count(self, *_: Any) -> None:
        self.instructions += 1

    def _released(self, *_: Any) -> None:
        self.cpu.hook_del(self.release)
        self.taken = Interrupts(
            tuple(self.nvic["enabled"]),
            tuple(self.nvic["pending"]),
            self.registers[ICSR],
            self.registers[SYST_CSR],
        )

    def _peripherals(self) -> list[tuple[int, int]]:
        """Blocks of 256 MiB, the console's and those of the setup, and the system's at 0xE0000000."""
        places = {step.address for step in self.board.setup} | {self.board.console.base, 0xE0000000}
        blocks = set()
        for place in places:
            blocks.add(place & 0xFFF00000)
        return [(block, 0x100000) for block in sorted(blocks)]

    def _load(self, _: Any, offset: int, size: int, start: int) -> int:
        address = start + offset
        at = address - self.board.console.base
        if at == self.uart.status:
            return self._status()
        if at == self.uart.sent:
            self._tick()
        if at == self.uart.receive:
            self.registers[address] = 0
            return self.to_board.popleft() if self.to_board else 0
        value = self.registers.get(address, 0)
        for mask, until in self.waits.get(address, ()):
            value = (value & ~mask) | until
        if address in self.waits:
            self.waits[address].rotate()  # two waits for different values of one field are both heard, in turn
        return value

    def _status(self) -> int:
        self._tick()
        uart, waiting = self.uart, len(self.to_send) - 1
        value = uart.ready if self.to_board else uart.empty
        value |= uart.room if waiting <= 0 else 0
        value |= uart.full if waiting >= uart.depth else 0
        return value | (uart.busy if self.to_send else uart.done)

    def _tick(self) -> None:
        """Time passes for the byte in the shift register."""
        self.ticks_left -= 1
        if self.to_send and self.ticks_left <= 0:
            self.from_board.append(self.to_send.popleft())
            self.ticks_left = self._byte_ticks()
            if self.uart.sent is not None:
                self.registers[self.board.console.base + self.uart.sent] = 1

    def _byte_ticks(self) -> int:
        """No flag of the CMSDK's says that it is idle: its driver has to count clocks, no fewer than these."""
        if self.board.console.driver == "cmsdk_uart":
            return 10 * self.registers[self.board.console.base + 0x10]
        return BYTE_TICKS

    def _sleep(self, *_: Any) -> None:
        if not self.to_board:
            while self.to_send:
                self._tick()
            self.awaiting_input = True
            self.cpu.emu_stop()

    def _store(self, _: Any, offset: int, size: int, value: int, start: int) -> None:
        address = start + offset
        if self.in_setup:
            self.setup.append((self.instructions, address, value))
        at = address - self.board.console.base
        if at == self.uart.send and not self._sets_divider():
            if not self.to_send:
                self.ticks_left = self._byte_ticks()
            if len(self.to_send) <= self.uart.depth:
                self.to_send.append(value & 0xFF)
            return
        if at in self.uart.settings:
            self.to_send = deque(byte ^ 0x55 for byte in self.to_send)
        if address == AIRCR and value == AIRCR_RESET:
            self.to_send.clear()
            self.resets += 1
            self.is_resetting = True
            self.cpu.emu_stop()
        if address == ICSR:  # each clearing bit is the one below the bit that says "pending"
            self.registers[ICSR] &= ~(value << 1)
        elif not self._store_nvic(address, value):
            self.registers[address] = value

    def _store_nvic(self, address: int, value: int) -> bool:
        """Whether it was one of the NVIC's. Words that the core does not have ignore it."""
        base, word = address & ~(NVIC_BYTES - 1), address % NVIC_BYTES // 4
        kind = NVIC_SETS.get(base) or NVIC_CLEARS.get(base)
        if kind and word < len(self.nvic[kind]):
            held = self.nvic[kind][word]
            self.nvic[kind][word] = held | value if base in NVIC_SETS else held & ~value
        return kind is not None

    def _sets_divider(self) -> bool:
        """Whether the 16550's data register is the divider's now."""
        is_16550 = self.board.console.driver == "ns16550"
        return is_16550 and self.registers.get(self.board.console.base + 3, 0) & 0x80 != 0

    def line_rate(self) -> float:
        """Baud, worked out from the divider registers."""
        base, clock = self.board.console.base, self.board.console.clock_hz
        held = self.registers
        match self.board.console.driver:
            case "stm32_usart":
                return clock / held[base + 0x08]
            case "stm32_usart_v2":
                return clock / held[base + 0x0C]
            case "stm32_lpuart":
                return 256 * clock / held[base + 0x0C]
            case "pl011":
                return 4 * clock / (64 * held[base + 0x24] + held[base + 0x28])
        return held[base + 0x524] * clock / 2**32

    def run(self) -> None:
        """Until the firmware has read all input and asks for more."""
        self.awaiting_input = False
        while not self.awaiting_input:
            self.cpu.emu_start(self.pc | 1, 0xFFFFFFFF)
            self.pc = self.cpu.reg_read(self.arm.UC_ARM_REG_PC)
            if self.is_resetting:
                self.is_resetting = False
                self._start(self.vectors[1])

    def read(self, timeout_s: float) -> bytes:
        self.run()
        data = bytes(self.from_board)
        self.from_board.clear()
        return data

    def write(self, data: bytes) -> None:
        self.to_board.extend(data)

    def set_baud(self, rate: int) -> None:
        pass

    def close(self) -> None:
        pass
