"""Every file of ../shared/models/exporters: bit-exact C, or the one message that says why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from devices import assert_exact, build_folder, verify_on
from shared import SHARED, shared

from mbn2c.commands.build import BuildOptions
from mbn2c.commands.verify import VerifyOptions
from mbn2c.errors import Mbn2cError, ModelError
from mbn2c.ir.graph import Graph
from mbn2c.ir.kernel import Kernel
from mbn2c.network.options import RANDOM
from mbn2c.planner import choice, streaming
from mbn2c.planner.geometry import Geometries
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.targets import load_core

# What a file that does not compile is refused with.
REFUSED = {
    "pt_legacy_op13_ssdlite_v2": "Reshape: the axis order cannot be resolved",
}
FOLDER = SHARED / "models" / "exporters"
FILES = sorted(file.stem for file in FOLDER.glob("*.onnx")) or ["exporters"]
BROKEN = sorted(file.stem for file in (FOLDER / "broken").glob("*.onnx")) or ["broken"]


def options_for(model: Path) -> BuildOptions:
    return BuildOptions(model=model, core=load_core("host"), calib=RANDOM, name="net")


class LayerByLayer:
    """Instead of `TradeOffs`: exporters differ in what is imported, and the search takes longer than all else."""

    def __init__(
        self,
        graph: Graph,
        kernels: Mapping[str, Kernel],
        *,
        ram_limit: int | None = None,
        known: Geometries | None = None,
    ) -> None:
        self.curve = [streaming.TradeOff(plan_layerwise(graph, kernels), 1.0)]

    def best(self, optimize: str) -> streaming.TradeOff:
        plan = replace(self.curve[0].plan, schedule=f"streaming, {optimize}")
        return replace(self.curve[0], plan=plan)


@pytest.mark.parametrize("is_searched", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["layers", "searched"])
@pytest.mark.parametrize("name", FILES)
def test_exporter_file_is_bit_exact_or_refused(
    name: str, is_searched: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_searched:
        monkeypatch.setattr(choice, "TradeOffs", LayerByLayer)
    model = shared(f"models/exporters/{name}.onnx")
    if name in REFUSED:
        with pytest.raises(ModelError, match=REFUSED[name]) as raised:
            build_folder(tmp_path / "out", options_for(model))
        assert raised.value.exit_code == 3
        assert raised.value.hint
        assert not (tmp_path / "out").exists()
        return
    output = build_folder(tmp_path / "out", options_for(model))
    shape = output.graph.inputs[0].shape[1:]
    images = tmp_path / "images.npz"
    np.savez(images, np.random.default_rng(1).uniform(-1, 1, (2, *shape)).astype(np.float32))
    result = verify_on(output, "host", tmp_path / "host", VerifyOptions(images, layers=True))
    assert_exact(result, 2)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file_ends_in_one_message(name: str, tmp_path: Path) -> None:
    model = shared(f"models/exporters/broken/{name}.onnx")
    with pytest.raises(Mbn2cError) as raised:
        build_folder(tmp_path / "out", options_for(model))
    assert raised.value.exit_code == 3
    assert raised.value.what and raised.value.where and raised.value.hint
    assert not (tmp_path / "out").exists()
