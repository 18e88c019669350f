"""Prequantized models: C and reference equal ONNX Runtime on the user's own file, or it is refused in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from devices import assert_exact, build_folder, verify_on
from host_c import SANITIZE, Net, first_difference, own_rows, run_program
from networks import int8_inputs, kernels_of
from quantized_zoo import DIALECTS, FEW_DIALECTS, NETS, Dialect, quantize

from mbn2c.commands.build import BuildOptions
from mbn2c.commands.inspect import inspect_model
from mbn2c.commands.verify import VerifyOptions
from mbn2c.errors import ModelError
from mbn2c.frontend.prequantized.ends import as_input, real_numbers
from mbn2c.frontend.prequantized.model import PrequantizedModel
from mbn2c.ir.graph import Graph
from mbn2c.kernels import packed
from mbn2c.network.inputs import input_spec, quantize_input
from mbn2c.network.int8_oracle import PrequantizedFacts, PrequantizedOracle
from mbn2c.network.lowered import import_prequantized_lowered
from mbn2c.ops.base.requantize import GuardedRequantize
from mbn2c.planner.choice import Choice, choose_plan
from mbn2c.planner.cost import plan_instructions
from mbn2c.planner.estimate import Estimates
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import Core, all_cores, load_board, load_core

# What a network is refused with, in every dialect, and the first words of what to do.
REFUSED = {
    "split_batch_norm": ("BatchNormalization", "prepare the float32 model"),
}
CASES = [("v2", dialect) for dialect in DIALECTS]
CASES += [(name, dialect) for name in NETS if name not in ("v2", *REFUSED) for dialect in FEW_DIALECTS]
IMAGES = 4


def named(case: tuple[str, Dialect]) -> str:
    return f"{case[0]}: {case[1]}"


def imported(folder: Path, case: tuple[str, Dialect]) -> tuple[PrequantizedModel, Graph]:
    name, dialect = case
    path = folder / "model.onnx"
    path.write_bytes(quantize(NETS[name](), dialect))
    found = import_prequantized_lowered(path)
    return found, found.graph


def oracle_of(found: PrequantizedModel, graph: Graph) -> PrequantizedOracle:
    return PrequantizedOracle(graph, found.model, found.fused, PrequantizedFacts(found.input_type, found.probes))


def images_of(graph: Graph) -> Iterator[np.ndarray]:
    """Noise, and beyond what the input's scale holds."""
    generator = np.random.default_rng(2)
    for number in range(IMAGES):
        yield (1 + number) * generator.uniform(-1, 1, input_spec(graph).shape).astype(np.float32)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_reference_is_onnx_runtime_on_the_users_file(case: tuple[str, Dialect], tmp_path: Path) -> None:
    found, graph = imported(tmp_path, case)
    oracle, spec = oracle_of(found, graph), input_spec(graph)
    assert len([name for name in found.probes if name in graph.tensors]) > len(graph.nodes) // 2
    for values in images_of(graph):
        reference = run_graph(graph, {graph.inputs[0].tensor: quantize_input(graph, spec, values)})
        assert oracle.compare(values, reference).differing == {}


@pytest.mark.parametrize("quantized", [True, False], ids=["sigmoid quantized", "sigmoid in float32"])
@pytest.mark.parametrize("dialect", FEW_DIALECTS, ids=str)
def test_sigmoid_at_the_end_is_split_off(dialect: Dialect, quantized: bool, tmp_path: Path) -> None:
    """Quantized behind it or not: the device returns what stands before it, for the file and its tail to be equal."""
    net = NETS["sigmoid_ends"]()
    excluded = [] if quantized else [node.name for node in net.nodes if node.op_type == "Sigmoid"]
    path = tmp_path / "model.onnx"
    path.write_bytes(quantize(net, dialect, excluded))
    found = import_prequantized_lowered(path)
    assert [port.tail for port in found.graph.outputs] == ["sigmoid", "sigmoid"]
    assert "lookup" not in {node.op for node in found.graph.nodes}
    oracle, spec = oracle_of(found, found.graph), input_spec(found.graph)
    for values in images_of(found.graph):
        reference = run_graph(found.graph, {found.graph.inputs[0].tensor: quantize_input(found.graph, spec, values)})
        assert oracle.compare(values, reference).differing == {}


def test_inspect_tells_what_it_is(tmp_path: Path) -> None:
    _, graph = imported(tmp_path, ("v2", FEW_DIALECTS[0]))
    result = inspect_model(tmp_path / "model.onnx")
    assert [layer.op for layer in result.layers] == [node.op for node in graph.nodes]
    assert {row.target for row in result.targets} >= {"cortex-m0plus", "cortex-m7"}
    assert all(row.flash_bytes > result.model.parameters for row in result.targets)


def test_inspect_plans_once_for_cores_with_the_same_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And for one of them it gives the figures of its plan, which those for all are near."""
    _, graph = imported(tmp_path, ("gray", FEW_DIALECTS[1]))
    planned: list[tuple[str, ...]] = []
    usual = Estimates.of

    def count(self: Estimates, core: Core) -> Choice:
        planned.append(core.isas)
        return usual(self, core)

    monkeypatch.setattr(Estimates, "of", count)
    rows = {row.target: row for row in inspect_model(tmp_path / "model.onnx").targets}
    assert set(rows) == {core.name for core in all_cores()}
    assert sorted(planned) == sorted({core.isas for core in all_cores()})
    for core in all_cores():
        choice = choose_plan(graph, core, "balanced")
        ram_bytes = choice.plan.arena_bytes + choice.plan.context_bytes(core.bits, core.asks_cpu)
        flash_bytes = sum(packed(choice.kernels[node.name], node, graph).size_bytes for node in graph.nodes)
        [row] = inspect_model(tmp_path / "model.onnx", core).targets
        instructions = row.time.instructions
        assert instructions == round(plan_instructions(choice.plan, choice.kernels))
        assert (row.target, row.ram_bytes, row.flash_bytes) == (core.name, ram_bytes, flash_bytes)
        about = rows[core.name]
        near = pytest.approx(ram_bytes * instructions, rel=0.1)
        assert about.ram_bytes * about.time.instructions == near and not about.is_planned


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("dialect", FEW_DIALECTS, ids=str)
def test_refused_in_words(name: str, dialect: Dialect, tmp_path: Path) -> None:
    what, hint = REFUSED[name]
    with pytest.raises(ModelError, match=what) as raised:
        imported(tmp_path, (name, dialect))
    assert raised.value.exit_code == 3
    assert raised.value.where and raised.value.hint and raised.value.hint.startswith(hint)


def check_c(folder: Path, cases: list[tuple[str, Dialect]]) -> None:
    """All cases in one program under sanitizers: every tensor as the reference has it."""
    graphs = [imported(folder, case)[1] for case in cases]
    nets = [Net(f"n{number}", plan_layerwise(graph, kernels_of(graph))) for number, graph in enumerate(graphs)]
    inputs = [list(int8_inputs(graph, 4, seed=number)) for number, graph in enumerate(graphs)]
    results = run_program(folder, nets, inputs, "gcc", SANITIZE)
    for case, net, images, found in zip(cases, nets, inputs, results, strict=True):
        graph = net.plan.graph
        for values, tensors in zip(images, found, strict=True):
            reference = run_graph(graph, {graph.inputs[0].tensor: values})
            assert first_difference(own_rows(net.plan, reference), tensors) == "", named(case)


def test_c_is_the_reference_under_sanitizers(tmp_path: Path) -> None:
    names = [name for name in NETS if name not in REFUSED]
    check_c(tmp_path, [(name, FEW_DIALECTS[number % len(FEW_DIALECTS)]) for number, name in enumerate(names)])


@pytest.mark.slow
def test_c_of_all_dialects_is_the_reference_under_sanitizers(tmp_path: Path) -> None:
    check_c(tmp_path, CASES)


# Without a floating-point unit, with one for float32 only, and not Arm.
@pytest.mark.parametrize(
    "board",
    ["qemu-mps2-an385", *(pytest.param(n, marks=pytest.mark.slow) for n in ("qemu-mps2-an500", "qemu-riscv32-virt"))],
)
def test_float_sums_are_the_same_on_boards(board: str, tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    """verify: device, reference and ONNX Runtime on the user's own file, with layers that it sums in float32."""
    core, emulator = load_core(load_board(board).core), load_board(board).emulator
    assert emulator is not None and emulator.program
    for program in (emulator.program, f"{core.prefix}gcc"):
        need_tool(program)
    model = tmp_path / "model.onnx"
    model.write_bytes(quantize(NETS["v2"](), Dialect()))
    output = build_folder(tmp_path / "out", BuildOptions(model=model, core=core, board=load_board(board), name="net"))
    assert output.report["build"]["given"] is not None
    images = tmp_path / "images.npz"
    np.savez(images, np.random.default_rng(3).uniform(-1, 1, (3, 3, 19, 14)).astype(np.float32))
    result = verify_on(output, board, tmp_path / "firmware", VerifyOptions(images, layers=True))
    assert_exact(result, 3)
    assert result["top1_ort_float32"] is None


# --- what must be kept ---------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", FEW_DIALECTS, ids=str)
def test_scales_and_zero_points_are_the_files(dialect: Dialect, tmp_path: Path) -> None:
    found, graph = imported(tmp_path, ("v2", dialect))
    given = scales_of(found.model)
    for tensor in graph.tensors.values():
        if tensor.data is None:
            assert tensor.quant is not None
            shift = 128 if dialect.activations == "uint8" else 0
            assert (float(tensor.quant.scale[0]), tensor.quant.zero_point + shift) in given, tensor.name


def scales_of(model: bytes) -> set[tuple[float, int]]:
    """Every pair of scale and zero point that stands side by side in a node of the file."""
    proto = onnx.load_model_from_string(model)
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    pairs = set()
    for node in proto.graph.node:
        for scale, zero in zip(node.input, node.input[1:], strict=False):
            if scale in constants and zero in constants and constants[scale].size == 1 == constants[zero].size:
                pairs.add((float(constants[scale].reshape(-1)[0]), int(constants[zero].reshape(-1)[0])))
    return pairs


def test_float_layers_are_told(tmp_path: Path) -> None:
    """ONNX Runtime fuses no convolution behind an add of int8: it stays float32, and the notes say so."""
    _, graph = imported(tmp_path, ("v2", Dialect()))
    floats = [
        node.name
        for node in graph.nodes
        if isinstance(getattr(node.attributes, "requantize", None), GuardedRequantize)
        and node.attributes.requantize.float_sum is not None
    ]
    assert floats and floats == [note.node for note in graph.notes if note.kind == "float32"]


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_codes_of_an_integer_input_come_back(kind: str, tmp_path: Path) -> None:
    _, graph = imported(tmp_path, ("v1", Dialect(activations=kind)))
    low = -128 if kind == "int8" else 0
    codes = np.arange(low, low + 256).astype(kind)
    assert np.array_equal(as_input(real_numbers(codes, graph, kind), graph, kind), codes)


def test_float_sums_near_a_step_are_decided_in_float32(tmp_path: Path) -> None:
    """A layer that ONNX Runtime sums in float32 differs from the integer sum somewhere; the guard must catch it."""
    _, graph = imported(tmp_path, ("v2", Dialect()))
    bands = [
        node.attributes.requantize.band / 2.0**node.attributes.requantize.shift
        for node in graph.nodes
        if isinstance(getattr(node.attributes, "requantize", None), GuardedRequantize)
    ]
    assert all((band > 0).all() and (band <= 0.5).all() for band in bands)
    # Else the device would compute in float32 nearly always.
    assert np.median(np.concatenate(bands)) < 0.01
