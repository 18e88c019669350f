"""What the three weighted operators share, each answer against a judge of its own, on every case in their files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from operator_cases import every_case, graph_of

from mbn2c.errors import QuantError
from mbn2c.frontend.export import to_onnx_float
from mbn2c.ir.graph import Graph, Node, Quant
from mbn2c.numerics import INT32_MAX
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.weighted import LARGEST_BIAS, Weighted, acc_bound, prove_requantize

CASES = {name: case for name, case in every_case().items() if isinstance(case[0], Weighted)}


@pytest.fixture(params=CASES)
def network(request: pytest.FixtureRequest) -> Graph:
    operator, case = CASES[request.param]
    return graph_of(operator, case, request.param)


def the_node(graph: Graph) -> tuple[Weighted, Node, np.ndarray, np.ndarray]:
    """Operator, node, weights, bias."""
    node = next(node for node in graph.nodes if node.name == "case")
    operator = OPERATORS[node.op]
    assert isinstance(operator, Weighted)
    return operator, node, graph.constant(node.inputs[1]), graph.constant(node.inputs[2])


def quants(x_scale: float, y_scale: float, zero_point: int) -> tuple[Quant, Quant]:
    return Quant(np.array([x_scale], np.float32), zero_point), Quant(np.array([y_scale], np.float32), 3)


# --- float32 -------------------------------------------------------------------------------------


def test_parameters_are_those_of_the_exported_conv(network: Graph) -> None:
    operator, node, _, _ = the_node(network)
    model = onnx.load_from_string(to_onnx_float(network))
    conv = next(one for one in model.graph.node if node.inputs[1] in one.input)
    constants = [numpy_helper.to_array(one) for one in model.graph.initializer if one.name in conv.input]
    assert operator.parameters(node, network) == sum(array.size for array in constants)


def test_contribution_is_the_mean_of_a_constant_input(network: Graph) -> None:
    """With padding, tap by tap as often as it reads the input; without `inside`, where nothing is padding."""
    operator, node, weights, _ = the_node(network)
    window, shape = operator.window(node), network.tensors[node.inputs[0]].shape
    values = np.random.default_rng(0).normal(size=shape[3]).astype(np.float32)
    x = np.broadcast_to(values, shape)
    ones = np.pad(np.ones(shape[1:3]), (window.pad[::2], window.pad[1::2]))
    height, width = window.output_size(*shape[1:3])
    inside = np.zeros(window.kernel)
    for row, column in np.ndindex(height, width):
        top, left = row * window.stride[0], column * window.stride[1]
        reach = (window.kernel[axis] * window.dilation[axis] for axis in (0, 1))
        bottom, right = (start + size for start, size in zip((top, left), reach, strict=True))
        inside += ones[top : bottom : window.dilation[0], left : right : window.dilation[1]][
            : window.kernel[0], : window.kernel[1]
        ]
    found = operator.contribution(node, weights, values, inside / (height * width))
    np.testing.assert_allclose(found, operator.linear(node, x, weights).mean(axis=(0, 1, 2)), rtol=1e-4, atol=1e-5)
    if not any(window.pad):
        np.testing.assert_allclose(operator.contribution(node, weights, values), found, rtol=1e-5, atol=1e-6)
    else:
        wide = np.broadcast_to(values, (1, *window.extent, shape[3]))
        bare = replace(node, attributes=replace(node.attributes, window=replace(window, pad=(0, 0, 0, 0))))
        (expected,) = operator.linear(bare, wide, weights)[0, 0, :1]
        np.testing.assert_allclose(operator.contribution(node, weights, values), expected, rtol=1e-4, atol=1e-5)


def test_a_weight_of_zero_hides_a_channel_without_bounds(network: Graph) -> None:
    """0 times an endless range is 0; any other weight makes it endless."""
    operator, node, weights, bias = the_node(network)
    rows = np.random.default_rng(0).normal(size=operator.rows(weights).shape)
    rows[0] = 0
    cut = replace(network.tensors[node.inputs[1]], data=operator.from_rows(rows, weights.shape))
    endless = np.full(network.tensors[node.inputs[0]].shape[3], np.inf)
    low, high = operator.bounds(node, network.rebuild(tensors=[cut]), [(-endless, endless)])
    assert low[0] == high[0] == bias[0]
    assert (low[1:] == -np.inf).all() and (high[1:] == np.inf).all()


# --- int8 ----------------------------------------------------------------------------------------


def test_rounding(network: Graph) -> None:
    """To the nearest step, ties to even; a weight beyond 127 steps saturates on both sides, and -128 is no weight."""
    operator, _, weights, bias = the_node(network)
    steps = np.resize([0.4, -0.6, 1.5, 2.5, -3.5, 126.6, 127.4, 128.2, 300, -126.6, -127.6, -128, -900], weights.size)
    nearest = np.resize([0, -1, 2, 2, -4, 127, 127, 127, 127, -127, -127, -127, -127], weights.size)
    w_scale = 2.0 ** -np.arange(len(bias))
    x_scale = np.float32(0.25)
    bias_steps = np.resize([0.0, -7.6, 1000.4, 2.5], len(bias))
    found = operator.round_nearest(
        operator.scale_outputs(steps.reshape(weights.shape), w_scale), bias_steps * 0.25 * w_scale, w_scale, x_scale
    )
    assert found[0].dtype == np.int8 and found[1].dtype == np.int32
    assert np.array_equal(found[0], nearest.reshape(weights.shape))
    assert np.array_equal(found[1], np.resize([0, -8, 1000, 2], len(bias)))


def test_chosen_scales_hold_weights_and_bias(network: Graph) -> None:
    """They lie close above what the largest weight and the bias ask for, or above what the clip leaves."""
    operator, node, weights, bias = the_node(network)
    x, y = quants(0.02, 0.02, -7)
    both = {node.inputs[0]: x, node.outputs[0]: y}
    rows = np.random.default_rng(0).uniform(-1, 1, operator.rows(weights).shape)
    rows[:, 0] = 1.5 * np.arange(1, len(rows) + 1) * (-1) ** np.arange(len(rows))
    noise = replace(network.tensors[node.inputs[1]], data=operator.from_rows(rows, weights.shape))
    small, huge = (replace(network.tensors[node.inputs[2]], data=np.full_like(bias, one)) for one in (0.1, -1e6))
    for clip in (None, np.arange(1, len(rows) + 1) / 2):
        wanted = (1.5 * np.arange(1, len(rows) + 1) if clip is None else clip) / 127
        found = operator.choose_scales(node, network.rebuild(tensors=[noise, small]), both, clip).w_scale
        assert (found >= wanted * (1 - 1e-6)).all() and (found <= wanted * 1.01).all()
    found = operator.choose_scales(node, network.rebuild(tensors=[noise, huge]), both).w_scale
    steps = 1e6 / (float(x.scale[0]) * found)
    assert (steps <= LARGEST_BIAS * (1 + 1e-6)).all() and (steps >= LARGEST_BIAS / 1.01).all()


def test_bound_of_accumulators() -> None:
    """The largest that any input reaches: every x - zero_point from -128 - zero_point to 127 - zero_point."""
    generator = np.random.default_rng(0)
    weights, bias = generator.integers(-127, 128, (2, 3)), generator.integers(-500, 500, 2)
    ends = np.stack(np.meshgrid(*[[-128, 127]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    for zero_point in (-128, -100, -1, 0, 1, 90, 127):
        centred = ends - zero_point
        reached = np.abs(centred @ weights.T).max(axis=0)
        x = Quant(np.ones(1, np.float32), zero_point)
        bound = acc_bound(weights.astype(np.int8), bias.astype(np.int32), x, 0)
        assert (bound >= reached + np.abs(bias)).all(), "what can be reached"
        side = max(127 - zero_point, 128 + zero_point)
        assert np.array_equal(bound, np.abs(weights).sum(axis=1) * side + np.abs(bias))
        assert np.array_equal(acc_bound(weights.T.astype(np.int8), bias.astype(np.int32), x, 1), bound)


@pytest.mark.parametrize(
    ("multiplier", "shift", "bound", "forms"),
    [
        (41943, 22, 1000, ("mul32", "mulhi")),
        (41943, 22, 60_000, ("mulhi",)),
        (2147484, 22, 30, ("mul32",)),
        (2147484, 22, 4000, ("mul64",)),
    ],
)
def test_forms(multiplier: int, shift: int, bound: int, forms: tuple[str, ...]) -> None:
    """Which products are short enough: a sum below 2^31, and a multiplier below 2^31 once shifted."""
    scale = np.array([multiplier / 2**shift], np.float32)
    made = prove_requantize(scale, np.array([multiplier]), shift, 0, np.array([bound]), "layer")
    assert made.form == forms


def test_what_is_not_proved_is_refused() -> None:
    multiplier, bound = np.array([41943, 1 << 21]), np.array([1000, 1000])
    scale = (multiplier / 2**22).astype(np.float32)
    with pytest.raises(QuantError, match="requantization of 1 channels is not proved exact") as caught:
        prove_requantize(scale, multiplier, 22, 0, bound, "layer 7")
    assert caught.value.where == "layer 7"
    with pytest.raises(QuantError, match="can overflow 32 bits"):
        prove_requantize(scale, multiplier, 22, 0, np.array([1000, INT32_MAX + 1]), "layer 7")
