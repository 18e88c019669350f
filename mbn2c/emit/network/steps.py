"""Plan -> what the template of model.c prints for each step: its words, its params, and its rows of the tables that
templates/runtime/mbn_rows.h declares.
"""

from __future__ import annotations

from collections.abc import Mapping

from mbn2c.emit.network.c_names import comment
from mbn2c.emit.network.c_tables import Row, reciprocal, wrapped
from mbn2c.emit.network.c_values import int_literal
from mbn2c.errors import InternalError
from mbn2c.ir.graph import Node, Tensor
from mbn2c.ir.kernel import ChannelStride, Kernel, OutStride, Packed, Parts, PixelStride
from mbn2c.ir.plan import Buffer, Call, Plan, Read, Rows
from mbn2c.kernels.cpu import chosen_checks
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.quants import quant_of, scale_of


def step_values(
    plan: Plan,
    kernels: Mapping[str, Kernel],
    call: Call,
    packed: Packed | None,
    sources: Mapping[str, str],
    fetched: Mapping[str, str],
) -> dict[str, object]:
    """The words and the kernel of one call.

    packed   None for the input and for views
    sources  C expressions of constant arrays that are found when the program runs, by name without the prefix
    fetched  those that are asked for before each call -> the C expression that does
    """
    graph = plan.graph
    values: dict[str, object] = {
        "number": call.step,
        "write_text": _tensor_text(graph.tensors[call.write], plan.buffers[call.write]),
        "accumulates": call.accumulates,
        "is_view": call.is_view,
        "ways": [],
    }
    if not call.node:
        return values | {"is_input": True, "title": "input"}
    node = graph.producer[call.write]
    if call.is_view:
        return values | {
            "is_input": False,
            "title": f"{comment(node.name)}, {_op_text(node)}{_makers_text(plan, call)}, which lies there already",
        }
    assert packed is not None
    kernel = kernels[call.node]
    chosen = [check.isa for check in chosen_checks(kernels.values())]
    return values | {
        "is_input": False,
        "title": f"{comment(node.name)}, {_op_text(node)}{_makers_text(plan, call)}",
        "wants_place": kernel.wants_place,
        "ways": [
            {
                "kernel": way.function,
                "params": way.params,
                "params_name": f"{array_prefix(call.step, number)}_params",
                "field_lines": _field_lines(plan, call, each, number, sources),
                "is_bound": _is_bound(call, number, each, sources),
                "constants": fetched.get(f"{array_prefix(call.step, number)}_weights", "net->constants"),
                # Where the processor's best one is among the first so many.
                "among": chosen.index(way.isa) if number < len(kernel.alternatives) else None,
            }
            for number, (way, each) in enumerate(zip(kernel.ways, (packed, *packed.alternatives), strict=True))
        ],
    }


# The array of a step's fitted numbers, where they are found when the program runs.
FITTED = "fitted"
_FITTED_FIELDS = ("shift", "lift", "rounding")


def fitted_numbers(packed: Packed) -> dict[str, int]:
    """Params that are chosen for the weights, and so are others when a network is trained again, by name."""
    fields = packed.fields.items() if packed.arrays else ()
    return {name: value for name, value in fields if name in _FITTED_FIELDS and isinstance(value, int)}


def bound_params(
    plan: Plan, kernels: Mapping[str, Kernel], constants: Mapping[int, Packed], sources: Mapping[str, str]
) -> list[str]:
    """The C types of params that are made for each call: arrays that they name are found when the program runs."""
    found = set()
    for call in plan.calls:
        if call.step in constants:
            packed = constants[call.step]
            for number, (way, each) in enumerate(
                zip(kernels[call.node].ways, (packed, *packed.alternatives), strict=True)
            ):
                found |= {way.params} if _is_bound(call, number, each, sources) else set()
    return sorted(found)


def _is_bound(call: Call, way: int, packed: Packed, sources: Mapping[str, str]) -> bool:
    return any(f"{array_prefix(call.step, way)}_{array}" in sources for array in packed.arrays)


def array_prefix(step: int, way: int) -> str:
    """What the names of a step's constants begin with; way: 0, or which alternative of its kernel reads them."""
    return f"step{step}" if way == 0 else f"step{step}_{'abcdef'[way]}"


def _field_lines(plan: Plan, call: Call, packed: Packed, way: int, sources: Mapping[str, str]) -> list[str]:
    numbers = sources.get(f"{array_prefix(call.step, way)}_{FITTED}")
    found = {} if numbers is None else {name: f"({numbers})[{i}]" for i, name in enumerate(fitted_numbers(packed))}
    fields = [
        f"{found.get(name) or _field_value(plan, call, value, way, sources)} /* {name} */"
        for name, value in packed.fields.items()
    ]
    return wrapped([*(f"{field}," for field in fields[:-1]), fields[-1]])


def pixel_counts(plan: Plan, call: Call) -> tuple[int, ...]:
    """Every number of pixels the step's kernel is called with."""
    bounds = _bounds(plan, call)
    return tuple(sorted({stop - start for start, stop in bounds}))


def _bounds(plan: Plan, call: Call) -> list[tuple[int, int]]:
    """The columns of each piece of a row, padding not counted."""
    left = 0 if call.accumulates else plan.buffers[call.write].pad[1]
    width = _width(plan, call)
    stops = [min(end - left, width) for end in call.pieces] or [width]
    return list(zip((0, *stops), stops, strict=False))


def _width(plan: Plan, call: Call) -> int:
    """Pixels the kernel makes of a row, or sums up."""
    return plan.buffers[call.reads[0].tensor if call.accumulates else call.write].width


def _field_value(
    plan: Plan,
    call: Call,
    value: int | str | ChannelStride | OutStride | PixelStride | Parts,
    way: int,
    sources: Mapping[str, str],
) -> str:
    if isinstance(value, PixelStride):
        return str(plan.buffers[value.tensor].pixel_stride_bytes * value.pixels)
    if isinstance(value, ChannelStride):
        return str(plan.buffers[value.tensor].columns)
    if isinstance(value, OutStride):
        buffer = plan.buffers[value.tensor]
        return str(buffer.columns if buffer.planar else -buffer.pixel_stride_bytes)
    if isinstance(value, Parts):
        return f"&{{prefix}}_{value.name}"
    if isinstance(value, str):
        array = f"{array_prefix(call.step, way)}_{value}"
        return sources.get(array, f"{{prefix}}_{array}")
    return int_literal(value)


# --- tables --------------------------------------------------------------------------------------


def buffer_row(plan: Plan, call: Call) -> Row:
    """An `mbn_buffer`."""
    buffer = plan.buffers[call.write]
    return {
        "offset": buffer.offset + buffer.channel_offset_bytes,
        "row_bytes": buffer.row_bytes,
        "reciprocal": reciprocal(buffer) if buffer.slots > 1 else 0,
        "slots": buffer.slots,
        "left": buffer.pad[1],
        "width": buffer.width,
        "right": buffer.pad[3],
        "is_planar": int(buffer.planar),
        "zero_point": quant_of(plan.graph, call.write).zero_point,
        "channels": buffer.pixel_bytes,
        "pixel_bytes": buffer.pixel_stride_bytes,
        "strip": buffer.strip_offset if buffer.strip_columns else -1,
        "slot_phases": buffer.slot_phases,
    }


def read_rows(plan: Plan, call: Call) -> list[Row]:
    """An `mbn_read` for each tensor that the call reads."""
    rows: list[Row] = []
    for read in call.reads:
        buffer, maker = plan.buffers[read.tensor], _maker(plan, read)
        rows.append(
            {
                "step": maker.step,
                "rows": read.row_map.count,
                "stride": read.row_map.numerator,
                "denominator": read.row_map.denominator,
                "dilation": read.row_map.dilation,
                "first": read.row_map.phase,
                # A step that sums rows up has made its only row when all of them are in.
                "needed": _runs(plan, maker) if maker.accumulates else read.row_map.needed(0),
                "start": read.column_map.first(0) * buffer.column_bytes,
                "column": read.column_map.numerator * buffer.column_bytes if read.column_map.is_window else 0,
                "from_strip": int(buffer.strip_columns > 0),
                "to_nearest": int(_to_nearest(buffer, read)),
            }
        )
    return rows


def _to_nearest(buffer: Buffer, read: Read) -> bool:
    """Whether rows outside the tensor are replaced by the nearest inside; the C knows of no other edges."""
    edges = read.row_map.lowest, read.row_map.highest
    if edges == (None, None):
        return False
    if edges != (buffer.pad[0], buffer.pad[0] + buffer.height - 1):
        raise InternalError(f"the C cannot take rows {edges[0]} to {edges[1]} only", where=read.tensor)
    return True


def step_row(plan: Plan, call: Call, first_read: int, first_piece: int) -> Row:
    """An `mbn_step`; first_read and first_piece are where its rows in those tables start."""
    write, scratch = plan.buffers[call.write], plan.scratch.get(call.step)
    pieces = piece_rows(plan, call)
    loop = next(loop for loop in plan.loops if call in loop.calls)
    return {
        "rows": _runs(plan, call),
        "phases": plan.buffers[call.reads[0].tensor].phases if call.accumulates else write.phases,
        "top": 0 if call.accumulates else write.pad[0],
        "height": _runs(plan, call) if call.accumulates else write.height,
        "run": 0 if call.is_view else call.rows_per_run,
        "first_read": first_read,
        "reads": len(call.reads),
        "next": _deepest_reader(loop, call),
        "above": -1 if call is loop.calls[0] else call.step - 1,
        "demand": _demand(plan, loop, call) if call.on_demand else 0,
        "count": _width(plan, call),
        "scratch": scratch.offset if scratch else -1,
        "sum_bytes": scratch.size_bytes if scratch and call.accumulates else 0,
        "first_piece": first_piece if pieces else 0,
        "pieces": len(pieces),
    }


def piece_rows(plan: Plan, call: Call) -> list[Row]:
    """An `mbn_piece` for each piece of a row; none if the row is made at once and no strip is read."""
    read = next((read for read in call.reads if plan.buffers[read.tensor].strip_columns), None)
    if not call.pieces and read is None:
        return []
    write = plan.buffers[call.write]
    left = 0 if call.accumulates else write.pad[1]
    rows: list[Row] = []
    made = 0
    for index, (first, stop) in enumerate(_bounds(plan, call)):
        padding = left if index == 0 else 0
        source, moved, kept = 0, 0, 0
        out = 0 if call.accumulates else left + first
        if write.strip_columns:
            # Before the first piece of a row, what is left of the row above leaves the strip.
            source = write.kept[index - 1]
            moved = (write.columns if index == 0 else write.kept[index]) - source
            kept = 0 if index == 0 else made - write.kept[index]
            out = kept + padding
            if write.slots == 0 and kept == 0:
                source, moved = 0, 0  # nothing is saved, and nothing stays
        window, needs = _from_strip(plan, read, first, stop) if read else (0, 0)
        rows.append(
            {
                "first": first,
                "count": stop - first,
                "out": out,
                "window": window,
                "needs": needs,
                "from": source,
                "moved": moved,
                "kept": kept,
            }
        )
        made = call.pieces[index] if call.pieces else stop
    return rows


def _from_strip(plan: Plan, read: Read, first: int, stop: int) -> tuple[int, int]:
    """Where the window of output columns first to stop - 1 starts in the strip, and the pieces that must be there."""
    columns = read.column_map.needed(stop - 1)
    needed = next(index for index, end in enumerate(_maker(plan, read).pieces, start=1) if end >= columns)
    start = read.column_map.first(first)
    return start - plan.buffers[read.tensor].kept[needed - 1], needed


def _maker(plan: Plan, read: Read) -> Call:
    return next(call for call in plan.calls if call.write == read.tensor)


def _runs(plan: Plan, call: Call) -> int:
    """Rows it makes, or sums up."""
    return plan.buffers[call.reads[0].tensor].height if call.accumulates else plan.buffers[call.write].rows


def _deepest_reader(loop: Rows, call: Call) -> int:
    """The step to try next: only what reads the new row can have become ready."""
    readers = [other.step for other in loop.calls if any(read.tensor == call.write for read in other.reads)]
    return max(readers, default=call.step)


def _demand(plan: Plan, loop: Rows, call: Call) -> int:
    """1 + the number, of all reads of the Plan, of that which asks for what a call on demand makes."""
    reader = next(other for other in loop.calls if any(read.tensor == call.write for read in other.reads))
    before = sum(len(other.reads) for other in plan.calls if other.step < reader.step)
    return 1 + before + [read.tensor for read in reader.reads].index(call.write)


# --- words ---------------------------------------------------------------------------------------


def _op_text(node: Node) -> str:
    window = OPERATORS[node.op].window(node)
    words = [node.op]
    if window.kernel != (1, 1):
        words.append(f"{window.kernel[0]}x{window.kernel[1]}")
    if window.stride != (1, 1):
        words.append(
            f"stride {window.stride[0]}" if window.stride[0] == window.stride[1] else f"stride {window.stride}"
        )
    if own := getattr(node.attributes, "words", ""):
        words.append(own)
    activation = getattr(node.attributes, "activation", None)
    if activation is not None:
        words.append(activation.name)
    return " ".join(words)


def _makers_text(plan: Plan, call: Call) -> str:
    """Which steps made what it reads."""
    steps = [str(_maker(plan, read).step) for read in call.reads]
    return f", from step{'s' if len(steps) > 1 else ''} {' and '.join(steps)}"


def _tensor_text(tensor: Tensor, buffer: Buffer) -> str:
    assert tensor.quant is not None
    shape = ", ".join(str(extent) for extent in tensor.shape)
    kept = f" in {buffer.slots} of {buffer.rows} rows" if buffer.is_ring else ""
    if buffer.strip_columns:
        kept = f" in {buffer.slots} of {buffer.rows} rows and {buffer.strip_columns} of {buffer.columns} columns"
    if buffer.is_slice:
        kept = f" from byte {buffer.channel_offset_bytes} of every {buffer.pixel_stride_bytes}" + kept
    return (
        f"arena[{buffer.offset:>7}..{buffer.end - 1:>7}]  {tensor.dtype} [{shape}]{kept}  "
        f"scale {float(scale_of(tensor.quant)):.6g}  zero_point {tensor.quant.zero_point}"
    )
