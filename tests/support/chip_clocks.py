"""Chips' clocks by their reference manuals: what the registers make of the oscillator, and how the clock may rise.

One function for each family reads the register writes of a board's setup. It knows nothing of the clocks that the
board's TOML tells, which are compared with what comes out here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mbn2c.targets import Board

Clocks = dict[str, float]


@dataclass(frozen=True)
class Family:
    """What the manual of some chips says of their clocks.

    clocks    board -> Hz of each clock by name, the limits of oscillators, flash and voltage checked on the way
    uarts     base address of a UART -> the clock that it divides
    switch    where the core's source is chosen, (address, mask, value of the PLL); None: a multiplexer without glitches
    ahb_half  where AHB / 2 is set, (address, mask, value), through which a fast clock has to rise
    dividers  address -> mask of dividers that count only from 1 to 16 AHB cycles after they are set
    limited   clocks whose `most_hz` the board has to tell
    """

    clocks: Callable[[Board], Clocks]
    uarts: Mapping[int, str]
    switch: tuple[int, int, int] | None = None
    ahb_half: tuple[int, int, int] | None = None
    dividers: Mapping[int, int] = field(default_factory=dict)
    limited: tuple[str, ...] = ("core",)


def registers(board: Board, reset: dict[int, int]) -> dict[int, int]:
    """What the registers hold after the setup, starting from their values after reset (0 if not given)."""
    held = dict(reset)
    for step in board.setup:
        if not step.wait:
            held[step.address] = (held.get(step.address, 0) & ~step.clear) | step.set
    return held


def bits(value: int, high: int, low: int) -> int:
    return (value >> low) & ((1 << (high - low + 1)) - 1)


def _apb(code: int) -> int:
    """ST's coding of APB dividers: 0xx is 1, 100 is 2 ... 111 is 16."""
    return 1 if code < 4 else 2 << (code - 4)


def _stm32f4(board: Board) -> Clocks:
    """RM0390 6.3, RM0383 6.3, RM0410 5.3: VCO input 1 to 2 MHz, VCO output 100 to 432 MHz."""
    rcc = 0x40023800
    held = registers(board, {rcc: 0x83, rcc + 4: 0x24003010, 0x40007000: 0xC000, 0x40023C00: 0})
    pll, cfgr = held[rcc + 4], held[rcc + 8]
    assert not pll >> 22 & 1, "HSI is the source"
    vco_input = 16_000_000 / bits(pll, 5, 0)
    vco = vco_input * bits(pll, 14, 6)
    core = vco / (2 * bits(pll, 17, 16) + 2)
    assert 1e6 <= vco_input <= 2e6 and 100e6 <= vco <= 432e6
    assert vco / bits(pll, 27, 24) <= 48e6
    assert bits(cfgr, 1, 0) == 2 and bits(cfgr, 7, 4) < 8
    # The F405 has one bit of voltage scale, its successors two.
    assert bits(held[0x40007000], 15, 14) == 3
    # Over-drive above 168 MHz (RM0390 5.1.4; an F7 would do without up to 180 MHz, RM0410 4.1.4).
    assert held[0x40007000] >> 16 & 3 == (3 if core > 168e6 else 0)
    # One wait state per started 30 MHz, at 2.7 V and above (RM0390 table 5, RM0383 table 5, RM0410 table 7).
    assert bits(held[0x40023C00], 3, 0) == math.ceil(core / 30e6) - 1
    return {
        "HSI": 16_000_000,
        "VCO input": vco_input,
        "VCO": vco,
        "core": core,
        "APB1": core / _apb(bits(cfgr, 12, 10)),
        "APB2": core / _apb(bits(cfgr, 15, 13)),
    }


def _stm32f405(board: Board) -> Clocks:
    """RM0090 5.4.1: one bit of voltage scale, 1 after reset too; PWR and USART1 have their clocks."""
    held = registers(board, {0x40007000: 0x4000})
    assert held[0x40007000] == 0x4000 and bits(held[0x40023844], 4, 4) == 1 and bits(held[0x40023840], 28, 28) == 1
    return _stm32f4(board)


def _stm32h7(board: Board) -> Clocks:
    """RM0433 8.7: reference 8 to 16 MHz in range 3, wide VCO to 960 MHz on revision V, at voltage scale 0."""
    rcc = 0x58024400
    held = registers(board, {rcc + 0x28: 0x02020200, rcc + 0x2C: 0x01FF0000, rcc + 0x30: 0x01010280})
    select, config, dividers = held[rcc + 0x28], held[rcc + 0x2C], held[rcc + 0x30]
    assert bits(select, 1, 0) == 0, "HSI is the source"
    reference = 64_000_000 / bits(select, 9, 4)
    assert bits(config, 3, 2) == 3 and 8e6 <= reference <= 16e6
    assert not config & 3 and config >> 16 & 1, "wide, no fraction, P on"
    vco = reference * (bits(dividers, 8, 0) + 1)
    assert 192e6 <= vco <= 960e6
    core = vco / (bits(dividers, 15, 9) + 1)
    d1 = held[rcc + 0x18]
    assert bits(d1, 11, 8) == 0 and bits(d1, 3, 0) == 8, "core / 1, AHB / 2"
    assert bits(held[rcc + 0x10], 2, 0) == 3
    assert held[0x52002000] == 0x24, "225 to 240 MHz at scale 0: RM0433 table 17"
    assert held[0x5800042C] & 1 and bits(held[0x58024818], 15, 14) == 3
    places = {"APB3": (0x18, 6, 4), "APB1": (0x1C, 6, 4), "APB2": (0x1C, 10, 8), "APB4": (0x20, 6, 4)}
    buses = {name: core / 2 / _apb(bits(held[rcc + at], high, low)) for name, (at, high, low) in places.items()}
    return {"HSI": 64_000_000, "VCO input": reference, "VCO": vco, "core": core, "AHB": core / 2, **buses}


def _stm32l4plus(board: Board) -> Clocks:
    """RM0432 6.4: PLL input 2.66 to 16 MHz, VCO 64 to 344 MHz; 120 MHz in boost mode; LPUART1 by RCC_CCIPR."""
    rcc = 0x40021000
    held = registers(board, {0x40007080: 0x100, 0x40022000: 0x600})
    pll, cfgr = held[rcc + 0xC], held[rcc + 8]
    assert bits(pll, 1, 0) == 2 and held[rcc] & 1 << 8, "HSI16"
    vco_input = 16_000_000 / (bits(pll, 7, 4) + 1)
    vco = vco_input * bits(pll, 14, 8)
    core = vco / (2 * bits(pll, 26, 25) + 2)
    assert 2.66e6 <= vco_input <= 16e6 and 64e6 <= vco <= 344e6 and pll >> 24 & 1
    assert bits(cfgr, 1, 0) == 3 and bits(cfgr, 7, 4) == 0
    assert not held[0x40007080] & 0x100, "boost mode"
    assert bits(held[0x40022000], 3, 0) == math.ceil(core / 20e6) - 1, "RM0432 table 12, range 1 boost"
    assert bits(held[rcc + 0x88], 11, 10) == 2, "LPUART1 from HSI16"
    return {"HSI16": 16_000_000, "VCO input": vco_input, "VCO": vco, "core": core}


def _stm32u5(board: Board) -> Clocks:
    """RM0456 11.8: PLL input 4 to 16 MHz, VCO 128 to 544 MHz; booster input 4 to 16 MHz."""
    rcc, pwr = 0x46020C00, 0x46020800
    held = registers(board, {0x46020C20: 0})
    config, dividers = held[rcc + 0x28], held[rcc + 0x34]
    assert bits(config, 1, 0) == 2 and bits(config, 3, 2) == 0
    vco_input = 16_000_000 / (bits(config, 11, 8) + 1)
    vco = vco_input * (bits(dividers, 8, 0) + 1)
    core = vco / (bits(dividers, 30, 24) + 1)
    assert 4e6 <= vco_input <= 8e6 and 128e6 <= vco <= 544e6 and config >> 18 & 1
    booster = 16_000_000 / {0: 1, 1: 2, 2: 4}[bits(config, 15, 12)]
    assert 4e6 <= booster <= 16e6
    assert bits(held[pwr + 0xC], 17, 16) == 3 and held[pwr + 0xC] >> 18 & 1
    assert bits(held[rcc + 0x1C], 1, 0) == 3 and not bits(held[rcc + 0x20], 3, 0), "AHB / 1"
    assert bits(held[0x40022000], 3, 0) == math.ceil(core / 32e6) - 1, "RM0456 table 54, range 1"
    apb2 = core / _apb(bits(held[rcc + 0x20], 10, 8))
    return {
        "HSI16": 16_000_000, "booster": booster, "VCO input": vco_input, "VCO": vco, "core": core, "APB2": apb2,
    }  # fmt: skip


def _stm32g0(board: Board) -> Clocks:
    """RM0444 5.4: PLL input 2.66 to 16 MHz, VCO 64 to 344 MHz."""
    rcc = 0x40021000
    held = registers(board, {0x40022000: 0x600})
    pll = held[rcc + 0xC]
    assert bits(pll, 1, 0) == 2 and pll >> 28 & 1
    vco_input = 16_000_000 / (bits(pll, 6, 4) + 1)
    vco = vco_input * bits(pll, 14, 8)
    core = vco / (bits(pll, 31, 29) + 1)
    assert 2.66e6 <= vco_input <= 16e6 and 64e6 <= vco <= 344e6
    assert bits(held[rcc + 8], 2, 0) == 2 and not bits(held[rcc + 8], 11, 8)
    assert bits(held[0x40022000], 2, 0) == 2, "48 to 64 MHz: RM0444 table 13"
    apb = core / _apb(bits(held[rcc + 8], 14, 12))
    return {"HSI16": 16_000_000, "VCO input": vco_input, "VCO": vco, "core": core, "APB": apb}


def _rp2(board: Board, pll: int, clocks: int) -> Clocks:
    """RP2040 2.18, RP2350 8.6: VCO 750 to 1600 MHz."""
    held = registers(board, {pll: 1, pll + 4: 0x2D, pll + 0xC: 0x00077000})
    assert bits(held[pll], 5, 0) == 1
    vco = 12_000_000 * held[pll + 8]
    core = vco / bits(held[pll + 0xC], 18, 16) / bits(held[pll + 0xC], 14, 12)
    assert 750e6 <= vco <= 1600e6 and bits(held[pll + 0xC], 18, 16) >= bits(held[pll + 0xC], 14, 12)
    assert held[pll + 4] & 0b101001 == 0, "powered"
    assert held[clocks + 0x30] & 3 == 2 and held[clocks + 0x3C] & 0xE1 == 1 and held[clocks + 0x48] >> 11 & 1
    return {"crystal": 12_000_000, "VCO": vco, "core": core, "peripherals": core}


def _nrf52(board: Board) -> Clocks:
    """nRF52840 PS 5.4: the core runs at 64 MHz, peripherals at 16 MHz; the crystal is started."""
    assert registers(board, {})[0x40000000] == 1
    return {"crystal": 32_000_000, "core": 64_000_000, "peripherals": 16_000_000}


# RM0090, RM0390 and RM0410, RCC_CFGR: a new divider counts from 1 to 16 AHB cycles after it is set.
_F4_SWITCH, _F4_DIVIDERS = (0x40023808, 0x3, 0x2), {0x40023808: 0xFCF0}
_F4_UARTS = {0x40011000: "APB2", 0x40004400: "APB1", 0x40004800: "APB1"}
_F4_LIMITED = ("core", "APB1", "APB2")
_F4 = Family(_stm32f4, _F4_UARTS, _F4_SWITCH, dividers=_F4_DIVIDERS, limited=_F4_LIMITED)
# Longest prefix of the part number first.
FAMILIES = {
    "STM32F405": Family(_stm32f405, _F4_UARTS, _F4_SWITCH, dividers=_F4_DIVIDERS, limited=_F4_LIMITED),
    "STM32F4": _F4,
    "STM32F7": _F4,
    # RM0433, RCC_D1CFGR: as above.
    "STM32H743": Family(
        _stm32h7,
        {0x40004800: "APB1"},
        (0x58024410, 0x7, 0x3),
        dividers={0x58024418: 0xF7F, 0x5802441C: 0x770, 0x58024420: 0x70},
        limited=("core", "AHB", "APB1", "APB2", "APB3", "APB4"),
    ),
    # RM0432 and RM0456, RCC, "System clock (SYSCLK) selection": a PLL of more than 80 MHz takes over with AHB / 2, and
    # AHB / 1 comes at least 1 us later.
    "STM32L4R5": Family(_stm32l4plus, {0x40008000: "HSI16"}, (0x40021008, 0x3, 0x3), ahb_half=(0x40021008, 0xF0, 0x80)),
    "STM32U5": Family(_stm32u5, {0x40013800: "APB2"}, (0x46020C1C, 0x3, 0x3), ahb_half=(0x46020C20, 0xF, 0x8)),
    "STM32G0": Family(_stm32g0, {0x40004400: "APB"}),
    "RP2040": Family(lambda board: _rp2(board, 0x40028000, 0x40008000), {0x40034000: "peripherals"}),
    "RP2350": Family(lambda board: _rp2(board, 0x40050000, 0x40010000), {0x40070000: "peripherals"}),
    "nRF52840": Family(_nrf52, {0x40002000: "peripherals"}, limited=()),
}


def family_of(board: Board) -> Family:
    """The family of the board's chip. Fails where no manual has been read for it."""
    found = next((family for prefix, family in FAMILIES.items() if board.chip.startswith(prefix)), None)
    assert found, f"{board.chip}: a function and a line in chip_clocks.py say how its registers make its clock"
    return found
