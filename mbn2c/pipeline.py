"""Model, samples and target -> output folder: the stages, one after the other.

Nothing is written before everything that can be refused has been checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mbn2c.build.firmware import firmware_files, package_files
from mbn2c.emit.bundle import Bundle
from mbn2c.emit.c_names import check_prefix, prefix_of
from mbn2c.emit.model import Names, model_files
from mbn2c.emit.render import render
from mbn2c.errors import InternalError, ModelError, UsageError
from mbn2c.ir.check import check
from mbn2c.ir.graph import Graph
from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Plan
from mbn2c.kernels import select
from mbn2c.network_file import graph_to_bytes
from mbn2c.numerics import quantize_linear
from mbn2c.onnx_export import onnx_names, to_onnx_float, to_onnx_int8, with_outputs
from mbn2c.onnx_import import import_model, model_bytes
from mbn2c.ops.operator import quant_of, scale_of
from mbn2c.oracle import Oracle
from mbn2c.passes import run_passes
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.quantize.calibrate import calibrate, random_images
from mbn2c.quantize.quantize import quantize
from mbn2c.reference.run_graph import run_graph
from mbn2c.report import build_report, to_json
from mbn2c.target import Board, Core
from mbn2c.tasks.classification import read_class_names
from mbn2c.tasks.images import Samples, open_samples
from mbn2c.tasks.task import InputSpec, Preprocess

Progress = Callable[[Iterable[np.ndarray], str, int], Iterable[np.ndarray]]

RANDOM = "random"
RANDOM_IMAGES = 8
# The lowered Graph must compute what the user's file computes; float32 rounding alone stays far below this.
_LARGEST_FLOAT_ERROR = 1e-3
# Images on which every tensor of the reference is compared with ONNX Runtime during a build, and SQNR is measured.
_CHECKED_IMAGES = 4

MODEL_INT8, MODEL_FLOAT32, NETWORK, REPORT = "model.int8.onnx", "model.float32.onnx", "network.npz", "report.json"


@dataclass(frozen=True)
class BuildOptions:
    """What the command line says.

    calib       images folder, .npz, or "random"
    preprocess  None where the calibration needs none
    input_kind  "int8" or "uint8": what the device's input rows hold
    """

    model: Path
    core: Core
    board: Board | None = None
    calib: str | None = None
    calib_limit: int | None = None
    preprocess: Preprocess | None = None
    resize: str = "crop"
    percentile: float = 100.0
    input_kind: str = "int8"
    name: str | None = None
    labels: Path | None = None
    optimize: str = "balanced"


@dataclass(frozen=True)
class Layout:
    """A network laid out for one core."""

    plan: Plan
    kernels: Mapping[str, Kernel]


def no_progress(items: Iterable[np.ndarray], title: str, total: int) -> Iterable[np.ndarray]:
    return items


def import_lowered(model: Path) -> Graph:
    """The float Graph of an ONNX file after all passes."""
    return run_passes(import_model(model))


def input_spec(graph: Graph) -> InputSpec:
    if len(graph.inputs) != 1:
        raise ModelError(f"the model has {len(graph.inputs)} inputs", hint="export it with one image input")
    return InputSpec(graph.inputs[0].shape, graph.inputs[0].permutation)


def build(options: BuildOptions, progress: Progress = no_progress) -> Bundle:
    """Everything a build writes, path -> bytes.

    raises  Mbn2cError subclasses; see the exit codes in `errors`
    """
    prefix = check_prefix(options.name) if options.name else prefix_of(options.model.stem)
    labels = read_class_names(options.labels) if options.labels else ()
    graph = import_lowered(options.model)
    spec = input_spec(graph)
    _check_labels(labels, graph)
    samples = _open_calibration(options, spec)
    _check_preprocess(options, spec, samples)
    inputs = _Inputs(spec, options.preprocess or Preprocess(), samples)
    float_model = model_bytes(options.model)
    quantized = _quantize(options, graph, inputs, float_model, progress)
    int8_model = to_onnx_int8(quantized)
    sqnr = _compare_with_oracle(graph, quantized, int8_model, inputs)
    layout = lay_out(quantized, options.core, options.optimize)
    tables = None
    if options.input_kind == "uint8":
        tables = pixel_tables(quantized, options.preprocess or Preprocess())
    names = Names(prefix, options.model.name, hashlib.sha256(int8_model).digest(), labels, tables)
    facts = {
        "calibration": {
            "source": RANDOM if samples is None else "images" if samples.are_pixels else "npz",
            "images": RANDOM_IMAGES if samples is None else len(samples),
            "percentile": options.percentile,
        },
        "preprocess": None
        if options.preprocess is None
        else {"mean": list(options.preprocess.mean), "std": list(options.preprocess.std)},
        "resize": options.resize,
        "input": options.input_kind,
        "optimize": options.optimize,
        "labels": list(labels),
    }
    report = build_report(layout.plan, layout.kernels, names, float_model, options.core, options.board, facts, sqnr)
    bundle = c_files(layout, names, options.core, options.board)
    return bundle | {
        MODEL_INT8: int8_model,
        MODEL_FLOAT32: float_model,
        NETWORK: graph_to_bytes(quantized),
        REPORT: to_json(report).encode(),
    }


def lay_out(graph: Graph, core: Core, optimize: str) -> Layout:
    """Kernels and Plan of an int8 Graph for a core."""
    kernels = {node.name: select(node, graph, core.isas) for node in graph.nodes}
    return Layout(plan_layerwise(graph, kernels), kernels)


def c_files(
    layout: Layout, names: Names, core: Core, board: Board | None, cflags: Sequence[str] = ()
) -> Bundle:
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


def pixel_tables(graph: Graph, preprocess: Preprocess) -> np.ndarray:
    """What the device makes of raw pixels: int8 [C, 256], by the same arithmetic as the host's path."""
    port = graph.inputs[0]
    quant = quant_of(graph, port.tensor)
    values = preprocess.pixel_values(graph.tensors[port.tensor].shape[3])
    return quantize_linear(values, scale_of(quant), quant.zero_point)


def quantize_input(graph: Graph, spec: InputSpec, values: np.ndarray) -> np.ndarray:
    """A float input in the model's own axis order -> the int8 NHWC tensor the network starts from."""
    quant = quant_of(graph, graph.inputs[0].tensor)
    return quantize_linear(spec.to_nhwc(values), scale_of(quant), quant.zero_point)


@dataclass(frozen=True)
class _Inputs:
    """Calibration inputs in the model's own axis order, loaded again on each pass over them."""

    spec: InputSpec
    preprocess: Preprocess
    samples: Samples | None

    def __len__(self) -> int:
        return RANDOM_IMAGES if self.samples is None else len(self.samples)

    def __iter__(self) -> Iterator[np.ndarray]:
        if self.samples is None:
            return random_images(self.spec.shape, RANDOM_IMAGES)
        return (sample.model_input(self.spec, self.preprocess) for sample in self.samples)

    def first(self, count: int) -> list[np.ndarray]:
        return [values for values, _ in zip(self, range(count), strict=False)]


def _check_labels(labels: tuple[str, ...], graph: Graph) -> None:
    classes = graph.tensors[graph.outputs[0].tensor].shape[3]
    if labels and len(labels) != classes:
        raise UsageError(
            f"{len(labels)} class names for {classes} classes", where="--labels", hint="one name per class, in order"
        )


def _open_calibration(options: BuildOptions, spec: InputSpec) -> Samples | None:
    if options.calib is None:
        raise UsageError(
            "a float model needs images to choose its int8 scales from",
            where=str(options.model),
            hint="--calib FOLDER (20 to 200 images as the camera sees them); --calib random only to see sizes",
        )
    if options.calib == RANDOM:
        return None
    return open_samples(Path(options.calib), spec, resize=options.resize, limit=options.calib_limit)


def _check_preprocess(options: BuildOptions, spec: InputSpec, samples: Samples | None) -> None:
    hint = "--preprocess unit, pm1 or imagenet, or --mean and --std: what the model was trained with"
    if samples is not None and samples.are_pixels and options.preprocess is None:
        raise UsageError("how the model wants its pixels is not given", where=str(options.calib), hint=hint)
    if options.input_kind == "uint8" and options.preprocess is None:
        raise UsageError("--input uint8 needs the preprocessing the device shall do", hint=hint)
    if options.preprocess is not None:
        options.preprocess.check_channels(spec.channels)


def _quantize(options: BuildOptions, graph: Graph, inputs: _Inputs, float_model: bytes, progress: Progress) -> Graph:
    names = onnx_names(graph)
    lowered = Oracle(with_outputs(to_onnx_float(graph), names.values()))
    _compare_float(graph, lowered, Oracle(float_model), inputs)
    outside = graph.inputs[0].outside

    def run_float(values: np.ndarray) -> Mapping[str, np.ndarray]:
        results = lowered.run({outside: values}, list(names.values()))
        return {tensor: results[name] for tensor, name in names.items()}

    ranges = calibrate(graph, run_float, progress(inputs, "calibrate", len(inputs)), options.percentile)
    return check(quantize(graph, ranges), "quantized")


def _compare_float(graph: Graph, lowered: Oracle, original: Oracle, inputs: _Inputs) -> None:
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


def _compare_with_oracle(graph: Graph, quantized: Graph, int8_model: bytes, inputs: _Inputs) -> dict[str, float | None]:
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


def decibel(signal: float, noise: float) -> float | None:
    """Signal to noise ratio in dB; None where one of them is 0."""
    return round(10 * float(np.log10(signal / noise)), 2) if signal > 0 and noise > 0 else None


def names_for(graph: Graph, prefix: str, title: str, digest: bytes, facts: Mapping[str, object]) -> Names:
    """The Names of an output folder that was built before; `facts` is its report's "build" part."""
    names = Names(prefix, title, digest, tuple(facts["labels"]))  # type: ignore[arg-type]
    if facts["input"] == "uint8":
        return replace(names, tables=pixel_tables(graph, preprocess_of(facts)))
    return names


def preprocess_of(facts: Mapping[str, object]) -> Preprocess:
    """The preprocessing an output folder was built with; none stands for the identity."""
    numbers = facts["preprocess"]
    if not isinstance(numbers, Mapping):
        return Preprocess()
    return Preprocess(tuple(numbers["mean"]), tuple(numbers["std"]))
