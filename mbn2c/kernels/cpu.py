"""ISAs that a processor of a core may lack: what C asks, and what runs in place of a kernel.

In a core's `isas` such a name ends with "?" where the C shall ask and choose; without, the C asks and refuses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Kernel


@dataclass(frozen=True)
class CpuCheck:
    """The C function `function`, int(void), says whether this processor has the ISA; files as those of `Kernel`."""

    isa: str
    source: str
    header: str

    @property
    def function(self) -> str:
        """Its C name."""
        return f"mbn_cpu_has_{self.isa}"


# Best first within a family: who has one has those behind it.
CHECKS = (
    CpuCheck("arm_dotprod", "arm_neon/cpu.c", "arm_neon/mbn_arm_cpu.h"),
    CpuCheck("x86_avx512_vnni", "x86/cpu.c", "x86/mbn_x86_cpu.h"),
    CpuCheck("x86_avx2", "x86/cpu.c", "x86/mbn_x86_cpu.h"),
)


def isa_of(entry: str) -> str:
    """The name of an entry of a core's `isas`."""
    return entry.removesuffix("?")


def chosen_checks(kernels: Iterable[Kernel]) -> tuple[CpuCheck, ...]:
    """What the C of these kernels asks to choose from them, best first."""
    asked = {way.isa for kernel in kernels for way in kernel.ways[:-1]}
    return tuple(check for check in CHECKS if check.isa in asked)


def needed_checks(kernels: Iterable[Kernel]) -> tuple[CpuCheck, ...]:
    """What it asks to refuse a processor that cannot run them."""
    needed = {kernel.ways[-1].isa for kernel in kernels}
    return tuple(check for check in CHECKS if check.isa in needed)


def with_alternative(kernel: Kernel, other: Kernel) -> Kernel:
    """A kernel in whose place `other` runs where its ISA is not there.

    returns  that one alone if the Plan would have to be another for it
    """
    if (kernel.accumulates, kernel.wants_place) != (other.accumulates, other.wants_place):
        return other
    ways = (kernel, *other.ways)

    def scratch_bytes(node: Node, graph: Graph) -> int:
        return max(way.scratch_bytes(node, graph) for way in ways)

    def reads_slices(node: Node, graph: Graph) -> bool:
        return all(way.reads_slices(node, graph) for way in ways)

    return replace(
        kernel,
        scratch_bytes=scratch_bytes,
        reads_slices=reads_slices,
        writes_slices=all(way.writes_slices for way in ways),
        reads_past_bytes=max(way.reads_past_bytes for way in ways),
        alternatives=ways[1:],
    )
