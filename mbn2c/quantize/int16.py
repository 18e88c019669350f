"""Float and int8 Graph -> which activations are int16: those that the user names, or those worth their RAM.

What rounding an activation to 8 bits adds to the noise at the outputs is known (`quality.noise_shares`), and so is how
many bytes it keeps alive and when. Activations are taken in the order of that noise as long as the fullest moment
stays within the limit; then a Plan of the network with them is made. If that is larger, the least useful activation
alive at its fullest moment goes; if it leaves room, more are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set

import numpy as np

from mbn2c.errors import FitError, QuantError, UsageError
from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Plan
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.operator import quant_of

AUTO = "auto"
# How much more RAM the arena may take, as a share of what it takes in int8.
MOST_RAM_GROWTH = 0.15
# Of the noise of all activations at the outputs: less is not worth a slower kernel.
_LEAST_SHARE = 0.005
# Plans made before the rest is given up.
_MOST_PLANS = 12

PlanOf = Callable[[Graph], Plan]
# Which activations shall be int16 -> the int8 Graph with these.
GraphWith = Callable[[frozenset[str]], Graph]
# float Graph, int8 Graph, the share of each activation in the noise at the outputs -> names of activations
ChooseInt16 = Callable[[Graph, Graph, Mapping[str, float], GraphWith], frozenset[str]]


def may_be_int16(graph: Graph, tensor: str) -> bool:
    """Whether an activation is inside the network, and who makes and reads it takes int16."""
    maker = graph.producer.get(tensor)
    if maker is None or graph.is_output(tensor):
        return False
    return all(OPERATORS[node.op].takes_int16(node) for node in (maker, *graph.consumers[tensor]))


def named(layers: Sequence[str]) -> ChooseInt16:
    """The outputs of the layers with these names.

    raises  UsageError, when asked, for a name that no layer has, and for a layer whose output cannot be int16
    """

    def choose(graph: Graph, int8_graph: Graph, shares: Mapping[str, float], graph_with: GraphWith) -> frozenset[str]:
        outputs = {node.name: node.outputs[0] for node in graph.nodes}
        for layer in layers:
            if layer not in outputs:
                names = ", ".join(list(outputs)[:5])
                raise UsageError(f"no layer '{layer}'", where="--int16", hint=f"`inspect` lists them: {names}, ...")
            if not may_be_int16(graph, outputs[layer]):
                raise UsageError(_why_not(graph, layer, outputs[layer]), where="--int16", hint="leave it in int8")
        return frozenset(outputs[layer] for layer in layers)

    return choose


def _why_not(graph: Graph, layer: str, tensor: str) -> str:
    if graph.is_output(tensor):
        return f"layer '{layer}' makes an output of the network, which is int8"
    touching = (graph.producer[tensor], *graph.consumers[tensor])
    stuck = next(node for node in touching if not OPERATORS[node.op].takes_int16(node))
    return f"the output of layer '{layer}' cannot be int16: {stuck.op} ('{stuck.name}') takes int8 only"


def within_ram(plan_of: PlanOf, growth: float = MOST_RAM_GROWTH) -> ChooseInt16:
    """The activations that take most noise away, for at most `growth` more RAM; plan_of: as it will be planned."""

    def choose(graph: Graph, int8_graph: Graph, shares: Mapping[str, float], graph_with: GraphWith) -> frozenset[str]:
        plan = plan_of(int8_graph)
        limit = int(plan.arena_bytes * (1 + growth))
        worth = {name: share for name, share in shares.items() if share >= _LEAST_SHARE and may_be_int16(graph, name)}
        left = sorted(worth, key=lambda name: -worth[name])
        chosen: frozenset[str] = frozenset()
        for _ in range(_MOST_PLANS):
            added = _within_live_bytes(plan, left, limit)
            if not added:
                break
            try:
                wide = plan_of(graph_with(chosen | added))
            except (FitError, QuantError):
                left.remove(min(added, key=lambda name: worth[name]))
                continue
            if wide.arena_bytes <= limit:
                # Another plan, whose fullest moment may leave room for more.
                chosen, plan = chosen | added, wide
                left = [name for name in left if name not in chosen]
            else:
                left.remove(_least_useful(wide, added, worth))
        return chosen

    return choose


def _within_live_bytes(plan: Plan, names: Sequence[str], limit: int) -> Set[str]:
    """Of these int8 activations, in order, those that leave the fullest moment below the limit: each lives as long as
    in the Plan, and takes as much again."""
    live = np.array(plan.live_by_moment, np.int64)
    chosen: set[str] = set()
    for name in names:
        buffer = plan.buffers[name]
        more = np.zeros_like(live)
        more[buffer.first_moment : buffer.last_moment + 1] = buffer.size_bytes
        if (live + more).max() <= limit:
            live = live + more
            chosen.add(name)
    return chosen


def _least_useful(plan: Plan, chosen: Set[str], worth: Mapping[str, float]) -> str:
    """Of what is alive at the fullest moment, or of all if nothing is, the activation that gains least per byte."""
    fullest = int(np.argmax(plan.live_by_moment))
    buffers = {name: plan.buffers[name] for name in sorted(chosen)}
    alive = [name for name, one in buffers.items() if one.first_moment <= fullest <= one.last_moment]
    return min(alive or buffers, key=lambda name: worth[name] / buffers[name].size_bytes)


def int16_layers(graph: Graph) -> tuple[str, ...]:
    """The layers of a quantized Graph whose output is int16, in order."""
    return tuple(node.name for node in graph.nodes if quant_of(graph, node.outputs[0]).bits == 16)
