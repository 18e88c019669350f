"""Plan -> what the templates print for each step: addresses, conditions, tables of pieces, all as C text.

Everything is decided here; the templates print.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mbn2c.emit.network.addresses import row_text, times_bytes
from mbn2c.emit.network.c_names import comment
from mbn2c.emit.network.c_values import int_literal
from mbn2c.ir.graph import Node, Tensor
from mbn2c.ir.kernel import ChannelStride, Kernel, Packed, Parts, PixelStride
from mbn2c.ir.plan import Buffer, Call, Plan, Read
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.operator import quant_of, scale_of


def step_values(plan: Plan, kernels: Mapping[str, Kernel], call: Call, packed: Packed | None) -> dict[str, object]:
    """Everything about one call; `packed` is None for the input."""
    graph = plan.graph
    write = plan.buffers[call.write]
    values: dict[str, object] = {
        "number": call.step,
        "write": {
            "zero_point": quant_of(graph, call.write).zero_point,
            "top": write.pad[0],
            "bottom": write.pad[2],
            "height": write.height,
            "pixel_bytes": write.pixel_bytes,
            "row_bytes": write.row_bytes,
            "planar": write.planar,
            "columns": write.columns,
            "left": write.pad[1],
            "right": write.pad[3],
            "slots": write.slots,
            "is_ring": write.is_ring,
            "row": row_text(write, "row"),
            "left_bytes": write.pad[1] * write.pixel_bytes,
            "inner_bytes": write.width * write.pixel_bytes,
            "right_bytes": write.pad[3] * write.pixel_bytes,
        },
        "out": _out(call, write),
        "write_text": _tensor_text(graph.tensors[call.write], write),
        "runs": _runs(plan, call),
        "accumulates": call.accumulates,
        "ready": _ready(plan, call),
        "next": _deepest_reader(plan, call),
        "read_texts": [_tensor_text(graph.tensors[read.tensor], plan.buffers[read.tensor]) for read in call.reads],
        "windows": [text for read in call.reads for text in _window(plan, call, read)],
        "pieces": _pieces(plan, call),
        "shift": _shift(write, call.pieces),
    }
    values["uses_row"] = _mentions_row(values) or _has_padding_rows(call, write) or write.planar
    if packed is None:
        return values | {"is_input": True, "title": "input", "kernel": ""}
    node = graph.producer[call.write]
    kernel = kernels[call.node]
    scratch = plan.scratch.get(call.step)
    fields = [{"name": name, "value": _field_value(plan, call, value)} for name, value in packed.fields.items()]
    return values | {
        "is_input": False,
        "title": f"{comment(node.name)}, {_op_text(node)}",
        "kernel": kernel.function,
        "params": kernel.params,
        "fields": fields,
        "scratch": {"offset": scratch.offset, "bytes": scratch.size_bytes} if scratch else None,
        "count": plan.buffers[call.reads[0].tensor].width if call.accumulates else write.width,
    }


def pixel_counts(plan: Plan, call: Call) -> tuple[int, ...]:
    """Every number of pixels the step's kernel is called with."""
    write = plan.buffers[call.write]
    left = 0 if call.accumulates else write.pad[1]
    width = plan.buffers[call.reads[0].tensor].width if call.accumulates else write.width
    stops = [min(end - left, width) for end in call.pieces] or [width]
    return tuple(sorted({stop - start for start, stop in zip((0, *stops), stops, strict=False)}))


def _field_value(plan: Plan, call: Call, value: int | str | ChannelStride | PixelStride | Parts) -> str:
    if isinstance(value, PixelStride):
        return str(plan.buffers[value.tensor].pixel_stride_bytes)
    if isinstance(value, ChannelStride):
        buffer = plan.buffers[value.tensor]
        return str(buffer.columns if buffer.planar else 0)
    if isinstance(value, Parts):
        return f"&{{prefix}}_{value.name}"
    return f"{{prefix}}_step{call.step}_{value}" if isinstance(value, str) else int_literal(value)


# --- where a step writes and reads ---------------------------------------------------------------


def _out(call: Call, write: Buffer) -> str:
    """Where the row starts, padding included; for a piece its first pixel."""
    if call.accumulates:
        return str(write.offset)
    if not call.pieces:
        return row_text(write, "row")
    if write.strip_columns:
        return f"{write.strip_offset} + piece->out * {write.pixel_bytes}"
    return f"{row_text(write, 'row')} + piece->out{times_bytes(write.column_bytes)}"


def _window(plan: Plan, call: Call, read: Read) -> list[str]:
    """Where each row of the window starts."""
    buffer = plan.buffers[read.tensor]
    step = read.column_stride * buffer.column_bytes
    column = f" + piece->first{times_bytes(step)}" if call.pieces else ""
    y = "y" if _has_padding_rows(call, plan.buffers[call.write]) else "row"
    texts = []
    for k in range(read.rows):
        row = _output_row(y, read.stride, read.first_row + k * read.dilation)
        texts.append(row_text(buffer, row, read.first_column * buffer.column_bytes) + column)
    if buffer.strip_columns:
        if call.pieces:
            texts[-1] = f"{buffer.strip_offset} + piece->window * {buffer.pixel_bytes}"
        else:
            columns = read.first_column - buffer.kept[-1]
            texts[-1] = str(buffer.strip_offset + columns * buffer.pixel_bytes)
    return texts


def _has_padding_rows(call: Call, write: Buffer) -> bool:
    """Whether runs and output rows are counted differently."""
    return not call.accumulates and (write.pad[0] > 0 or write.pad[2] > 0)


def _mentions_row(values: Mapping[str, object]) -> bool:
    shift = values["shift"]
    if values["accumulates"] or (isinstance(shift, dict) and shift["row"] is not None):
        return True  # Both ask which row it is.
    return "row" in f"{values['out']} {values['windows']}"


def _output_row(y: str, stride: int, first: int) -> str:
    text = y if stride == 1 else f"{y} * {stride}"
    return text if first == 0 else f"{text} + {first}"


# --- pieces --------------------------------------------------------------------------------------


def _pieces(plan: Plan, call: Call) -> dict[str, object] | None:
    """The table of the pieces of a row, its columns as `mbn_piece` has them."""
    if not call.pieces:
        return None
    write = plan.buffers[call.write]
    left = 0 if call.accumulates else write.pad[1]
    width = plan.buffers[call.reads[0].tensor].width if call.accumulates else write.width
    rows, first, made = [], 0, 0
    for index, end in enumerate(call.pieces):
        stop = min(end - left, width)
        padding = left if index == 0 else 0
        source, moved, kept = 0, 0, 0
        out = left + first
        if write.strip_columns:
            out = padding
        if _shift(write, call.pieces):
            # Before the first piece of a row, what is left of the row above leaves the strip.
            source = write.kept[index - 1]
            moved = (write.columns if index == 0 else write.kept[index]) - source
            kept = 0 if index == 0 else made - write.kept[index]
            out = kept + padding
        rows.append((first, stop - first, out, *_from_strip(plan, call, first, stop), source, moved, kept))
        first, made = stop, end
    is_small = max(max(row) for row in rows) < 256
    return {
        "type": "mbn_piece" if is_small else "mbn_wide_piece",
        "count": len(rows),
        "rows": [", ".join(f"{value:>3}" for value in row) for row in rows],
    }


def _strip_read(plan: Plan, call: Call) -> Read | None:
    return next((read for read in call.reads if plan.buffers[read.tensor].strip_columns), None)


def _from_strip(plan: Plan, call: Call, first: int, stop: int) -> tuple[int, int]:
    """Where the window of output columns first to stop - 1 starts in the strip, and the pieces that must be there."""
    read = _strip_read(plan, call)
    if read is None:
        return 0, 0
    needed = _pieces_needed(plan, read, stop)
    start = read.first_column + first * read.column_stride
    return start - plan.buffers[read.tensor].kept[needed - 1], needed


def _pieces_needed(plan: Plan, read: Read, count: int) -> int:
    """How many pieces of the strip's row make `count` output columns possible."""
    columns = read.columns_needed(count)
    return next(index for index, end in enumerate(_maker(plan, read).pieces, start=1) if end >= columns)


def _shift(write: Buffer, pieces: Sequence[int]) -> dict[str, object] | None:
    """How the oldest columns of a strip leave it; None if there is none or nothing to keep."""
    if not write.strip_columns:
        return None
    if write.slots == 0:
        # Without rows nothing must be saved, and without columns to keep nothing moves at all.
        keeps = any(end > kept for end, kept in zip(pieces, write.kept[1:], strict=False))
        return {"row": None, "row_above": None, "strip": write.strip_offset} if keeps else None
    return {
        "row": row_text(write, "row"),
        "row_above": row_text(write, "row - 1"),
        "strip": write.strip_offset,
    }


# --- when a step runs ----------------------------------------------------------------------------


def _maker(plan: Plan, read: Read) -> Call:
    return next(call for call in plan.calls if call.write == read.tensor)


def _runs(plan: Plan, call: Call) -> int:
    """Rows it makes, or sums up."""
    return plan.buffers[call.reads[0].tensor].height if call.accumulates else plan.buffers[call.write].rows


def _ready(plan: Plan, call: Call) -> str:
    """The C condition under which the step can make its next row or piece."""
    own = f"net->made[{call.step}]"
    conditions = [f"{own} < {_runs(plan, call)}"]
    write = plan.buffers[call.write]
    y = own
    if _has_padding_rows(call, write):
        y = f"mbn_output_row({own}, {write.pad[0]}, {write.height})"
    for read in call.reads:
        maker = _maker(plan, read)
        made = f"net->made[{maker.step}]"
        if maker.accumulates:
            # A step that sums rows up has made its only row when all of them are in.
            conditions.append(f"{made} >= {_runs(plan, maker)}")
            continue
        rows = _output_row(y, read.stride, read.first_row + read.extent)
        if plan.buffers[read.tensor].strip_columns:
            pieces = _pieces_wanted(plan, call, read)
            conditions.append(f"mbn_has({made}, net->piece[{maker.step}], {rows}, {pieces})")
        else:
            conditions.append(f"{made} >= {rows}")
    return " && ".join(conditions)


def _pieces_wanted(plan: Plan, call: Call, read: Read) -> str:
    """Pieces of the window's last row that the next piece needs; padding above waits for the first piece."""
    own = f"net->piece[{call.step}]"
    if not call.pieces:
        return str(_pieces_needed(plan, read, plan.buffers[call.write].width))
    top = 0 if call.accumulates else plan.buffers[call.write].pad[0]
    index = own if top == 0 else f"net->made[{call.step}] < {top} ? 0 : {own}"
    return f"step{call.step}_pieces[{index}].needs"


def _deepest_reader(plan: Plan, call: Call) -> int:
    """The step to try next: only what reads the new row can have become ready."""
    loop = next(loop for loop in plan.loops if call in loop.calls)
    readers = [other.step for other in loop.calls if any(read.tensor == call.write for read in other.reads)]
    return max(readers, default=call.step)


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


def _tensor_text(tensor: Tensor, buffer: Buffer) -> str:
    assert tensor.quant is not None
    shape = ", ".join(str(extent) for extent in tensor.shape)
    kept = f" in {buffer.slots} of {buffer.rows} rows" if buffer.is_ring else ""
    if buffer.strip_columns:
        kept = f" in {buffer.slots} of {buffer.rows} rows and {buffer.strip_columns} of {buffer.columns} columns"
    return (
        f"arena[{buffer.offset:>7}..{buffer.end - 1:>7}]  int8 [{shape}]{kept}  "
        f"scale {float(scale_of(tensor.quant)):.6g}  zero_point {tensor.quant.zero_point}"
    )
