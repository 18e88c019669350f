"""Graph and Plan in print: one line per node or call, for reviews, goldens and `inspect`."""

from __future__ import annotations

from mbn2c.ir.graph import Graph, Node, Port, Tensor
from mbn2c.ir.plan import Buffer, Call, Plan, Read


def print_graph(graph: Graph) -> str:
    """The Graph as text; equal graphs print equally, constants as shapes only."""
    lines = [f"graph {graph.name}"]
    lines += [f"  input   {_port(graph, port)}" for port in graph.inputs]
    lines += [f"  {_node(graph, node)}" for node in graph.nodes]
    lines += [f"  output  {_port(graph, port)}" for port in graph.outputs]
    lines += [f"  tail    {port.tail} of {port.outside}" for port in graph.outputs if port.tail]
    lines += [f"  note    {note.kind}: {note.node}: {note.text}" for note in graph.notes]
    return "\n".join(lines) + "\n"


def print_plan(plan: Plan) -> str:
    """Loops with their calls, then the memory they use; what is as usual is left out."""
    lines = [
        f"plan {plan.schedule} of {plan.graph.name}: arena {plan.arena_bytes} bytes, "
        f"lower bound {plan.lower_bound_bytes}, fullest at step {plan.peak_step}"
    ]
    for loop in plan.loops:
        lines.append("  rows")
        lines += [f"    {_call(call)}" for call in loop.calls]
    lines.append("  memory")
    lines += [f"    {_buffer(buffer)}" for buffer in plan.buffers.values()]
    lines += [f"    {space.offset}..{space.end - 1}  scratch of step {step}" for step, space in plan.scratch.items()]
    return "\n".join(lines) + "\n"


def print_tensor(tensor: Tensor) -> str:
    """`int8 [1, 56, 56, 24] scale 0.0235 zero_point -128`"""
    text = f"{tensor.dtype} {list(tensor.shape)}"
    if tensor.quant is None:
        return text
    scale = f"{tensor.quant.scale[0]:.6g}" if tensor.quant.scale.size == 1 else f"[{tensor.quant.scale.size}]"
    return f"{text} scale {scale} zero_point {tensor.quant.zero_point}"


def print_attributes(node: Node) -> str:
    """`3x3 stride 2 pad 0,0,1,1 relu6`, without what is as usual."""
    attributes = node.attributes
    words: list[str] = []
    window = getattr(attributes, "window", None)
    if window is not None:
        words.append("{}x{}".format(*window.kernel))
        if window.stride != (1, 1):
            height, width = window.stride
            words.append(f"stride {height}" if height == width else f"stride {height}x{width}")
        if any(window.pad):
            words.append("pad " + ",".join(str(pad) for pad in window.pad))
        if window.dilation != (1, 1):
            words.append("dilation {}x{}".format(*window.dilation))
    if getattr(attributes, "depth_multiplier", 1) != 1:
        words.append(f"depth_multiplier {attributes.depth_multiplier}")
    if own := getattr(attributes, "words", ""):
        words.append(own)
    activation = getattr(attributes, "activation", None)
    if activation is not None:
        words.append(activation.name)
    return " ".join(words)


def _node(graph: Graph, node: Node) -> str:
    made = graph.tensors[node.outputs[0]]
    words = " ".join(word for word in (node.op, print_attributes(node)) if word)
    return f"{made.name}: {print_tensor(made)} = {words} ({', '.join(node.inputs)})"


def _port(graph: Graph, port: Port) -> str:
    inner = print_tensor(graph.tensors[port.tensor])
    return f"{port.outside} {list(port.shape)} is {port.tensor}: {inner}, axes {list(port.permutation)}"


def _call(call: Call) -> str:
    words = [f"step {call.step}: {call.write}"]
    if call.reads:
        words.append("sums up" if call.accumulates else "shares rows with" if call.is_view else "from")
        words.append(" and ".join(_read(read) for read in call.reads))
    if call.rows_per_run > 1:
        words.append(f"{call.rows_per_run} rows a run")
    if call.on_demand:
        words.append("on demand")
    if call.pieces:
        words.append("in pieces up to " + ", ".join(str(end) for end in call.pieces))
    return " ".join(words)


def _read(read: Read) -> str:
    rows, first_column = read.row_map, read.column_map.phase // read.column_map.denominator
    first = {0: "", 1: "y"}.get(rows.numerator, f"{rows.numerator}y")
    if rows.phase or not first:
        first += f"+{rows.phase}" if first and rows.phase > 0 else str(rows.phase)
    if rows.denominator != 1:
        first = f"({first})/{rows.denominator}"
    window = f"[{first}]" if rows.count == 1 else f"[{first}, {rows.count} rows]"
    if rows.dilation != 1:
        window = f"{window[:-1]} of every {rows.dilation}]"
    return f"{read.tensor}{window}" + (f" from column {first_column}" if first_column else "")


def _buffer(buffer: Buffer) -> str:
    words = [f"{buffer.offset}..{buffer.end - 1}  {buffer.tensor}:"]
    words.append(f"{buffer.slots} of {buffer.rows} rows" if buffer.is_ring else f"{buffer.rows} rows")
    words.append(f"of {buffer.row_bytes} bytes")
    if buffer.dtype != "int8":
        words.append(buffer.dtype)
    if buffer.planar:
        words.append("planar")
    if buffer.is_slice:
        words.append(f"in {buffer.view_of} from byte {buffer.channel_offset_bytes} of its pixels")
    if buffer.strip_columns:
        words.append(f"and a strip of {buffer.strip_columns} columns")
    if any(buffer.pad):
        words.append("pad " + ",".join(str(pad) for pad in buffer.pad))
    words.append(f"steps {buffer.first_step} to {buffer.last_step}")
    return " ".join(words)
