"""How ONNX files spell a mean over pixels; ONNX's own shape law and ONNX Runtime say what a spelling means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from float_graph import run_float
from onnx_models import Net

from mbn2c.errors import ModelError
from mbn2c.frontend import import_model
from mbn2c.ir.window import Window

Pads = tuple[int, int, int, int]


def inferred(net: Net) -> tuple[int, ...]:
    """Shape of the output, NCHW, as ONNX says."""
    model = onnx.shape_inference.infer_shapes(net.output().model(), strict_mode=True)
    return tuple(dim.dim_value for dim in model.graph.output[0].type.tensor_type.shape.dim)


def onnx_runtime(net: Net, values: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    model = net.model().SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": values})[0])


@pytest.mark.parametrize("counts", [0, 1])
@pytest.mark.parametrize("size", [(12, 13), (13, 12)])
@pytest.mark.parametrize("pad", [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (1, 1, 1, 1)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (1, 2), (2, 3)])
def test_ceil_mode(size: tuple[int, int], pad: Pads, stride: tuple[int, int], counts: int, tmp_path: Path) -> None:
    """What ONNX Runtime makes of it, also where ONNX counts a window more, which would start in the padding."""
    net = Net(shape=(1, 3, *size)).then(
        "AveragePool", kernel_shape=[3, 2], strides=stride, pads=pad, ceil_mode=1, count_include_pad=counts
    )
    _check_against_onnx_runtime(net, tmp_path / "net.onnx")


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("pads", [(1, 1, 1, 1), (0, 1, 1, 1), (1, 0, 1, 0)])
def test_windows_that_would_begin_in_the_pads(op: str, pads: Pads, tmp_path: Path) -> None:
    """ONNX counts them, in what is behind the pool, too."""
    pool = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": pads, "ceil_mode": 1}
    declared = inferred(Net(shape=(1, 3, 5, 5)).then(op, **pool))
    net = Net(shape=(1, 3, 5, 5)).then(op, **pool)
    net.conv(3, 2)
    assert declared[2:] != (3, 3)
    _check_against_onnx_runtime(net, tmp_path / "net.onnx")


def _check_against_onnx_runtime(net: Net, file: Path) -> None:
    values = np.random.default_rng(0).normal(size=net.shape).astype(np.float32)
    expected = onnx_runtime(net, values)
    onnx.save(net.model(), file)
    graph = import_model(file)
    found = run_float(graph, {"x": values})[graph.outputs[0].outside]
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize(
    ("axes", "kernel"), [([2, 3], (7, 5)), ([-1, -2], (7, 5)), ([2], (7, 1)), ([3], (1, 5)), ([-2], (7, 1))]
)
def test_mean_over_axes(axes: list[int], kernel: tuple[int, int], keepdims: int, opset: int, tmp_path: Path) -> None:
    net = Net(opset, (1, 3, 7, 5))
    if opset < 18:
        net.then("ReduceMean", axes=axes, keepdims=keepdims)
    else:
        net.then("ReduceMean", net.ints(*axes), keepdims=keepdims)
    shape = inferred(net)
    onnx.save(net.model(), tmp_path / "net.onnx")
    graph = import_model(tmp_path / "net.onnx")
    (node,) = graph.nodes
    assert node.op == "average_pool2d" and node.attributes.window == Window(kernel)
    assert graph.outputs[0].shape == shape


@pytest.mark.parametrize(("noop", "nodes"), [(1, 0), (0, None)])
def test_mean_over_no_axes(noop: int, nodes: int | None, tmp_path: Path) -> None:
    """Of all, which is refused, unless the file says that it is nothing."""
    net = Net(18, (1, 3, 7, 5)).conv(3, 3).then("ReduceMean", noop_with_empty_axes=noop)
    onnx.save(net.model(), tmp_path / "net.onnx")
    if nodes is None:
        with pytest.raises(ModelError, match=r"ReduceMean over axes \[0, 1, 2, 3\]"):
            import_model(tmp_path / "net.onnx")
    else:
        assert [node.op for node in import_model(tmp_path / "net.onnx").nodes] == ["conv2d"]


@pytest.mark.parametrize("axes", [[1], [1, 2], [0, 1]])
def test_mean_over_channels_is_refused(axes: list[int], tmp_path: Path) -> None:
    onnx.save(Net(shape=(1, 3, 7, 5)).conv(3, 3).then("ReduceMean", axes=axes).model(), tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="ReduceMean over axes"):
        import_model(tmp_path / "net.onnx")


def test_dilation_is_refused(tmp_path: Path) -> None:
    net = Net(19).then("AveragePool", kernel_shape=[2, 2], dilations=[1, 2])
    onnx.save(net.model(), tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="AveragePool with dilations"):
        import_model(tmp_path / "net.onnx")
