"""Model file and images -> an int8 Graph that equals ONNX Runtime on every tensor, and what is known of its quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mbn2c.errors import InternalError, UsageError
from mbn2c.int8_oracle import GivenFacts, GivenModel
from mbn2c.ir.check import check
from mbn2c.ir.graph import Graph
from mbn2c.network_inputs import Inputs, input_spec, quantize_input
from mbn2c.onnx_export import onnx_names, to_onnx_float, to_onnx_int8, with_outputs
from mbn2c.onnx_import import import_model, model_bytes
from mbn2c.onnx_import.quantized import import_quantized, is_quantized
from mbn2c.ops.operator import quant_of, scale_of
from mbn2c.oracle import Oracle
from mbn2c.passes import run_passes
from mbn2c.progress import Progress
from mbn2c.quantize.calibrate import RunFloat, calibrate
from mbn2c.quantize.quality import weights_sqnr
from mbn2c.quantize.quantize import quantize
from mbn2c.quantize.search import Found, Images, Recipe, search
from mbn2c.reference.run_graph import run_graph
from mbn2c.results import decibel
from mbn2c.tasks.images import Samples, evenly_spaced, open_samples
from mbn2c.tasks.task import InputSpec, Preprocess

RANDOM = "random"
MODEL_INT8, MODEL_FLOAT32 = "model.int8.onnx", "model.float32.onnx"
# Only for a model that came quantized: what ONNX Runtime makes of it, whose inner tensors are compared.
MODEL_FUSED = "model.fused.onnx"
# The lowered Graph must compute what the user's file computes; float32 rounding alone stays far below this.
_LARGEST_FLOAT_ERROR = 1e-3
# Images on which every tensor of the reference is compared with ONNX Runtime during a build, and SQNR is measured.
_CHECKED_IMAGES = 4
# Images a quantization is searched with at most, evenly spaced over all that are given.
_SEARCH_IMAGES = 256


@dataclass(frozen=True)
class NetworkOptions:
    """What a network is made from.

    calib       images folder, .npz, or "random"
    preprocess  None where the calibration needs none
    percentile  100 lets the range method be searched
    effort      how long to look for a better quantization, one of `quantize.search.EFFORTS`
    input_kind  "int8" or "uint8": what the device's input rows hold
    labels      class names; empty: not known
    """

    model: Path
    calib: str | None = None
    calib_limit: int | None = None
    preprocess: Preprocess | None = None
    resize: str = "crop"
    percentile: float = 100.0
    effort: str = "default"
    input_kind: str = "int8"
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Network:
    """An int8 network, checked against ONNX Runtime.

    models   what goes into the output folder, by file name
    samples  calibration images; None for noise
    sqnr     dB by tensor; empty without a float model
    given    `GivenFacts` as JSON for a model that came quantized
    tried    quantization methods that were tried, for the report
    weights_sqnr  dB by layer
    """

    graph: Graph
    models: Mapping[str, bytes]
    samples: Samples | None
    sqnr: Mapping[str, float | None]
    given: Mapping[str, object] | None = None
    tried: tuple[Mapping[str, object], ...] = ()
    weights_sqnr: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def int8_model(self) -> bytes:
        return self.models[MODEL_INT8]


def read_network(options: NetworkOptions, progress: Progress) -> Network:
    """The int8 network of a float model or of one that came quantized.

    raises  Mbn2cError subclasses; see the exit codes in `errors`
    """
    return (_given_network if is_quantized(options.model) else _own_network)(options, progress)


def import_lowered(model: Path) -> Graph:
    """The float Graph of an ONNX file after all passes."""
    return run_passes(import_model(model))


def _own_network(options: NetworkOptions, progress: Progress) -> Network:
    """A float model, quantized."""
    graph = import_lowered(options.model)
    spec = input_spec(graph)
    _check_labels(options.labels, graph)
    samples = _open_calibration(options, spec)
    _check_preprocess(options, spec, samples)
    inputs = Inputs(spec, options.preprocess or Preprocess(), samples)
    float_model = model_bytes(options.model)
    found = _quantize(options, graph, inputs, float_model, progress)
    int8_model = to_onnx_int8(found.graph)
    sqnr = _compare_with_oracle(found.float_graph, found.graph, int8_model, inputs)
    models = {MODEL_INT8: int8_model, MODEL_FLOAT32: float_model}
    tried = tuple(one.as_json() for one in found.tried)
    quality = weights_sqnr(found.float_graph, found.graph)
    return Network(found.graph, models, samples, sqnr, tried=tried, weights_sqnr=quality)


def _given_network(options: NetworkOptions, progress: Progress) -> Network:
    """A model that came quantized: its scales are kept, and images only serve to compare with ONNX Runtime."""
    found = import_quantized(options.model)
    graph = check(found.graph, "quantized")
    spec = input_spec(graph)
    _check_labels(options.labels, graph)
    samples = None
    if options.calib not in (None, RANDOM):
        samples = _open_calibration(options, spec)
    _check_preprocess(options, spec, samples)
    facts = GivenFacts(found.input_type, found.probes)
    oracle = GivenModel(graph, found.model, found.fused, facts)
    inputs = Inputs(spec, options.preprocess or Preprocess(), samples, oracle)
    for values in progress(inputs.first(_CHECKED_IMAGES), "compare", min(_CHECKED_IMAGES, len(inputs))):
        reference = run_graph(graph, {graph.inputs[0].tensor: quantize_input(graph, spec, values)})
        for where, count in oracle.compare(values, reference).differing.items():
            raise InternalError(
                f"the integer reference differs from ONNX Runtime in {count} bytes",
                where=where,
                hint="this is a bug in mbn2c, or a CPU on which ONNX Runtime saturates; `make test` tells",
            )
    return Network(graph, {MODEL_INT8: found.model, MODEL_FUSED: found.fused}, samples, {}, facts.to_json())


def _check_labels(labels: tuple[str, ...], graph: Graph) -> None:
    classes = graph.tensors[graph.outputs[0].tensor].shape[3]
    if labels and len(labels) != classes:
        raise UsageError(
            f"{len(labels)} class names for {classes} classes", where="--labels", hint="one name per class, in order"
        )


def _open_calibration(options: NetworkOptions, spec: InputSpec) -> Samples | None:
    if options.calib is None:
        raise UsageError(
            "a float model needs images to choose its int8 scales from",
            where=str(options.model),
            hint="--calib FOLDER (20 to 200 images as the camera sees them); --calib random only to see sizes",
        )
    if options.calib == RANDOM:
        return None
    return open_samples(Path(options.calib), spec, resize=options.resize, limit=options.calib_limit)


def _check_preprocess(options: NetworkOptions, spec: InputSpec, samples: Samples | None) -> None:
    hint = "--preprocess unit, pm1 or imagenet, or --mean and --std: what the model was trained with"
    if samples is not None and samples.are_pixels and options.preprocess is None:
        raise UsageError("how the model wants its pixels is not given", where=str(options.calib), hint=hint)
    if options.input_kind == "uint8" and options.preprocess is None:
        raise UsageError("--input uint8 needs the preprocessing the device shall do", hint=hint)
    if options.preprocess is not None:
        options.preprocess.check_channels(spec.channels)


def _quantize(options: NetworkOptions, graph: Graph, inputs: Inputs, float_model: bytes, progress: Progress) -> Found:
    _compare_float(graph, Oracle(to_onnx_float(graph)), Oracle(float_model), inputs)
    if inputs.samples is None:
        # Noise says nothing about accuracy, so there is nothing to search.
        activations = [name for name, tensor in graph.tensors.items() if tensor.data is None]
        ranges = calibrate(graph, _runner(graph, activations), inputs, options.percentile)
        return Found(graph, check(quantize(graph, ranges), "quantized"), Recipe(), ())
    chosen = evenly_spaced(len(inputs.samples), _SEARCH_IMAGES)
    values = [inputs.samples[position].model_input(inputs.spec, inputs.preprocess) for position in chosen]
    images = Images(values, inputs.spec.to_nhwc)
    found = search(graph, images, options.effort, options.percentile, _runner, progress)
    check(found.graph, "quantized")
    return found


def _runner(graph: Graph, tensors: Sequence[str]) -> RunFloat:
    """Runs a Graph, float or int8, in ONNX Runtime: one input -> real values of some activations, [1, C, H, W]."""
    names = onnx_names(graph)
    wanted = [names[tensor] for tensor in tensors]
    is_int8 = graph.tensors[graph.inputs[0].tensor].quant is not None
    oracle = Oracle(with_outputs(to_onnx_int8(graph) if is_int8 else to_onnx_float(graph), wanted))
    outside = graph.inputs[0].outside

    def run(values: np.ndarray) -> Mapping[str, np.ndarray]:
        results = oracle.run({outside: values}, wanted)
        found = {tensor: results[names[tensor]] for tensor in tensors}
        if not is_int8:
            return found
        quants = {tensor: quant_of(graph, tensor) for tensor in tensors}
        return {
            tensor: (value.astype(np.float32) - quants[tensor].zero_point) * scale_of(quants[tensor])
            for tensor, value in found.items()
        }

    return run


def _compare_float(graph: Graph, lowered: Oracle, original: Oracle, inputs: Inputs) -> None:
    """Import and passes must not change what the model computes.

    raises  InternalError if they did
    """
    values = inputs.first(1)[0]
    ours = lowered.run({graph.inputs[0].outside: values})
    theirs = original.run({original.input_names[0]: values})
    expected = [theirs[name] for name in original.output_names]
    for index, (port, wanted) in enumerate(zip(graph.outputs, expected, strict=True)):
        got = ours[port.outside]
        if index == 0 and graph.softmax:
            got = softmax(got, graph.softmax)
        error = float(np.abs(got.reshape(-1) - wanted.reshape(-1)).max())
        if not error <= _LARGEST_FLOAT_ERROR * max(1.0, float(np.abs(wanted).max())):
            raise InternalError(
                f"the imported network differs from the model by {error:.3g} in float32",
                where=f"output {port.outside}",
                hint="this is a bug in mbn2c; please report it with the model",
            )


def softmax(logits: np.ndarray, kind: str) -> np.ndarray:
    """The "softmax" or "log_softmax" the importer split off, over the last axis."""
    shifted = logits.reshape(-1).astype(np.float64) - logits.max()
    logs = shifted - np.log(np.exp(shifted).sum())
    return (logs if kind == "log_softmax" else np.exp(logs)).reshape(logits.shape)


def _compare_with_oracle(graph: Graph, quantized: Graph, int8_model: bytes, inputs: Inputs) -> dict[str, float | None]:
    """Every tensor of the integer reference against ONNX Runtime on some images; the SQNR of each in dB.

    raises  InternalError naming the first tensor that differs
    """
    names, outside = onnx_names(graph), graph.inputs[0].outside
    floats = Oracle(with_outputs(to_onnx_float(graph), names.values()))
    integers = Oracle(with_outputs(int8_model, names.values()))
    signal, noise = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for values in inputs.first(_CHECKED_IMAGES):
        real, oracle = floats.run({outside: values}), integers.run({outside: values})
        reference = run_graph(quantized, {graph.inputs[0].tensor: quantize_input(quantized, inputs.spec, values)})
        for tensor, name in names.items():
            ours = reference[tensor].transpose(0, 3, 1, 2)
            differing = int((ours != oracle[name]).sum())
            if differing:
                raise InternalError(
                    f"the integer reference differs from ONNX Runtime in {differing} of {ours.size} bytes",
                    where=f"tensor {tensor}",
                    hint="this is a bug in mbn2c, or a CPU on which ONNX Runtime saturates; `make test` tells",
                )
            quant = quant_of(quantized, tensor)
            error = (ours.astype(np.float64) - quant.zero_point) * float(scale_of(quant)) - real[name]
            signal[tensor] += float((real[name].astype(np.float64) ** 2).sum())
            noise[tensor] += float((error**2).sum())
    return {tensor: decibel(signal[tensor], noise[tensor]) for tensor in names}
