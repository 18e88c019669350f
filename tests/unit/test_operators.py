"""Every operator, every answer: what an operator says of itself is true on each of the cases in its file.

A new operator is tested by being there. One without a case fails, and one that leaves an answer out that its stages
need.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from networks import OnnxModel, as_image, compare_with_onnx_runtime, int8_inputs, int8_model, quantized
from onnx_models import Net
from operator_cases import counterparts, every_case, graph_of

import mbn2c
from mbn2c.emit.network.model import runtime_headers
from mbn2c.errors import ModelError
from mbn2c.frontend import export, import_model
from mbn2c.frontend.export import to_onnx_float, to_onnx_int8
from mbn2c.frontend.prequantized.model import is_prequantized
from mbn2c.ir.check import check
from mbn2c.ir.graph import Graph, Node
from mbn2c.kernels import select
from mbn2c.network.lowered import import_lowered, import_prequantized_lowered
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.operator import IMPORTED, LOWERED, QUANTIZED, OnnxOp, Operator, clamped
from mbn2c.passes import run_passes
from mbn2c.reference.run_graph import run_graph

NHWC = (0, 2, 3, 1)
CASES = every_case()
FLOAT = [name for name, (operator, case) in CASES.items() if LOWERED in operator.stages and not case.quants]
NEEDED = {
    IMPORTED: ("output_shape", "run_float", "spell_float"),
    LOWERED: ("run_float", "gradient", "bounds", "spell_float", "quantize"),
    QUANTIZED: ("output_shape", "run", "spell_int8"),
}


def network(name: str) -> Graph:
    operator, case = CASES[name]
    return graph_of(operator, case, name)


def int8_network(name: str) -> Graph:
    graph = network(name)
    if not CASES[name][1].quants:
        graph = quantized(run_passes(graph) if LOWERED not in CASES[name][0].stages else graph)
    return check(graph, "quantized", OPERATORS)


def the_node(graph: Graph) -> tuple[Operator, Node]:
    """The one that the case is: others make what it reads, and one may read it."""
    node = next(node for node in graph.nodes if node.name == "case")
    return OPERATORS[node.op], node


def reals(graph: Graph, seed: int = 0) -> list[np.ndarray]:
    """float32 inputs of the node, NHWC, of some size on both sides of 0."""
    operator, node = the_node(graph)
    generator = np.random.default_rng(seed)
    names = operator.activations(node, graph)
    return [generator.normal(scale=3, size=graph.tensors[name].shape).astype(np.float32) for name in names]


# --- every answer is there -----------------------------------------------------------------------


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_every_operator_has_its_answers(operator: Operator) -> None:
    # What stands behind the exported model is compared with no ONNX Runtime; test_ssd asks it.
    assert operator.cases() or operator.is_postprocessing, f"{operator.name} has no case"
    missing = [
        f"{operator.name} may stand in a Graph of stage {stage} and does not say {answer}"
        for stage in sorted(operator.stages)
        for answer in NEEDED[stage]
        if getattr(type(operator), answer) is getattr(Operator, answer)
        and not (operator.is_postprocessing and answer == "spell_int8")
    ]
    assert missing == []


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_every_operator_has_a_page(operator: Operator) -> None:
    page = Path(mbn2c.__file__).parents[1] / "docs" / "operators" / f"{operator.name}.md"
    assert page.is_file(), f"write docs/operators/{operator.name}.md"
    assert page.read_text().startswith(f"# {operator.name}\n")


# --- float32 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_a_case_keeps_the_laws(name: str) -> None:
    operator, case = CASES[name]
    check(network(name), sorted(operator.stages)[0] if not case.quants else QUANTIZED, OPERATORS)


@pytest.mark.parametrize("name", [name for name in CASES if not CASES[name][1].quants])
def test_shape_law_is_onnx_s(name: str) -> None:
    graph = network(name)
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(to_onnx_float(graph)), strict_mode=True)
    inferred = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in model.graph.value_info
    }
    for made in graph.nodes:
        shape = graph.tensors[made.outputs[0]].shape
        assert inferred[made.outputs[0]] == (shape[0], shape[3], shape[1], shape[2]), made.name


@pytest.mark.parametrize("name", [name for name in CASES if not CASES[name][1].quants])
def test_float_result_is_onnx_runtime_s(name: str) -> None:
    graph = network(name)
    model = OnnxModel(graph, to_onnx_float(graph))
    image = np.random.default_rng(1).normal(scale=3, size=graph.inputs[0].shape).astype(np.float32)
    values = {key: found.transpose(NHWC) for key, found in model(image).items()}
    operator, node = the_node(graph)
    arrays = [values[key] for key in operator.activations(node, graph)]
    made = clamped(operator.run_float(node, graph, arrays), operator.activation(node))
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, values[node.outputs[0]], rtol=2e-5, atol=2e-5)
    batch = operator.run_float(node, graph, [np.concatenate([array, array * 0]) for array in arrays])
    np.testing.assert_allclose(clamped(batch, operator.activation(node))[:1], made, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in CASES if not CASES[name][1].quants])
def test_float_export_comes_back(name: str, tmp_path: Path) -> None:
    graph = network(name)
    (tmp_path / "net.onnx").write_bytes(to_onnx_float(graph))
    lowered = LOWERED in CASES[name][0].stages
    back = import_lowered(tmp_path / "net.onnx") if lowered else import_model(tmp_path / "net.onnx")
    # The passes are asked of both: they may find channels that are constant, and merge what the case left apart.
    counterparts(run_passes(graph) if lowered else graph, back)


@pytest.mark.parametrize("name", FLOAT)
def test_other_spellings_are_read_alike(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = network(name)
    operator, node = the_node(graph)
    usual = type(operator).spell_float
    monkeypatch.setattr(export, "OPSET", 14)
    for words, spelled in operator.other_spellings(node, graph).items():

        def spell(self: Operator, one: Node, whole: Graph, spelled: list[OnnxOp] = spelled) -> list[OnnxOp]:
            return spelled if one.name == "case" else usual(self, one, whole)

        monkeypatch.setattr(type(operator), "spell_float", spell)
        (tmp_path / "net.onnx").write_bytes(to_onnx_float(graph))
        image = np.random.default_rng(1).normal(scale=3, size=graph.inputs[0].shape).astype(np.float32)
        found = OnnxModel(graph, to_onnx_float(graph))(image)[node.outputs[0]]
        monkeypatch.setattr(type(operator), "spell_float", usual)
        expected = OnnxModel(graph, to_onnx_float(graph))(image)[node.outputs[0]]
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5, err_msg=words)
        counterparts(run_passes(graph), import_lowered(tmp_path / "net.onnx"))


@pytest.mark.parametrize("name", FLOAT)
def test_gradient_is_the_derivative(name: str) -> None:
    """Along random directions, against central differences in float64."""
    graph = network(name)
    operator, node = the_node(graph)
    inputs = reals(graph)
    generator = np.random.default_rng(2)
    result = operator.run_float(node, graph, inputs)
    gradient = generator.normal(size=(2, *result.shape[1:])).astype(np.float32)
    found = operator.gradient(node, graph, inputs, gradient)
    assert len(found) == len(inputs)
    wide = [array.astype(np.float64) for array in inputs]
    for index, back in enumerate(found):
        assert back.shape == (2, *inputs[index].shape[1:])
        direction = generator.normal(size=inputs[index].shape)
        moved = [[*wide[:index], wide[index] + sign * 1e-5 * direction, *wide[index + 1 :]] for sign in (1, -1)]
        ahead, behind = (operator.run_float(node, graph, arrays) for arrays in moved)
        slope = (ahead - behind) / 2e-5
        for one in range(2):
            expected, scale = (gradient[one] * slope[0]).sum(), np.abs(gradient[one] * slope[0]).sum()
            assert (back[one] * direction[0]).sum() == pytest.approx(expected, abs=1e-4 * scale + 1e-6)


@pytest.mark.parametrize("name", FLOAT)
def test_bounds_hold_what_is_seen(name: str) -> None:
    graph = network(name)
    operator, node = the_node(graph)
    generator = np.random.default_rng(3)
    shapes = [graph.tensors[key].shape for key in operator.activations(node, graph)]
    is_same = len({*operator.activations(node, graph)}) < len(shapes)
    for _ in range(5):
        ends = [np.sort(generator.normal(scale=4, size=(2, shape[3])), axis=0) for shape in shapes]
        ends = ends[:1] * len(shapes) if is_same else ends
        low, high = operator.bounds(node, graph, [(end[0], end[1]) for end in ends])
        assert low.shape == high.shape == graph.tensors[node.outputs[0]].shape[3:]
        assert np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()
        for _ in range(4):
            # Anywhere between the ends, and on them.
            share = [np.clip(generator.uniform(-0.5, 1.5, shape), 0, 1) for shape in shapes]
            arrays = [end[0] + part * (end[1] - end[0]) for end, part in zip(ends, share, strict=True)]
            arrays = arrays[:1] * len(shapes) if is_same else arrays
            made = operator.run_float(node, graph, arrays)
            slack = 1e-5 * (1 + np.abs(low) + np.abs(high))
            assert (made >= low - slack).all() and (made <= high + slack).all()


@pytest.mark.parametrize("name", FLOAT)
def test_traits_are_true(name: str) -> None:
    graph = network(name)
    operator, node = the_node(graph)
    inputs = reals(graph)
    result = operator.run_float(node, graph, inputs)
    if operator.is_channelwise(node):
        assert len(inputs) == 1
        moved = inputs[0].copy()
        moved[..., 0] += 1
        assert np.array_equal(operator.run_float(node, graph, [moved])[..., 1:], result[..., 1:])
    if operator.mixes_channels:
        moved = inputs[0].copy()
        moved[..., 0] += 1
        weights = graph.constant(node.inputs[1])
        reached = (weights[..., 0] != 0).reshape(len(weights), -1).any(axis=1)
        assert ((operator.run_float(node, graph, [moved]) != result).any(axis=(0, 1, 2)) == reached).all()
    if operator.is_clamp:
        assert np.array_equal(result, inputs[0])
    if operator.carries_activation:
        assert "activation" in vars(node.attributes)
    if operator.has_window:
        assert operator.window(node) == node.attributes.window


def sums_channels(graph: Graph) -> bool:
    """Whether scaled channels come out scaled, by factors of either sign (a maximum does not), and shifted ones shifted
    where nothing is padding."""
    operator, node = the_node(graph)
    inputs = reals(graph)
    result = operator.run_float(node, graph, inputs)
    factors = np.exp(np.random.default_rng(4).normal(size=result.shape[3])).astype(np.float32)
    factors[::2] *= -1
    if any(array.shape[3] != len(factors) for array in inputs):
        return False
    scaled = operator.run_float(node, graph, [array * factors for array in inputs])
    is_sum = np.allclose(scaled, result * factors, rtol=1e-4, atol=1e-4)
    if is_sum and not any(operator.window(node).pad):
        shifted = operator.run_float(node, graph, [array + factors for array in inputs])
        is_sum = np.allclose(shifted, result + factors * len(inputs), rtol=1e-4, atol=1e-4)
    return is_sum


@pytest.mark.parametrize("operator", [one for one in OPERATORS.values() if LOWERED in one.stages], ids=lambda o: o.name)
def test_operators_that_sum_channels_say_so(operator: Operator) -> None:
    """All of its cases do, or it does not say so; a clamp is what it is by its activation."""
    graphs = [network(name) for name, (one, _) in CASES.items() if one is operator]
    assert operator.sums_channels == (not operator.is_clamp and all(map(sums_channels, graphs)))


def scaled_alike(name: str) -> tuple[str, ...]:
    graph = network(name)
    operator, node = the_node(graph)
    return operator.scaled_alike(node, graph)


@pytest.mark.parametrize("name", [name for name in FLOAT if scaled_alike(name)])
def test_scaled_channels_are_handed_on(name: str) -> None:
    graph = network(name)
    operator, node = the_node(graph)
    tied = scaled_alike(name)
    inputs = reals(graph)
    result = operator.run_float(node, graph, inputs)
    factors = np.exp(np.random.default_rng(5).normal(size=result.shape[3])).astype(np.float32)
    names = operator.activations(node, graph)
    scaled = [array * factors if one in tied else array for one, array in zip(names, inputs, strict=True)]
    np.testing.assert_allclose(operator.run_float(node, graph, scaled), result * factors, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", FLOAT)
def test_channels_can_be_dropped(name: str) -> None:
    """Where the operator is channelwise those of its input go too."""
    graph = network(name)
    operator, node = the_node(graph)
    channels = graph.tensors[node.outputs[0]].shape[3]
    if channels == 1 or not (operator.mixes_channels or operator.is_channelwise(node)):
        pytest.skip("its channels stay")
    keep = np.arange(channels) % 2 == 0
    kept = operator.keep_outputs(node, graph, keep)
    smaller = graph.rebuild(
        tensors=[replace(graph.tensors[key], shape=data.shape, data=data) for key, data in kept.items()]
    )
    inputs = reals(graph)
    fewer = [array[..., keep] for array in inputs] if operator.is_channelwise(node) else inputs
    expected = operator.run_float(node, graph, inputs)[..., keep]
    np.testing.assert_allclose(operator.run_float(node, smaller, fewer), expected, rtol=1e-5, atol=1e-5)


# --- int8 ----------------------------------------------------------------------------------------

INT8 = [name for name in CASES if LOWERED in CASES[name][0].stages or CASES[name][1].quants]


@pytest.mark.parametrize("name", INT8)
def test_int8_result_is_onnx_runtime_s(name: str) -> None:
    graph = int8_network(name)
    model = int8_model(graph)
    for values in int8_inputs(graph, 6):
        reference = run_graph(graph, {"input": values})
        assert compare_with_onnx_runtime(graph, reference, model(as_image(graph, values))) == ""


@pytest.mark.parametrize("name", INT8)
def test_int8_result_is_near_the_float_one(name: str) -> None:
    """Within a few steps, or saturated: nothing is swapped."""
    if CASES[name][1].quants:
        pytest.skip("it has no float form")
    graph, real = int8_network(name), network(name)
    model = OnnxModel(real, to_onnx_float(real))
    output = the_node(graph)[1].outputs[0]
    quant = graph.tensors[output].quant
    assert quant is not None
    scale = float(quant.scale[0])
    codes = np.random.default_rng(5).integers(-128, 128, graph.tensors["input"].shape).astype(np.int8)
    found = run_graph(graph, {"input": codes})[output].astype(np.float64)
    expected = model(as_image(graph, codes))[the_node(real)[1].outputs[0]].transpose(NHWC)
    expected = np.clip(expected, (-128 - quant.zero_point) * scale, (127 - quant.zero_point) * scale)
    error = np.abs((found - quant.zero_point) * scale - expected)
    assert np.sqrt((error**2).mean()) <= 4 * scale + 0.03 * np.abs(expected).max()


@pytest.mark.parametrize("name", INT8)
def test_int8_batches_are_the_same(name: str) -> None:
    graph = int8_network(name)
    operator, node = the_node(graph)
    runs = [run_graph(graph, {"input": values}) for values in int8_inputs(graph, 4)]
    arrays = [np.concatenate([run[key] for run in runs]) for key in operator.activations(node, graph)]
    fast = operator.run_fast(node, graph, arrays)
    assert np.abs(fast.astype(int) - np.concatenate([run[node.outputs[0]] for run in runs])).max() <= 1


@pytest.mark.parametrize("name", INT8)
def test_int8_export_comes_back(name: str, tmp_path: Path) -> None:
    graph = int8_network(name)
    path = tmp_path / "net.int8.onnx"
    path.write_bytes(to_onnx_int8(graph))
    assert is_prequantized(path)
    back = import_prequantized_lowered(path).graph
    names = counterparts(graph, back)
    for values in int8_inputs(graph, 4):
        found = run_graph(back, {back.inputs[0].tensor: values})
        for key, expected in run_graph(graph, {"input": values}).items():
            assert key == "input" or np.array_equal(found[names[key]], expected), key


MOVED = {
    "max pool": lambda net: net.then("MaxPool", kernel_shape=[2, 2], strides=[2, 2]),
    "resize": lambda net: net.then("Resize", "", net.weight([1.0, 1.0, 2.0, 2.0]), mode="nearest"),
    "crop": lambda net: net.then("Slice", net.ints(1), net.ints(9), net.ints(2)),
    "depth to space": lambda net: net.then("DepthToSpace", blocksize=2),
}


@pytest.mark.parametrize("name", MOVED)
def test_a_scale_that_is_said_behind_an_operator_is_known_before_it(name: str, tmp_path: Path) -> None:
    """Our own spelling of a function says no scale: that of what only moves its values is its own, too."""
    net = MOVED[name](Net(opset=14).conv(3, 8).then("HardSwish")).then("Relu")
    net.conv(2 if name == "depth to space" else 8, 4, k=1)
    (tmp_path / "net.onnx").write_bytes(net.model().SerializeToString())
    graph = quantized(import_lowered(tmp_path / "net.onnx"))
    (tmp_path / "net.int8.onnx").write_bytes(to_onnx_int8(graph))
    counterparts(graph, import_prequantized_lowered(tmp_path / "net.int8.onnx").graph)


BORDER = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1]}
UNSAID = {
    "function, sum": lambda net: net.then("HardSwish").then("AveragePool", **BORDER),
    "function, resize": lambda net: net.then("HardSwish").then("Resize", "", net.weight([1.0, 1, 2, 2]), mode="linear"),
    "function, function": lambda net: net.then("HardSwish").then("HardSwish"),
    "sum, function, pixels moved, sum": lambda net: (
        net.then("AveragePool", **BORDER)
        .then("HardSwish")
        .then("DepthToSpace", blocksize=2)
        .then("AveragePool", **BORDER)
    ),
}


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("name", UNSAID)
def test_what_no_scale_counts_for_comes_back(name: str, ends: bool, tmp_path: Path) -> None:
    """Functions and integer sums that read each other: our own spelling says zero points, where they count."""
    net = UNSAID[name](Net(opset=14).conv(3, 8))
    if not ends:
        net.conv(2 if "moved" in name else 8, 4, k=1)
    (tmp_path / "net.onnx").write_bytes(net.model().SerializeToString())
    graph = quantized(import_lowered(tmp_path / "net.onnx"))
    model = onnx.load_model_from_string(to_onnx_int8(graph))
    if ends:  # with the integers themselves, whose scale the file says nowhere
        last = [model.graph.node.pop() for _ in range(2)]
        assert [node.op_type for node in last] == ["Identity", "DequantizeLinear"]
        model.graph.output[0].name = last[1].input[0]
        model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT8
    (tmp_path / "net.int8.onnx").write_bytes(model.SerializeToString())
    back = import_prequantized_lowered(tmp_path / "net.int8.onnx").graph
    assert [note.node for note in back.notes if note.kind == "scale"] == [port.outside for port in back.outputs] * ends
    for values in int8_inputs(graph, 4):
        found, expected = run_graph(back, {back.inputs[0].tensor: values}), run_graph(graph, {"x": values})
        for one, other in zip(back.outputs, graph.outputs, strict=True):
            assert np.array_equal(found[one.tensor], expected[other.tensor])


def test_a_zero_point_that_no_reader_agrees_with_is_refused(tmp_path: Path) -> None:
    net = Net(opset=14).conv(3, 8).then("HardSwish")
    whole = net.x
    pools = [net.node("AveragePool", whole, **BORDER) for _ in range(2)]
    for pool in pools:
        net.output(pool)
    (tmp_path / "net.onnx").write_bytes(net.model().SerializeToString())
    model = onnx.load_model_from_string(to_onnx_int8(quantized(import_lowered(tmp_path / "net.onnx"))))
    one = next(node for node in model.graph.node if node.op_type == "ConvInteger")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(77, np.int8), "other"))
    one.input[2] = "other"
    (tmp_path / "net.int8.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="with zero point"):
        import_prequantized_lowered(tmp_path / "net.int8.onnx")


@pytest.mark.parametrize("constant", ["x_zero", "one", "row_matrix", "multiplier"])
def test_a_sum_of_integers_that_is_not_ours_is_refused(constant: str, tmp_path: Path) -> None:
    model = onnx.load_from_string(to_onnx_int8(int8_network("resize2d linear, corners")))
    changed = next(tensor for tensor in model.graph.initializer if tensor.name.endswith(f"__{constant}"))
    values = onnx.numpy_helper.to_array(changed).copy()
    values.reshape(-1)[-1] += 1
    changed.CopyFrom(onnx.numpy_helper.from_array(values, changed.name))
    onnx.save(model, tmp_path / "net.int8.onnx")
    with pytest.raises(ModelError):
        import_prequantized_lowered(tmp_path / "net.int8.onnx")


@pytest.mark.parametrize("name", INT8)
def test_packed_constants_are_the_declared_struct(name: str) -> None:
    graph = int8_network(name)
    header = runtime_headers()["mbn_kernels.h"]
    for node in graph.nodes:
        kernel = select(node, graph, ("scalar",))
        struct = header[: header.index(f"}} {kernel.params};")].rpartition("typedef struct {")[2]
        members = [line.split(";")[0].split()[-1].lstrip("*") for line in struct.strip().splitlines()]
        assert [*kernel.pack(node, graph).fields] == members, node.op
