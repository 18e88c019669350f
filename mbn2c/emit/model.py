"""Plan -> the C of one network: header, steps in order, constants.

Everything is decided here; the templates print.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mbn2c import __version__
from mbn2c.emit.bundle import Bundle
from mbn2c.emit.c_names import comment
from mbn2c.emit.c_values import array_lines, c_type, float_literal, int_literal
from mbn2c.emit.memory_map import drawing
from mbn2c.emit.render import render
from mbn2c.ir.graph import Graph, Node, Tensor
from mbn2c.ir.kernel import Kernel, Packed
from mbn2c.ir.plan import Buffer, Call, Plan, Read
from mbn2c.ops import OPERATORS
from mbn2c.ops.operator import quant_of, scale_of

RUNTIME_HEADERS = ("mbn_kernels.h", "mbn_math.h", "mbn_rows.h")


@dataclass(frozen=True, eq=False)
class Names:
    """What the generated C is called, and what it must carry.

    digest  sha256 of model.int8.onnx
    labels  class names, may be empty
    tables  uint8 [C, 256] -> int8 for raw camera pixels, or None if the input is int8
    """

    prefix: str
    title: str
    digest: bytes
    labels: tuple[str, ...] = ()
    tables: np.ndarray | None = None


def model_files(plan: Plan, kernels: Mapping[str, Kernel], names: Names) -> Bundle:
    """All C files of the network and its kernels, in one flat folder."""
    constants = packed_constants(plan, kernels)
    values = _common_values(plan, names) | _step_values(plan, kernels, names, constants)
    prefix = names.prefix
    files = {
        f"{prefix}.h": render("model/model.h.j2", values),
        f"{prefix}.c": render("model/model.c.j2", values),
        f"{prefix}_constants.h": render("model/constants.h.j2", values),
        f"{prefix}_constants.c": render("model/constants.c.j2", values),
    }
    if plan.graph.softmax:
        files[f"{prefix}_softmax.c"] = render("model/softmax.c.j2", values | _softmax_values(plan.graph))
    for header in RUNTIME_HEADERS:
        files[header] = render(f"runtime/{header}.j2", {"version": __version__})
    for kernel in {kernel.source: kernel for kernel in kernels.values()}.values():
        files[kernel_file(kernel)] = render(f"kernels/{kernel.source}", {"version": __version__})
    return {path: text.encode() for path, text in files.items()}


def kernel_file(kernel: Kernel) -> str:
    """Where a kernel's C goes: scalar/conv2d.c.j2 -> mbn_conv2d_scalar.c."""
    isa, name = kernel.source.split("/")
    return f"mbn_{name.removesuffix('.c.j2')}_{isa}.c"


def packed_constants(plan: Plan, kernels: Mapping[str, Kernel]) -> dict[int, Packed]:
    """The constants of each call, by step."""
    return {call.step: _packed(plan, kernels, call) for call in plan.calls if call.node}


def _node(plan: Plan, call: Call) -> Node:
    return plan.graph.producer[call.write]


def _packed(plan: Plan, kernels: Mapping[str, Kernel], call: Call) -> Packed:
    return kernels[call.node].pack(_node(plan, call), plan.graph)


def _common_values(plan: Plan, names: Names) -> dict[str, object]:
    graph = plan.graph
    source = graph.tensors[graph.inputs[0].tensor]
    _, height, width, channels = source.shape
    outputs, offset = [], 0
    for port in graph.outputs:
        tensor = graph.tensors[port.tensor]
        outputs.append(_output_values(tensor, port.outside, offset))
        offset += tensor.size_bytes
    return {
        "version": __version__,
        "name": names.prefix,
        "NAME": names.prefix.upper(),
        "title": comment(names.title),
        "schedule": plan.schedule,
        "macs": sum(OPERATORS[node.op].macs(node, graph) for node in graph.nodes),
        "arena_bytes": plan.arena_bytes,
        "steps": len(plan.calls),
        "digest": ", ".join(f"0x{byte:02x}" for byte in names.digest),
        "input": {
            "type": "uint8_t" if names.tables is not None else "int8_t",
            "height": height,
            "width": width,
            "channels": channels,
            "row_bytes": width * channels,
            "bytes": source.size_bytes,
            "scale": float_literal(float(scale_of(quant_of(graph, source.name)))),
            "zero_point": quant_of(graph, source.name).zero_point,
        },
        "outputs": outputs,
        "output_bytes": offset,
        "labels": [_string_literal(label) for label in names.labels],
        "softmax": graph.softmax,
    }


def _output_values(tensor: Tensor, outside: str, offset: int) -> dict[str, object]:
    assert tensor.quant is not None
    _, height, width, channels = tensor.shape
    return {
        "outside": comment(outside),
        "offset": offset,
        "bytes": tensor.size_bytes,
        "height": height,
        "width": width,
        "channels": channels,
        "scale": float_literal(float(scale_of(tensor.quant))),
        "zero_point": tensor.quant.zero_point,
    }


def _string_literal(text: str) -> str:
    escaped = "".join(
        char
        if char.isascii() and char.isprintable() and char not in '"\\?'
        else "".join(f"\\{b:03o}" for b in char.encode())
        for char in text
    )
    return f'"{escaped}"'


def _step_values(
    plan: Plan, kernels: Mapping[str, Kernel], names: Names, constants: Mapping[int, Packed]
) -> dict[str, object]:
    steps = [_one_step(plan, kernels, call, constants.get(call.step)) for call in plan.calls]
    arrays = [
        {
            "name": f"step{step}_{member}",
            "type": c_type(array),
            "count": array.size,
            "lines": array_lines(array),
        }
        for step, packed in constants.items()
        for member, array in packed.arrays.items()
    ]
    if names.tables is not None:
        arrays.append(
            {
                "name": "pixels",
                "type": "int8_t",
                "count": names.tables.size,
                "lines": array_lines(names.tables.astype(np.int8)),
            }
        )
    by_step = {step["number"]: step for step in steps}
    graph = plan.graph
    copies, offset = [], 0
    for port in graph.outputs:
        buffer = plan.buffers[port.tensor]
        copies.append(
            {
                "offset": offset,
                "buffer": _buffer_values(buffer),
                "row_bytes": buffer.width * buffer.pixel_bytes,
                "first": buffer.pad[1] * buffer.pixel_bytes,
            }
        )
        offset += graph.tensors[port.tensor].size_bytes
    return {
        "step_list": steps,
        "loops": [[by_step[call.step] for call in reversed(loop.calls)] for loop in plan.loops],
        "arrays": arrays,
        "copies": copies,
        "memory_map": drawing(plan),
        "has_pixel_tables": names.tables is not None,
    }


def _one_step(plan: Plan, kernels: Mapping[str, Kernel], call: Call, packed: Packed | None) -> dict[str, object]:
    graph = plan.graph
    write = plan.buffers[call.write]
    runs = plan.buffers[call.reads[0].tensor].rows if call.accumulates else write.rows
    values: dict[str, object] = {
        "number": call.step,
        "write": _buffer_values(write) | {"zero_point": quant_of(graph, call.write).zero_point},
        "write_text": _tensor_text(graph.tensors[call.write], write),
        "runs": runs,
        "accumulates": call.accumulates,
        "reads": [_read_values(plan, read) for read in call.reads],
        "read_texts": [_tensor_text(graph.tensors[read.tensor], plan.buffers[read.tensor]) for read in call.reads],
        "window_rows": sum(read.rows for read in call.reads),
    }
    if packed is None:
        return values | {"is_input": True, "title": "input", "kernel": ""}
    node = _node(plan, call)
    kernel = kernels[call.node]
    scratch = plan.scratch.get(call.step)
    fields = [
        {"name": name, "value": f"{{prefix}}_step{call.step}_{value}" if isinstance(value, str) else int_literal(value)}
        for name, value in packed.fields.items()
    ]
    return values | {
        "is_input": False,
        "title": f"{comment(node.name)}, {_op_text(node)}",
        "kernel": kernel.function,
        "params": kernel.params,
        "fields": fields,
        "scratch": {"offset": scratch.offset, "bytes": scratch.size_bytes} if scratch else None,
        "count": plan.buffers[call.reads[0].tensor].width if call.accumulates else write.width,
    }


def _op_text(node: Node) -> str:
    window = OPERATORS[node.op].window(node)
    words = [node.op]
    if window.kernel != (1, 1):
        words.append(f"{window.kernel[0]}x{window.kernel[1]}")
    if window.stride != (1, 1):
        words.append(
            f"stride {window.stride[0]}" if window.stride[0] == window.stride[1] else f"stride {window.stride}"
        )
    activation = getattr(node.attributes, "activation", None)
    if activation is not None:
        words.append(activation.name)
    return " ".join(words)


def _buffer_values(buffer: Buffer) -> dict[str, int | bool]:
    return {
        "offset": buffer.offset,
        "row_bytes": buffer.row_bytes,
        "slots": buffer.slots,
        "rows": buffer.rows,
        "is_ring": buffer.is_ring,
        "top": buffer.pad[0],
        "bottom": buffer.pad[2],
        "height": buffer.height,
        "width": buffer.width,
        "left_bytes": buffer.pad[1] * buffer.pixel_bytes,
        "inner_bytes": buffer.width * buffer.pixel_bytes,
        "right_bytes": buffer.pad[3] * buffer.pixel_bytes,
    }


def _read_values(plan: Plan, read: Read) -> dict[str, object]:
    buffer = plan.buffers[read.tensor]
    maker = next(call for call in plan.calls if call.write == read.tensor)
    return {
        "maker": maker.step,
        # A step that sums rows up has made its only row when all of them are in.
        "maker_runs": plan.buffers[maker.reads[0].tensor].rows if maker.accumulates else None,
        "buffer": _buffer_values(buffer),
        "rows": read.rows,
        "stride": read.stride,
        "dilation": read.dilation,
        "first_row": read.first_row,
        "first_byte": buffer.offset + read.first_column * buffer.pixel_bytes,
        "needed": read.first_row + read.extent,
    }


def _tensor_text(tensor: Tensor, buffer: Buffer) -> str:
    assert tensor.quant is not None
    shape = ", ".join(str(extent) for extent in tensor.shape)
    kept = f" in {buffer.slots} of {buffer.rows} rows" if buffer.is_ring else ""
    return (
        f"arena[{buffer.offset:>7}..{buffer.end - 1:>7}]  int8 [{shape}]{kept}  "
        f"scale {float(scale_of(tensor.quant)):.6g}  zero_point {tensor.quant.zero_point}"
    )


def _softmax_values(graph: Graph) -> dict[str, object]:
    """exp of every difference two int8 logits can have, in float32."""
    scale = float(scale_of(quant_of(graph, graph.outputs[0].tensor)))
    exponentials = np.exp(-scale * np.arange(256)).astype(np.float32)
    return {"classes": graph.tensors[graph.outputs[0].tensor].size_bytes, "exponentials": array_lines(exponentials)}
