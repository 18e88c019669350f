"""A detector's last steps in integers, beside the same in real numbers and beside ONNX Runtime's NonMaxSuppression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import int8_inputs, kernels_of
from onnx import TensorProto, helper
from ssd import random_centroids, random_detector, random_level

from mbn2c.frontend.runtime import Oracle
from mbn2c.ir.graph import Graph, Quant
from mbn2c.ir.plan import Plan
from mbn2c.network.file import graph_to_bytes, read_graph
from mbn2c.ops.ssd_boxes import arithmetic
from mbn2c.ops.ssd_boxes.arithmetic import (
    LONGEST,
    ONE,
    Box,
    SsdBoxesAttributes,
    SsdLevel,
    boxes_from_bytes,
    boxes_to_bytes,
    connected,
    decode,
    find_boxes,
    score_of,
    times_power_of_2,
)
from mbn2c.ops.ssd_candidates import (
    SsdCandidatesAttributes,
    curve_of,
    powers_of,
    powers_of_shares,
    share_tables,
    shares,
)
from mbn2c.ops.ssd_candidates.records import ONE_SCORE, RECORD, as_bytes, best_of, from_bytes
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.planner.memory import allocate
from mbn2c.planner.overlap import check_overlaps
from mbn2c.planner.schedule import make_schedule
from mbn2c.reference.run_graph import run_graph
from mbn2c.reference.run_plan import run_plan

ints = st.integers


@given(ints(0, LONGEST), ints(-(2**24), 2**24))
def test_sizes_are_exponentials(length: int, exponent: int) -> None:
    wanted = min(length * 2.0 ** (exponent / ONE), LONGEST)
    assert abs(times_power_of_2(length, exponent) - wanted) <= 1 + 1e-4 * wanted


@given(ints(-(2**30), 2**30))
def test_scores_are_sigmoids(odds: int) -> None:
    wanted = ONE_SCORE / (1 + 2.0 ** min(-odds / ONE, 200))
    assert 1 <= score_of(odds) < ONE_SCORE
    assert abs(score_of(odds) - min(max(wanted, 1), ONE_SCORE - 1)) <= 2


@given(ints(-(2**30), 2**30), ints(0, 2**20))
def test_a_greater_rank_has_no_lesser_score(odds: int, more: int) -> None:
    assert score_of(odds) <= score_of(odds + more)


@given(
    ints(0, 10_000),
    st.lists(ints(-128, 127), min_size=4, max_size=4),
    st.sampled_from(arithmetic.CODERS),
    st.booleans(),
)
def test_corners_are_those_of_real_numbers(seed: int, offsets: list[int], coder: str, has_curves: bool) -> None:
    generator = np.random.default_rng(seed)
    level = random_level(generator, 5, 4, 3, coder)
    if has_curves:
        level = replace(level, curves=tuple(map(tuple, generator.integers(-ONE, ONE + 1, (2, 256)).tolist())))
    place = int(generator.integers(60))
    a = SsdBoxesAttributes((level,), (1, 0, 3, 2), coder, 96, 160, 1, 0, True)
    (y, x), number = divmod(place // 3, 4), place % 3
    anchor = np.array(level.anchors[number]) / ONE
    codes = [offsets[i] for i in a.order]
    values = [
        level.curves[i // 2][code + 128] / ONE if has_curves else code - level.zero_point
        for i, code in enumerate(codes)
    ]
    d = np.array(values) * np.array(level.offset_steps[number]) / ONE
    grid = np.array([x * level.step_x, y * level.step_y]) / ONE
    if coder != arithmetic.CORNERS:
        sizes = anchor[2:] * np.minimum(2.0 ** d[2:], 2**40) if coder == arithmetic.CENTRES else anchor[2:] + d[2:]
        centre, half = anchor[:2] + grid + d[:2], sizes / 2
        wanted = np.concatenate([centre - half, centre + half])
    else:
        wanted = anchor + np.tile(grid, 2) + d
    wanted = np.clip(wanted, 0, [160, 96, 160, 96])
    # Half of a sixteenth of a pixel, and what the exponential is off by.
    assert np.abs(np.array(decode(a, level, place, offsets)) / 16 - wanted).max() <= 0.04 + 1e-4 * 160


@given(ints(0, 10_000), ints(2, 1000), st.sampled_from([1e-4, 0.02, 0.1, 1.0]))
def test_shares_are_a_softmax(seed: int, classes: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    codes = generator.integers(-128, 128, (9, classes)).astype(np.int16)
    codes[0], codes[1], codes[1, -1] = 127, -128, 127
    a = SsdCandidatesAttributes(1, classes, 0, 4, 1, 9, is_shared=True, margin=-256)
    powers = np.exp(scale * (codes - codes.max(axis=1, keepdims=True)))
    wanted = (powers / powers.sum(axis=1, keepdims=True))[:, 1:] * ONE_SCORE
    found = shares(a, codes, powers_of(scale))
    assert found.min() >= 0 and found.max() < ONE_SCORE
    assert np.abs(found - wanted).max() <= 1 + (classes + 2) / 4
    near = shares(replace(a, margin=3), codes, powers_of(scale))
    assert np.array_equal(near, np.where(codes[:, 1:] - codes[:, :1] >= 3, found, 0))


@given(ints(-128, 127), st.sampled_from([1e-3, 0.05, 0.3, 2.0]), st.sampled_from([0.4, 1.0, 3.0]))
def test_curves_are_powers_of_sigmoids(zero_point: int, scale: float, exponent: float) -> None:
    found = curve_of(Quant(np.array([scale], np.float32), zero_point), exponent)
    wanted = (1 / (1 + np.exp(-scale * (np.arange(-128, 128) - zero_point)))) ** exponent * ONE_SCORE
    assert np.abs(found - wanted).max() <= 0.51 and (np.diff(found.astype(int)) >= 0).all()


@given(st.lists(ints(0, ONE_SCORE), min_size=1, max_size=9), st.sampled_from([0.25, 0.4, 1.0, 3.0]))
def test_powers_of_shares(found: list[int], exponent: float) -> None:
    made = powers_of_shares(share_tables(exponent), np.array(found))
    wanted = (np.array(found) / ONE_SCORE) ** exponent * ONE_SCORE
    assert np.abs(made.astype(float) - wanted).max() <= 4 and made.max() <= ONE_SCORE


@pytest.mark.parametrize("per_class", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_what_is_dropped_is_onnx_runtime_s_choice(seed: int, per_class: bool) -> None:
    generator = np.random.default_rng(seed)
    corners = generator.integers(0, 400, (40, 2, 2))
    corners = np.concatenate([corners[:, 0], corners[:, 0] + 1 + corners[:, 1]], axis=1)
    labels = generator.integers(0, 3, 40) if per_class else np.zeros(40, int)
    scores = generator.permutation(40) + 1
    boxes = [Box(tuple(map(int, corners[i])), int(labels[i]), int(scores[i])) for i in np.argsort(-scores)]
    kept: list[Box] = []
    for box in boxes:
        if not any((box.label == one.label) and arithmetic.overlap(box, one, 1 << 14) for one in kept):
            kept.append(box)
    by_class = np.where(labels[None] == np.arange(3)[:, None], scores, 0).astype(np.float32)
    found = non_max_suppression(corners.astype(np.float32), by_class, 0.25)
    assert sorted(box.score for box in kept) == sorted(int(scores[i]) for i in found)


def non_max_suppression(corners: np.ndarray, scores: np.ndarray, iou: float) -> list[int]:
    """Which boxes ONNX Runtime keeps; scores [classes, N], 0 where a box is not of the class."""
    names = ("boxes", "scores", "most", "iou", "least")
    values = (corners[None], scores[None], np.array([100]), np.array([iou], np.float32), np.array([0.5], np.float32))
    kinds = (TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.INT64, TensorProto.FLOAT, TensorProto.FLOAT)
    node = helper.make_node("NonMaxSuppression", names, ["chosen"])
    inputs = [
        helper.make_tensor_value_info(name, kind, value.shape)
        for name, kind, value in zip(names, kinds, values, strict=True)
    ]
    output = helper.make_tensor_value_info("chosen", TensorProto.INT64, None)
    model = helper.make_model(
        helper.make_graph([node], "nms", inputs, [output]), opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    )
    chosen = Oracle(model.SerializeToString()).run(dict(zip(names, values, strict=True)))["chosen"]
    return [int(one) for one in chosen[:, 2]]


@given(ints(0, 10_000), ints(1, 12))
def test_the_best_of_parts_are_the_best_of_all(seed: int, most: int) -> None:
    generator = np.random.default_rng(seed)
    found = np.zeros(40, RECORD)
    found["rank"], found["place"], found["label"] = generator.integers(-5, 5, 40), np.arange(40) // 2, np.arange(40) % 2
    wanted = sorted(range(40), key=lambda i: (-int(found["rank"][i]), i))[:most]
    assert best_of(found, most).tobytes() == found[wanted].tobytes()
    parts = np.concatenate([best_of(found[:17], most), best_of(found[17:], most)])
    assert best_of(parts, most).tobytes() == found[wanted].tobytes()
    assert from_bytes(as_bytes(found[wanted], most + 2)).tobytes() == found[wanted].tobytes()


def test_equal_candidates_of_several_levels_come_in_the_order_of_the_levels() -> None:
    steps = ((0, 0, 0, 0),)
    levels = [SsdLevel(1, 1, 0, 0, 0, 4, ((0, 0, right << 16, 1 << 16),), steps) for right in (3, 5)]
    one = np.zeros(1, RECORD)
    for order in (levels, levels[::-1]):
        a = SsdBoxesAttributes(tuple(order), (0, 1, 2, 3), arithmetic.CORNERS, 96, 96, 1, 0, True)
        [box] = find_boxes(a, [as_bytes(one, 3), as_bytes(one, 3)])
        assert box.corners[2] == order[0].anchors[0][2] >> 12


@given(ints(1, 6), st.data())
def test_groups_hang_together_and_nothing_else_does(width: int, data: st.DataObject) -> None:
    """In whatever order they come, as a walk from neighbour to neighbour finds them."""
    found = data.draw(st.lists(st.tuples(ints(0, width - 1), ints(0, 5), ints(0, 1)), unique=True, max_size=20))
    x, y, labels = np.array(found, int).reshape(-1, 3).T
    wanted, left = set(), set(found)
    while left:
        group, waiting = set(), [left.pop()]
        while waiting:
            one = waiting.pop()
            group.add(one)
            near = {p for p in left if p[2] == one[2] and max(abs(p[0] - one[0]), abs(p[1] - one[1])) <= 1}
            left -= near
            waiting += near
        wanted.add(frozenset(group))
    groups = connected(x, y, labels)
    assert {frozenset(found[one] for one in group) for group in groups} == wanted
    assert [group[0] for group in groups] == sorted(group[0] for group in groups)
    assert all(group == sorted(group) for group in groups)


def test_each_level_has_candidates_of_its_own() -> None:
    """A large object that fills its level's list leaves room for the small ones of another."""
    steps = ((0, 0, 0, 0),)
    large = SsdLevel(1, 3, 0, 0, 0, 4, ((0, 0, 90 << 16, 90 << 16),), steps)
    small = SsdLevel(1, 3, 20 << 16, 0, 0, 4, ((0, 0, 9 << 16, 9 << 16),), steps)
    found = np.zeros(3, RECORD)
    found["place"] = np.arange(3)
    worse = found.copy()
    found["rank"] = 9
    a = SsdBoxesAttributes((large, small), (0, 1, 2, 3), arithmetic.CORNERS, 96, 96, 8, ONE // 2, True)
    boxes = find_boxes(a, [as_bytes(found, 3), as_bytes(worse, 3)])
    assert [box.corners[2] // 16 for box in boxes] == [90, 9, 29, 49]


def test_boxes_come_back_from_bytes() -> None:
    boxes = [Box((0, 1, 2, 3), 7, 9), Box((5, 6, 4000, 5000), 0, ONE_SCORE - 1)]
    assert boxes_from_bytes(boxes_to_bytes(boxes, 5)) == boxes


# --- in a Plan -----------------------------------------------------------------------------------


def streamed(graph: Graph) -> Plan:
    """All steps in one loop, so that no score and no offset is kept longer than for a row."""
    kernels = kernels_of(graph, ("scalar",))
    return allocate(make_schedule(graph, kernels, [[node.name for node in graph.nodes]]), "streamed")


@pytest.mark.parametrize("make", [random_detector, random_centroids])
@pytest.mark.parametrize("seed", range(8))
def test_plans_find_the_same_boxes(seed: int, make: Callable[[int], Graph]) -> None:
    graph = make(seed)
    for plan in (streamed(graph), plan_layerwise(graph, kernels_of(graph, ("scalar",)))):
        check_overlaps(plan)
        for values in int8_inputs(graph, 3, seed=seed):
            found, wanted = run_plan(plan, {"input": values}), run_graph(graph, {"input": values})
            assert all(np.array_equal(found[name], wanted[name]) for name in wanted)


def test_scores_and_offsets_are_never_there_in_full() -> None:
    plan = streamed(random_detector(1))
    heads = [buffer for name, buffer in plan.buffers.items() if name.startswith(("scores", "offsets"))]
    assert heads and all(buffer.slots == 1 for buffer in heads)


def test_network_npz_holds_it(tmp_path: Path) -> None:
    graph = random_detector(2)
    (tmp_path / "network.npz").write_bytes(graph_to_bytes(graph))
    back = read_graph(tmp_path / "network.npz")
    assert [node.attributes for node in back.nodes] == [node.attributes for node in graph.nodes]
