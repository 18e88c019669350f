"""A float model -> its int8 network: quantized, judged on images held back, compared with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np

from mbn2c.errors import UsageError
from mbn2c.frontend import import_model, model_bytes
from mbn2c.frontend.export import to_onnx_float, to_onnx_int8
from mbn2c.frontend.runtime import Oracle
from mbn2c.ir.check import check
from mbn2c.ir.graph import Graph
from mbn2c.network.bits import Bits
from mbn2c.network.calibration import check_preprocess, open_calibration
from mbn2c.network.checks import compare_float, compare_with_oracle
from mbn2c.network.estimated import estimate
from mbn2c.network.inputs import Inputs, input_spec
from mbn2c.network.network import MODEL_FLOAT32, MODEL_INT8, Network
from mbn2c.network.options import NetworkOptions
from mbn2c.network.pixels import preprocess_of
from mbn2c.network.real_values import runner
from mbn2c.network.recompute import fits_when, recompute, recompute_to_fit
from mbn2c.ops import OPERATORS
from mbn2c.passes import run_passes
from mbn2c.passes.limit_outputs import limit_outputs
from mbn2c.progress import Progress
from mbn2c.quantize.calibrate import Range, calibrate
from mbn2c.quantize.four_bits import four_bit_noise
from mbn2c.quantize.images import Images
from mbn2c.quantize.int16 import PlanOf
from mbn2c.quantize.judge import judge
from mbn2c.quantize.quality import activation_noise, activation_shares, noise_shares, weights_sqnr
from mbn2c.quantize.quantize import quantize
from mbn2c.quantize.recipe import Recipe
from mbn2c.quantize.reconstruct import Fit
from mbn2c.quantize.search import Found, search
from mbn2c.tasks.detection.anchors import given_anchors
from mbn2c.tasks.images import Samples, evenly_spaced
from mbn2c.tasks.inputs import Preprocess
from mbn2c.tasks.protocol import HeldBack, Json, Limits, Task
from mbn2c.tasks.registry import task_of_graph

# Images on which the noise of every tensor is followed to the outputs.
_COSTED_IMAGES = 3
# Images a quantization is searched with at most, evenly spaced over all that are given.
_SEARCH_IMAGES = 256


def float_network(
    options: NetworkOptions, labels: Sequence[str], progress: Progress, bits: Bits, plan_of: PlanOf | None
) -> Network:
    """As `read_network` says."""
    anchors = given_anchors(options.anchors, options.box_coder)
    imported = import_model(options.model, anchors, options.task)
    graph = run_passes(imported)
    spec = input_spec(graph, options.camera)
    options = replace(options, preprocess=preprocess_of(imported, spec, options.preprocess))
    float_model = model_bytes(options.model, anchors is not None, graph)
    task = task_of_graph(graph, options.output_kinds, len(labels)).with_options(options.task_options)
    task.check_class_names(labels)
    samples = open_calibration(options, task, spec)
    check_preprocess(options, spec, samples)
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
        weights_curve=tuple(asdict(point) for point in found.weights_curve),
        observed=found.observed,
    )


def _recomputed(graph: Graph, percent: float | None, task: Task, plan_of: PlanOf | None) -> Graph:
    """The Graph, with layers computed twice as `NetworkOptions.recompute` says."""
    if percent is not None:
        return recompute(graph, percent / 100)
    if plan_of is None:
        return graph
    return recompute_to_fit(graph, lambda again: fits_when(plan_of, task.on_device(again)))


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


def _quantize(
    options: NetworkOptions,
    graph: Graph,
    task: Task,
    inputs: Inputs,
    least: Mapping[str, Range],
    float_model: bytes,
    progress: Progress,
    bits: Bits,
) -> Found:
    compare_float(graph, Oracle(to_onnx_float(graph)), Oracle(float_model), inputs)
    graph = check(limit_outputs(graph, list(map(task.telling, range(len(graph.outputs))))), "lowered", OPERATORS)
    if inputs.samples is None:
        # Noise says nothing about accuracy, so there is nothing to search.
        activations = [name for name, tensor in graph.tensors.items() if tensor.data is None]
        ranges = calibrate(graph, runner(graph, activations), inputs, options.percentile)
        return _quantize_on_noise(graph, ranges, Images(list(inputs.first(1)), inputs.spec.to_nhwc), bits, progress)
    chosen = evenly_spaced(len(inputs.samples), _SEARCH_IMAGES)
    values = [inputs.samples[position].model_input(inputs.spec, inputs.preprocess) for position in chosen]
    images = Images(values, inputs.spec.to_nhwc, least)
    found = search(
        graph,
        images,
        task,
        options.effort,
        options.percentile,
        runner,
        progress,
        bits.int16,
        bits.four_bits,
        bits.sharing,
        bits.curve,
    )
    check(found.graph, "quantized", OPERATORS)
    return found


def _quantize_on_noise(
    graph: Graph, ranges: Mapping[str, Range], images: Images, bits: Bits, progress: Progress
) -> Found:
    """Weights to nearest; images: one of noise."""
    int16: frozenset[str] = frozenset()
    int8_graph = quantize(graph, ranges)
    if bits.int16 is not None:
        shares = activation_shares(graph, int8_graph, images.batch(1))
        int16 = bits.int16(graph, int8_graph, shares, lambda names: quantize(graph, ranges, names))
    made, noise = quantize(graph, ranges, int16), {}
    shared = bits.sharing is not None and bits.sharing(made, lambda: quantize(graph, ranges, int16, frozenset(), True))
    made = quantize(graph, ranges, int16, frozenset(), shared)
    if bits.four_bits is not None:
        total = sum(activation_noise(graph, int8_graph, images.batch(1)).values())
        noise_of = cache(lambda: four_bit_noise(graph, images, 1, Fit(), total, runner, progress))
        names = bits.four_bits(made, noise_of, lambda names: quantize(graph, ranges, int16, names, shared))
        made = quantize(graph, ranges, int16, names, shared)
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
