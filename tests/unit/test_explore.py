"""Networks before they are trained: the papers' shapes, the planner's own figures, the limits, the views."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from command_line import run

from mbn2c.commands import demo
from mbn2c.commands.build import build
from mbn2c.commands.build_options import BuildOptions
from mbn2c.commands.explore.code_sizes import FILE
from mbn2c.commands.explore.export import export
from mbn2c.commands.explore.families import FAMILIES
from mbn2c.commands.explore.points import ExploreOptions, _is_best, explore
from mbn2c.commands.explore.untrained import untrained
from mbn2c.commands.inspect.architecture import architecture_of
from mbn2c.commands.sized_graph import sized
from mbn2c.errors import UsageError
from mbn2c.ops import OPERATORS
from mbn2c.planner.choice import choose_plan
from mbn2c.planner.geometry import Geometries
from mbn2c.report.exploration import Exploration, ExplorePoint
from mbn2c.report.explore_text import explore_text
from mbn2c.report.html.exploration import explore_page
from mbn2c.report.json import read_record
from mbn2c.resources.render import plain_text
from mbn2c.targets import all_cores, load_board, load_core
from mbn2c.tasks.classification.published import published_accuracy

BOARD = load_board("nucleo-f446re")
ONE = ExploreOptions(load_core("cortex-m4"), BOARD, ("v1",), widths=(0.25,), sizes=(48,), classes=10, jobs=1)

PUBLISHED = [
    # (family, width, size, million MACs, million parameters) of the authors' tables, and how far they may be off
    ("v1", 1.0, 224, 569, 4.24, 0.01),
    ("v1", 0.25, 128, 14, 0.47, 0.05),
    ("v2", 1.0, 224, 300, 3.47, 0.02),
    ("v2", 0.5, 160, 50, 1.95, 0.02),
    ("v3-small", 1.0, 224, 56, 2.54, 0.02),
    ("v3-large", 1.0, 224, 217, 5.4, 0.02),
]


@pytest.mark.parametrize(("family", "width", "size", "macs", "parameters", "off"), PUBLISHED)
def test_families_are_those_of_the_papers(
    family: str, width: float, size: int, macs: float, parameters: float, off: float
) -> None:
    graph = untrained(family, width, size)
    found = [
        sum(count(node, graph) for node in graph.nodes) / 1e6
        for count in (
            lambda node, graph: OPERATORS[node.op].macs(node, graph),
            lambda node, graph: OPERATORS[node.op].parameters(node, graph),
        )
    ]
    assert found == [pytest.approx(macs, rel=off), pytest.approx(parameters, rel=off)]
    assert f"width {width}, {size}x{size}" in architecture_of(graph)


@pytest.fixture(scope="module")
def found() -> Exploration:
    return explore(ONE)


def test_a_point_is_what_a_build_of_the_exported_network_takes(found: Exploration, tmp_path: Path) -> None:
    [point] = found.points
    export(ONE, found, tmp_path)
    options = BuildOptions(model=tmp_path / "v1_0.25_48.onnx", core=ONE.core, board=BOARD, calib="random")
    record = read_record(build(options)["report.json"])
    assert (point.macs, point.parameters) == (record.model.macs, record.model.parameters)
    assert point.ram_bytes == record.ram.arena_bytes + record.ram.context_bytes
    assert point.code_bytes is not None
    constants = record.flash.weights_bytes + record.flash.constants_bytes
    assert point.flash_bytes - point.code_bytes == pytest.approx(constants, rel=0.001)
    assert point.time.instructions == pytest.approx(record.time.instructions, rel=0.001)


@pytest.mark.parametrize(("width", "waits_alike"), [(0.5, False), (0.75, True)])
def test_what_widths_share_changes_no_plan(width: float, waits_alike: bool) -> None:
    """At a quarter of the width the first layer makes less than it reads, at half of it more."""
    core, kept = load_core("cortex-m4"), Geometries(sized(untrained("v1", 0.5 if waits_alike else 0.25, 32, 10)))
    choose_plan(kept.graph, core, "balanced", known=kept, is_checked=False)
    wide = sized(untrained("v1", width, 32, 10))
    shared, alone = Geometries(wide, kept), Geometries(wide)
    plans = [choose_plan(wide, core, "balanced", known=known, is_checked=False).plan for known in (shared, alone)]
    assert (plans[0].loops, plans[0].buffers) == (plans[1].loops, plans[1].buffers)
    assert (shared.made[0].moments == 0) == waits_alike and alone.made[0].moments > 0
    assert shared.made[0].cuts is kept.made[0].cuts


def test_limits_leave_out_and_the_rest_is_said() -> None:
    options = replace(ONE, sizes=(32, 48), widths=(0.25, 1.0), fits_only=True, max_ms=9.0)
    found = explore(options)
    assert [(one.width, one.size) for one in found.points] == [(0.25, 32)]
    assert (found.asked, found.unfit) == (4, 3)
    with pytest.raises(UsageError, match="--max-ms needs"):
        explore(replace(ONE, board=None, max_ms=1.0))


def test_the_front_is_of_accuracy_ram_flash_and_instructions(found: Exploration) -> None:
    [point] = found.points

    def with_costs(accuracy: float | None, ram_bytes: int) -> ExplorePoint:
        return replace(point, accuracy=accuracy, ram_bytes=ram_bytes)

    points = [with_costs(60.0, 100), with_costs(60.0, 101), with_costs(61.0, 101), with_costs(None, 1)]
    assert [_is_best(one, points) for one in points] == [True, False, True, False]


def test_published_accuracies_are_of_the_authors_networks() -> None:
    assert published_accuracy("v2", 0.35, 96) == 45.5 and published_accuracy("v1", 1.0, 224) == 70.9
    assert published_accuracy("v1", 0.35, 96) is None and published_accuracy("v3-small", 0.5, 224) is None


def test_a_given_model_is_scaled() -> None:
    options = replace(ONE, model=demo.MODEL_FILE, widths=(0.5, 1.0), sizes=(24,))
    narrow, whole = explore(options).points
    assert narrow.family == demo.MODEL_FILE.stem and narrow.macs < whole.macs and narrow.ram_bytes < whole.ram_bytes
    assert narrow.accuracy is None and narrow.code_bytes is None


def test_views_say_the_same_and_fit_100_columns(found: Exploration) -> None:
    points = [replace(found.points[0], family=family, accuracy=50.0 + len(family)) for family in FAMILIES]
    found = replace(found, points=tuple(points))
    text, page = explore_text(found), explore_page(found)
    assert max(map(len, text.splitlines())) <= 100
    for point in found.points:
        assert f"{point.family} 0.25 48" in text and f"<td>{point.family} 0.25 48</td>" in page
        assert f"{point.ram_bytes:,}" in page
    assert page.count("<circle") == 2 * len(found.points) and explore_page(found) == page


def test_the_command_prints_json_and_refuses_words(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["explore", "--fits", "nucleo-f446re", "--family", "v1", "--width", "0.25", "--size", "32"]
    code, out, _ = run(*words, "--json", "--html", str(tmp_path / "page.html"), capsys=capsys)
    found = json.loads(out)
    assert code == 0 and found["schema"] == 1 and [one["size"] for one in found["points"]] == [32]
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")
    for more, word in ((["--family", "v9"], "v9"), (["--size", "96,x"], "--size"), (["--width", "9"], "--width")):
        code, out, err = run(*words[:3], *more, capsys=capsys)
        assert (code, out) == (2, "") and word in err


def test_code_sizes_are_there_for_cores_without_an_operating_system() -> None:
    with FILE.open(newline="") as file:
        known = {(row["core"], row["family"]) for row in csv.DictReader(file) if row["pieces"] == "yes"}
    assert known == {(core.name, family) for core in all_cores() if not core.hosted for family in FAMILIES}


# --- what defines the networks in Keras and PyTorch, run with stand-ins that count weights ------------


class FakeTorch:
    """What mobilenets_torch.py asks of torch and torch.nn. count: weights, with a batch norm's shift as the bias."""

    def __init__(self) -> None:
        self.count = 0
        self.nn, self.functional = self, None
        self.Module = object
        for name in ("Sequential", "ReLU", "ReLU6", "Hardswish", "ZeroPad2d", "AdaptiveAvgPool2d", "Flatten"):
            setattr(self, name, lambda *arguments: None)

    def Conv2d(  # noqa: N802
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, pad: int = 0, groups: int = 1, bias: bool = True
    ) -> None:
        self.count += inputs * outputs // groups * kernel * kernel + outputs * bias

    def BatchNorm2d(self, channels: int) -> None:  # noqa: N802
        self.count += channels

    def Linear(self, inputs: int, outputs: int) -> None:  # noqa: N802
        self.count += inputs * outputs + outputs


class FakeTensor:
    """shape: [N, ..., C], as far as mobilenets_keras.py asks."""

    def __init__(self, channels: int) -> None:
        self.shape = (None, channels)


class FakeKeras:
    """What it asks of keras and keras.layers."""

    def __init__(self) -> None:
        self.count = 0
        self.layers = self
        for name in ("Multiply", "Rescaling", "ReLU", "GlobalAveragePooling2D", "ZeroPadding2D", "Add"):
            setattr(self, name, lambda *arguments, **named: lambda x: x[0] if isinstance(x, list) else x)

    def Input(self, shape: tuple[int, ...]) -> FakeTensor:  # noqa: N802
        return FakeTensor(shape[-1])

    def Model(self, first: FakeTensor, last: FakeTensor) -> None:  # noqa: N802
        assert first.shape == (None, 3)

    def BatchNormalization(self) -> Callable[[FakeTensor], FakeTensor]:  # noqa: N802
        return lambda x: self._made(x.shape[-1], x.shape[-1])

    def Conv2D(self, outputs: int, kernel: int, *more: object, **named: object) -> Callable:  # noqa: N802
        bias = outputs * bool(named.get("use_bias", True))
        return lambda x: self._made(x.shape[-1] * outputs * kernel**2 + bias, outputs)

    def DepthwiseConv2D(self, kernel: int, *more: object, **named: object) -> Callable:  # noqa: N802
        return lambda x: self._made(x.shape[-1] * kernel**2, x.shape[-1])

    def Dense(self, outputs: int) -> Callable:  # noqa: N802
        return lambda x: self._made((x.shape[-1] + 1) * outputs, outputs)

    def _made(self, weights: int, channels: int) -> FakeTensor:
        self.count += weights
        return FakeTensor(channels)


@pytest.mark.parametrize("width", [0.35, 1.0])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_definitions_have_as_many_weights_as_the_network(
    family: str, width: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = untrained(family, width, 64, 10)
    wanted = sum(OPERATORS[node.op].parameters(node, graph) for node in graph.nodes)
    torch, keras = FakeTorch(), FakeKeras()
    for name, module in (("torch", torch), ("torch.nn", torch), ("keras", keras), ("keras.layers", keras)):
        monkeypatch.setitem(sys.modules, name, cast(ModuleType, module))
    for name, words, fake in (("torch", {}, torch), ("keras", {"size": 64}, keras)):
        text = plain_text(f"explore/mobilenets_{name}.py")
        assert text.startswith("# SPDX-License-Identifier: 0BSD\n")
        names: dict[str, Any] = {}
        exec(compile(text, name, "exec"), names)
        names["mobilenet"](family, width=width, classes=10, **words)
        assert fake.count == wanted, name
