"""plan.json: a Plan comes back in every field; a file that was changed is refused in words, whatever was changed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from damage import damaged
from hypothesis import given, settings
from hypothesis import strategies as st
from models import tiny_mobilenet_v2
from networks import cut_lists, networks, piece_lists, plan_with_cuts, quantized

from mbn2c.errors import UsageError
from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Plan
from mbn2c.kernels import isas_for, kernels_of_plan
from mbn2c.planner.choice import Choice, choose_plan
from mbn2c.planner.plan_file import PlanSubject, plan_to_bytes, read_plan
from mbn2c.targets import load_core

CORES = ("host", "cortex-m4", "cortex-m55", "cortex-m0plus", "rv32imc")
SUBJECT = PlanSubject("0" * 64, "cortex-m7", None)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return quantized(tiny_mobilenet_v2())


@pytest.fixture(scope="module")
def content(graph: Graph) -> bytes:
    return plan_to_bytes(choose_plan(graph, load_core("cortex-m7"), "ram"), SUBJECT)


@given(networks(), cut_lists, piece_lists, st.sampled_from(CORES))
@settings(max_examples=60, deadline=None)
def test_a_plan_comes_back_in_every_field(graph: Graph, cuts: list[bool], pieces: list[int], core: str) -> None:
    isas = isas_for(load_core(core).isas, "balanced")
    plan = replace(plan_with_cuts(graph, cuts, pieces, isas), schedule="streaming, ram")
    choice = Choice(plan, kernels_of_plan(plan, isas), isas=isas)
    subject = PlanSubject("f" * 64, core, "host")
    content = plan_to_bytes(choice, subject)
    found = read_plan(content, "plan.json", graph, subject)
    for one in fields(Plan):
        said, expected = getattr(found.plan, one.name), getattr(plan, one.name)
        assert said is expected if one.name == "graph" else said == expected, one.name
    assert (found.kernels, found.isas) == (choice.kernels, isas)
    assert plan_to_bytes(found, subject) == content


# --- what was changed ----------------------------------------------------------------------------


def a_buffer(plan: Any, **wanted: Any) -> Any:
    """The first buffer with these fields."""
    return next(one for one in plan["buffers"].values() if all(one[key] == value for key, value in wanted.items()))


def with_strip(plan: Any) -> Any:
    return next(one for one in plan["buffers"].values() if one["strip_columns"])


def shifted(buffer: Any, by: int) -> None:
    buffer["offset"] += by


def a_kernel(content: Any, swapped: str) -> None:
    content["kernels"][next(name for name, one in content["kernels"].items() if one != swapped)] = swapped


CHANGES: dict[str, tuple[Callable[[Any], object], str]] = {
    "another network's": (lambda c: c["subject"].update(network_sha256="1" * 64), "network sha256 is not that"),
    "another core's": (lambda c: c["subject"].update(target="cortex-m4"), "target is not that"),
    "another board's": (lambda c: c["subject"].update(board="host"), "board is not that"),
    "another schema": (lambda c: c.update(schema=7), "schema 7"),
    "an offset 16 further on": (lambda c: shifted(list(c["plan"]["buffers"].values())[2], 16), "not what its loops"),
    "an offset 16 before": (lambda c: shifted(a_buffer(c["plan"], offset=0), -16), "not what its loops"),
    "a kernel of another operator": (lambda c: a_kernel(c, "mbn_add_s8_scalar"), "the kernel of"),
    "a kernel of nobody": (lambda c: a_kernel(c, "system"), "the kernel of"),
    "a node's kernel missing": (lambda c: c["kernels"].popitem(), "the kernel of"),
    "a kernel too many": (lambda c: c["kernels"].update(ghost="mbn_add_s8_scalar"), "the network has not"),
    "kernels of another ISA": (lambda c: c.update(isas=["arm_mve", "scalar"]), "are not chosen from"),
    "an ISA of nobody": (lambda c: c.update(isas=["z80"]), "are not chosen from"),
    "a missing buffer": (lambda c: c["plan"]["buffers"].popitem(), "buffers are not those"),
    "a buffer of nobody": (lambda c: c["plan"]["buffers"].update(ghost=a_buffer(c["plan"])), "buffers are not those"),
    "a ring of one row less": (lambda c: shrunk(c["plan"]), "not what its loops"),
    "a smaller arena": (lambda c: c["plan"].update(arena_bytes=16), "arena bytes"),
    "an arena of gigabytes": (lambda c: c["plan"].update(arena_bytes=1 << 40), "arena bytes"),
    "fewer bytes alive": (lambda c: c["plan"].update(lower_bound_bytes=1), "lower bound"),
    "a missing scratch": (lambda c: c["plan"].update(scratch={}), "scratch of"),
    "a missing field": (lambda c: c["plan"].pop("loop_ends"), "has the fields"),
    "a field too many": (lambda c: c["plan"].update(shell="rm"), "has the fields"),
    "a missing default": (lambda c: a_buffer(c["plan"]).pop("planar"), "misses field `planar`"),
    "an unknown field": (lambda c: c.update(shell="rm"), "unknown field `shell`"),
    "text as offset": (lambda c: a_buffer(c["plan"]).update(offset="0"), "Expected `int`, got `str`"),
    "a step that is a key no more": (lambda c: c["plan"].update(live_bytes={"one": 1}), "Expected `int`"),
    "a pad of three": (lambda c: a_buffer(c["plan"]).update(pad=[0, 0, 0]), "length 4"),
    "steps that are swapped": (lambda c: c["plan"]["loops"][0]["calls"].reverse(), "its calls are not"),
    "another schedule": (lambda c: c["plan"].update(schedule=""), "its schedule is ''"),
    "another step number": (lambda c: call_of(c, 1).update(step=5), "other rows than"),
    "a window of one row": (lambda c: call_of(c, 1)["reads"][0]["row_map"].update(count=1), "other rows than"),
    "a step that waits for nobody": (lambda c: call_of(c, 1).update(on_demand=True), "run on demand"),
    "pieces that do not end": (lambda c: call_of(c, 1).update(pieces=[1, 1]), "the pieces of step 1"),
    "a strip of a million columns": (lambda c: with_strip(c["plan"]).update(strip_columns=10**6), "the strip of"),
    "a strip that keeps too much": (lambda c: with_strip(c["plan"])["kept"].append(1), "the strip of"),
    "a number of 100 digits": (lambda c: c["plan"].update(arena_bytes=10**100), "more than 53 bits"),
    "no number": (lambda c: c["plan"].update(arena_bytes=float("nan")), "NaN is no number"),
}


def shrunk(plan: Any) -> None:
    ring = next(one for one in plan["buffers"].values() if 1 < one["slots"] < one["height"])
    ring["slots"] -= 1


def call_of(content: Any, step: int) -> Any:
    return next(call for loop in content["plan"]["loops"] for call in loop["calls"] if call["step"] == step)


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_is_refused(change: str, graph: Graph, content: bytes) -> None:
    changed = json.loads(content)
    apply, reason = CHANGES[change]
    apply(changed)
    with pytest.raises(UsageError, match=f"cannot read plan.json: .*{reason}") as raised:
        read_plan(json.dumps(changed).encode(), "plan.json", graph, SUBJECT)
    assert raised.value.hint and raised.value.where.startswith("plan.json")


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"{}", b"[" * 100_000, b"\xff", b'{"schema": 1, "schema": 1}'])
def test_what_is_no_plan(text: bytes, graph: Graph) -> None:
    with pytest.raises(UsageError, match=r"cannot read plan\.json"):
        read_plan(text, "plan.json", graph, SUBJECT)


# --- damaged at random ---------------------------------------------------------------------------


def test_three_hundred_damaged_files(graph: Graph, content: bytes) -> None:
    """Each is refused in words, or says the same as before."""
    right = read_plan(content, "plan.json", graph, SUBJECT)
    chance = random.Random(12)
    refused = 0
    for number in range(300):
        text = json.dumps(damaged(json.loads(content), chance)).encode()
        if number % 3 == 0:
            flipped = bytearray(content)
            flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
            text = bytes(flipped)
        try:
            found = read_plan(text, "plan.json", graph, SUBJECT)
        except UsageError:
            refused += 1
        else:
            assert (found.plan, found.kernels, found.isas) == (right.plan, right.kernels, right.isas), number
    assert refused > 290
