"""Layers in the record: what they read, what they take, and that all together is the network's."""

from __future__ import annotations

import pytest
from models import tiny_mobilenet_v2
from networks import quantized
from records import record_of

from mbn2c.planner.choice import choose_plan
from mbn2c.report.record import BuildRecord
from mbn2c.targets import load_board, load_core


def record_for(board: str | None) -> BuildRecord:
    core = load_core(load_board(board).core) if board else load_core("cortex-m4")
    choice = choose_plan(quantized(tiny_mobilenet_v2()), core, "balanced")
    return record_of(choice, core.name, "balanced", board)


@pytest.mark.parametrize("board", ["nucleo-f446re", "nucleo-h743zi2"])
def test_all_layers_take_what_the_network_takes(board: str) -> None:
    record = record_for(board)
    assert record.time.ms is not None and record.time.cycles is not None
    for end in (0, 1):
        ms = [layer.ms[end] for layer in record.layers if layer.ms]
        cycles = [layer.cycles[end] for layer in record.layers if layer.cycles]
        assert len(ms) == len(cycles) == len(record.layers) and min(ms) > 0
        # Of each layer one line of weights may be counted that two share.
        assert sum(cycles) == pytest.approx(record.time.cycles[end], rel=0.01)
        assert sum(ms) == pytest.approx(record.time.ms[end], rel=0.01)
    assert sum(layer.instructions for layer in record.layers) == pytest.approx(record.time.instructions, rel=0.01)


def test_without_a_board_nobody_knows_milliseconds() -> None:
    record = record_for(None)
    assert {layer.ms for layer in record.layers} == {None}
    assert all(layer.cycles and layer.cycles[0] < layer.cycles[1] for layer in record.layers)


def test_layers_read_what_made_their_inputs() -> None:
    record = record_for(None)
    shapes = {0: record.input.shape} | {layer.step: layer.output for layer in record.layers}
    for layer in record.layers:
        assert tuple(shapes[step] for step in layer.reads) == layer.inputs and max(layer.reads) < layer.step
    adds = [layer for layer in record.layers if layer.op == "add"]
    assert adds and all(len(set(layer.reads)) == 2 for layer in adds)


def test_without_images_nothing_was_seen() -> None:
    record = record_for(None)
    assert {layer.seen for layer in record.layers} == {None}
    for layer in record.layers:
        assert layer.low == pytest.approx((-128 - layer.zero_point) * layer.scale)
        assert layer.high == pytest.approx((127 - layer.zero_point) * layer.scale)


def test_every_plan_says_where_it_is_fullest() -> None:
    record = record_for(None)
    (chosen,) = [one for one in record.trade_offs if one.chosen]
    assert chosen.peak_layer == record.ram.peak_layer
    assert {one.peak_layer for one in record.trade_offs} <= {"input", *(layer.name for layer in record.layers)}
