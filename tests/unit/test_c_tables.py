"""Tables of structs as aligned text, and the number that takes the place of a division by a ring's rows."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import cast

import pytest

from mbn2c.emit.network.c_tables import column_table, reciprocal, run_lines, table_lines, wrapped
from mbn2c.emit.network.model import SIGNED_MEMBERS
from mbn2c.errors import InternalError
from mbn2c.ir.plan import Buffer
from mbn2c.resources.render import plain_text


def test_columns_stand_below_their_names() -> None:
    lines = table_lines(
        {"0": {"offset": 7, "row_bytes": 12345, "strip": -1}, "10.1": {"offset": 1000000, "row_bytes": 3, "strip": 0}}
    )
    assert lines == [
        "/*           offset  row_bytes  strip */",
        "/*    0 */ {      7,     12345,    -1},",
        "/* 10.1 */ {1000000,         3,     0},",
    ]
    assert table_lines({}) == []


def test_what_all_rows_have_is_no_column() -> None:
    rows = {
        "0": {"offset": 70000, "run": 1, "left": 0, "above": -1, "right": 0},
        "1": {"offset": 0, "run": 1, "left": 255, "above": 0, "right": 255},
    }
    table = column_table("steps[number]", rows)
    assert table.count == 2
    assert table.member_lines == ["int32_t offset; int8_t above; uint8_t left;"]
    assert table.lines == [
        "/*       offset  above  left */",
        "/* 0 */ { 70000,    -1,    0},",
        "/* 1 */ {     0,     0,  255},",
    ]
    assert table.value_lines == [
        ".offset = steps[number].offset, .run = 1, .left = steps[number].left, .above = steps[number].above, "
        ".right = steps[number].left,"
    ]


@pytest.mark.parametrize(
    ("numbers", "c_type"),
    [
        ((0, 255), "uint8_t"),
        ((0, 256), "uint16_t"),
        ((-1, 127), "int8_t"),
        ((-1, 128), "int16_t"),
        ((-129, 0), "int16_t"),
        ((-1, 32768), "int32_t"),
        ((0, 65536), "int32_t"),
    ],
)
def test_columns_are_as_narrow_as_their_numbers(numbers: tuple[int, int], c_type: str) -> None:
    table = column_table("x[i]", {str(number): {"x": number} for number in numbers})
    assert table.member_lines == [f"{c_type} x;"]


@pytest.mark.parametrize(
    ("numbers", "c_type"), [((0, 127), "int8_t"), ((0, 128), "int16_t"), ((0, 32767), "int16_t"), ((-1, 0), "int8_t")]
)
def test_a_column_of_a_signed_member_is_signed(numbers: tuple[int, int], c_type: str) -> None:
    rows = {str(number): {"above": number, "left": abs(number)} for number in numbers}
    table = column_table("x[i]", rows, {"above"})
    assert f"{c_type} above;" in table.member_lines[0]
    # And it lends itself to no unsigned one.
    assert ".left = x[i].left" in table.value_lines[0]


def test_signed_members_are_those_of_the_structs() -> None:
    text = plain_text("runtime/mbn_rows.h")
    ends = [text.index(f"}} {name};") for name in ("mbn_buffer", "mbn_read", "mbn_step")]
    structs = [text[text.rindex("typedef struct {", 0, end) : end] for end in ends]
    members = re.findall(r"^ *int(?:8|16)_t (\w+);", "\n".join(structs), re.M)
    assert set(members) == SIGNED_MEMBERS


def test_a_table_of_equal_rows_is_none() -> None:
    table = column_table("reads[index]", {"1": {"rows": 3}, "2": {"rows": 3}})
    assert (table.member_lines, table.lines, table.value_lines) == ([], [], [".rows = 3,"])
    assert column_table("reads[index]", {}).value_lines == []


def test_short_rows_fill_the_lines_of_their_label() -> None:
    rows = [{"first": 10 * index, "count": 7} for index in range(14)]
    lines = run_lines({"3": rows, "4": [], "10": [{"first": 5, "count": 12}]})
    assert lines[0] == "/*       first, count */"
    assert lines[1].startswith("/*  3 */ {  0,  7}, { 10,  7},") and lines[2].startswith("         {110,  7},")
    assert lines[3:] == ["/* 10 */ {  5, 12},"]
    assert [int(one) for line in lines for one in re.findall(r"{ *(\d+), ", line)] == [*range(0, 140, 10), 5]
    assert max(map(len, lines)) <= 132 < len(lines[1]) + len(" {110,  7},")
    assert run_lines({"3": [], "4": []}) == []


def test_words_fill_their_lines() -> None:
    words = ["x" * 60 + ",", "y" * 60 + ",", "z" * 20 + ",", "last"]
    assert wrapped(words) == [" ".join(words[:2]), " ".join(words[2:])]


@pytest.mark.parametrize("slots", [1, 2, 3, 5, 7, 12, 31])
def test_the_reciprocal_gives_the_slot_of_every_row(slots: int) -> None:
    value = reciprocal(cast(Buffer, SimpleNamespace(slots=slots, rows=600, tensor="x")))
    assert [row - (row * value >> 16) * slots for row in range(600)] == [row % slots for row in range(600)]


@pytest.mark.parametrize(("slots", "rows"), [(0, 5), (5, 5)])
def test_rows_without_a_ring_need_none(slots: int, rows: int) -> None:
    assert reciprocal(cast(Buffer, SimpleNamespace(slots=slots, rows=rows, tensor="x"))) == 0


def test_a_reciprocal_that_is_wrong_for_some_row_is_refused() -> None:
    with pytest.raises(InternalError, match="not exact"):
        reciprocal(cast(Buffer, SimpleNamespace(slots=4001, rows=60000, tensor="x")))
