"""For which cores the kernels of an ISA compile: what the generated header asks the compiler before anything else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mbn2c.ir.kernel import Kernel


@dataclass(frozen=True)
class CoreCondition:
    """A condition of C's preprocessor, of macros that Arm's C extensions, the RISC-V C API or every compiler defines.

    words  which cores fulfil it
    """

    words: str
    condition: str


_AARCH64 = CoreCondition("64-bit Arm", "defined(__aarch64__)")
_X86_64 = CoreCondition("x86-64", "defined(__x86_64__)")
# Those that imply others come before them. What an operating system's processor may lack is asked when it starts.
CONDITIONS = {
    "arm_mve": CoreCondition("Arm cores with Helium (Cortex-M55, M85)", "defined(__ARM_FEATURE_MVE)"),
    "arm_dsp": CoreCondition(
        "Arm cores with the DSP extension (Cortex-M4, M7, M33)",
        "defined(__ARM_FEATURE_DSP) && !defined(__aarch64__)",
    ),
    "armv7m": CoreCondition(
        "Arm cores with Thumb-2 (Cortex-M3 and above)",
        "defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB >= 2",
    ),
    "armv6m": CoreCondition("Arm cores with Thumb", "defined(__ARM_ARCH_ISA_THUMB)"),
    "rv32im": CoreCondition(
        "32-bit RISC-V with multiplication",
        "defined(__riscv_mul) && __riscv_xlen == 32",
    ),
    "arm_dotprod": _AARCH64,
    "arm_neon": _AARCH64,
    "x86_avx512_vnni": _X86_64,
    "x86_avx2": _X86_64,
}


def core_condition(kernels: Iterable[Kernel]) -> CoreCondition | None:
    """What a core must fulfil to run them, the strongest of the conditions; None: every core runs them."""
    isas = {way.isa for kernel in kernels for way in kernel.ways}
    return next((condition for isa, condition in CONDITIONS.items() if isa in isas), None)
