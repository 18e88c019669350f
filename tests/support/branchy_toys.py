"""Random networks with concatenations, slices of channels, upsampling and vectors, quantized without ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from models import Builder, same_window
from networks import as_int8, kernels_of
from toy_operators import ToyAttributes, anywhere

from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Plan
from mbn2c.ir.window import Window
from mbn2c.planner.columns import Pieces
from mbn2c.planner.memory import allocate
from mbn2c.planner.schedule import make_schedule
from mbn2c.quantize.calibrate import Range
from mbn2c.quantize.quantize import quantize


class ToyBuilder(Builder):
    """A Builder with the toys."""

    def toy(self, op: str, *inputs: str, factor: tuple[int, int] = (1, 1), first: int = 0, count: int = 0) -> str:
        return self._append(f"toy_{op}", inputs, ToyAttributes(factor, first, count))

    def finished(self, *outputs: str) -> Graph:
        """The int8 Graph in which every tensor has one scale and zero point, so that all may share rows."""
        graph = self.graph(*outputs)
        names = [name for name, tensor in graph.tensors.items() if tensor.data is None]
        return quantize(graph, dict.fromkeys(names, Range(-3.0, 5.0)))


@st.composite
def toy_networks(draw: st.DrawFn, blocks: int = 3) -> Graph:
    """Blocks that split, go their ways and are concatenated; half the size and up again; squeezed to a vector."""
    builder = ToyBuilder((draw(st.integers(2, 9)), draw(st.integers(2, 9)), 3), draw(st.integers(0, 99)))
    x = builder.conv2d("input", draw(st.integers(2, 5)), same_window(3, 1))
    outputs = []
    windows = st.sampled_from((Window(), same_window(3, 1), same_window(5, 1)))
    for _ in range(draw(st.integers(1, blocks))):
        _, height, width, channels = builder.tensors[x].shape
        match draw(st.sampled_from(("inception", "split", "hourglass", "squeeze", "blend", "row", "output"))):
            case "inception":
                count = draw(st.integers(2, 3))
                parts = [builder.conv2d(x, draw(st.integers(1, 4)), draw(windows)) for _ in range(count)]
                y = builder.toy("concat", *parts)
                # A part that is read besides, and one that lies in two concatenations, of which one must copy.
                more = draw(st.sampled_from(("", "part", "twice")))
                if more == "part":
                    y = builder.add(builder.conv2d(y, 3), builder.conv2d(parts[0], 3, same_window(3, 1)))
                elif more == "twice":
                    y = builder.toy("concat", builder.conv2d(y, 2, same_window(3, 1)), parts[1])
                x = y
            case "split":
                first = draw(st.integers(1, channels - 1)) if channels > 1 else 1
                if channels > 1:
                    low = builder.toy("slice", x, first=0, count=first)
                    high = builder.toy("slice", x, first=first, count=channels - first)
                    x = builder.toy("concat", builder.depthwise(low, draw(windows)), high)
            case "hourglass" if height % 2 == 0 and width % 3 == 0:
                y = builder.depthwise(x, Window((3, 3), (2, 3), (1, 0, 0, 0)))
                y = builder.toy("upsample", y, factor=(2, 3))
                x = builder.toy("concat", y, x) if draw(st.booleans()) else builder.add(x, y)
            case "blend" if height <= 8:
                x = builder.toy("blend", x)
            case "row":
                x = builder.toy("concat", builder.toy("row", x), builder.toy("row", x))
            case "squeeze":
                x = builder.toy("vector", x, builder.conv2d(builder.average_pool(x), channels))
            case "output" if not outputs:
                outputs.append(builder.conv2d(x, 2, draw(windows)))
    return builder.finished(*outputs, builder.conv2d(x, 3, draw(windows)))


def toy_plan(
    graph: Graph,
    cuts: Sequence[bool] = (),
    pieces: Sequence[int] = (),
    isas: Sequence[str] = ("scalar",),
    rows_per_run: Sequence[int] = (),
) -> Plan:
    """As `plan_with_cuts`, with every view there could be.

    rows_per_run  of each node in turn
    """
    many = {
        node.name: rows_per_run[index % len(rows_per_run)] for index, node in enumerate(graph.nodes) if rows_per_run
    }
    segments: list[list[str]] = [[]]
    for index, node in enumerate(graph.nodes):
        segments[-1].append(node.name)
        if index < len(cuts) and cuts[index]:
            segments.append([])
    segments = [segment for segment in segments if segment]
    wanted = [Pieces(pieces[index % len(pieces)], index % 3) for index in range(len(segments))] if pieces else []
    # The toys' kernels are for int8; how numbers of any type lie and move does not depend on them.
    kernels = anywhere(kernels_of(as_int8(graph), isas))
    return allocate(make_schedule(graph, kernels, segments, wanted, rows_per_run=many), "cuts")
