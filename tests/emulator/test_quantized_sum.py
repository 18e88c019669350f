"""Float32 additions that nothing quantizes in between: exact against ONNX Runtime on the file, in Python and in C."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from devices import assert_exact, build_folder, verify_on
from host_c import SANITIZE, STRICT, Net, compile_c, first_difference, run_program, write_c
from networks import int8_inputs, kernels_of
from onnx_models import Net as OnnxNet
from quantized_zoo import FEW_DIALECTS, Dialect, add_chain, add_chain_at_the_end, matmul_head, matmul_softmax, quantize
from shared import shared
from test_quantized_import import images_of, oracle_of

from mbn2c.commands.build import BuildOptions
from mbn2c.commands.verify import VerifyOptions
from mbn2c.errors import ModelError
from mbn2c.frontend.export import to_onnx_int8
from mbn2c.frontend.prequantized.model import PrequantizedModel
from mbn2c.frontend.prequantized.probe import run_nodes
from mbn2c.frontend.runtime import Oracle
from mbn2c.ir.graph import Graph, Node, Port, Quant, Tensor
from mbn2c.network.inputs import input_spec, quantize_input
from mbn2c.network.lowered import import_prequantized_lowered
from mbn2c.ops import OPERATORS
from mbn2c.ops.lookup import LookupAttributes
from mbn2c.ops.sum import SumAttributes, guard_sum
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import load_board, load_core

# A network whose Add and Softmax stay in float32, how many tensors its sums add up, and what it ends with.
# QDQ quantizes what a convolution reads, so that a chain in that form needs the quantizer that wrote the shared file.
FLOAT_ADDS: dict[str, tuple[Callable[[], OnnxNet], str, list[int], str]] = {
    "chain of three": (add_chain, "QOperator", [2, 3, 4], ""),
    "chain at the end": (add_chain_at_the_end, "QOperator", [2, 3], ""),
    "one sum at the end": (add_chain_at_the_end, "QDQ", [2, 2], ""),
    "bias at the end": (matmul_head, "QDQ", [2, 1], ""),
    "bias at the end, integer form": (matmul_head, "QOperator", [2, 1], ""),
    "bias, then softmax": (matmul_softmax, "QDQ", [2, 1], "softmax"),
}
CASES = [(name, d) for name in FLOAT_ADDS for d in FEW_DIALECTS if d.form == FLOAT_ADDS[name][1]]


def imported(folder: Path, name: str, dialect: Dialect) -> PrequantizedModel:
    net = FLOAT_ADDS[name][0]()
    path = folder / "model.onnx"
    path.write_bytes(quantize(net, dialect, [node.name for node in net.nodes if node.op_type in ("Add", "Softmax")]))
    return import_prequantized_lowered(path)


def assert_equal_to_the_file(found: PrequantizedModel) -> None:
    graph = found.graph
    oracle, spec = oracle_of(found, graph), input_spec(graph)
    for values in images_of(graph):
        reference = run_graph(graph, {graph.inputs[0].tensor: quantize_input(graph, spec, values)})
        assert oracle.compare(values, reference).differing == {}


@pytest.mark.parametrize(("name", "dialect"), CASES, ids=str)
def test_reference_is_onnx_runtime_on_the_users_file(name: str, dialect: Dialect, tmp_path: Path) -> None:
    _, _, sizes, tail = FLOAT_ADDS[name]
    found = imported(tmp_path, name, dialect)
    sums = [node for node in found.graph.nodes if node.op in ("add", "sum")]
    assert [sum(found.graph.tensors[name].data is None for name in node.inputs) for node in sums] == sizes
    assert [port.tail for port in found.graph.outputs] == [tail]
    # All tensors but an output that the file leaves in float32 are in ONNX Runtime's hands, too.
    seen = [tensor for tensor in found.graph.tensors if tensor in found.probes]
    assert len(seen) >= len(found.graph.nodes) + ("end" not in name and "bias" not in name)
    assert_equal_to_the_file(found)


def test_added_constant_is_proved_result_by_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One result of QLinearAdd that is not the float32 sum's, and the model is refused."""

    def one_off(*question: Any) -> np.ndarray:
        found = run_nodes(*question)
        if [node.op_type for node in question[0]] == ["QLinearAdd"] and "constant" in question[1]:
            found[found.size // 2] ^= 1
        return found

    path = tmp_path / "model.onnx"
    path.write_bytes(quantize(matmul_head(), Dialect("QOperator")))
    assert [len(node.inputs) for node in import_prequantized_lowered(path).graph.nodes if node.op == "sum"] == [1]
    monkeypatch.setattr("mbn2c.frontend.prequantized.model.run_nodes", one_off)
    with pytest.raises(ModelError, match="in 1 of 1536 results"):
        import_prequantized_lowered(path)


def test_shared_chain_is_exact_on_the_users_file_and_on_a_board(
    tmp_path: Path, need_tool: Callable[[str], str]
) -> None:
    model = shared("faults/qdq_add_chain_float.onnx")
    found = import_prequantized_lowered(model)
    assert [len(node.inputs) for node in found.graph.nodes if node.op == "sum"] == [3]
    assert len([tensor for tensor in found.graph.tensors if tensor in found.probes]) == len(found.graph.nodes) + 1
    assert_equal_to_the_file(found)
    board = load_board("qemu-mps2-an385")
    assert board.emulator is not None
    for program in (board.emulator.program, "arm-none-eabi-gcc"):
        need_tool(program)
    output = build_folder(
        tmp_path / "out", BuildOptions(model=model, core=load_core("cortex-m3"), board=board, name="net")
    )
    images = tmp_path / "images.npz"
    np.savez(images, np.random.default_rng(3).uniform(-1, 1, (2, 3, 48, 48)).astype(np.float32))
    assert_exact(verify_on(output, board.name, tmp_path / "firmware", VerifyOptions(images, layers=True)), 2)


# --- the operator alone ----------------------------------------------------------------------------

# Scales of the inputs and the output; sums of the second and third often lie on a step exactly.
SCALES = {
    "any": ((0.0231, 0.0417), 0.0391),
    "halves": ((0.5, 0.5, 0.25), 1.0),
    "quarters": ((0.125, 0.25), 0.5),
    "one large": ((0.9, 0.0001, 0.003), 1.1),
    "fine output": ((0.07, 0.03), 0.001),
}


def graph_of(scales: tuple[float, ...], y_scale: float, bias: np.ndarray | None, bias_at: int) -> Graph:
    """An input, turned by tables into several tensors, and their sum."""
    shape, quant = (1, 8, 24, 16), Quant(np.array([0.25], np.float32), 3)
    tensors = {"x": Tensor("x", shape, "int8", quant=quant)}
    nodes = []
    for number, scale in enumerate(scales):
        generator = np.random.default_rng(number)
        table = tuple(int(code) for code in generator.permutation(np.arange(-128, 128)))
        quant = Quant(np.array([scale], np.float32), 7 * number)
        tensors[f"t{number}"] = Tensor(f"t{number}", shape, "int8", quant=quant)
        nodes.append(Node(f"l{number}", "lookup", ("x",), (f"t{number}",), LookupAttributes(table, None)))
    tensors["y"] = Tensor("y", shape, "int8", quant=Quant(np.array([y_scale], np.float32), -5))
    attributes = guard_sum(
        [float(np.float32(one)) for one in scales], float(np.float32(y_scale)), bias, bias_at, -100, 90, "y"
    )
    terms = tuple(f"t{number}" for number in range(len(scales)))
    nodes.append(Node("s", "sum", terms, ("y",), attributes))
    ports = [Port(name, outside, shape, (0, 1, 2, 3)) for name, outside in (("x", "x"), ("y", "out"))]
    return Graph("sums", tensors, tuple(nodes), (ports[0],), (ports[1],))


def graphs() -> dict[str, Graph]:
    bias = np.linspace(-3, 3, 16).astype(np.float32)
    made = {name: graph_of(*scales, None, 0) for name, scales in SCALES.items()}
    made |= {f"{name}, bias": graph_of(*scales, bias, len(scales[0])) for name, scales in SCALES.items()}
    # Half steps that float32 cannot hold: the order of additions decides.
    halves = (0.05 * (2 * np.arange(16) - 15)).astype(np.float32)
    made |= {f"tenths, bias after {at}": graph_of((0.1, 0.1, 0.1), 0.1, halves, at) for at in (1, 2, 3)}
    return made | {
        "bias first": graph_of((0.5, 0.25, 0.25), 1.0, bias, 1),
        "bias alone": graph_of((0.5,), 1.0, np.round(bias), 1),
    }


@pytest.mark.parametrize("name", graphs())
def test_sum_is_onnx_runtimes(name: str) -> None:
    """The exported spelling, which is the float32 additions as they are written, says the same; so do the tables."""
    graph = graphs()[name]
    codes = list(int8_inputs(graph, 3))[-1]
    reference = run_graph(graph, {"x": codes})
    attributes: SumAttributes = graph.nodes[-1].attributes
    assert attributes.band * 2 <= 1 << attributes.shift
    real = (codes.astype(np.float32) - 3) * np.float32(0.25)
    found = Oracle(to_onnx_int8(graph), as_written=True).run({"x": real})["out"]
    y = (reference["y"].astype(np.float32) + 5) * np.float32(graph.nodes[-1].attributes.y_scale)
    assert np.array_equal(found, y)


@pytest.mark.parametrize("name", ["halves", "quarters", "bias alone"])
def test_the_line_alone_is_wrong_on_steps(name: str) -> None:
    """Without its band the integer line rounds half up, where float32 rounds to even: the test above can fail."""
    graph = graphs()[name]
    codes = list(int8_inputs(graph, 3))[-1]
    *others, last = graph.nodes
    unguarded = replace(last, attributes=replace(last.attributes, band=0))
    right, wrong = (run_graph(one, {"x": codes})["y"] for one in (graph, replace(graph, nodes=(*others, unguarded))))
    assert (right != wrong).any()
    shapes = [graph.tensors[name].shape for name in last.inputs]
    assert OPERATORS["sum"].output_shape(last, shapes) == right.shape


def test_c_is_the_reference_under_sanitizers(tmp_path: Path) -> None:
    made = [*graphs().values(), *(imported(tmp_path, name, dialect).graph for name, dialect in CASES[::4])]
    nets = [Net(f"n{number}", plan_layerwise(graph, kernels_of(graph))) for number, graph in enumerate(made)]
    inputs = [list(int8_inputs(graph, 3, seed=number))[-1:] for number, graph in enumerate(made)]
    for graph, images, found in zip(made, inputs, run_program(tmp_path, nets, inputs, "gcc", SANITIZE), strict=True):
        for values, tensors in zip(images, found, strict=True):
            assert first_difference(run_graph(graph, {graph.inputs[0].tensor: values}), tensors) == ""


@pytest.mark.parametrize("compiler", ["gcc", "clang", "arm-none-eabi-gcc"])
def test_c_has_no_warnings(compiler: str, tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    need_tool(compiler)
    graph = graphs()["halves, bias"]
    write_c(tmp_path, [Net("n", plan_layerwise(graph, kernels_of(graph)))])
    compile_c(tmp_path, ["mbn_sum_scalar.c", "n.c"], "-O2", *STRICT, "-pedantic", "-c", compiler=compiler)
