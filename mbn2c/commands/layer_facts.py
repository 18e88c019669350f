"""What a build knows of each layer, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping

from mbn2c.commands.build_options import BuildOptions
from mbn2c.commands.estimated_time import timed
from mbn2c.ir.kernel import Packed
from mbn2c.ir.plan import Call
from mbn2c.network.network import Network
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.planner.choice import Choice
from mbn2c.planner.cost import Surroundings, call_instructions, surroundings_of, weight_bytes_read
from mbn2c.quantize.calibrate import Observed
from mbn2c.report.layers import LayerFacts, SeenFacts

# Parts of a histogram of what a layer makes: a picture needs no more.
_BINS = 32


def layer_facts(
    options: BuildOptions, network: Network, choice: Choice, constants: Mapping[int, Packed]
) -> tuple[LayerFacts, ...]:
    """Of all steps but the input's, in their order; constants: by step, as they lie in flash."""
    around = surroundings_of(choice.plan, choice.kernels)
    return tuple(
        _layer(options, network, choice, call, around, constants.get(call.step))
        for call in choice.plan.calls
        if call.node
    )


def _layer(
    options: BuildOptions,
    network: Network,
    choice: Choice,
    call: Call,
    around: Surroundings,
    packed: Packed | None,
) -> LayerFacts:
    plan, graph = choice.plan, choice.plan.graph
    node, quant = graph.producer[call.write], quant_of(graph, call.write)
    operator = OPERATORS[node.op]
    activations = operator.activations(node, graph)
    steps = {one.write: one.step for one in plan.calls}
    low, high = ((end - quant.zero_point) * float(scale_of(quant)) for end in (quant.lowest, quant.highest))
    read = weight_bytes_read(call, graph)
    reads = {choice.sections.get(call.node, ""): read}
    time = timed(call_instructions(call, around), options.core, options.board, reads)
    return LayerFacts(
        step=call.step,
        name=node.name,
        op=node.op,
        kernel=choice.kernels[node.name].function,
        reads=tuple(steps[name] for name in activations),
        inputs=tuple(graph.tensors[name].shape for name in activations),
        output=graph.tensors[call.write].shape,
        macs=operator.macs(node, graph),
        parameters=operator.parameters(node, graph),
        instructions=time.instructions,
        cycles=time.cycles,
        ms=time.ms,
        live_bytes=plan.live_bytes[call.step],
        weight_bytes=packed.size_bytes if packed else 0,
        weight_bytes_read=read if packed and packed.weight_bytes else 0,
        scale=float(scale_of(quant)),
        zero_point=quant.zero_point,
        low=low,
        high=high,
        seen=_seen(network.observed.get(call.write), low, high),
        sqnr_db=network.sqnr.total.get(call.write),
        activation_sqnr_db=network.sqnr.rounding.get(call.write),
        weights_sqnr_db=network.weights_sqnr.get(node.name),
        noise_share=network.costs.get(node.name),
    )


def _seen(values: Observed | None, low: float, high: float) -> SeenFacts | None:
    if values is None:
        return None
    shares = tuple(int(share) for share in values.shares(_BINS))
    return SeenFacts(values.low, values.high, shares, round(values.beyond(low, high), 6))
