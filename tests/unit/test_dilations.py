"""Images taken apart that are left as they are: something between does not treat all parts alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx_models.dilations import batch_to_space, space_to_batch
from onnx_models.net import Net

from mbn2c.errors import ModelError
from mbn2c.frontend import import_model
from mbn2c.frontend.dilations import to_dilations


def _apart(block: int = 2) -> Net:
    return space_to_batch(Net(shape=(1, 3, 12, 12)).conv(3, 4), block, (0, 0, 0, 0))


def _turned(net: Net) -> Net:
    return net.then("Transpose", perm=[1, 0, 2, 3])


def _plus_rows() -> Net:
    net = _apart()
    return batch_to_space(net.then("Add", net.random(1, 6, 1)), 2)


LEFT: dict[str, Callable[[], Net]] = {
    "never put together": lambda: _apart().conv(4, 4),
    "put together of other blocks": lambda: batch_to_space(space_to_batch(_apart(), 3, (0, 0, 0, 0)), 2),
    "a stride": lambda: batch_to_space(_apart().conv(4, 4, strides=[2, 2]), 2),
    "padded as its size says": lambda: batch_to_space(_apart().conv(4, 4, auto_pad="SAME_UPPER"), 2),
    "a pool": lambda: batch_to_space(_apart().then("MaxPool", kernel_shape=[3, 3]), 2),
    "a mean of each part": lambda: batch_to_space(_apart().then("GlobalAveragePool"), 2),
    "parts in another order": lambda: _turned(_apart()).then("DepthToSpace", blocksize=2, mode="CRD"),
    "rows that differ": _plus_rows,
    "parts as channels": lambda: batch_to_space(_turned(_turned(_apart()).conv(4, 4)), 2),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_does_not_treat_all_parts_alike_is_left(name: str) -> None:
    model = LEFT[name]().model()
    assert to_dilations(model) == (model, ())


def test_it_is_refused_in_words(tmp_path: Path) -> None:
    onnx.save(LEFT["a pool"]().model(), tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="SpaceToDepth"):
        import_model(tmp_path / "net.onnx")
