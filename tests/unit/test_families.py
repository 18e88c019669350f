"""The families of the papers as exporters write them: named by their structure, and in int8 equal to ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from _pytest.mark import ParameterSet
from networks import as_image, compare_with_onnx_runtime, int8_inputs, int8_model, quantized
from onnx_models import Net
from onnx_models.families import EXPORTERS, FAMILIES, Family, shufflenet_v2
from shared import shared

from mbn2c.commands.inspect.architecture import architecture_of
from mbn2c.network.lowered import import_lowered
from mbn2c.reference.run_graph import run_graph

_PAPERS = "inverted residual network with kernels of 3, 5 and 7 (as ProxylessNAS and MCUNet)"
_BLOCKS = "inverted residual network (MobileNetV2 blocks)"
_WITHOUT_WIDTH = ("EfficientNet-Lite0", "SqueezeNet 1.0", "SqueezeNet 1.1")
# The others have 0.25.
_WIDTHS = {"EfficientNet-Lite0": 1.0, "ShuffleNetV2": 0.5}


def named(folder: Path, net: Net) -> str:
    onnx.save(net.model(), folder / "net.onnx")
    return architecture_of(import_lowered(folder / "net.onnx"))


# One exporter's file of each family that other tests do not have; the others are slow.
_QUICK = {
    ("MobileNetV3-small", "tf2onnx"),
    ("MobileNetV4-conv-small", "TorchScript"),
    ("MnasNet", "tf2onnx"),
    ("ProxylessNAS", "TorchScript"),
    ("PP-LCNet", "Paddle"),
    ("MobileFaceNet", "Paddle"),
    ("SqueezeNet 1.1", "TorchScript"),
}
_EACH = [
    pytest.param(name, exporter, marks=() if (name, exporter) in _QUICK else pytest.mark.slow)
    for name in FAMILIES
    for exporter in EXPORTERS
]


@pytest.mark.parametrize(("name", "exporter"), _EACH)
def test_a_family_is_named_and_exact(name: str, exporter: str, tmp_path: Path) -> None:
    width = _WIDTHS.get(name, 0.25)
    expected = _PAPERS if name == "ProxylessNAS" else name if name in _WITHOUT_WIDTH else f"{name}, width {width}"
    size = (
        64 if name.startswith(("MobileNetV3", "PP-LCNet", "ShuffleNet")) else 32
    )  # a map of one pixel cannot be told from its mean
    onnx.save(FAMILIES[name](width, size, EXPORTERS[exporter]).model(), tmp_path / "net.onnx")
    lowered = import_lowered(tmp_path / "net.onnx")
    assert architecture_of(lowered) == f"{expected}, {size}x{size}"
    graph = quantized(lowered)
    (values,) = int8_inputs(graph, 1)
    reference = run_graph(graph, {graph.inputs[0].tensor: values})
    assert compare_with_onnx_runtime(graph, reference, int8_model(graph)(as_image(graph, values))) == ""


@pytest.mark.parametrize("width", [0.5, pytest.param(1.0, marks=pytest.mark.slow)])
def test_shufflenet_is_named(width: float, tmp_path: Path) -> None:
    assert named(tmp_path, shufflenet_v2(width, 64, EXPORTERS["tf2onnx"])) == f"ShuffleNetV2, width {width}, 64x64"


def _cousin(kernels: list[int], channels: int) -> Net:
    """Inverted residuals that no paper has."""
    one = Family(EXPORTERS["tf2onnx"], 32).conv(16, 3, 2, "relu6")
    for k in kernels:
        one.inverted(3 * one.channels, channels, k, 1, "relu6")
    return one.head()


UNKNOWN = {
    "V2's depth, all blocks of one width": (
        lambda: _cousin([3] * 17, 24),
        "inverted residual network (MobileNetV2 blocks)",
    ),
    "MnasNet's depth, other kernels": (
        lambda: _cousin([3, 5] * 8 + [3], 24),
        _BLOCKS,
    ),
    "blocks alone": (lambda: _cousin([3, 3], 16), "inverted residual network (MobileNetV2 blocks)"),
    "layers alone": (lambda: Net(shape=(1, 3, 32, 32)).conv(3, 8).conv(8, 8), "convolutional network"),
}


def _slow(*values: str) -> ParameterSet:
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_unknown_is_described(name: str, tmp_path: Path) -> None:
    build, words = UNKNOWN[name]
    assert named(tmp_path, build()) == f"{words}, 32x32"


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("vww_96", "MobileNetV1, width 0.25, 96x96"),
        ("exporters/pt_legacy_op17_v3s", "MobileNetV3-small, width 0.35, 112x112"),
        ("mobilenet_v3/mobilenet_v3_large_0.75_animal5_224", "MobileNetV3-large, width 0.75, 224x224"),
        _slow("classification/efficientnet_lite0_224_bn", "EfficientNet-Lite0, 224x224"),
        _slow("classification/squeezenet1.1_224", "SqueezeNet 1.1, 224x224"),
        _slow("classification/pplcnet_x1.0_text_orientation_224_paddle2onnx", "PP-LCNet, width 1.0, 224x224"),
        _slow("mobilenet_v2_1.0_224_bn", "MobileNetV2, width 1.0, 224x224"),
    ],
)
def test_a_trained_network_is_named(file: str, name: str) -> None:
    assert architecture_of(import_lowered(shared(f"models/{file}.onnx"))) == name
