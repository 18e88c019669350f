"""Requantization: the proof is right, the scales move little, and ONNX Runtime and Python agree on every value."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from places import VECTORS

from mbn2c.errors import QuantError
from mbn2c.numerics import (
    ADD_RATIO_DENOMINATOR,
    add_denominator,
    add_float,
    add_integer,
    equal_staircases,
    fits_mul32,
    fits_mulhi,
    onnx_scale,
    prove_add,
    prove_scales,
    quantize_linear,
    requantize_float,
    requantize_integer,
    snap_add_scale,
)

REQUANTIZE = VECTORS / "requantize.json"
INT32_MAX = 2**31 - 1
UNFUSED, FUSED = 0, 99

zero_points = st.integers(-128, 127)


def session(
    nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], level: int, *names: str
) -> Callable[..., np.ndarray]:
    """int8 inputs -> the int8 output "y", in ONNX Runtime with the given graph optimization level."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, TensorProto.INT8, None) for name in names],
        [helper.make_tensor_value_info("y", TensorProto.INT8, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel(level)
    run = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run
    return lambda *values: run(["y"], dict(zip(names, values, strict=True)))[0]


# --- the proof -----------------------------------------------------------------------------------


@given(
    scale=st.floats(1e-4, 4.0),
    shift=st.integers(10, 32),
    nudge=st.integers(-3, 3),
    zero_point=zero_points,
    bound=st.integers(0, 6000),
)
def test_proof_is_brute_force(scale: float, shift: int, nudge: int, zero_point: int, bound: int) -> None:
    """Proved means equal on every accumulator up to the bound, and not proved means one differs."""
    float_scale = np.array([scale], np.float32)
    multiplier = np.maximum(np.rint(float_scale.astype(np.float64) * 2.0**shift).astype(np.int64) + nudge, 1)
    acc = np.arange(-bound, bound + 1)[:, None]
    equal = np.array_equal(
        requantize_float(acc, float_scale, zero_point), requantize_integer(acc, multiplier, shift, zero_point)
    )
    assert bool(equal_staircases(float_scale, multiplier, shift, zero_point, np.array([bound]))[0]) == equal


@pytest.mark.parametrize(
    ("scale", "multiplier", "shift", "acc_bound", "proved"),
    [
        (0.25, 1 << 20, 22, 10_000, False),  # acc = 2 is a tie: float rounds 0.5 to 0, the integer form up to 1
        (0.25, 1 << 20, 22, 2, False),  # the bound itself is reached
        (0.25, 1 << 20, 22, 1, True),
        (1 / 255, round(2**32 / 255), 32, 100_000, True),  # an odd reciprocal has no ties
        (1 / 255, round(2**16 / 255), 16, 100_000, False),  # too few fraction bits
        (1 / 255, round(2**16 / 255), 16, 40, True),  # but enough for small sums
        (1 / 256, 1 << 24, 32, 100_000, False),
    ],
)
def test_proof_by_hand(scale: float, multiplier: int, shift: int, acc_bound: int, proved: bool) -> None:
    found = equal_staircases(np.array([scale], np.float32), np.array([multiplier]), shift, 3, np.array([acc_bound]))
    assert found.tolist() == [proved]


# --- scales that can be proved -------------------------------------------------------------------


@given(
    wanted=st.lists(st.floats(1e-4, 0.4), min_size=1, max_size=16),
    x_scale=st.floats(1e-3, 0.2),
    y_scale=st.floats(1e-3, 0.2),
    zero_point=zero_points,
    acc_bound=st.sampled_from((1_000, 30_000, 2_000_000, 2**30)),
)
def test_proved_scales_move_less_than_one_percent(
    wanted: list[float], x_scale: float, y_scale: float, zero_point: int, acc_bound: int
) -> None:
    x_scale, y_scale = np.float32(x_scale), np.float32(y_scale)
    w_scale = np.array(wanted) * float(y_scale) / float(x_scale)
    bound = np.full(len(wanted), acc_bound)
    found = prove_scales(x_scale, w_scale, y_scale, zero_point, bound)
    moved = found.w_scale / w_scale - 1
    assert moved.min() > -1e-6 and moved.max() < 0.01
    assert np.array_equal(found.scale, onnx_scale(x_scale, found.w_scale, y_scale))
    assert equal_staircases(found.scale, found.multiplier, found.shift, zero_point, bound).all()
    near = np.arange(-30_000, 30_001)[:, None]
    expected = requantize_float(near, found.scale, zero_point)
    assert np.array_equal(requantize_integer(near, found.multiplier, found.shift, zero_point), expected)


def test_forms_fit_their_registers() -> None:
    """The two 32-bit forms promise that nothing overflows; their promise is checked with wider integers."""
    generator = np.random.default_rng(0)
    multiplier = generator.integers(1, 2**30, 1000)
    for shift, zero_point in ((22, -128), (16, 127), (32, 0)):
        bound = generator.integers(0, 2**20, 1000)
        rounding = abs(zero_point << shift) + (1 << (shift - 1))
        for index in range(1000):
            largest = int(bound[index]) * int(multiplier[index]) + rounding
            assert fits_mul32(multiplier, shift, zero_point, bound)[index] == (largest < 2**31)
        assert np.array_equal(fits_mulhi(multiplier, shift), [(int(m) << (32 - shift)) < 2**31 for m in multiplier])


# --- ONNX Runtime --------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [UNFUSED, FUSED])
@pytest.mark.parametrize("zero_point", [-128, -3, 0, 127])
def test_requantize_float_is_onnx_runtime(level: int, zero_point: int) -> None:
    """QLinearConv over every int8 pixel: with a bias per channel, 40 channels sweep 40 * 256 accumulators."""
    generator = np.random.default_rng(zero_point + 128)
    bias = np.concatenate([generator.integers(-40_000, 40_000, 30), generator.integers(-(2**30), 2**30, 10)])
    weights = generator.integers(-127, 128, 40)
    w_scale = generator.uniform(1e-4, 0.02, 40).astype(np.float32)
    w_scale[:8] = 2.0 ** -np.arange(6, 14)  # ties
    x_scale, y_scale = np.float32(0.5), np.float32(0.25)
    constants = {
        "xs": x_scale, "xz": np.int8(0), "w": weights.astype(np.int8).reshape(40, 1, 1, 1), "ws": w_scale,
        "wz": np.zeros(40, np.int8), "ys": y_scale, "yz": np.int8(zero_point), "b": bias.astype(np.int32),
    }  # fmt: skip
    conv = helper.make_node("QLinearConv", ["x", *constants], ["y"])
    x = np.arange(-128, 128).astype(np.int8)
    found = session([conv], constants, level, "x")(x.reshape(1, 1, 16, 16))
    acc = x.astype(np.int64)[:, None] * weights + bias
    expected = requantize_float(acc, onnx_scale(x_scale, w_scale, y_scale), zero_point)
    assert np.array_equal(found.reshape(40, 256).T, expected)


def test_this_cpu_does_not_saturate_in_onnx_runtime() -> None:
    """x64 CPUs without VNNI may add pairs of products in 16 bits, saturated; then ONNX Runtime is no oracle."""
    channels = 64
    constants = {
        "xs": np.float32(1), "xz": np.int8(-128), "w": np.full((1, channels, 1, 1), 127, np.int8),
        "ws": np.float32([1]), "wz": np.zeros(1, np.int8), "ys": np.float32(2.0**15), "yz": np.int8(0),
    }  # fmt: skip
    conv = helper.make_node("QLinearConv", ["x", *constants], ["y"])
    for level in (UNFUSED, FUSED):
        found = session([conv], constants, level, "x")(np.full((1, channels, 8, 8), 127, np.int8))
        exact = round(255 * 127 * channels / 2**15)
        assert (found == exact).all(), (
            f"ONNX Runtime gives {found.flat[0]} for a sum whose exact value is {exact}: it saturates 16-bit sums on "
            "this CPU (no VNNI), so comparisons with it mean nothing here; set session.x64quantprecision"
        )


def qdq_add(scales: tuple[np.float32, ...], zeros: tuple[int, ...], level: int) -> Callable[..., np.ndarray]:
    constants = {f"s{i}": np.float32(scale) for i, scale in enumerate(scales)}
    constants |= {f"z{i}": np.int8(zero) for i, zero in enumerate(zeros)}
    nodes = [
        helper.make_node("DequantizeLinear", ["a", "s0", "z0"], ["real_a"]),
        helper.make_node("DequantizeLinear", ["b", "s1", "z1"], ["real_b"]),
        helper.make_node("Add", ["real_a", "real_b"], ["real_y"]),
        helper.make_node("QuantizeLinear", ["real_y", "s2", "z2"], ["y"]),
    ]
    return session(nodes, constants, level, "a", "b")


PAIRS = np.meshgrid(np.arange(-128, 128, dtype=np.int8), np.arange(-128, 128, dtype=np.int8))


@given(
    wanted=st.tuples(st.floats(0.002, 0.2), st.floats(0.002, 0.2)),
    y_scale=st.floats(0.005, 0.1),
    zeros=st.tuples(zero_points, zero_points, zero_points),
)
def test_add_is_onnx_runtime_on_all_pairs(
    wanted: tuple[float, float], y_scale: float, zeros: tuple[int, int, int]
) -> None:
    """With snapped scales the integer form, ONNX's definition and both of ONNX Runtime's paths are one function."""
    output = np.float32(y_scale)
    scales = (*(snap_add_scale(scale, output)[0] for scale in wanted), output)
    for scale, before in zip(scales, wanted, strict=False):
        # At most one part in 1023 of the output's scale.
        assert -1e-6 * before <= float(scale) - before <= float(output) / 1023 * 1.001
    check_add(scales, zeros)


@given(
    ratios=st.tuples(st.floats(0.001, 1), st.floats(8, 4000)),
    y_scale=st.floats(1e-5, 0.01),
    zeros=st.tuples(zero_points, zero_points, zero_points),
)
@example(ratios=(0.984, 52.9), y_scale=7.4e-05, zeros=(-106, 11, 69))
@example(ratios=(0.996, 170.7), y_scale=0.00461, zeros=(30, 85, 65))
def test_add_whose_output_is_much_finer_than_its_inputs(
    ratios: tuple[float, float], y_scale: float, zeros: tuple[int, int, int]
) -> None:
    """Terms that cancel have lost more to rounding than 1 / 2046 of the output's scale."""
    output = np.float32(y_scale)
    wanted = (y_scale * ratios[0] * ratios[1], y_scale * ratios[1])
    denominator = add_denominator(wanted, output)
    assert denominator % 2 == 1 and denominator * ratios[1] <= 8.001 * ADD_RATIO_DENOMINATOR
    scales = (*(snap_add_scale(scale, output, denominator)[0] for scale in wanted), output)
    # The larger one moves by less than a part in 2048.
    assert -1e-6 <= float(scales[1]) / wanted[1] - 1 <= 1 / 2048
    check_add(scales, zeros)


def check_add(scales: tuple[np.float32, ...], zeros: tuple[int, ...]) -> None:
    multipliers, offset, shift = prove_add(scales, zeros)
    integer = add_integer(*PAIRS, multipliers, offset, shift)
    assert np.array_equal(integer, add_float(*PAIRS, scales, zeros))
    for level in (UNFUSED, FUSED):
        assert np.array_equal(qdq_add(scales, zeros, level)(*PAIRS), integer), f"graph optimization level {level}"


def test_add_with_ties_is_refused() -> None:
    with pytest.raises(QuantError, match="no exact integer form"):
        prove_add((np.float32(0.5), np.float32(0.5), np.float32(1.0)), (0, 0, 0))


def test_quantize_linear_is_onnx_runtime() -> None:
    real = np.concatenate([np.arange(-70, 70, 0.125), [1e30, -1e30, 0.0]]).astype(np.float32)
    for scale, zero_point in ((0.5, 0), (0.25, -128), (0.1, 127), (1 / 3, -5)):
        constants = {"s": np.float32(scale), "z": np.int8(zero_point), "one": np.float32(1), "zero": np.int8(0)}
        graph = helper.make_graph(
            [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])],
            "test",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
            [helper.make_tensor_value_info("y", TensorProto.INT8, None)],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        run = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run
        assert np.array_equal(run(None, {"x": real})[0], quantize_linear(real, np.float32(scale), zero_point))


# --- golden vectors: for Python here, for C in host/test_numerics_c.py -----------------------------


def requantize_vectors() -> list[list[int]]:
    """[acc, multiplier, shift, zero_point, expected]: ends, ties, signs, saturation, every shift."""
    rows = []
    for shift in range(1, 33):
        for zero_point in (-128, -1, 0, 127):
            for multiplier in {1, min(1 << (shift - 1), INT32_MAX), min(1 << shift, INT32_MAX), INT32_MAX, 40_961}:
                tie = (1 << (shift - 1)) // multiplier
                for acc in {0, 1, -1, tie, -tie, tie + 1, -tie - 1, INT32_MAX, -INT32_MAX - 1}:
                    if -INT32_MAX - 1 <= acc <= INT32_MAX:
                        value = (acc * multiplier + (1 << (shift - 1))) >> shift
                        rows.append([acc, multiplier, shift, zero_point, min(max(value + zero_point, -128), 127)])
    return sorted(rows)[::7]


def test_vectors_are_renewed_by_update_golden(request: pytest.FixtureRequest) -> None:
    vectors = requantize_vectors()
    if request.config.getoption("--update-golden"):
        REQUANTIZE.write_text("[\n" + ",\n".join(json.dumps(row) for row in vectors) + "\n]\n")
    assert json.loads(REQUANTIZE.read_text()) == vectors


def test_python_passes_the_vectors() -> None:
    for acc, multiplier, shift, zero_point, expected in json.loads(REQUANTIZE.read_text()):
        found = requantize_integer(np.array([acc]), np.array([multiplier]), shift, zero_point)
        assert found.tolist() == [expected], (acc, multiplier, shift, zero_point)
