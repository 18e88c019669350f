"""What a build has made -> its record, before compilation: code, stack and totals follow with `with_sizes`."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from mbn2c import __version__
from mbn2c.commands.build_options import BuildOptions
from mbn2c.commands.estimated_time import time_of
from mbn2c.commands.layer_facts import layer_facts
from mbn2c.emit.network.model import Names
from mbn2c.files.typed_json import from_plain, to_plain
from mbn2c.ir.graph import Graph, Node, Port
from mbn2c.ir.kernel import Packed
from mbn2c.ir.plan import Plan, Rows
from mbn2c.kernels import packed_constants
from mbn2c.kernels.sections import bytes_in_sections
from mbn2c.network.inputs import RANDOM_IMAGES
from mbn2c.network.network import MODEL_FLOAT32, Network
from mbn2c.network.recompute import copies
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.ops.base.requantize import GuardedRequantize, Requantize, WideRequantize
from mbn2c.planner.choice import Choice
from mbn2c.planner.cost import (
    bytes_read_by_section,
    executed_macs,
    node_instructions,
    plan_instructions,
)
from mbn2c.quantize.four_bits import candidates, four_bit_layers
from mbn2c.quantize.int16 import int16_layers
from mbn2c.report.layers import LayerFacts
from mbn2c.report.record import (
    DRAWN,
    NOISE,
    PREQUANTIZED,
    SCHEMA,
    BufferFacts,
    BuildFacts,
    BuildRecord,
    CalibrationFacts,
    FlashBytes,
    FoldedFacts,
    FourBitLayer,
    InputFacts,
    Int16Facts,
    Int16Layer,
    LoopFacts,
    ModelFacts,
    PixelFacts,
    QuantizationFacts,
    RamBytes,
    ScratchFacts,
    SectionFacts,
    TimelineFacts,
    TradeOffFacts,
    TriedFacts,
    WeightsPointFacts,
    WorstLayer,
)
from mbn2c.targets import Core
from mbn2c.tasks.protocol import RAW

_WORST_LAYERS = 5
# How finely the live bytes over time are reported: their maximum in so many parts of a loop, for each of its calls.
_BINS_PER_CALL = 8


def build_record(
    options: BuildOptions, network: Network, choice: Choice, names: Names, int8_only: Choice | None = None
) -> BuildRecord:
    """All but stress set, sources and what a compiler tells; int8_only: the network without int16, if it has any."""
    plan, graph = choice.plan, choice.plan.graph
    constants = packed_constants(plan, choice.kernels)
    layers = layer_facts(options, network, choice, constants)
    again = {node.name for node in copies(graph)}
    own = [layer for layer in layers if layer.name not in again]
    macs = sum(layer.macs for layer in own)
    return BuildRecord(
        schema=SCHEMA,
        mbn2c=__version__,
        model=ModelFacts(
            name=graph.name,
            file=names.title,
            sha256=hashlib.sha256(network.models.get(MODEL_FLOAT32, network.int8_model)).hexdigest(),
            int8_sha256=names.digest.hex(),
            macs=macs,
            parameters=sum(layer.parameters for layer in own),
        ),
        target=options.core.name,
        board=options.board.name if options.board else None,
        prefix=names.prefix,
        build=_build_facts(options, network, names),
        input=_input(graph, graph.inputs[0]),
        outputs=tuple(
            {**to_plain(_input(graph, port)), "tail": port.tail, **described}
            for port, described in zip(graph.heads or graph.outputs, network.task.described(), strict=True)
        ),
        ram=_ram(plan, options.core, options.slice is not None),
        flash=_flash(constants, names, choice),
        time=time_of(plan, choice.kernels, options.core, options.board, choice.sections),
        schedule=plan.schedule,
        fit=choice.fit,
        recomputed_macs=executed_macs(plan) - macs,
        layers=layers,
        buffers=_buffers(plan),
        scratch=_scratch(plan),
        timeline=_timeline(plan),
        trade_offs=_trade_offs(choice),
        folded=folded_facts(graph),
        quantization=_quantization(network, layers, _int16(choice, int8_only)),
    )


def is_record_of(record: BuildRecord, choice: Choice) -> bool:
    """Whether what a record says of kernels, buffers and times is what this Plan has."""
    kernels = {layer.name: layer.kernel for layer in record.layers}
    said = (kernels, record.schedule, record.ram.arena_bytes, record.buffers, record.scratch, record.timeline)
    plan, names = choice.plan, {name: kernel.function for name, kernel in choice.kernels.items()}
    return said == (names, plan.schedule, plan.arena_bytes, _buffers(plan), _scratch(plan), _timeline(plan))


# --- what was asked for --------------------------------------------------------------------------


def _build_facts(options: BuildOptions, network: Network, names: Names) -> BuildFacts:
    pixels = network.preprocess
    return BuildFacts(
        calibration=_calibration(options, network),
        given=network.prequantized,
        preprocess=None if pixels is None else PixelFacts(tuple(pixels.mean), tuple(pixels.std)),
        resize=options.resize,
        slice=options.slice,
        weights_in=names.sections,
        one_body=names.one_body,
        prefetch=names.prefetches,
        camera="" if options.camera is None else str(options.camera),
        input=options.input_kind,
        optimize=options.optimize,
        ram_limit=options.ram_limit,
        flash_limit=options.flash_limit,
        labels=names.labels,
        output_kinds=dict(options.output_kinds),
        task=network.task.name,
        task_because=network.task.because,
        is_raw=options.task == RAW,
        anchors="" if options.anchors is None else hashlib.sha256(options.anchors.read_bytes()).hexdigest(),
        box_coder=options.box_coder,
        task_options=network.task.options(),
    )


def _calibration(options: BuildOptions, network: Network) -> CalibrationFacts:
    samples = network.samples
    if network.prequantized is not None:
        return CalibrationFacts(PREQUANTIZED, 0, (), 0, None, None)
    if samples is None:
        return CalibrationFacts(NOISE, RANDOM_IMAGES, (), 0, options.percentile, options.effort)
    return CalibrationFacts(
        DRAWN if network.drawn else "images" if samples.are_pixels else "npz",
        len(samples),
        tuple(samples.folders),
        len(samples.rotated),
        options.percentile,
        options.effort,
        network.drawn,
    )


# --- the network ---------------------------------------------------------------------------------


def _input(graph: Graph, port: Port) -> InputFacts:
    """An output has the same facts."""
    quant = quant_of(graph, port.tensor)
    return InputFacts(port.outside, graph.tensors[port.tensor].shape, float(scale_of(quant)), quant.zero_point)


def folded_facts(graph: Graph) -> FoldedFacts:
    """What the passes noted."""
    counts = Counter(note.kind for note in graph.notes)
    return FoldedFacts(counts["batch_norm"], counts["activation"], counts["padding"], counts["channel"], graph.notes)


def _int16(choice: Choice, int8_only: Choice | None) -> Int16Facts | None:
    if int8_only is None:
        return None
    instructions = [round(plan_instructions(one.plan, one.kernels)) for one in (choice, int8_only)]
    return Int16Facts(
        _int16_costs(choice, int8_only),
        choice.plan.arena_bytes,
        instructions[0],
        int8_only.plan.arena_bytes,
        instructions[1],
    )


def _int16_costs(choice: Choice, int8_only: Choice) -> tuple[Int16Layer, ...]:
    """See `Int16Layer`."""
    graph = choice.plan.graph
    wide, narrow = (node_instructions(one.plan, one.kernels) for one in (choice, int8_only))
    outputs = {node.name: node.outputs[0] for node in graph.nodes if node.name in int16_layers(graph)}
    int16 = set(outputs.values())

    def share(node: Node) -> float:
        touched = int16 & {*node.inputs, *node.outputs}
        return (wide.get(node.name, 0.0) - narrow.get(node.name, 0.0)) / len(touched)

    return tuple(
        Int16Layer(
            name,
            choice.plan.buffers[output].size_bytes - int8_only.plan.buffers[output].size_bytes,
            round(sum(share(node) for node in (graph.producer[output], *graph.consumers[output]))),
        )
        for name, output in outputs.items()
    )


def _quantization(network: Network, layers: tuple[LayerFacts, ...], int16: Int16Facts | None) -> QuantizationFacts:
    paths = _channels_per_path(network.graph)
    known = [(layer.noise_share, layer) for layer in layers if layer.noise_share is not None]
    worst = sorted(known, key=lambda one: -one[0])[:_WORST_LAYERS]
    is_prequantized = network.prequantized is not None
    return QuantizationFacts(
        weights="as given" if is_prequantized else "int8 per output channel, symmetric",
        activations="as given" if is_prequantized else "int8 per tensor, asymmetric",
        int16=int16,
        four_bits=_four_bits(network),
        weights_curve=from_plain(list(network.weights_curve), tuple[WeightsPointFacts, ...]),
        proved_channels=sum(paths.values()),
        channels_per_path=paths,
        tried=from_plain(to_plain(network.tried), tuple[TriedFacts, ...]),
        held_back=network.held_back,
        worst_layers=tuple(
            WorstLayer(one.name, share, one.sqnr_db, one.activation_sqnr_db, one.weights_sqnr_db)
            for share, one in worst
        ),
    )


def _four_bits(network: Network) -> tuple[FourBitLayer, ...]:
    sizes = candidates(network.graph)
    return tuple(
        FourBitLayer(name, sizes[name] // 2, network.four_bits[name]) for name in four_bit_layers(network.graph)
    )


def _channels_per_path(graph: Graph) -> Mapping[str, int]:
    """How many output channels are requantized in which form; all are exact.

    chosen         integers that the exported model spells too, of layers with int16
    guarded        integers, and ONNX Runtime's float32 arithmetic where the result is near a step
    guarded_float  the same for layers that ONNX Runtime sums in float32
    """
    paths: Counter[str] = Counter()
    for node in graph.nodes:
        requantize = getattr(node.attributes, "requantize", None)
        if isinstance(requantize, Requantize):
            paths[requantize.form[0]] += len(requantize.multiplier)
        elif isinstance(requantize, WideRequantize):
            paths["chosen"] += len(requantize.multiplier)
        elif isinstance(requantize, GuardedRequantize):
            paths["guarded_float" if requantize.float_sum else "guarded"] += len(requantize.multiplier)
    return dict(sorted(paths.items()))


# --- the Plan ------------------------------------------------------------------------------------


def _ram(plan: Plan, core: Core, is_sliced: bool) -> RamBytes:
    return RamBytes(
        arena_bytes=plan.arena_bytes,
        context_bytes=plan.context_bytes(core.bits, core.asks_cpu, is_sliced),
        stack_bytes=None,
        total_bytes=None,
        lower_bound_bytes=plan.lower_bound_bytes,
        peak_step=plan.peak_step,
        peak_layer=_peak_layer(plan),
    )


def _peak_layer(plan: Plan) -> str:
    return next((call.node or "input" for call in plan.calls if call.step == plan.peak_step), "")


def _flash(constants: Mapping[int, Packed], names: Names, choice: Choice) -> FlashBytes:
    weights = sum(packed.weight_bytes for packed in constants.values())
    others = sum(packed.size_bytes for packed in constants.values()) - weights
    tables = 0 if names.tables is None else names.tables.size
    sizes = bytes_in_sections(choice.plan, choice.kernels, choice.sections)
    reads = bytes_read_by_section(choice.plan, choice.sections)
    sections = {name: SectionFacts(size, reads[name]) for name, size in sizes.items()}
    return FlashBytes(weights, others + tables, None, None, sum(reads.values()), sections)


def _buffers(plan: Plan) -> tuple[BufferFacts, ...]:
    return tuple(_buffer(plan, name) for name in plan.buffers)


def _scratch(plan: Plan) -> tuple[ScratchFacts, ...]:
    return tuple(
        ScratchFacts(one.step, one.offset, one.size_bytes, one.first_moment, one.last_moment)
        for one in plan.scratch.values()
    )


def _buffer(plan: Plan, name: str) -> BufferFacts:
    buffer = plan.buffers[name]
    return BufferFacts(
        tensor=name,
        offset=buffer.offset,
        size_bytes=buffer.size_bytes,
        slots=buffer.slots,
        rows=buffer.rows,
        strip_columns=buffer.strip_columns,
        first_step=buffer.first_step,
        last_step=buffer.last_step,
        first_moment=buffer.first_moment,
        last_moment=buffer.last_moment,
    )


def _timeline(plan: Plan) -> TimelineFacts:
    bounds = zip(plan.loops, (0, *plan.loop_ends[:-1]), plan.loop_ends, strict=True)
    return TimelineFacts(
        moments=len(plan.live_by_moment),
        peak_moment=plan.live_by_moment.index(max(plan.live_by_moment)),
        loops=tuple(_loop(plan, loop, first, end) for loop, first, end in bounds),
    )


def _loop(plan: Plan, loop: Rows, first: int, end: int) -> LoopFacts:
    bins = min(end - first, _BINS_PER_CALL * len(loop.calls))
    edges = [first + (end - first) * index // bins for index in range(bins + 1)]
    return LoopFacts(
        first_step=loop.calls[0].step,
        last_step=loop.calls[-1].step,
        first_moment=first,
        last_moment=end - 1,
        live_bytes=tuple(max(plan.live_by_moment[low:high]) for low, high in pairwise(edges)),
    )


def _trade_offs(choice: Choice) -> tuple[TradeOffFacts, ...]:
    chosen: tuple[Any, ...] = (choice.plan.loops, choice.plan.buffers)
    return tuple(
        TradeOffFacts(
            arena_bytes=point.plan.arena_bytes,
            instructions=round(point.instructions),
            weight_bytes_read=sum(bytes_read_by_section(point.plan, {}).values()),
            loops=len(point.plan.loops),
            layerwise=len(point.plan.loops) == len(choice.plan.graph.nodes),
            peak_layer=_peak_layer(point.plan),
            chosen=(point.plan.loops, point.plan.buffers) == chosen,
        )
        for point in choice.curve
    )
