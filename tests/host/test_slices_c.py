"""Kernels that read and write among other channels: what every operator makes of a part of the input's channels, twice
in one concatenation that copies nothing.

For every table of kernels, on this machine and under sanitizers, each byte of the whole is the reference's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from host_c import SANITIZE, Net, first_difference, own_rows, run_program
from networks import int8_inputs, kernels_of
from test_operators_c import ISAS, TABLES, int8_networks

from mbn2c.ir.graph import Graph, Node, Port, Tensor
from mbn2c.ir.kernel import Kernel
from mbn2c.ops.concat import ConcatAttributes
from mbn2c.ops.select_channels.reading import SelectAttributes
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.reference.run_graph import run_graph

# Kernels whose output is copied, and why.
COPIED = {
    "mbn_depthwise_conv2d_3x3_s1_s8_armv6m": "no register is left",
    "mbn_depthwise_conv2d_3x3_s2_s8_armv6m": "no register is left",
}


def twice(graph: Graph) -> Graph:
    """An int8 Graph of one output, its last node made twice, and both behind each other."""
    port = graph.outputs[0]
    node, tensor = graph.producer[port.tensor], graph.tensors[port.tensor]
    again = replace(node, name="again", outputs=("again",))
    shape = (*tensor.shape[:3], 2 * tensor.shape[3])
    both = Node("both", "concat", (port.tensor, "again"), ("both",), ConcatAttributes((None, None)))
    made = (replace(tensor, name="again"), Tensor("both", shape, "int8", quant=tensor.quant))
    outside = tuple(shape[axis] for axis in port.permutation)
    return replace(
        graph,
        tensors={**graph.tensors, **{one.name: one for one in made}},
        nodes=(*graph.nodes, again, both),
        outputs=(Port("both", "both_out", outside, port.permutation),),
    )


def of_a_part(graph: Graph) -> Graph:
    """An int8 Graph that reads the middle channels of a wider input."""
    (port,) = graph.inputs
    source = graph.tensors["input"]
    *size, channels = source.shape
    part = Node("part", "select_channels", ("input",), ("part",), SelectAttributes(tuple(range(1, channels + 1))))
    nodes = [
        replace(node, inputs=tuple("part" if name == "input" else name for name in node.inputs)) for node in graph.nodes
    ]
    wide = replace(source, shape=(*size, channels + 3))
    outside = tuple(wide.shape[axis] for axis in port.permutation)
    return replace(
        graph,
        tensors={**graph.tensors, "input": wide, "part": replace(source, name="part")},
        nodes=(part, *nodes),
        inputs=(replace(port, shape=outside),),
    )


def networks() -> dict[str, Graph]:
    return {name: of_a_part(twice(without_after(graph))) for name, graph in int8_networks().items()}


def without_after(graph: Graph) -> Graph:
    """Without the convolution that stands behind an operator's example."""
    last = graph.nodes[-1]
    if last.name == "case":
        return graph
    made, port = graph.tensors[last.inputs[0]], graph.outputs[0]
    outside = tuple(made.shape[axis] for axis in port.permutation)
    return graph.rebuild(
        tensors=list(graph.tensors.values()),
        nodes=list(graph.nodes[:-1]),
        outputs=(Port(made.name, port.outside, outside, port.permutation),),
    )


@dataclass(frozen=True)
class Sliced:
    """A network for a table of kernels; `name`, of the operator's example."""

    name: str
    graph: Graph
    isas: tuple[str, ...]

    @property
    def maker(self) -> Kernel:
        """The kernel that writes both slices."""
        return kernels_of(self.graph, self.isas)[self.graph.producer["again"].name]


def check(folder: Path, networks: Sequence[Sliced]) -> None:
    nets, inputs = [], []
    for index, one in enumerate(networks):
        kernels = kernels_of(one.graph, one.isas)
        plan = plan_layerwise(one.graph, kernels)
        is_view = {call.node: call.is_view for call in plan.calls}
        may_copy = one.maker.function in COPIED and one.graph.tensors["both"].shape[2] > 1
        assert is_view["both"] or may_copy, f"{one.name}: {one.maker.function}"
        readers = one.graph.consumers["part"]
        read = all(kernels[node.name].reads_slices(node, one.graph) for node in readers)
        # Of a single pixel it does not matter where the next one lies.
        is_pixel = one.graph.tensors["part"].shape[2] == 1
        assert is_view["part"] == read or is_pixel, f"{one.name}: {[kernels[node.name].function for node in readers]}"
        nets.append(Net(f"n{index}", plan, isas=one.isas))
        inputs.append(list(int8_inputs(one.graph, 4, seed=index)))
    found = run_program(folder, nets, inputs, "gcc", SANITIZE)
    for one, net, images, results in zip(networks, nets, inputs, found, strict=True):
        for values, tensors in zip(images, results, strict=True):
            reference = run_graph(one.graph, {"input": values})
            assert first_difference(own_rows(net.plan, reference), tensors) == "", f"{one.name}: {one.maker.function}"


def test_each_kernel_once(tmp_path: Path) -> None:
    """With rows of several pixels, where there is such an example."""
    graphs = networks()
    found: dict[str, Sliced] = {}
    for isas in TABLES["speed"]:
        for name, graph in graphs.items():
            one = Sliced(name, graph, isas)
            if graph.tensors["both"].shape[2] > 1 or one.maker.function not in found:
                found[one.maker.function] = one
    check(tmp_path, list(found.values()))


@pytest.mark.slow
@pytest.mark.parametrize("isas", ISAS, ids="+".join)
def test_all_cases(tmp_path: Path, isas: tuple[str, ...]) -> None:
    check(tmp_path, [Sliced(name, graph, isas) for name, graph in networks().items()])
