"""Plan -> the C of one network: header, steps in order, constants.

Everything is decided here; the templates print.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mbn2c import __version__
from mbn2c.emit.network.blob import FORMAT, HEAD_BYTES, MAGIC, arrays_in_blob, size_bytes, sources
from mbn2c.emit.network.c_names import comment
from mbn2c.emit.network.c_tables import Row, column_table, run_lines, table_lines
from mbn2c.emit.network.c_values import array_lines, c_type, float_literal
from mbn2c.emit.network.camera_rows import camera_functions
from mbn2c.emit.network.input_helpers import input_functions, input_words
from mbn2c.emit.network.memory_map import drawing
from mbn2c.emit.network.prefetch import prefetch_calls
from mbn2c.emit.network.sections import array_places, section_values
from mbn2c.emit.network.sharing import sharing_rows
from mbn2c.emit.network.steps import (
    array_prefix,
    bound_params,
    buffer_row,
    piece_rows,
    pixel_counts,
    read_rows,
    step_row,
    step_values,
)
from mbn2c.errors import InternalError
from mbn2c.files.bundle import Bundle
from mbn2c.ir.graph import Tensor
from mbn2c.ir.kernel import SHARED_NUMBERS, Kernel, Packed, Parts
from mbn2c.ir.plan import Plan
from mbn2c.kernels import packed_constants
from mbn2c.kernels.call_bounds import TRIED, call_bounds
from mbn2c.kernels.cores import core_condition
from mbn2c.kernels.cpu import chosen_checks, needed_checks
from mbn2c.kernels.scalar.table import functions, params_structs
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.resources.render import file_text, plain_text, render
from mbn2c.tasks.camera import Camera
from mbn2c.tasks.inputs import Preprocess
from mbn2c.tasks.protocol import CValues, Task
from mbn2c.tasks.registry import task_of_graph

RUNTIME_HEADERS = ("mbn_guard.h", "mbn_kernels.h", "mbn_math.h", "mbn_rows.h", "mbn_version.h")
# Of networks that make several rows in a run.
_THREADS = ("mbn_shares.h", "mbn_threads.h")
# Members of the structs of mbn_rows.h that are int8_t or int16_t.
SIGNED_MEMBERS = frozenset({"zero_point", "first", "above"})


@dataclass(frozen=True, eq=False)
class Names:
    """What the generated C is called, and what it must carry.

    digest      sha256 of model.int8.onnx
    labels      class names, may be empty
    tables      uint8 [C, 256] -> int8 for raw camera pixels, or None if the input is int8
    task        what the outputs mean; None: the task that takes them when nothing is said of them
    preprocess  what stands between pixels and the input; None: it was not told
    camera      whose rows the C takes, too, for a uint8 input; None: none
    resize      how a camera's frame reaches the input size, one of `tasks.images.RESIZES`
    slice       instructions of a slice, of which the C offers inferences, too; None: it does not
    sections    layer -> the section of its weights, of those that lie apart from the other constants
    threads     whether they may share what makes several rows in a run
    one_body    one copy of the row loop's code serves all steps: half of what they take of flash, more instructions
    prefetches  whether the C asks for weights that lie apart before each call
    in_blob     whether a program takes in its constants, as a blob; then `digest` is that of the program
    """

    prefix: str
    title: str
    digest: bytes
    labels: tuple[str, ...] = ()
    tables: np.ndarray | None = None
    task: Task | None = None
    preprocess: Preprocess | None = None
    camera: Camera | None = None
    resize: str = "crop"
    slice: int | None = None
    sections: Mapping[str, str] = field(default_factory=dict)
    threads: bool = True
    one_body: bool = False
    prefetches: bool = False
    in_blob: bool = False


@dataclass(frozen=True, eq=False)
class PlannedNetwork:
    """A network as it is planned for a core: its Plan, the kernel of each node, and what its C is called."""

    plan: Plan
    kernels: Mapping[str, Kernel]
    names: Names


def model_files(
    plan: Plan, kernels: Mapping[str, Kernel], names: Names, beside: Sequence[PlannedNetwork] = ()
) -> Bundle:
    """All C files of the network and its kernels, in one flat folder.

    beside  networks whose C comes too: all share the kernels
    """
    networks = (PlannedNetwork(plan, kernels, names), *beside)
    files: dict[str, str] = {}
    for network in networks:
        files |= _network_files(network)
    files |= runtime_headers()
    if any(_shared_rows(network.plan, network.names) > 1 for network in networks):
        files |= {header: plain_text(f"runtime/{header}") for header in _THREADS}
    kernels_used = [kernel for network in networks for kernel in network.kernels.values()]
    ways = [way for kernel in kernels_used for way in kernel.ways]
    checks = (*chosen_checks(kernels_used), *needed_checks(kernels_used))
    sources = {source for way in ways for source in (way.source, *way.more_sources)}
    for source in sorted(sources | {check.source for check in checks}):
        files[kernel_file(source)] = plain_text(f"kernels/{source}")
    for header in sorted({header for way in ways for header in way.headers} | {check.header for check in checks}):
        files[_header_file(header)] = plain_text(f"kernels/{header}")
    return {path: text.encode() for path, text in files.items()}


def runtime_headers() -> dict[str, str]:
    """What every network's C includes, by file name."""
    values = {
        "version": __version__,
        "version_number": version_number(__version__),
        "structs": params_structs(),
        "functions": functions(),
    }
    return {header: file_text(f"runtime/{header}", values) for header in RUNTIME_HEADERS}


def version_number(version: str) -> int:
    """What C compares: 0.1.0 -> 100, 1.2.3 -> 10203."""
    major, minor, patch = (int(number) for number in version.split(".")[:3])
    return 10000 * major + 100 * minor + patch


def _network_files(network: PlannedNetwork) -> dict[str, str]:
    plan, kernels, names = network.plan, network.kernels, network.names
    constants = packed_constants(plan, kernels)
    values = _common_values(plan, names) | _cpu_values(kernels) | _step_values(plan, kernels, names, constants)
    task, outputs = names.task or task_of_graph(plan.graph, {}), _task_outputs(plan)
    prefix, facts = names.prefix, (plan.graph, names.prefix, names.preprocess, names.tables is not None)
    functions = [*input_functions(*facts), *task.c_functions(prefix, outputs)]
    if names.camera is not None:
        functions += camera_functions(plan.graph, prefix, names.camera, names.resize)
    values |= {"functions": functions, "output_words": task.output_words(prefix, outputs)}
    values |= {"input_words": input_words(*facts), "core_condition": core_condition(kernels.values())}
    values |= {"part_tables": _part_tables(network, constants), "one_body": names.one_body}
    values |= {"slice": names.slice, "tried": TRIED, "bounds": call_bounds(plan, kernels) if names.slice else []}
    files = {
        f"{prefix}.h": render("network/model.h.j2", values),
        f"{prefix}.c": render("network/model.c.j2", values),
        f"{prefix}_constants.h": render("network/constants.h.j2", values),
        f"{prefix}_constants.c": render("network/constants.c.j2", values),
    }
    if names.prefetches:
        files[f"{prefix}_prefetch.c"] = render("network/prefetch.c.j2", values)
    if names.in_blob:
        files[f"{prefix}_blob.c"] = render("network/blob.c.j2", values)
    for function in functions:
        files[f"{prefix}_{function.name}.c"] = function.source or render(
            function.template, values | {name: _spelt(value) for name, value in function.values.items()}
        )
    return files


def _cpu_values(kernels: Mapping[str, Kernel]) -> dict[str, object]:
    """What the C asks the processor when it starts."""
    chosen, needed = chosen_checks(kernels.values()), needed_checks(kernels.values())
    return {
        "cpu_headers": sorted({_header_file(check.header) for check in (*chosen, *needed)}),
        "chosen_checks": [check.function for check in chosen],
        "needed_checks": [check.function for check in needed],
    }


def _task_outputs(plan: Plan) -> list[CValues]:
    """What a task makes its functions from."""
    graph = plan.graph
    outputs, offset = [], 0
    for port in graph.outputs:
        tensor, quant = graph.tensors[port.tensor], quant_of(graph, port.tensor)
        scale = float(scale_of(quant))
        at = plan.buffers[port.tensor].offset
        outputs.append(CValues(comment(port.outside), offset, tensor.size_bytes, scale, quant.zero_point, at))
        offset += tensor.size_bytes
    return outputs


def _spelt(value: object) -> object:
    """A value of a task's template; floats and arrays as C."""
    if isinstance(value, np.ndarray):
        return array_lines(value)
    return float_literal(value) if isinstance(value, float) else value


def kernel_file(source: str) -> str:
    """Where a kernel's C goes: scalar/conv2d.c -> mbn_conv2d_scalar.c."""
    isa, name = source.split("/")
    return f"mbn_{name.removesuffix('.c')}_{isa}.c"


def _header_file(header: str) -> str:
    """arm_dsp/mbn_arm_dsp.h -> mbn_arm_dsp.h"""
    return header.split("/")[1]


def _part_tables(network: PlannedNetwork, constants: Mapping[int, Packed]) -> list[dict[str, object]]:
    """The network's tables of functions, as C: what some call needs of each, and NULL for the rest."""
    plan, kernels = network.plan, network.kernels
    needed: dict[Parts, set[str]] = {}
    for call in plan.calls:
        for parts in constants[call.step].fields.values() if call.step in constants else ():
            if isinstance(parts, Parts):
                node, write = plan.graph.producer[call.write], plan.buffers[call.write]
                called = kernels[call.node].parts(node, plan.graph, pixel_counts(plan, call), write.planar)
                needed.setdefault(parts, set()).update(called)
    numbers = next((step for step, one in constants.items() if SHARED_NUMBERS in one.arrays), None)
    return [
        {
            "name": parts.name,
            "type": parts.type,
            "members": [_member(one, needed[parts]) for one in parts.members] + _pointer(parts, numbers),
        }
        for parts in sorted(needed, key=lambda parts: parts.name)
    ]


def _pointer(parts: Parts, step: int | None) -> list[str]:
    """The member that points to the numbers, which lie among the constants of a step; none if the table has no such."""
    if parts.numbers is None:
        return []
    return [f"{{prefix}}_{array_prefix(step, 0)}_{SHARED_NUMBERS}" if parts.numbers and step is not None else "NULL"]


def _member(functions: tuple[str, ...] | str, needed: Container[str]) -> str:
    if isinstance(functions, str):
        return functions if functions in needed else "NULL"
    return "{" + ", ".join(_member(function, needed) for function in functions) + "}"


def constant_arrays(constants: Mapping[int, Packed], names: Names) -> dict[str, np.ndarray]:
    """What lies in the C file of constants, by array name without the prefix, in that order."""
    arrays = {
        f"{array_prefix(step, way)}_{member}": array
        for step, one in constants.items()
        for way, packed in enumerate((one, *one.alternatives))
        for member, array in packed.arrays.items()
    }
    if names.tables is not None:
        arrays["pixels"] = names.tables.astype(np.int8)
    return arrays


def _common_values(plan: Plan, names: Names) -> dict[str, object]:
    graph = plan.graph
    source = graph.tensors[graph.inputs[0].tensor]
    _, height, width, channels = source.shape
    outputs, offset = [], 0
    for port in graph.outputs:
        tensor = graph.tensors[port.tensor]
        outputs.append(_output_values(tensor, port.outside, offset) | {"by_rows": port.by_rows})
        offset += tensor.size_bytes
    return {
        "version": __version__,
        "version_number": version_number(__version__),
        "name": names.prefix,
        "NAME": names.prefix.upper(),
        "title": comment(names.title),
        "schedule": plan.schedule,
        "macs": sum(OPERATORS[node.op].macs(node, graph) for node in graph.nodes),
        "arena_bytes": plan.arena_bytes,
        "steps": len(plan.calls),
        "pieced_steps": plan.pieced_steps,
        "block_rows": _shared_rows(plan, names),
        "most_rows": max((sum(read.row_map.count for read in call.reads) for call in plan.calls), default=1),
        "scratch_bytes": max((scratch.size_bytes for scratch in plan.scratch.values()), default=1),
        "row_count_type": f"uint{8 * plan.row_count_bytes}_t",
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
        "leaving": _leaving(plan),
        "labels": [_string_literal(label) for label in names.labels],
    }


def _shared_rows(plan: Plan, names: Names) -> int:
    """The most rows that threads share in a run; 1 without threads."""
    return max(call.rows_per_run for call in plan.calls) if names.threads else 1


def _leaving(plan: Plan) -> dict[str, int] | None:
    """The output whose rows leave as they are made, and where they begin in what `run` fills; None: there is none.

    raises  InternalError if there are several
    """
    outputs = plan.graph.outputs
    found = [number for number, port in enumerate(outputs) if port.by_rows]
    if not found:
        return None
    if len(found) > 1:
        raise InternalError("several outputs leave row by row", where=plan.graph.name)
    sizes = [plan.graph.tensors[port.tensor].size_bytes for port in outputs]
    call, buffer = next(
        (call, plan.buffers[call.write]) for call in plan.calls if call.write == outputs[found[0]].tensor
    )
    return {
        "step": call.step,
        "offset": sum(sizes[: found[0]]),
        "height": buffer.height,
        "width": buffer.width,
        "pixel_bytes": buffer.pixel_bytes,
        "row_bytes": buffer.width * buffer.pixel_bytes,
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
    all_arrays = constant_arrays(constants, names)
    blob = arrays_in_blob(all_arrays, constants) if names.in_blob else {}
    fetched = prefetch_calls(plan, kernels, names.prefix, names.sections) if names.prefetches else {}
    found = sources(blob, "constants")
    found |= {name: f"(const {c_type(all_arrays[name])} *)constants" for name in fetched}
    steps = [step_values(plan, kernels, call, constants.get(call.step), found, fetched) for call in plan.calls]
    places = array_places(plan, kernels, names.prefix, names.sections)
    arrays = [
        {
            "name": name,
            "type": c_type(array),
            "count": array.size,
            "lines": array_lines(array),
            "place": places.get(name, ""),
        }
        for name, array in all_arrays.items()
        if name not in blob
    ]
    graph = plan.graph
    copies, offset = [], 0
    makers = {call.write: call.step for call in plan.calls}
    for port in graph.outputs:
        if not port.by_rows:
            copies.append({"offset": offset, "step": makers[port.tensor]})
        offset += graph.tensors[port.tensor].size_bytes
    return {
        "step_list": steps,
        "loops": [loop.calls[-1].step for loop in plan.loops],
        "arrays": arrays,
        "sections": section_values(plan, kernels, names.prefix, names.sections),
        "copies": copies,
        "prefetches": names.prefetches,
        "blob": {"head_bytes": HEAD_BYTES, "bytes": size_bytes(blob), "magic": MAGIC.decode(), "format": FORMAT}
        if names.in_blob
        else None,
        "pixel_tables": found.get("pixels", "").replace("constants", "net->constants") or f"{names.prefix}_pixels",
        "bound_params": bound_params(plan, kernels, constants, found),
        "memory_map": drawing(plan),
        "has_pixel_tables": names.tables is not None,
        "kernel_headers": sorted(
            {_header_file(way.headers[0]) for kernel in kernels.values() for way in kernel.ways if way.headers}
        ),
        "sharing_lines": table_lines(_numbered(sharing_rows(plan, constants))),
        **_tables(plan),
    }


def _tables(plan: Plan) -> dict[str, object]:
    """The const tables of model.c, as lines of text."""
    steps: list[Row] = []
    reads: dict[str, Row] = {}
    pieces: dict[str, Sequence[Row]] = {}
    piece_count = 0
    for call in plan.calls:
        steps.append(step_row(plan, call, len(reads), piece_count))
        reads |= _labelled(call.step, read_rows(plan, call))
        pieces[str(call.step)] = piece_rows(plan, call)
        piece_count += len(pieces[str(call.step)])
    return {
        "tables": [
            _table(
                "buffers",
                "mbn_buffer",
                "mbn_buffer_of",
                "number",
                _numbered([buffer_row(plan, call) for call in plan.calls]),
            ),
            _table("reads", "mbn_read", "mbn_read_at", "index", reads),
            _table("steps", "mbn_step", "mbn_step_of", "number", _numbered(steps)),
        ],
        "piece_count": piece_count,
        "piece_lines": run_lines(pieces),
        "column_type": _column_type(pieces.values()),
    }


def _table(name: str, struct: str, function: str, number: str, rows: Mapping[str, Row]) -> dict[str, object]:
    """An array, and the function that gives a row of it as a struct of mbn_rows.h."""
    table = column_table(f"{name}[{number}]", rows, SIGNED_MEMBERS)
    return {"name": name, "struct": struct, "function": function, "number": number, "columns": table}


def _numbered(rows: Sequence[Row]) -> dict[str, Row]:
    """By the steps that they belong to."""
    return {str(number): row for number, row in enumerate(rows)}


def _column_type(pieces: Collection[Sequence[Row]]) -> str:
    """The C type that holds all numbers of the pieces; "" if there are none."""
    numbers = (value for rows in pieces for row in rows for value in row.values() if isinstance(value, int))
    most = max(numbers, default=-1)
    return "" if most < 0 else "uint8_t" if most < 256 else "uint16_t"


def _labelled(step: int, rows: Sequence[Row]) -> dict[str, Row]:
    """Rows of a table by the step that they belong to: "7", or "7.0", "7.1" if there are several."""
    if len(rows) == 1:
        return {str(step): rows[0]}
    return {f"{step}.{index}": row for index, row in enumerate(rows)}
