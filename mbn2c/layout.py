"""int8 Graph and core -> kernels and Plan, and the C files they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mbn2c.build.firmware import firmware_files, package_files
from mbn2c.emit.bundle import Bundle
from mbn2c.emit.model import Names, model_files
from mbn2c.emit.render import render
from mbn2c.ir.graph import Graph
from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Plan
from mbn2c.kernels import isas_for, kernels_of_plan, select
from mbn2c.planner.overlap import check_overlaps
from mbn2c.planner.streaming import TradeOff, choose, trade_offs
from mbn2c.report import context_bytes
from mbn2c.target import Board, Core

# What --ram-limit keeps free for the stack, which is only known after compilation; checked then.
STACK_ALLOWANCE_BYTES = 512


@dataclass(frozen=True)
class Layout:
    """A network laid out for one core; `curve` holds the plans it was chosen from."""

    plan: Plan
    kernels: Mapping[str, Kernel]
    curve: Sequence[TradeOff] = ()


def lay_out(graph: Graph, core: Core, optimize: str, ram_limit: int | None = None) -> Layout:
    """Kernels and Plan of an int8 Graph for a core.

    raises  FitError if no plan keeps the limit
    """
    isas = isas_for(core.isas, optimize)
    kernels = {node.name: select(node, graph, isas) for node in graph.nodes}
    arena_limit = None
    if ram_limit is not None:
        arena_limit = ram_limit - context_bytes(len(graph.nodes) + 1, core.bits) - STACK_ALLOWANCE_BYTES
    curve = trade_offs(graph, kernels, ram_limit=arena_limit)
    plan = choose(curve, optimize, arena_limit).plan
    check_overlaps(plan)
    return Layout(plan, kernels_of_plan(plan, isas), curve)


def c_files(layout: Layout, names: Names, core: Core, board: Board | None, cflags: Sequence[str] = ()) -> Bundle:
    """C of the network, firmware if there is a board, Makefile and CMakeLists.txt."""
    bundle = model_files(layout.plan, layout.kernels, names)
    sources = sorted(path for path in bundle if path.endswith(".c"))
    firmware: dict[str, bytes] = {}
    if board is not None:
        firmware = firmware_files(render, name=names.prefix, core=core, board=board)
    packages = package_files(
        render,
        name=names.prefix,
        core=core,
        sources=sources,
        board=board,
        firmware=firmware or None,
        extra_cflags=cflags,
    )
    return bundle | firmware | packages
