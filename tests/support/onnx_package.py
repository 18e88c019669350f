"""The ONNX package's own model tests: PyTorch-made operators and light classifiers, with recorded outputs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from networks import OnnxModel, compare_with_onnx_runtime
from onnx import numpy_helper
from onnx.backend.test.runner import Runner

from mbn2c.frontend.export import to_onnx_float, to_onnx_int8
from mbn2c.ir.graph import Graph
from mbn2c.network.inputs import input_spec, quantize_input
from mbn2c.network.lowered import import_lowered
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.quantize.calibrate import calibrate
from mbn2c.quantize.quantize import quantize
from mbn2c.reference.run_graph import run_graph
from mbn2c.tasks.tails import apply_tail

ROOT = Path(onnx.__file__).parent / "backend" / "test" / "data"


def package_models() -> dict[str, Path]:
    """The files by name: of pytorch-converted, pytorch-operator and light."""
    found = {path.parent.name: path for path in sorted(ROOT.glob("pytorch-*/*/model.onnx"))}
    return {**found, **{path.stem: path for path in sorted(ROOT.glob("light/*.onnx"))}}


def recorded(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(input, output) of a model of one input and one output."""

    def read(file: Path) -> np.ndarray:
        return numpy_helper.to_array(onnx.load_tensor(file))

    if path.parent.name == "light":
        model = onnx.load(path)
        constants = {tensor.name for tensor in model.graph.initializer}
        (entrance,) = (port for port in model.graph.input if port.name not in constants)
        return Runner.generate_dummy_data(entrance), read(path.with_name(f"{path.stem}_output_0.pb"))
    data = path.parent / "test_data_set_0"
    return read(data / "input_0.pb"), read(data / "output_0.pb")


def sqnr_against_recorded(path: Path) -> float:
    """Build an int8 network of the model, calibrated on its recorded images, one by one: dB of what it makes of them.

    raises  ModelError where it is not supported; AssertionError where a byte differs from ONNX Runtime's
    """
    lowered = import_lowered(path)
    values, expected = recorded(path)
    images = list(_images(lowered, values))
    ranges = calibrate(lowered, OnnxModel(lowered, to_onnx_float(lowered)), images, 100)
    graph = quantize(lowered, ranges)
    oracle, spec, port = OnnxModel(graph, to_onnx_int8(graph)), input_spec(graph), graph.outputs[0]
    made = []
    for image in images:
        found = run_graph(graph, {graph.inputs[0].tensor: quantize_input(graph, spec, image)})
        assert compare_with_onnx_runtime(graph, found, oracle(image)) == ""
        quant = quant_of(graph, port.tensor)
        real = (found[port.tensor].astype(np.float64) - quant.zero_point) * float(scale_of(quant))
        rest = [axis for axis in range(4) if axis not in port.permutation]
        turned = real.transpose([*rest, *port.permutation]).reshape(port.shape)
        made.append(apply_tail(port.tail, turned))
    noise = np.concatenate(made).reshape(-1) - expected.reshape(-1)
    return float(10 * np.log10((expected.astype(np.float64) ** 2).sum() / max((noise**2).sum(), 1e-30)))


def _images(graph: Graph, values: np.ndarray) -> Iterator[np.ndarray]:
    """What a batch is made of; an input without a batch axis is one image."""
    shape = graph.inputs[0].shape
    yield from values.reshape(-1, *shape)
