"""Float and int8 Graph -> which activations are int16: those that the user names, or those worth their RAM.

What rounding an activation to 8 bits adds to the noise at the outputs is known (`quality.noise_shares`), how many bytes
it keeps alive and when, and, of two Plans, what its maker and readers take more with int16. First comes the activation
whose share of the noise that is left is largest beside what it adds to the instructions, as long as it pays and the
fullest moment stays within the limit. Then a Plan of the network with them is made: if that is larger, the least
useful activation alive at its fullest moment goes; if it leaves room, more are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from mbn2c.errors import FitError, QuantError, UsageError
from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Plan
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.quants import quant_of

AUTO = "auto"
# How much more RAM the arena may take, as a share of what it takes in int8.
MOST_RAM_GROWTH = 0.15
# Of the noise of all activations at the outputs: less is not worth a slower kernel.
_LEAST_SHARE = 0.005
# Of the noise that is left, a share this many times as large as that of the instructions so far must go.
_LEAST_GAIN = 3.0
# Plans made before the rest is given up.
_MOST_PLANS = 12


@dataclass(frozen=True)
class Planned:
    """A Plan, and what it takes.

    instructions  of one inference by the name of the node they are for, as the planner estimates
    flash_bytes   constants, and code as far as it is known before compilation; 0 where nobody asks
    """

    plan: Plan
    instructions: Mapping[str, float]
    flash_bytes: int = 0


PlanOf = Callable[[Graph], Planned]
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
    """The activations that take most noise away for their instructions, for at most `growth` more RAM.

    plan_of  as the network will be planned
    """

    def choose(graph: Graph, int8_graph: Graph, shares: Mapping[str, float], graph_with: GraphWith) -> frozenset[str]:
        planned = plan_of(int8_graph)
        plan, limit = planned.plan, int(planned.plan.arena_bytes * (1 + growth))
        worth = {name: share for name, share in shares.items() if share >= _LEAST_SHARE and may_be_int16(graph, name)}
        costs = _Costs(graph, worth, planned.instructions, _instructions_more(planned, plan_of, graph_with, worth))
        left, chosen = set(worth), frozenset[str]()
        for _ in range(_MOST_PLANS):
            added = _within_live_bytes(plan, costs, left, chosen, limit)
            if not added:
                break
            try:
                wide = plan_of(graph_with(chosen | added)).plan
            except (FitError, QuantError):
                left.remove(min(sorted(added), key=lambda name: worth[name]))
                continue
            if wide.arena_bytes <= limit:
                # Another plan, whose fullest moment may leave room for more.
                chosen, plan = chosen | added, wide
                left -= chosen
            else:
                left.remove(_least_useful(wide, added, worth))
        return chosen

    return choose


def _instructions_more(
    planned: Planned, plan_of: PlanOf, graph_with: GraphWith, names: Iterable[str]
) -> Mapping[str, float]:
    """What each node takes more if all of these activations are int16; nothing where they cannot be it together."""
    try:
        wide = plan_of(graph_with(frozenset(names))).instructions
    except (FitError, QuantError):
        return {}
    return {name: max(0.0, wide.get(name, 0.0) - before) for name, before in planned.instructions.items()}


@dataclass(frozen=True)
class _Costs:
    """shares        of the activations that may be int16 in the noise at the outputs
    instructions  of each node in int8
    more          what int16 adds to them
    """

    graph: Graph
    shares: Mapping[str, float]
    instructions: Mapping[str, float]
    more: Mapping[str, float]

    def gain(self, name: str, chosen: Set[str]) -> float:
        """By which factor the share of the noise that an activation takes away, of what these leave, is above that of
        the instructions that it adds."""
        wide = self._touched(chosen)
        added = sum(self.more.get(node, 0.0) for node in self._touched({name}) - wide)
        so_far = sum(self.instructions.values()) + sum(self.more.get(node, 0.0) for node in wide)
        noise = 1.0 - sum(self.shares[one] for one in chosen)
        return self.shares[name] / max(noise, self.shares[name]) / max(added / so_far, 1e-6)

    def _touched(self, names: Iterable[str]) -> Set[str]:
        """The nodes that make and read them."""
        return {node.name for one in names for node in (self.graph.producer[one], *self.graph.consumers[one])}


def _within_live_bytes(plan: Plan, costs: _Costs, names: Set[str], taken: Set[str], limit: int) -> Set[str]:
    """Of these int8 activations those worth their instructions that leave the fullest moment below the limit: each
    lives as long as in the Plan, and takes as much again.

    taken  activations that are int16 already
    """
    live = np.array(plan.live_by_moment, np.int64)
    chosen: set[str] = set()
    while True:
        best: tuple[float, str, np.ndarray] | None = None
        for name in sorted(names - chosen):
            gain, buffer = costs.gain(name, taken | chosen), plan.buffers[name]
            more = live.copy()
            more[buffer.first_moment : buffer.last_moment + 1] += buffer.size_bytes
            if gain >= _LEAST_GAIN and more.max() <= limit and (best is None or gain > best[0]):
                best = gain, name, more
        if best is None:
            return chosen
        _, name, live = best
        chosen.add(name)


def _least_useful(plan: Plan, chosen: Set[str], worth: Mapping[str, float]) -> str:
    """Of what is alive at the fullest moment, or of all if nothing is, the activation that gains least per byte."""
    fullest = int(np.argmax(plan.live_by_moment))
    buffers = {name: plan.buffers[name] for name in sorted(chosen)}
    alive = [name for name, one in buffers.items() if one.first_moment <= fullest <= one.last_moment]
    return min(alive or buffers, key=lambda name: worth[name] / buffers[name].size_bytes)


def int16_layers(graph: Graph) -> tuple[str, ...]:
    """The layers of a quantized Graph whose output is int16, in order."""
    return tuple(node.name for node in graph.nodes if quant_of(graph, node.outputs[0]).bits == 16)
