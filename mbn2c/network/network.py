"""Model file and images -> an int8 Graph that equals ONNX Runtime on every tensor, and what is known of its quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from mbn2c.errors import InternalError, UsageError
from mbn2c.frontend import import_model, model_bytes
from mbn2c.frontend.export import to_onnx_float, to_onnx_int8
from mbn2c.frontend.prequantized.model import PrequantizedModel, import_prequantized, is_prequantized
from mbn2c.frontend.runtime import Oracle
from mbn2c.ir.check import check
from mbn2c.ir.graph import Graph
from mbn2c.ir.limits import refuse_long_plans
from mbn2c.network.checks import CHECKED_IMAGES, Sqnr, compare_float, compare_with_oracle
from mbn2c.network.estimated import estimate
from mbn2c.network.inputs import Inputs, input_spec, quantize_input
from mbn2c.network.int8_oracle import PrequantizedFacts, PrequantizedOracle
from mbn2c.network.pixels import preprocess_of
from mbn2c.network.real_values import runner
from mbn2c.network.recompute import fits_when, recompute, recompute_to_fit
from mbn2c.ops import OPERATORS
from mbn2c.passes import run_passes
from mbn2c.passes.fold_pad import fold_pad
from mbn2c.passes.limit_outputs import limit_outputs
from mbn2c.passes.recognise_operators import recognise_operators
from mbn2c.progress import Progress
from mbn2c.quantize.calibrate import Range, calibrate
from mbn2c.quantize.four_bits import (
    ChooseFourBits,
    four_bit_noise,
    where_they_cost_little,
    wherever_they_may,
    within_flash,
)
from mbn2c.quantize.int16 import AUTO, ChooseInt16, PlanOf, named, within_ram
from mbn2c.quantize.judge import judge
from mbn2c.quantize.quality import activation_noise, activation_shares, noise_shares, weights_sqnr
from mbn2c.quantize.quantize import quantize
from mbn2c.quantize.recipe import Recipe
from mbn2c.quantize.reconstruct import Fit
from mbn2c.quantize.search import Found, Images, search
from mbn2c.reference.run_graph import run_graph
from mbn2c.tasks.camera import Camera
from mbn2c.tasks.detection.anchors import GivenAnchors, given_anchors
from mbn2c.tasks.images import Samples, evenly_spaced
from mbn2c.tasks.inputs import InputSpec, Preprocess
from mbn2c.tasks.protocol import RAW, HeldBack, Json, Limits, Task
from mbn2c.tasks.registry import task_of_graph

RANDOM = "random"
# What `NetworkOptions.weights` may say besides "auto".
WEIGHTS_8, WEIGHTS_4 = "8", "4"
MODEL_INT8, MODEL_FLOAT32 = "model.int8.onnx", "model.float32.onnx"
# Only for a prequantized model: what ONNX Runtime makes of it, whose inner tensors are compared.
MODEL_FUSED = "model.fused.onnx"
# Images on which the noise of every tensor is followed to the outputs.
_COSTED_IMAGES = 3
# Images a quantization is searched with at most, evenly spaced over all that are given.
_SEARCH_IMAGES = 256


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """What a network is made from.

    calib       images folder, .npz, or "random"; None: of a float model, drawn images
    preprocess  None where the calibration needs none, or the file says it
    percentile  100 lets the range method be searched
    effort      how long to look for a better quantization, one of `quantize.search.EFFORTS`
    input_kind  "int8" or "uint8": what the device's input rows hold
    max_drop    percent of accuracy that int8 may lose on images held back, with 95 % confidence; None: no gate
    calib_labels  CSV with the classes of the calibration images
    min_sqnr    dB that each output must have against the float model on images held back; None: no gate
    output_kinds  what the user says of an output, by name: one of `tasks.registry.all_kinds`
    task          name of the task, or RAW; "": as found
    task_options  what the user says of the task, by name
    anchors       .npy of a detector whose file has none
    box_coder     what its offsets and scores mean, one of `tasks.detection.anchors.BOX_CODERS`; "" without anchors
    recompute     percent of the multiply-accumulates that may be executed twice for less RAM; None: as few as make the
                  network fit where it would not otherwise
    camera        whose rows the device takes, too, and through which image files are read; None: none
    int16         names of layers whose outputs are int16, or ("auto",): those that are worth their RAM
    weights       "8": all have eight bits; "4": four wherever they may; "auto": four where flash is short, or where no
                  limit is set and it costs little; "": as "8", unless the board's flash is too small
    flash_limit   bytes of flash for the network in all
    """

    model: Path
    calib: str | None = None
    calib_limit: int | None = None
    preprocess: Preprocess | None = None
    resize: str = "crop"
    percentile: float = 100.0
    effort: str = "default"
    input_kind: str = "int8"
    max_drop: float | None = None
    calib_labels: Path | None = None
    min_sqnr: float | None = None
    output_kinds: Mapping[str, str] = field(default_factory=dict)
    int16: tuple[str, ...] = ()
    weights: str = ""
    flash_limit: int | None = None
    task: str = ""
    task_options: Mapping[str, float] = field(default_factory=dict)
    anchors: Path | None = None
    box_coder: str = ""
    recompute: float | None = None
    camera: Camera | None = None


@dataclass(frozen=True)
class Network:
    """An int8 network, checked against ONNX Runtime.

    task     what its outputs mean
    models   what goes into the output folder, by file name
    samples  calibration images, those that were drawn among them; None for noise
    preprocess  as the user says, else as the network's statistics say; None: nobody knows
    drawn    how drawn images were preprocessed, and why; "" where the images are the user's
    sqnr     dB by tensor; empty without a float model
    costs    share of each layer's rounding in the noise at the outputs
    held_back  `HeldBack` as JSON, and what the task says of it; None where nothing was held back
    prequantized  `PrequantizedFacts` as JSON for a prequantized model
    tried    quantization methods that were tried, for the report
    weights_sqnr  dB by layer
    int8_only  about what the Graph would be without int16, for its size; None if it has none
    four_bits  the layers whose weights have four bits, and what each adds to the noise of all activations, which is 1
    """

    graph: Graph
    task: Task
    models: Mapping[str, bytes]
    samples: Samples | None
    sqnr: Sqnr
    preprocess: Preprocess | None = None
    drawn: str = ""
    costs: Mapping[str, float] = field(default_factory=dict)
    held_back: Json | None = None
    prequantized: Mapping[str, object] | None = None
    tried: tuple[Mapping[str, object], ...] = ()
    weights_sqnr: Mapping[str, float | None] = field(default_factory=dict)
    int8_only: Graph | None = None
    four_bits: Mapping[str, float] = field(default_factory=dict)

    @property
    def int8_model(self) -> bytes:
        """The bytes of the int8 ONNX file."""
        return self.models[MODEL_INT8]


def read_network(
    options: NetworkOptions, labels: Sequence[str], progress: Progress, plan_of: PlanOf | None = None
) -> Network:
    """The int8 network of a float model or of a prequantized one.

    labels   class names; empty: not known
    plan_of  int8 Graph -> how it will be planned; `int16` "auto" asks how much RAM it takes, a limit how much flash,
             and `recompute` None whether it fits

    raises  Mbn2cError subclasses; see the exit codes in `errors`
    """
    # One thread for numpy's products: threads that wait for each other cost more than they save on matrices of this
    # size, and sums would be rounded another way on a machine with more cores.
    with threadpool_limits(limits=1, user_api="blas"):
        if is_prequantized(options.model):
            return _prequantized_network(options, labels, progress)
        bits = _Bits(_int16(options, plan_of), _four_bits(options, plan_of))
        return _own_network(options, labels, progress, bits, plan_of)


def _int16(options: NetworkOptions, plan_of: PlanOf | None) -> ChooseInt16 | None:
    """Who says which activations are int16; None: nobody, all are int8."""
    if options.int16 != (AUTO,):
        return named(options.int16) if options.int16 else None
    assert plan_of is not None, "nobody says what a plan takes"
    return within_ram(plan_of)


def _four_bits(options: NetworkOptions, plan_of: PlanOf | None) -> ChooseFourBits | None:
    """Who says which layers' weights have four bits; None: nobody, all have eight."""
    if options.weights in (WEIGHTS_8, WEIGHTS_4):
        return wherever_they_may if options.weights == WEIGHTS_4 else None
    if options.flash_limit is not None:
        assert plan_of is not None, "nobody says what a plan takes"
        return within_flash(plan_of, options.flash_limit)
    return where_they_cost_little if options.weights == AUTO else None


@dataclass(frozen=True)
class _Bits:
    """Who says which activations are int16, and which layers' weights have four bits; None: nobody."""

    int16: ChooseInt16 | None
    four_bits: ChooseFourBits | None


def import_lowered(model: Path, anchors: GivenAnchors | None = None, task: str = "") -> Graph:
    """The float Graph of an ONNX file after all passes; arguments and errors as of `import_model`."""
    return run_passes(import_model(model, anchors, task))


def import_prequantized_lowered(model: Path) -> PrequantizedModel:
    """A prequantized model; its Graph after all passes, with every scale as it was."""
    found = import_prequantized(model)
    graph = recognise_operators(fold_pad(found.graph))
    return replace(found, graph=refuse_long_plans(check(graph, "quantized", OPERATORS)))


def _own_network(
    options: NetworkOptions, labels: Sequence[str], progress: Progress, bits: _Bits, plan_of: PlanOf | None
) -> Network:
    """A float model, quantized."""
    anchors = given_anchors(options.anchors, options.box_coder)
    imported = import_model(options.model, anchors, options.task)
    graph = run_passes(imported)
    spec = input_spec(graph, options.camera)
    options = replace(options, preprocess=preprocess_of(imported, spec, options.preprocess))
    float_model = model_bytes(options.model, anchors is not None, graph)
    task = task_of_graph(graph, options.output_kinds, len(labels)).with_options(options.task_options)
    task.check_class_names(labels)
    samples = _open_calibration(options, task, spec)
    _check_preprocess(options, spec, samples)
    limits = Limits(options.max_drop, options.min_sqnr)
    _check_gates(options, limits, labels, samples, task)
    drawn = estimate(imported, spec, options.preprocess) if options.calib is None else None
    preprocess, samples = (drawn.preprocess, drawn.samples) if drawn else (options.preprocess, samples)
    inputs = Inputs(spec, preprocess or Preprocess(), samples)
    least = {graph.inputs[0].tensor: drawn.input_range} if drawn else {}
    found = _quantize(options, graph, task, inputs, least, float_model, progress, bits)
    batch = np.concatenate([spec.to_nhwc(values) for values in inputs.first(_COSTED_IMAGES)])
    costs = noise_shares(found.float_graph, found.graph, batch)
    held_back = None if drawn else _held_back(options, limits, labels, task, graph, inputs, found, progress)
    if held_back is not None:
        task.check_held_back(held_back, limits, costs)
    int8_graph = _recomputed(found.graph, options.recompute, task, plan_of)
    int8_model = to_onnx_int8(int8_graph)
    sqnr = compare_with_oracle(found.float_graph, int8_graph, int8_model, inputs)
    return Network(
        task.on_device(int8_graph),
        task,
        {MODEL_INT8: int8_model, MODEL_FLOAT32: float_model},
        samples,
        sqnr,
        preprocess,
        drawn.words if drawn else "",
        costs,
        held_back,
        tried=tuple(one.as_json() for one in found.tried),
        weights_sqnr=weights_sqnr(found.float_graph, found.graph),
        int8_only=found.int8_only,
        four_bits=found.four_bits,
    )


def _recomputed(graph: Graph, percent: float | None, task: Task, plan_of: PlanOf | None) -> Graph:
    """The Graph, with layers computed twice as `NetworkOptions.recompute` says."""
    if percent is not None:
        return recompute(graph, percent / 100)
    if plan_of is None:
        return graph
    return recompute_to_fit(graph, lambda again: fits_when(plan_of, task.on_device(again)))


def _prequantized_network(options: NetworkOptions, labels: Sequence[str], progress: Progress) -> Network:
    """A prequantized model: its scales are kept, and images only serve to compare with ONNX Runtime."""
    found = import_prequantized_lowered(options.model)
    graph = found.graph
    if options.task not in ("", RAW) or options.anchors is not None:
        option = "--anchors" if options.anchors is not None else f"--task {options.task}"
        raise UsageError(
            f"{option} reads how a float file ends, and this model is prequantized",
            where=str(options.model),
            hint="build the float model, or take the maps as they are (--task raw)",
        )
    spec, task = input_spec(graph, options.camera), task_of_graph(graph, options.output_kinds, len(labels))
    task = task.with_options(options.task_options)
    task.check_class_names(labels)
    for option, what, is_given in (
        ("--int16", "activations are", bool(options.int16)),
        ("--weights", "weights are", options.weights not in ("", WEIGHTS_8)),
    ):
        if is_given:
            raise UsageError(
                f"{option} chooses how {what} quantized, and this model is prequantized",
                where=str(options.model),
                hint=f"build without {option}, or from the float model",
            )
    if options.max_drop is not None or options.calib_labels is not None or options.min_sqnr is not None:
        gate = "--max-drop" if options.min_sqnr is None else "--min-sqnr"
        raise UsageError(
            f"{gate} compares with the float model, and this model is prequantized",
            where=str(options.model),
            hint=f"build without {gate}, or from the float model",
        )
    if options.recompute:
        hint = "build without --recompute, or from the float model"
        raise UsageError("--recompute changes the exported model, and this one is prequantized", hint=hint)
    samples = _open_calibration(options, task, spec)
    _check_preprocess(options, spec, samples)
    facts = PrequantizedFacts(found.input_type, found.probes)
    oracle = PrequantizedOracle(graph, found.model, found.fused, facts)
    inputs = Inputs(spec, options.preprocess or Preprocess(), samples, oracle)
    for values in progress(inputs.first(CHECKED_IMAGES), "compare", min(CHECKED_IMAGES, len(inputs))):
        reference = run_graph(graph, {graph.inputs[0].tensor: quantize_input(graph, spec, values)})
        for where, count in oracle.compare(values, reference).differing.items():
            raise InternalError(
                f"the integer reference differs from ONNX Runtime in {count} bytes",
                where=where,
                hint="this is a bug in mbn2c, or a CPU on which ONNX Runtime saturates; `make test` tells",
            )
    models = {MODEL_INT8: found.model, MODEL_FUSED: found.fused}
    return Network(graph, task, models, samples, Sqnr(), options.preprocess, prequantized=facts.to_json())


def _open_calibration(options: NetworkOptions, task: Task, spec: InputSpec) -> Samples | None:
    if options.calib in (None, RANDOM):
        if options.calib_limit is not None:
            raise UsageError("--calib-limit needs images", hint="--calib FOLDER, or leave it out")
        return None
    return task.open_samples(Path(options.calib), spec, resize=options.resize, limit=options.calib_limit)


def _check_gates(
    options: NetworkOptions, limits: Limits, class_names: Sequence[str], samples: Samples | None, task: Task
) -> None:
    for gate, limit in (("--max-drop", limits.max_drop), ("--min-sqnr", limits.min_sqnr)):
        if limit is not None and samples is None:
            raise UsageError(f"{gate} needs images", hint="--calib FOLDER; part of them is held back to measure with")
    task.check_limits(limits)
    if options.calib_labels is not None and options.max_drop is None:
        raise UsageError("--calib-labels serves --max-drop only", hint="give both, or neither")
    if options.calib_labels is not None and samples is not None:
        task.find_labels(samples.names, samples.folders, options.calib_labels, class_names)


def _check_preprocess(options: NetworkOptions, spec: InputSpec, samples: Samples | None) -> None:
    hint = "--preprocess unit, pm1 or imagenet, or --mean and --std: what the model was trained with"
    if samples is not None and samples.are_pixels and options.preprocess is None:
        raise UsageError("how the model wants its pixels is not given", where=str(options.calib), hint=hint)
    if options.camera is not None and options.input_kind != "uint8":
        raise UsageError("a camera's rows become bytes, and the input is int8", hint="--input uint8 with --camera")
    if options.camera is not None and spec.channels not in (1, 3):
        raise UsageError(f"no camera gives {spec.channels} channels", hint="leave --camera out")
    if options.input_kind == "uint8" and options.preprocess is None:
        raise UsageError("--input uint8 needs the preprocessing the device shall do", hint=hint)
    if options.preprocess is not None:
        options.preprocess.check_channels(spec.channels)


def _quantize(
    options: NetworkOptions,
    graph: Graph,
    task: Task,
    inputs: Inputs,
    least: Mapping[str, Range],
    float_model: bytes,
    progress: Progress,
    bits: _Bits,
) -> Found:
    compare_float(graph, Oracle(to_onnx_float(graph)), Oracle(float_model), inputs)
    graph = check(limit_outputs(graph, list(map(task.telling, range(len(graph.outputs))))), "lowered", OPERATORS)
    if inputs.samples is None:
        # Noise says nothing about accuracy, so there is nothing to search.
        activations = [name for name, tensor in graph.tensors.items() if tensor.data is None]
        ranges = calibrate(graph, runner(graph, activations), inputs, options.percentile)
        batch = np.concatenate(list(map(inputs.spec.to_nhwc, inputs.first(1))))
        return _quantize_on_noise(graph, ranges, batch, bits, progress)
    chosen = evenly_spaced(len(inputs.samples), _SEARCH_IMAGES)
    values = [inputs.samples[position].model_input(inputs.spec, inputs.preprocess) for position in chosen]
    images = Images(values, inputs.spec.to_nhwc, least)
    found = search(
        graph, images, task, options.effort, options.percentile, runner, progress, bits.int16, bits.four_bits
    )
    check(found.graph, "quantized", OPERATORS)
    return found


def _quantize_on_noise(
    graph: Graph, ranges: Mapping[str, Range], batch: np.ndarray, bits: _Bits, progress: Progress
) -> Found:
    """Weights to nearest; batch: float32 NHWC, one image of noise."""
    int16: frozenset[str] = frozenset()
    int8_graph = quantize(graph, ranges)
    if bits.int16 is not None:
        shares = activation_shares(graph, int8_graph, batch)
        int16 = bits.int16(graph, int8_graph, shares, lambda names: quantize(graph, ranges, names))
    made, noise = quantize(graph, ranges, int16), {}
    if bits.four_bits is not None:
        total = sum(activation_noise(graph, int8_graph, batch).values())
        noise_of = cache(lambda: four_bit_noise(graph, batch, Fit(), total, progress))
        names = bits.four_bits(made, noise_of, lambda names: quantize(graph, ranges, int16, names))
        made = quantize(graph, ranges, int16, names)
        noise = {name: noise_of()[name] for name in sorted(names)}
    quantized = check(made, "quantized", OPERATORS)
    return Found(graph, quantized, Recipe(int16=int16), (), int8_only=int8_graph if int16 else None, four_bits=noise)


def _held_back(
    options: NetworkOptions,
    limits: Limits,
    class_names: Sequence[str],
    task: Task,
    graph: Graph,
    inputs: Inputs,
    found: Found,
    progress: Progress,
) -> Json | None:
    """The answers on images that the network was made without; with a gate, also on those --calib-limit left out.

    graph  the user's float Graph, what int8 is compared with
    """
    samples = inputs.samples
    if samples is None:
        return None
    chosen = evenly_spaced(len(samples), _SEARCH_IMAGES)
    names, judged = [samples.names[chosen[one.image]] for one in found.judged], list(found.judged)
    if limits != Limits():
        everything = task.open_samples(Path(str(options.calib)), inputs.spec, resize=options.resize)
        used = set(evenly_spaced(len(everything), options.calib_limit))
        others = [position for position in range(len(everything)) if position not in used]
        ports = [port.tensor for port in found.graph.outputs]
        run_float, run_int8 = runner(graph, ports), runner(found.graph, ports)
        for position in progress(others, "judge", len(others)):
            values = everything[position].model_input(inputs.spec, inputs.preprocess)
            names.append(everything.names[position])
            judged.append(judge(position, task, ports, run_float(values), run_int8(values)))
    labels = task.find_labels(names, samples.folders, options.calib_labels, class_names)
    records = [one.record for one in judged]
    return HeldBack(records, labels, found.folds, len(judged) - len(found.judged)).to_json(task)
