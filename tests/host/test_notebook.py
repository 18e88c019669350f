"""docs/notebook.ipynb prints what it says, and `mbn2c.load` refuses what is no image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from notebooks import cells_of, run_cell
from places import ROOT

import mbn2c
from mbn2c.commands import demo
from mbn2c.commands.host_network import HostNetwork
from mbn2c.errors import UsageError
from mbn2c.frontend.runtime import Oracle


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the notebook defines, after every cell has printed what is saved with it."""
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("notebook"))
        names["here"] = Path.cwd()
        cells = cells_of(ROOT / "docs" / "notebook.ipynb")
        assert len(cells) > 3 and any(saved for _, saved in cells)
        for source, saved in cells:
            assert run_cell(source, names).split() == saved.split(), source
    return names


@pytest.fixture
def net(ran: dict[str, Any]) -> HostNetwork:
    found = ran["net"]
    assert isinstance(found, HostNetwork)
    return found


def test_it_is_what_onnx_runtime_says(ran: dict[str, Any], net: HostNetwork) -> None:
    """The exported int8 model ends in float32: the same numbers, from floats in the file's axis order."""
    oracle = Oracle(ran["here"] / "out" / "digits" / "model/model.int8.onnx")
    pixels = np.random.default_rng(1).integers(0, 256, (3, *net.input_shape), np.uint8)
    ready = (pixels.astype(np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
    found = net.run(pixels)
    [(name, answers)] = found.answers.items()
    for number, one in enumerate(ready):
        [expected] = oracle.run({oracle.input_names[0]: one.transpose(2, 0, 1)[None]}).values()
        assert np.array_equal(expected[0], answers[number].astype(np.float32))
    assert found.codes[name].dtype == np.int8 and found.names == ("0", "1", "2")
    assert np.array_equal(net.run(ready.transpose(0, 3, 1, 2)).codes[name], found.codes[name])
    assert np.array_equal(net.run(pixels[1, :, :, 0]).codes[name], found.codes[name][1:2])


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((2, 31, 32, 1), np.uint8), r"has shape \[2, 31, 32, 1\]"),
        (np.zeros((0, 32, 32, 1), np.uint8), r"has shape \[0, "),
        (np.zeros((2, 32, 32, 1), np.float32), "in the model's own axis order"),
        (np.zeros((2, 32, 32, 1), np.int64), "neither pixels nor ready inputs"),
        (np.full((1, 1, 32, 32), np.inf), "NaN or infinite"),
        ("missing", "no such folder"),
    ],
)
def test_what_is_no_image_is_refused(net: HostNetwork, images: np.ndarray | str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        net.run(images)


def test_a_damaged_folder_is_refused(ran: dict[str, Any]) -> None:
    folder = ran["here"] / "out" / "digits"
    (folder / "model/network.npz").write_bytes(b"")
    with pytest.raises(UsageError, match=r"model/network\.npz is not what the build wrote"):
        mbn2c.load(folder).run(demo.TEST_FOLDER, limit=1)
