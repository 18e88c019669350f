"""The row map: its closed forms against counting, the operators' maps against their own word, who may not ask it."""

from __future__ import annotations

import ast
import inspect
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import OPERATOR_CASES, tiny_mobilenet_v2
from networks import plan_with_cuts, quantized

import mbn2c
from mbn2c.errors import InternalError
from mbn2c.ir.plan import Plan
from mbn2c.ir.row_map import RowMap
from mbn2c.ops import OPERATORS
from mbn2c.planner.overlap import check_overlaps

JUDGES = (
    "planner/needs.py",
    "planner/replay.py",
    "planner/overlap.py",
    "reference/run_plan.py",
    "reference/progress.py",
)
edges = st.one_of(st.none(), st.integers(-3, 12))
maps = st.builds(
    RowMap, st.integers(1, 4), st.integers(0, 4), st.integers(1, 5), st.integers(-9, 9), st.integers(1, 3), edges, edges
)


@given(maps, st.integers(1, 14))
def test_what_is_possible_is_the_inverse_of_what_is_needed(one: RowMap, height: int) -> None:
    if one.lowest is not None and one.highest is not None and one.lowest > one.highest:
        one = replace(one, lowest=one.highest, highest=one.lowest)
    for made in range(-2, 30):
        counted = sum(one.needed(y) <= made for y in range(height))
        assert one.possible(made, height) == counted, (one, made)


@given(maps, st.integers(0, 5), st.integers(0, 9))
def test_padding_moves_every_row(one: RowMap, padding: int, y: int) -> None:
    assert one.behind(padding).rows(y) == tuple(row + padding for row in one.rows(y))
    assert one.first(y) == one.rows(y)[0]
    assert one.needed(y) == one.rows(y)[-1] + 1


@pytest.mark.parametrize(
    ("one", "rows"),
    [
        (RowMap(3, 2, 1, -1), [(-1, 0, 1), (1, 2, 3), (3, 4, 5)]),
        (RowMap(3, 1, 1, -2, 2), [(-2, 0, 2), (-1, 1, 3), (0, 2, 4)]),
        (RowMap(1, 1, 2), [(0,), (0,), (1,), (1,)]),
        # Twice as many rows, bilinear with half_pixel: row y lies at (y + 0.5) / 2 - 0.5.
        (RowMap(2, 2, 4, -1, lowest=0, highest=1), [(0, 0), (0, 1), (0, 1), (1, 1)]),
        (RowMap(3, 0), [(0, 1, 2), (0, 1, 2)]),
    ],
    ids=["stride 2", "dilation 2", "nearest", "bilinear", "all of it"],
)
def test_rows(one: RowMap, rows: list[tuple[int, ...]]) -> None:
    assert [one.rows(y) for y in range(len(rows))] == rows


@pytest.mark.parametrize("name", OPERATOR_CASES)
def test_the_map_of_an_operator_says_what_it_needs(name: str) -> None:
    graph = OPERATOR_CASES[name]()
    for node in graph.nodes:
        operator = OPERATORS[node.op]
        made = graph.tensors[node.outputs[0]].shape
        for number in range(len(operator.activations(node, graph))):
            for axis, one in enumerate(operator.row_maps(node, graph, number)):
                needed = [operator.needs(node, graph, number, axis, y) for y in range(made[1 + axis])]
                assert [one.rows(y) for y in range(len(needed))] == needed


# --- the judges ----------------------------------------------------------------------------------


@pytest.mark.parametrize("judge", JUDGES)
def test_judges_do_not_ask_the_map(judge: str) -> None:
    methods = {name for name, what in inspect.getmembers(RowMap, inspect.isfunction) if not name.startswith("__")}
    tree = ast.parse((Path(mbn2c.__file__).parent / judge).read_text())
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    asked = methods & {function.attr for function in called if isinstance(function, ast.Attribute)}
    assert not asked, f"{judge} asks {asked}"


def with_read(plan: Plan, step: int, **changes: RowMap) -> Plan:
    """The Plan with one map of the first read of a step replaced."""

    def of(call):
        return replace(call, reads=(replace(call.reads[0], **changes), *call.reads[1:])) if call.step == step else call

    loops = tuple(replace(loop, calls=tuple(of(call) for call in loop.calls)) for loop in plan.loops)
    return replace(plan, loops=loops)


@pytest.mark.parametrize("change", [{"phase": 1}, {"count": 2}, {"numerator": 2}, {"denominator": 2}, {"dilation": 2}])
@pytest.mark.parametrize("axis", ["row_map", "column_map"])
def test_a_map_that_is_wrong_is_found(axis: str, change: dict[str, int]) -> None:
    graph = quantized(tiny_mobilenet_v2(9, 8), 1)
    plan = plan_with_cuts(graph, [])
    call = next(
        call
        for call in plan.calls
        if call.reads and call.reads[0].row_map.extent > 1 == call.reads[0].row_map.numerator
    )
    changed = replace(getattr(call.reads[0], axis), **change)
    with pytest.raises(InternalError, match=f"{axis.removesuffix('_map')} . of .* the plan says"):
        check_overlaps(with_read(plan, call.step, **{axis: changed}))
    check_overlaps(plan)
