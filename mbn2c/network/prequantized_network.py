"""A prequantized model -> its network: every scale as it is, each tensor compared with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence

from mbn2c.errors import InternalError, UsageError
from mbn2c.network.calibration import check_preprocess, open_calibration
from mbn2c.network.checks import CHECKED_IMAGES, Sqnr
from mbn2c.network.inputs import Inputs, input_spec, quantize_input
from mbn2c.network.int8_oracle import PrequantizedFacts, PrequantizedOracle
from mbn2c.network.lowered import import_prequantized_lowered
from mbn2c.network.network import MODEL_FUSED, MODEL_INT8, Network
from mbn2c.network.options import WEIGHTS_8, NetworkOptions
from mbn2c.progress import Progress
from mbn2c.reference.run_graph import run_graph
from mbn2c.tasks.inputs import Preprocess
from mbn2c.tasks.protocol import RAW
from mbn2c.tasks.registry import task_of_graph


def prequantized_network(options: NetworkOptions, labels: Sequence[str], progress: Progress) -> Network:
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
    samples = open_calibration(options, task, spec)
    check_preprocess(options, spec, samples)
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
