"""The graph beside the layers' table, histograms of values, and what the table says where little is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from models import tiny_mobilenet_v2
from networks import quantized
from records import record_of

from mbn2c.planner.choice import choose_plan
from mbn2c.report.html import report_page
from mbn2c.report.html.drawing import name_parts
from mbn2c.report.html.histogram import histogram
from mbn2c.report.html.layer_table import layer_table
from mbn2c.report.html.network_graph import network_graph
from mbn2c.report.layers import LayerFacts, SeenFacts
from mbn2c.report.time_facts import range_text
from mbn2c.targets import load_core

LAYER = LayerFacts(
    *(1, "a/b.c", "conv2d", "kernel", (0,), ((1, 4, 4, 3),), (1, 4, 4, 8), 10, 20, 3000, (4000, 5000), (0.4, 0.5)),
    *(99, 1024, 1024, 0.1, -28, -10.0, 15.5, None, 30.0, 40.0, 50.0, 0.25),
)


def reading(*reads: tuple[int, ...]) -> list[LayerFacts]:
    return [replace(LAYER, step=step, reads=sources) for step, sources in enumerate(reads, start=1)]


def drawn(*reads: tuple[int, ...]) -> tuple[int, list[list[tuple[str, str]]]]:
    width, rows = network_graph(reading(*reads), {0: "in", **{step: f"of {step}" for step in range(1, len(reads) + 1)}})
    return width, [[(edge.kind, edge.path) for edge in row] for row in rows]


DOWN, ABOVE, PASSES = "M10,50V100", "M10,0V50", "M21,0V100"
OUT, IN = "M10,50C10,80 21,70 21,100", "M21,0C21,30 10,20 10,50"


def test_a_chain_is_one_line() -> None:
    assert drawn((0,), (1,), (2,)) == (
        20,
        [[("in", ABOVE), ("of 1", DOWN)], [("of 1", ABOVE), ("of 2", DOWN)], [("of 2", ABOVE)]],
    )


def test_a_shortcut_has_a_lane() -> None:
    assert drawn((0,), (1,), (2,), (3, 1)) == (
        31,
        [
            [("in", ABOVE), ("of 1", DOWN), ("of 1", OUT)],
            [("of 1", ABOVE), ("of 2", DOWN), ("of 1", PASSES)],
            [("of 2", ABOVE), ("of 3", DOWN), ("of 1", PASSES)],
            [("of 3", ABOVE), ("of 1", IN)],
        ],
    )


def test_branches_from_one_tensor_share_its_lane() -> None:
    _, rows = drawn((0,), (1,), (1,), (2, 3))
    assert rows[2] == [("of 3", DOWN), ("of 1", IN), ("of 2", "M32,0V100")]
    assert [kind for kind, _ in rows[3]] == ["of 3", "of 2"]


def test_a_lane_is_used_again() -> None:
    assert drawn((0,), (1,), (2, 1), (3,), (4, 3))[0] == 31
    assert drawn((0,), (1,), (2,), (3, 1), (4, 2))[0] == 42


def test_the_input_may_be_read_late() -> None:
    _, rows = drawn((0,), (1, 0))
    assert rows == [[("in", ABOVE), ("of 1", DOWN), ("in", PASSES)], [("of 1", ABOVE), ("in", IN)]]


def test_a_histogram_and_its_range() -> None:
    assert histogram(LAYER) is None
    seen = SeenFacts(-10.0, 30.0, (1000, 0, 0, 1), 0.25)
    found = histogram(replace(LAYER, seen=seen, low=-10.0, high=20.0))
    assert found is not None
    # 40 units are 320 wide; a thousandth is a tenth as high as all of them.
    assert found.bars == "M0,84V0H80V84H160V84H240V76H320V84Z"
    assert found.range == "M0,92H240M0,0V100M240,0V100"
    assert found.words == "held -10 to 30, range -10 to 20, beyond it 25 %"


@pytest.mark.parametrize(
    ("ms", "cycles", "unit", "time"),
    [
        ((0.4, 0.5), (4000, 5000), "ms", "0.40 to 0.50"),
        (None, (4000, 5000), "k cycles", "4.00 to 5.00"),
        (None, None, "k instructions", "3.00"),
    ],
)
def test_the_best_known_time_is_shown(
    ms: tuple[float, float] | None, cycles: tuple[int, int] | None, unit: str, time: str
) -> None:
    record = record_of(
        choose_plan(quantized(tiny_mobilenet_v2()), load_core("cortex-m4"), "balanced"), "cortex-m4", "ram"
    )
    layers = tuple(replace(layer, ms=ms, cycles=cycles, instructions=3000) for layer in record.layers)
    table = layer_table(replace(record, layers=layers))
    assert (unit, True) in table["columns"] and {row["time"] for row in table["rows"]} == {time}
    assert "No histograms of values: no images calibrated this network." in report_page(record)


@pytest.mark.parametrize(("source", "images"), [("drawn", "drawn images"), ("images", "the calibration images")])
def test_the_page_says_whose_values_they_are(source: str, images: str) -> None:
    record = record_of(choose_plan(quantized(tiny_mobilenet_v2()), load_core("cortex-m4"), "ram"), "cortex-m4", "ram")
    layers = tuple(replace(layer, seen=SeenFacts(0.0, 1.0, (1000,), 0.0)) for layer in record.layers)
    build = replace(record.build, calibration=replace(record.build.calibration, source=source))
    page = report_page(replace(record, build=build, layers=layers))
    assert f"held what on {images} (logarithmic)" in page and "No histograms" not in page
    assert f"cycles: {record.time.source[:20]}" in page


@pytest.mark.parametrize("name", ["/features/0.1/Conv", "conv2d_3", "a//b..c", "x.", ""])
def test_names_are_cut_between_their_parts(name: str) -> None:
    parts = name_parts(name)
    assert "".join(parts) == name
    assert all(part.strip("/.").isidentifier() or part.strip("/.") in ("", "0", "1") for part in parts)


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((0.0021, 0.0034), "0.0021 to 0.0034"),
        ((0.0, 0.04), "0.00 to 0.04"),
        ((0.384, 9.5), "0.38 to 9.50"),
        ((18.22, 123.4), "18.2 to 123"),
        ((0.00201, 0.00199), "0.002"),
    ],
)
def test_ranges_have_two_digits_at_least(ends: tuple[float, float], text: str) -> None:
    assert range_text(ends) == text
