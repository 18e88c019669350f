"""Which C kernel runs a node on a core: the first row that accepts it, best ISA first.

A kernel that reads planar rows can run only where another one writes them and every consumer accepts planar rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mbn2c.errors import InternalError, UsageError
from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import SHARED_NUMBERS, Kernel, Packed
from mbn2c.ir.plan import Plan
from mbn2c.kernels import guarded
from mbn2c.kernels.arm_dotprod import table as arm_dotprod
from mbn2c.kernels.arm_dsp import table as arm_dsp
from mbn2c.kernels.arm_mve import table as arm_mve
from mbn2c.kernels.arm_neon import table as arm_neon
from mbn2c.kernels.armv6m import table as armv6m
from mbn2c.kernels.armv7m import table as armv7m
from mbn2c.kernels.cpu import isa_of, with_alternative
from mbn2c.kernels.rv32im import table as rv32im
from mbn2c.kernels.scalar import table as scalar
from mbn2c.kernels.x86_avx2 import table as x86_avx2
from mbn2c.kernels.x86_avx512_vnni import table as x86_avx512_vnni
from mbn2c.ops import OPERATORS

TABLES: dict[str, tuple[Kernel, ...]] = {
    "scalar": scalar.KERNELS,
    "arm_dotprod": arm_dotprod.KERNELS,
    "arm_dsp": arm_dsp.KERNELS,
    "arm_dsp_quads": arm_dsp.QUADS,
    "arm_mve": arm_mve.KERNELS,
    "arm_neon": arm_neon.KERNELS,
    "armv6m": armv6m.KERNELS,
    "armv6m_direct": armv6m.DIRECT,
    "armv6m_lanes": armv6m.LANES,
    "armv6m_lean": armv6m.LEAN,
    "armv7m": armv7m.KERNELS,
    "rv32im": rv32im.KERNELS,
    "x86_avx2": x86_avx2.KERNELS,
    "x86_avx512_vnni": x86_avx512_vnni.KERNELS,
}
# Rows that trade memory for speed or speed for memory: asked before those of their ISA, where that is the wish.
_WISHES: dict[str, dict[str, str]] = {
    "speed": {"arm_dsp": "arm_dsp_quads", "armv6m": "armv6m_lanes"},
    "balanced": {"armv6m": "armv6m_lanes"},
    "ram": {"armv6m": "armv6m_lanes"},
    "lean": {"armv6m": "armv6m_lean"},
    "smallest": {"armv6m": "armv6m_direct"},
}


def isas_for(isas: Sequence[str], optimize: str) -> tuple[str, ...]:
    """The tables to ask, in order, for a core's ISAs and what is wanted.

    optimize  "ram", "balanced" or "speed"; "lean" takes less flash and RAM for many more instructions, "smallest"
              the minimum RAM for still more
    raises    UsageError for an ISA that no kernels are written for
    """
    for isa in isas:
        if isa_of(isa) not in TABLES:
            raise UsageError(f"no kernels are written for '{isa}'", where="isas", hint=f"one of {', '.join(TABLES)}")
    wanted = _WISHES.get(optimize, {})
    return tuple(name for isa in isas for name in (wanted.get(isa), isa) if name is not None)


def select(node: Node, graph: Graph, isas: Sequence[str], *, planar: bool = True) -> Kernel:
    """The kernel for one node.

    isas    as in the core's TOML, best first, "scalar" last
    planar  whether the node's input may lie in planar rows at all
    returns  with alternatives if the processor may lack its ISA
    """
    for kernel in _accepting(node, graph, isas):
        if kernel.reads_planar and not (planar and _can_be_planar(node.inputs[0], graph, isas)):
            continue
        if f"{kernel.isa}?" not in isas:
            return kernel
        others = [isa for isa in isas if isa_of(isa) != kernel.isa]
        return with_alternative(kernel, select(node, graph, others, planar=planar))
    raise InternalError(f"no kernel for {node.op}", where=node.name)


def kernels_of_plan(plan: Plan, isas: Sequence[str]) -> dict[str, Kernel]:
    """The kernel of every node, by name: what its input's place in the Plan allows."""
    return {
        call.node: select(
            plan.graph.producer[call.write], plan.graph, isas, planar=plan.buffers[call.reads[0].tensor].planar
        )
        for call in plan.calls
        if call.node
    }


def _accepting(node: Node, graph: Graph, isas: Sequence[str]) -> list[Kernel]:
    touched = (graph.tensors[name] for name in node.inputs + node.outputs)
    has_int16 = any(tensor.dtype == "int16" for tensor in touched if tensor.data is None)
    kind = (node.op, has_int16, weight_bits(node, graph))
    # What only imported models have comes first: no other row asks whether it can do that.
    for rows in (guarded.KERNELS, [kernel for isa in isas for kernel in TABLES[isa_of(isa)]]):
        fitting = (kernel for kernel in rows if (kernel.op, kernel.takes_int16, kernel.weight_bits) == kind)
        found = [kernel for kernel in fitting if kernel.accepts(node, graph)]
        if found:
            return found
    return []


def weight_bits(node: Node, graph: Graph) -> int:
    """Of a node's weights; 8 if it has none, or they are not quantized yet."""
    quant = graph.tensors[node.inputs[1]].quant if OPERATORS[node.op].has_weights else None
    return 8 if quant is None else quant.bits


def _can_be_planar(tensor: str, graph: Graph, isas: Sequence[str]) -> bool:
    """Whether the tensor's maker writes planar rows and all its readers want them."""
    maker = graph.producer.get(tensor)
    if maker is None or graph.is_output(tensor):
        return False
    for reader in graph.consumers[tensor]:
        kernels = _accepting(reader, graph, isas)
        reads_only_this = OPERATORS[reader.op].activations(reader, graph) == (tensor,)
        if not kernels or not kernels[0].reads_planar or not reads_only_this:
            return False
    return select(maker, graph, isas).writes_planar(maker, graph)


def packed_constants(plan: Plan, kernels: Mapping[str, Kernel]) -> dict[int, Packed]:
    """The constants of each call that runs a kernel, as that reads them, by step."""
    graph = plan.graph
    calls = [call for call in plan.calls if call.node and not call.is_view]
    found = {call.step: packed(kernels[call.node], graph.producer[call.write], graph) for call in calls}
    return _with_shared_numbers(found)


def _with_shared_numbers(constants: Mapping[int, Packed]) -> dict[int, Packed]:
    """What layers share lies beside the constants of the first that reads it."""
    first = next((step for step, one in constants.items() if one.shared_numbers), None)
    if first is None:
        return dict(constants)
    one = constants[first]
    arrays = {**one.arrays, SHARED_NUMBERS: np.array(one.shared_numbers, np.uint32)}
    return {**constants, first: replace(one, arrays=arrays)}


def packed(kernel: Kernel, node: Node, graph: Graph) -> Packed:
    """A node's constants for a kernel, and for its alternatives."""
    first, *others = (way.pack(node, graph) for way in kernel.ways)
    return replace(first, alternatives=tuple(others))
