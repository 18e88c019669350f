"""Machine code -> how deep each function takes the stack pointer, found by reading one instruction after the other."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

_FUNCTION = re.compile(r"^[0-9a-f]+ <([^>]+)>:$")
_LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*([^;@#]*(?:#[^;@]*)?)")
_TARGET = re.compile(r"^(?:.*,\s*)?([0-9a-f]+) <([^>+]+)(?:\+0x[0-9a-f]+)?>")
_NUMBER = re.compile(r"#(-?\d+)")
_JUMP = re.compile(
    r"(b|beq|bne|bcs|bcc|bmi|bpl|bvs|bvc|bhi|bls|bge|blt|bgt|ble)(\.n|\.w)?|cbn?z|le|dls|j|b(nez|eqz|lez|gez|ltz|gtz|eq|ne|lt|ge|ltu|geu|leu|gtu|le|gt)"
)
_ALWAYS = re.compile(r"(b|j)(\.n|\.w)?")


def deepest(objdump: str, path: Path) -> dict[str, int]:
    """Bytes below the entry's stack pointer, by function. AssertionError for what is not understood."""
    command = [objdump, "-d", "--no-show-raw-insn", str(path)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    functions: dict[str, list[tuple[int, str, str]]] = {}
    name = ""
    for line in listing.splitlines():
        if head := _FUNCTION.match(line):
            # RISC-V's assembler keeps the compiler's labels as symbols.
            name = name if head.group(1).startswith(".L") else head.group(1)
            functions.setdefault(name, [])
        elif (found := _LINE.match(line)) and name:
            functions[name].append((int(found.group(1), 16), found.group(2), found.group(3).strip()))
    return {name: _walk(name, lines) for name, lines in functions.items()}


def _walk(name: str, lines: list[tuple[int, str, str]]) -> int:
    """Along all jumps from the first instruction on; what a jump through a table reaches is all that is left."""
    code = {address: (word, operands) for address, word, operands in lines if not word.startswith(".")}
    behind = dict(zip(code, [*code, None][1:], strict=False))
    depths: dict[int, int] = {}
    todo = [(lines[0][0], 0)]
    table, most = None, 0
    while todo:
        address, depth = todo.pop()
        while address is not None and address in code:
            word, operands = code[address]
            if address in depths:
                assert depths[address] == depth, f"{name}+{address:x}: {depth} and {depths[address]} bytes on the stack"
                break
            depths[address] = depth
            depth += _moved(word, operands)
            assert depth >= 0, f"{name}+{address:x}: more is taken from the stack than was put there"
            most = max(most, depth)
            if _JUMP.fullmatch(word) and (target := _TARGET.match(operands)) and int(target.group(1), 16) in code:
                todo.append((int(target.group(1), 16), depth))
            if word in ("tbb", "tbh", "jr"):
                table = depth
            if word in ("bx", "ret", "tbb", "tbh", "jr") or "pc}" in operands or _ALWAYS.fullmatch(word):
                break
            address = behind[address]
        if not todo and table is not None:
            todo = [(left, table) for left in code if left not in depths][:1]
    return most


def _moved(word: str, operands: str) -> int:
    """Bytes by which an instruction lowers the stack pointer."""
    word = word.removesuffix(".w").removesuffix(".n")
    if word in ("push", "vpush") or (word in ("stmdb", "vstmdb") and operands.startswith("sp!")):
        return _list_bytes(operands)
    if word in ("pop", "vpop") or (word in ("ldmia", "vldmia") and operands.startswith("sp!")):
        return -_list_bytes(operands)
    number = int(found.group(1)) if (found := _NUMBER.search(operands)) else None
    if re.search(r"\[sp, #-?\d+\]!", operands) and number is not None:
        return -number
    if re.search(r"\[sp\], #-?\d+", operands) and number is not None:
        return -number
    parts = [part.strip() for part in operands.split(",")]
    if parts[0] == "sp" and word in ("add", "sub", "addw", "subw", "addi", "mov", "mv", "lw", "ldr"):
        if parts[1] == "sp" and re.fullmatch(r"-?\d+", parts[-1]):  # RISC-V
            return -int(parts[-1])
        assert word in ("add", "sub", "addw", "subw") and number is not None and parts[1] in ("sp", f"#{number}"), (
            operands
        )
        return number if word.startswith("sub") else -number
    return 0


def _list_bytes(operands: str) -> int:
    inside = operands[operands.index("{") + 1 : operands.index("}")]
    total = 0
    for part in inside.split(","):
        ends = [{"sl": "r10", "fp": "r11", "ip": "r12"}.get(end.strip(), end.strip()) for end in part.split("-")]
        count = int(ends[1][1:]) - int(ends[0][1:]) + 1 if len(ends) == 2 else 1
        total += count * (8 if ends[0][0] == "d" else 4)
    return total
