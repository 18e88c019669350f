"""report.html: buffers in their places, the chosen plan marked, nothing from outside, names escaped."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from xml.etree import ElementTree

import pytest
from mobilenets import mobilenet_v1
from models import tiny_mobilenet_v1, tiny_mobilenet_v2
from networks import quantized
from records import record_of

from mbn2c.commands.build import REPORT_PAGE, report_files
from mbn2c.ir.graph import Graph
from mbn2c.planner.choice import choose_plan
from mbn2c.report.html import report_page
from mbn2c.report.record import BuildRecord, FirmwareFacts, WeightsPointFacts
from mbn2c.resources.render import plain_text
from mbn2c.targets import load_board, load_core

HOSTILE = "a<b>&\"c' {{ 7 * 7 }} </title><script>"
SCRIPT = plain_text("report/report.js")
NETWORKS = {
    "v1": lambda: quantized(tiny_mobilenet_v1()),
    "v2": lambda: quantized(tiny_mobilenet_v2()),
    "vww_96": lambda: quantized(mobilenet_v1(0.25, 96, classes=2), 1),
}


def record_for(graph: Graph, optimize: str = "balanced") -> BuildRecord:
    return record_of(choose_plan(graph, load_core("cortex-m4"), optimize), "cortex-m4", optimize)


@cache
def record_named(name: str, optimize: str) -> BuildRecord:
    return record_for(NETWORKS[name](), optimize)


def pictures(page: str) -> dict[str, ElementTree.Element]:
    """The drawings by id; each must be well-formed XML."""
    found = [ElementTree.fromstring(text) for text in re.findall(r"<svg id=.*?</svg>", page, re.S)]
    return {picture.attrib["id"]: picture for picture in found}


def numbers(element: ElementTree.Element, *names: str) -> list[float]:
    return [float(element.attrib[name]) for name in names]


@pytest.mark.parametrize("optimize", ["ram", "speed"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_buffer_has_its_rectangle(name: str, optimize: str) -> None:
    report = record_named(name, optimize)
    drawing = pictures(report_page(report))["memory-map"]
    spaces = [one for one in drawing.iter("rect") if one.get("class") == "space"]
    by_title = {one.findtext("title", ""): one for one in spaces}
    left, bottom, scale = 78.0, 494.0, 460.0 / report.ram.arena_bytes
    layers = {layer.step: layer.name for layer in report.layers}
    for buffer in report.buffers:
        name = layers.get(buffer.first_step, buffer.tensor)
        (title,) = [title for title in by_title if title.startswith(f"{name}: ")]
        x, y, width, height = numbers(by_title[title], "x", "y", "width", "height")
        assert (x >= left - 0.1, x + width <= left + 1100.1, y >= 34 - 0.1) == (True, True, True), title
        assert bottom - (y + height) == pytest.approx(buffer.offset * scale, abs=1.1), title
        assert height == pytest.approx(max(1, buffer.size_bytes * scale), abs=0.1), title
        kind = "strip" if buffer.strip_columns else "ring" if buffer.slots < buffer.rows else "full"
        assert by_title[title].attrib["data-kind"] == kind
    scratch = [one for one in spaces if one.get("data-kind") == "scratch"]
    assert len(spaces) == len(report.buffers) + len(scratch)
    assert bool(scratch) == bool(report.scratch)


@pytest.mark.parametrize("name", NETWORKS)
def test_moments(name: str) -> None:
    report = record_named(name, "balanced")
    timeline, loops = report.timeline, report.timeline.loops
    assert [loop.first_moment for loop in loops] == [0, *(loop.last_moment + 1 for loop in loops[:-1])]
    assert loops[-1].last_moment == timeline.moments - 1
    assert max(max(loop.live_bytes) for loop in loops) == report.ram.lower_bound_bytes
    (fullest,) = [one for one in loops if one.first_moment <= timeline.peak_moment <= one.last_moment]
    assert fullest.first_step <= report.ram.peak_step <= fullest.last_step
    loop_of = {step: loop for loop in loops for step in range(loop.first_step, loop.last_step + 1)}
    for buffer in report.buffers:
        made, read = loop_of[buffer.first_step], loop_of[buffer.last_step]
        assert made.first_moment <= buffer.first_moment <= made.last_moment, buffer
        assert read.first_moment <= buffer.last_moment <= read.last_moment, buffer


@pytest.mark.parametrize("optimize", ["ram", "balanced", "speed"])
def test_curve_marks_the_chosen_plan(optimize: str) -> None:
    report = record_named("vww_96", optimize)
    (chosen,) = [one for one in report.trade_offs if one.chosen]
    assert chosen.arena_bytes == report.ram.arena_bytes
    assert 5 <= len(report.trade_offs) <= 10
    assert [one.layerwise for one in report.trade_offs][-1]
    drawing = pictures(report_page(report))["trade-offs"]
    circles = list(drawing.iter("circle"))
    assert len(circles) == len(report.trade_offs)
    (marked,) = [one for one in circles if one.attrib["class"] == "point chosen"]
    assert marked.findtext("title", "").endswith(", chosen")
    assert circles.index(marked) == report.trade_offs.index(chosen)


def test_layers_say_what_they_read_and_what_is_alive() -> None:
    report = record_named("vww_96", "ram")
    page = report_page(report)
    for layer in report.layers:
        assert layer.live_bytes <= report.ram.arena_bytes
        assert (layer.weight_bytes_read > 0) == (layer.op != "average_pool2d")
        assert f'<td class="n">{layer.weight_bytes_read:,}</td>' in page
    peak = [layer for layer in report.layers if layer.step == report.ram.peak_step]
    assert [layer.live_bytes for layer in peak] in ([], [report.ram.lower_bound_bytes])


def test_page_needs_nothing_from_outside_and_is_always_the_same() -> None:
    page = report_page(record_named("v2", "balanced"))
    assert page == report_page(record_for(NETWORKS["v2"]()))
    for word in ("http", "src=", "<link", "@import"):
        assert word not in page
    assert re.findall("<script.*?</script>", page, re.DOTALL) == [f"<script>\n{SCRIPT}</script>"]
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))


def test_names_are_escaped() -> None:
    graph = NETWORKS["v1"]()
    named = {name: f"{HOSTILE}{name}" for name, tensor in graph.tensors.items() if tensor.data is None}
    tensors = {
        named.get(name, name): replace(tensor, name=named.get(name, name)) for name, tensor in graph.tensors.items()
    }
    nodes = tuple(
        replace(
            node,
            name=f"{HOSTILE}{node.name}",
            inputs=tuple(named.get(name, name) for name in node.inputs),
            outputs=tuple(named[name] for name in node.outputs),
        )
        for node in graph.nodes
    )
    ports = {
        key: tuple(replace(port, tensor=named[port.tensor]) for port in getattr(graph, key))
        for key in ("inputs", "outputs")
    }
    page = report_page(record_for(replace(graph, name=HOSTILE, tensors=tensors, nodes=nodes, **ports)))
    assert page.count("<script") == 1 and "<b>&" not in page
    assert page.count("</title>") == page.count("<title>")
    titles = [one.text or "" for one in pictures(page)["memory-map"].iter("title")]
    assert sum(title.startswith(HOSTILE) for title in titles) == len(named)


def test_page_before_and_after_compilation() -> None:
    report = record_named("v1", "balanced")
    assert "not compiled" in report_page(report)
    completed = report.with_sizes(12_345, 678, None)
    page = report_files(completed)[REPORT_PAGE].decode()
    assert "not compiled" not in page and "12,345 B" in page and "678 B" in page


def test_the_page_says_why_another_plan_was_taken() -> None:
    report = record_named("v1", "balanced")
    assert report.fit == "" and 'id="fit"' not in report_page(report)
    page = report_page(replace(report, fit="'balanced' would take 17,312 B <here>"))
    assert '<p id="fit">&#39;balanced&#39; would take 17,312 B &lt;here&gt;</p>' in page


def test_layers_lead_to_their_c_and_memories_have_shares() -> None:
    report = record_named("v1", "balanced")
    page = report_page(report)
    steps = re.findall(r'href="net.c#:~:text=step%20(\d+)%20of%20(\d+)%3A"', page)
    assert steps == [(str(layer.step), str(len(report.layers) + 1)) for layer in report.layers] and steps
    assert "Firmware, of the board" not in page
    [flash, ram] = load_board("nucleo-f446re").memories
    built = FirmwareFacts("build/net.elf", {flash.name: flash.size_bytes // 16, ram.name: ram.size_bytes // 2})
    on_board = replace(report, board="nucleo-f446re").with_sizes(1, 2, built)
    page = report_page(on_board)
    assert "6.2 % of 512 KiB" in page and "50.0 % of 128 KiB" in page


def test_networks_between_eight_and_four_bits_are_drawn_where_they_were_made() -> None:
    report = record_named("v1", "ram")
    assert "weights-curve" not in pictures(report_page(report))
    points = (
        WeightsPointFacts(4096, 0, 30.0, 1.0, chosen=False),
        WeightsPointFacts(3072, 2, 28.0, 0.95, chosen=True),
        WeightsPointFacts(2048, 5, 20.0, 0.75, chosen=False),
    )
    drawn = report_page(replace(report, quantization=replace(report.quantization, weights_curve=points)))
    circles = list(pictures(drawn)["weights-curve"].iter("circle"))
    places = [tuple(numbers(circle, "cx", "cy")) for circle in circles]
    # As far apart as their flash and their agreement are.
    assert places[0][0] - places[1][0] == pytest.approx(places[1][0] - places[2][0], abs=0.2)
    assert places[2][1] - places[1][1] == pytest.approx(4 * (places[1][1] - places[0][1]), abs=0.5)
    assert places[0][0] > places[2][0] and places[0][1] < places[2][1]
    assert [("chosen" in circle.attrib["class"]) for circle in circles] == [False, True, False]
    table = drawn[drawn.index('<table id="weights">') :]
    assert [text in table for text in ("3,072 B", "95.0", "28.0")] == [True] * 3
    no_decisions = tuple(replace(point, agreement=None) for point in points)
    without = report_page(replace(report, quantization=replace(report.quantization, weights_curve=no_decisions)))
    assert "Flash against SQNR" in without and "Flash against agreement" in drawn
