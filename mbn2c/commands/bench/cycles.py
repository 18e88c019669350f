"""Machine code of an Arm core -> how many cycles each instruction is estimated to take, between least and most.

The rules are those of Arm's technical reference manuals where they state any (M0+, M3, M4) and of what others have
measured where they do not (M7, M33). docs/kernels.md tells them, and what they leave out. No access waits.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mbn2c.firmware.toolchain import find_compiler
from mbn2c.targets import Core

_LINE = re.compile(r"^\s*([0-9a-f]+):\t([0-9a-f ]+?)\s*\t(\S+)(?:\t(.*))?$")
_REGISTER = re.compile(r"\b(r\d+|s\d+|d\d+|sl|fp|ip|sb|sp|lr|pc)\b")
_BRANCH = re.compile(r"^(b|bl|bx|blx|cbz|cbnz|tbb|tbh|b(eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le))$")
_MAC = re.compile(r"^(mul|mla|mls|smul|smla|smml|smmul|smuad|smusd|umul|umla|umaal)")
_LONG = re.compile(r"^(smull|umull|smlal|umlal)$")
_PAIRED = re.compile(r"^(sxt|uxt|bfi|bfc|sbfx|ubfx|ssat|usat|pkh|rev|qadd|sadd|ssub)")
_NAMES = {"sb": 9, "sl": 10, "fp": 11, "ip": 12, "sp": 13, "lr": 14, "pc": 15}


@dataclass(frozen=True)
class Instruction:
    """One instruction of the code, as objdump prints it.

    name      mnemonic without width
    operands  text behind it
    """

    address: int
    size: int
    name: str
    operands: str

    @property
    def is_load(self) -> bool:
        """Whether it reads memory."""
        return self.name.startswith(("ldr", "ldm", "pop", "vldr", "vldm", "vpop"))

    @property
    def is_store(self) -> bool:
        """Whether it writes memory."""
        return self.name.startswith(("str", "stm", "push", "vstr", "vstm", "vpush"))

    @property
    def is_multiple(self) -> bool:
        """Whether it loads or stores a list of registers."""
        return self.name.startswith(("ldm", "stm", "pop", "push", "vldm", "vstm", "vpop", "vpush"))

    @property
    def is_double(self) -> bool:
        """Whether it loads or stores two registers."""
        return self.name.startswith(("ldrd", "strd"))

    @property
    def is_branch(self) -> bool:
        """Whether it may go on elsewhere."""
        return _BRANCH.match(self.name) is not None

    @property
    def is_mac(self) -> bool:
        """Whether it multiplies and adds up."""
        return _MAC.match(self.name) is not None

    @property
    def jumps(self) -> bool:
        """Whether the flow may go elsewhere behind it."""
        if self.is_branch:
            return True
        return "pc" in (self.operands.partition("{")[2] if self.is_multiple else self.operands.split(",")[0])

    @property
    def words(self) -> int:
        """Registers a multiple or double transfers; 1 for others."""
        if self.is_double:
            return 2
        if not self.is_multiple:
            return 1
        count = 0
        for part in self.operands.partition("{")[2].partition("}")[0].split(","):
            ends = [_number(name) for name in part.strip().split("-")]
            count += ends[-1] - ends[0] + 1
        return count

    @property
    def writes(self) -> frozenset[str]:
        """Registers of its result; a changed base register is not among them."""
        if self.is_store or self.is_branch or self.name.startswith(("cmp", "cmn", "tst", "teq", "nop", "it")):
            return frozenset()
        first = self.operands.partition("[")[0] if self.is_load else ",".join(self.operands.split(",")[: self._results])
        return frozenset(_REGISTER.findall(first))

    @property
    def reads(self) -> frozenset[str]:
        """Registers it computes with."""
        if self.is_load and "[" in self.operands:
            return self.address_reads
        skipped = 0 if self.is_store or self.is_branch or self.name.startswith(("cmp", "tst")) else self._results
        words = self.operands.split(",")
        two_operands = len(words) <= skipped + 1 and not self.name.startswith("mov")
        return frozenset(_REGISTER.findall(",".join(words if two_operands else words[skipped:])))

    @property
    def address_reads(self) -> frozenset[str]:
        """Registers that make the address of a load or store."""
        return frozenset(_REGISTER.findall(self.operands.partition("[")[2].partition("]")[0]))

    @property
    def _results(self) -> int:
        return 2 if _LONG.match(self.name) else 1


@dataclass(frozen=True)
class Cycles:
    """Cycles of an instruction where the flow goes on behind it, and how many more where it jumps."""

    least: int
    most: int
    taken_least: int = 0
    taken_most: int = 0


Model = Callable[[Sequence[Instruction]], "list[Cycles]"]


def disassemble(elf: Path, core: Core) -> list[Instruction]:
    """All instructions of a firmware, by address."""
    objdump = find_compiler(core).removesuffix("gcc") + "objdump"
    listing = subprocess.run([objdump, "-d", str(elf)], capture_output=True, text=True, check=True).stdout
    found = []
    for line in listing.splitlines():
        if (match := _LINE.match(line)) and not match.group(3).startswith("."):
            address, code, name, operands = match.groups()
            plain = re.split(r"\s*[@;<]", operands or "")[0]
            found.append(Instruction(int(address, 16), len(code.replace(" ", "")) // 2, name.split(".")[0], plain))
    return found


def write_costs(elf: Path, core: Core, file: Path) -> Path | None:
    """The costs of a firmware's instructions, as templates/emulator/count_instructions.c reads them; None: no model."""
    model = MODELS.get(core.name)
    if model is None:
        return None
    code = disassemble(elf, core)
    lines = [
        f"{one.address:x} {cost.least} {cost.most} {cost.taken_least} {cost.taken_most}"
        for one, cost in zip(code, model(code), strict=True)
    ]
    file.write_text("\n".join(lines) + "\n")
    return file


def _number(register: str) -> int:
    return _NAMES[register] if register in _NAMES else int(register[1:])


# --- Cortex-M0+: TRM DDI 0484, table 3-1 ---------------------------------------------------------


def cortex_m0plus(code: Sequence[Instruction]) -> list[Cycles]:
    """Exact where the multiplier is the fast one and no access waits."""
    return [_m0plus(one) for one in code]


def _m0plus(one: Instruction) -> Cycles:
    if one.is_multiple:
        more = 2 if one.jumps else 0
        return Cycles(1 + one.words + more, 1 + one.words + more)
    if one.is_load or one.is_store:
        return Cycles(2, 2)
    if one.jumps:
        more = 2 if one.name == "bl" else 1
        return Cycles(1, 1, more, more)
    return Cycles(1, 1)


# --- Cortex-M3 and M4: TRM DDI 0337 and DDI 0439, table 3-1 and "load/store timings" ---------------


def cortex_m3(code: Sequence[Instruction]) -> list[Cycles]:
    """Long multiplications end early for small factors; their whole range is counted."""
    return _m3_or_m4(code, {"mla": (2, 2), "mls": (2, 2), "mull": (3, 5), "mlal": (4, 7)})


def cortex_m4(code: Sequence[Instruction]) -> list[Cycles]:
    """Every multiplication takes one cycle."""
    return _m3_or_m4(code, {})


def _m3_or_m4(code: Sequence[Instruction], macs: dict[str, tuple[int, int]]) -> list[Cycles]:
    found = []
    before: Instruction | None = None
    for one in code:
        least = most = 1
        if one.name in ("udiv", "sdiv"):
            least, most = 2, 12
        elif one.is_multiple or one.is_double:
            least = most = 1 + one.words
        elif one.is_load:
            follows = before is not None and before.is_load and not (before.is_multiple or before.is_double)
            is_free = follows and before is not None and not before.writes & one.address_reads
            least = most = 1 if is_free else 2
        elif one.is_store:
            # A register offset needs a cycle of its own, unless it hides behind the write buffer.
            most = 2 if one.operands.count(",") > 1 and "#" not in one.operands else 1
        elif one.is_mac:
            least, most = macs.get(one.name.lstrip("us") if one.name[0] in "us" else one.name, (1, 1))
        if (one.is_load or one.is_store) and before is not None and not before.is_load:
            # No forwarding from a data operation to an address.
            stalls = bool(before.writes & one.address_reads)
            least, most = least + stalls, most + stalls
        is_literal = one.is_load and "[pc" in one.operands
        found.append(Cycles(least, most + is_literal, *((1, 3) if one.jumps else (0, 0))))
        before = None if one.jumps else one
    return found


# --- Cortex-M33: no published table -----------------------------------------------------------------


def cortex_m33(code: Sequence[Instruction]) -> list[Cycles]:
    """Between a load unit that never waits, with branches resolved a stage earlier, and the Cortex-M4."""
    found = []
    for one, cost in zip(code, cortex_m4(code), strict=True):
        least = one.words if one.is_load or one.is_store else cost.least
        found.append(Cycles(min(least, cost.least), cost.most, min(1, cost.taken_least), min(2, cost.taken_most)))
    return found


# --- Cortex-M7: no published table; measurements of others --------------------------------------------


def cortex_m7(code: Sequence[Instruction]) -> list[Cycles]:
    """Between pairs wherever nothing known forbids them, with every branch predicted, and one instruction at a time."""
    found = []
    first: Instruction | None = None
    for one in code:
        words = (one.words + 1) // 2 if one.is_multiple else 1
        is_second = first is not None and _goes_with(first, one)
        least = words - 1 if is_second else words
        most = 7 if one.name in ("udiv", "sdiv") else max(1, words)
        found.append(Cycles(least, most, 0, 2 if one.jumps else 0))
        first = None if is_second or one.jumps or one.is_multiple else one
    return found


def _goes_with(first: Instruction, second: Instruction) -> bool:
    """Whether the second may start with the first: no result in between, one multiplier, one store, one shifter."""
    if first.writes & (second.reads | second.address_reads | second.writes):
        return False
    if second.is_mac or _PAIRED.match(second.name):
        return False  # multiplications, extensions and bit fields only as the first of a pair
    return not (first.is_store and (second.is_store or second.is_load)) and not second.is_double


# Where the figures of these models come from.
MODEL_WORDS = "each instruction's least and most, no access waiting (docs/kernels.md)"
MODELS: dict[str, Model] = {
    "cortex-m0plus": cortex_m0plus,
    "cortex-m3": cortex_m3,
    "cortex-m4": cortex_m4,
    "cortex-m7": cortex_m7,
    "cortex-m33": cortex_m33,
}
