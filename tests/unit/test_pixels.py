"""What a file with a uint8 input says of its pixels: the user need not, and cannot say something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx_models.net import Net

from mbn2c.errors import UsageError
from mbn2c.frontend import import_model
from mbn2c.ir.graph import Graph
from mbn2c.network.inputs import input_spec
from mbn2c.network.pixels import preprocess_of
from mbn2c.tasks.inputs import Preprocess


def imported(folder: Path, are_bytes: bool) -> Graph:
    net = Net(shape=(1, 3, 8, 8), dtype=TensorProto.UINT8 if are_bytes else TensorProto.FLOAT)
    if are_bytes:
        net.then("Cast", to=TensorProto.FLOAT)
    model = net.then("Mul", net.weight(1 / 255)).conv(3, 4).head(4).model()
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    onnx.save(model, folder / "net.onnx")
    return import_model(folder / "net.onnx")


def test_a_file_of_bytes_takes_them_as_they_are(tmp_path: Path) -> None:
    graph = imported(tmp_path, are_bytes=True)
    found = preprocess_of(graph, input_spec(graph), None)
    assert found is not None
    assert np.abs(found.pixel_values(3) - np.arange(256)).max() < 1e-3
    by_hand = Preprocess((0.0,) * 3, (0.0039215686,) * 3)
    assert preprocess_of(graph, input_spec(graph), by_hand) == by_hand


@pytest.mark.parametrize("name", ["unit", "pm1", "imagenet"])
def test_what_the_file_does_not_take_is_refused(name: str, tmp_path: Path) -> None:
    graph = imported(tmp_path, are_bytes=True)
    with pytest.raises(UsageError, match="for a file whose input is uint8") as refused:
        preprocess_of(graph, input_spec(graph), Preprocess.named(name))
    assert "leave it out" in refused.value.hint


def test_of_real_numbers_the_user_says_it(tmp_path: Path) -> None:
    graph = imported(tmp_path, are_bytes=False)
    assert preprocess_of(graph, input_spec(graph), None) is None
    assert preprocess_of(graph, input_spec(graph), Preprocess.named("pm1")) == Preprocess.named("pm1")
