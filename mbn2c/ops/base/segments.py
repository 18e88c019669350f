"""A function of one value, where that or the result is int16: straight lines between the entries of a table.

    place = x + 32768, or 128 * (x + 128) of an int8;  i = place >> 7
    y = (table[i] * 128 + (table[i + 1] - table[i]) * (place & 127) + half) >> shift

A table of 65,536 values would take 128 KiB. This one has 513 entries, or 257 of an int8, where the function is exact; a
corner between two entries is cut. An entry of an int8 result has eight bits behind the point. Every number is whole and
below 2^31, so that ONNX Runtime's float64 gives the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mbn2c.ir.graph import Graph, Node, Quant
from mbn2c.ir.kernel import Packed, Params
from mbn2c.ops.base.levels import tabulated
from mbn2c.ops.base.operator import OnnxOp
from mbn2c.ops.base.packing import INT32, integers
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.ops.base.wide import as_codes, is_wide, spell_by, spell_cast, spell_floored

# Values of an int16 from one entry to the next, as a power of two.
_PLACE_BITS = 7
_FRACTION_BITS = 8  # of an entry, where the result is int8

PARAMS = Params(
    "mbn_lookup_s16_params",
    (
        *integers("channels"),
        (INT32, "shift", "bits behind the point of a result"),
        *integers("wide_in", "wide_out"),
        ("const int16_t *", "table", "the function at every 128th value of an int16, or at every one of an int8"),
    ),
)


def function_table(function: Callable[[np.ndarray], np.ndarray], x: Quant, y: Quant) -> tuple[int, ...]:
    """What a lookup holds of a function of real numbers: the results of 256 values, or the ends of lines."""
    if not is_wide((x, y)):
        return tuple(int(value) for value in tabulated(function, x, y))
    places = np.arange(_entries(x)) * (1 if x.bits == 8 else 1 << _PLACE_BITS) + np.iinfo(x.dtype).min
    steps = function((places - x.zero_point) * float(scale_of(x))) / float(scale_of(y)) + y.zero_point
    ends = np.clip(steps, y.lowest, y.highest)
    return tuple(int(value) for value in np.rint(np.ldexp(ends, _fraction_bits(y))))


def wrong_segments(table: Sequence[int], x: Quant, y: Quant) -> str:
    """What is wrong with a table; "" if nothing is."""
    low, high = (end << _fraction_bits(y) for end in (y.lowest, y.highest))
    fits = len(table) == _entries(x) and all(low <= entry <= high for entry in table)
    return "" if fits else f"the table does not map {x.dtype} to {y.dtype}"


def run_segments(table: Sequence[int], x: Quant, y: Quant, values: np.ndarray) -> np.ndarray:
    """The exact results of int8 or int16 values."""
    place = (values.astype(np.int64) - np.iinfo(x.dtype).min) << (_PLACE_BITS if x.bits == 8 else 0)
    entries, index, shift = np.array(table, np.int64), place >> _PLACE_BITS, _shift(y)
    rest = place & ((1 << _PLACE_BITS) - 1)
    # Of the last entry, only what is beyond it would read the next one.
    steps = np.append(np.diff(entries), 0)
    return as_codes(
        ((entries[index] << _PLACE_BITS) + steps[index] * rest + (1 << (shift - 1))) >> shift, y.lowest, y.highest, y
    )


def spell_segments(graph: Graph, table: Sequence[int], x: str, output: str) -> list[OnnxOp]:
    """The same in float64."""
    x_quant, y_quant = quant_of(graph, x), quant_of(graph, output)
    entries = np.array(table, np.float64)
    constants = {f"{output}__entries": entries, f"{output}__steps": np.append(np.diff(entries), 0)}

    def named(*words: str) -> tuple[str, ...]:
        return tuple(f"{output}__{word}" for word in words)

    value, position, floor, lower, rest, index = named("value", "position", "index_floor", "lower", "rest", "index")
    entry, step, start, rise, place, scaled = named("entry", "step", "start", "rise", "place", "scaled")
    first = np.float64(np.iinfo(x_quant.dtype).min)
    spelled = [spell_cast(x, value, np.float64), spell_by(value, place, "Sub", first)]
    # In values from one entry to the next.
    pitch = np.float64(1 if x_quant.bits == 8 else 2**-_PLACE_BITS)
    spelled += [
        spell_by(place, position, "Mul", pitch),
        OnnxOp("Floor", (position,), (floor,)),
        OnnxOp("Sub", (position, floor), (rest,)),
        spell_cast(floor, index, np.int32),
    ]
    for name, found in zip(constants, (entry, step), strict=True):
        spelled.append(OnnxOp("Gather", (name, index), (found,), {"axis": 0}, {name: constants[name]}))
    spelled += [
        OnnxOp("Mul", (step, rest), (rise,)),
        OnnxOp("Add", (entry, rise), (start,)),
        spell_by(start, scaled, "Mul", np.ldexp(1.0, -_fraction_bits(y_quant))),
        spell_by(scaled, lower, "Add", np.float64(0.5)),
    ]
    return [*spelled, *spell_floored(graph, lower, output, (y_quant.lowest, y_quant.highest))]


def pack_segments(node: Node, graph: Graph) -> Packed:
    """PARAMS of a lookup."""
    x, y = quant_of(graph, node.inputs[0]), quant_of(graph, node.outputs[0])
    fields: dict[str, int | str] = {
        "channels": graph.tensors[node.outputs[0]].shape[3],
        "shift": _shift(y),
        "wide_in": int(x.bits == 16),
        "wide_out": int(y.bits == 16),
        "table": "table",
    }
    return Packed(fields, {"table": np.array(node.attributes.table, np.int16)})


def _entries(x: Quant) -> int:
    """One beyond the last value, for the line that begins at it."""
    return 2 ** (x.bits if x.bits == 8 else x.bits - _PLACE_BITS) + 1


def _fraction_bits(y: Quant) -> int:
    return _FRACTION_BITS if y.bits == 8 else 0


def _shift(y: Quant) -> int:
    return _PLACE_BITS + _fraction_bits(y)
