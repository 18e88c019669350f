"""What packing the input gains and costs: bytes on the line, seconds per image, instructions per byte to unpack.

    python benchmarks/packing.py            pictures of ../shared, three cores in a CPU emulator (pip install unicorn)

The figures of docs/protocol.md.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import unicorn
from unicorn import arm_const as arm

from mbn2c.files.elf import read_elf
from mbn2c.link.packing import Packer
from mbn2c.resources.render import file_text
from mbn2c.targets import load_core
from mbn2c.tasks.images import open_samples
from mbn2c.tasks.inputs import InputSpec

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
DATA = {"vww_96": 96, "imagenet_500": 224}
IMAGES = 40
CHANNELS = 3
ROOM = 1000  # bytes of a request
CORES = {
    "cortex-m0plus": arm.UC_CPU_ARM_CORTEX_M0,
    "cortex-m4": arm.UC_CPU_ARM_CORTEX_M4,
    "cortex-m7": arm.UC_CPU_ARM_CORTEX_M7,
}
CODE, DATA_AT, STATE_AT, ROW_AT, STACK_AT, END_AT = 0x10000, 0x100000, 0x110000, 0x120000, 0x130000, 0x1FFFE


def packed(frame: bytes, row_bytes: int) -> Iterator[tuple[int, int, bytes]]:
    """Start, number of input bytes, and them packed, request by request."""
    packer, start = Packer(frame, row_bytes, CHANNELS), 0
    while start < len(frame):
        count, data = packer.pack(start, ROOM)
        yield start, count, data
        start += count


def pictures(folder: str, size: int) -> list[bytes]:
    spec = InputSpec((1, size, size, CHANNELS), (0, 1, 2, 3))
    samples = open_samples(SHARED / folder, spec, resize="crop", limit=IMAGES)
    return [np.asarray(sample.pixels).tobytes() for sample in samples]


class Unpacker:
    """mbn_unpack.c, compiled for a core, in a CPU emulator that counts."""

    def __init__(self, name: str, folder: Path) -> None:
        core = load_core(name)
        for file in ("mbn_unpack.h", "mbn_unpack.c"):
            (folder / file).write_text(file_text(f"firmware/{file}", {}))
        link = ["-nostdlib", f"-Wl,-Ttext={CODE:#x}", "-Wl,-e,mbn_unpack", "-lgcc"]
        command = [f"{core.prefix}gcc", *core.cflags, "mbn_unpack.c", "-o", "unpack.elf", *link]
        subprocess.run(command, cwd=folder, check=True)
        self.elf = read_elf(folder / "unpack.elf")
        self.cpu = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self.cpu.ctl_set_cpu_model(CORES[name])
        self.cpu.mem_map(CODE, 0x200000)
        self.cpu.mem_write(CODE, self.elf.image(CODE, 0x10000))
        self.count = 0
        self.cpu.hook_add(unicorn.UC_HOOK_CODE, self._step)

    def _step(self, *_: object) -> None:
        self.count += 1

    def _call(self, function: str, arguments: Sequence[int]) -> None:
        registers = (arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2, arm.UC_ARM_REG_R3)
        for register, value in zip(registers, arguments, strict=False):
            self.cpu.reg_write(register, value)
        self.cpu.mem_write(STACK_AT, b"".join(value.to_bytes(4, "little") for value in arguments[4:]))
        self.cpu.reg_write(arm.UC_ARM_REG_SP, STACK_AT)
        self.cpu.reg_write(arm.UC_ARM_REG_LR, END_AT | 1)
        self.cpu.emu_start(self.elf.address(function) | 1, END_AT)

    def instructions(self, frame: bytes, row_bytes: int) -> int:
        """Of unpacking a frame, which must come out right."""
        self.count, made = 0, b""
        self.cpu.mem_write(ROW_AT, bytes(row_bytes))
        for start, count, data in packed(frame, row_bytes):
            self.cpu.mem_write(DATA_AT, data)
            self._call("mbn_unpack_begin", (STATE_AT, DATA_AT, len(data)))
            while count:
                place = start % row_bytes
                part = min(count, row_bytes - place)
                self._call("mbn_unpack", (STATE_AT, ROW_AT, place, part, CHANNELS))
                made += bytes(self.cpu.mem_read(ROW_AT + place, part))
                start, count = start + part, count - part
        assert made == frame
        return self.count


def main() -> None:
    for folder, size in DATA.items():
        frames = pictures(folder, size)
        ratios = [len(frame) / sum(len(data) for _, _, data in packed(frame, size * CHANNELS)) for frame in frames]
        mean = len(frames) / sum(1 / ratio for ratio in ratios)
        seconds = ", ".join(
            f"{baud}: {10 * len(frames[0]) / baud:.2f} -> {10 * len(frames[0]) / baud / mean:.2f} s"
            for baud in (115_200, 921_600)
        )
        print(f"{folder}: {min(ratios):.2f} to {max(ratios):.2f} times fewer bytes, {mean:.2f} in all; {seconds}")
    for name in CORES:
        with tempfile.TemporaryDirectory() as folder:
            count = Unpacker(name, Path(folder)).instructions(frames[0], size * CHANNELS)
        print(f"{name}: {count / len(frames[0]):.1f} instructions per byte")


if __name__ == "__main__":
    main()
