"""Each operator alone: the exact integer result is what ONNX Runtime computes, fused or not, on extreme inputs too."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from models import OPERATOR_CASES
from networks import as_image, compare_with_onnx_runtime, int8_inputs, int8_model, quantized

from mbn2c.errors import InternalError
from mbn2c.frontend.export import onnx_names, to_onnx_int8, with_outputs
from mbn2c.ir.check import check
from mbn2c.ir.graph import Graph
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.reference.run_graph import run_graph


@pytest.fixture(scope="module", params=OPERATOR_CASES)
def case(request: pytest.FixtureRequest) -> Graph:
    return quantized(check(OPERATOR_CASES[request.param](), "lowered", OPERATORS))


def test_int8_case_keeps_the_laws(case: Graph) -> None:
    check(case, "quantized", OPERATORS)


def test_reference_is_onnx_runtime(case: Graph) -> None:
    model = int8_model(case)
    for values in int8_inputs(case, 8):
        reference = run_graph(case, {"input": values})
        assert compare_with_onnx_runtime(case, reference, model(as_image(case, values))) == ""


def test_onnx_runtime_is_the_same_without_optimization(case: Graph) -> None:
    """What `model.int8.onnx` means must not depend on the fusions of the user's ONNX Runtime."""
    names = onnx_names(case)
    model = with_outputs(to_onnx_int8(case), names.values())
    for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC"):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        for values in int8_inputs(case, 4):
            found = session.run(list(names.values()), {case.inputs[0].outside: as_image(case, values)})
            reference = run_graph(case, {"input": values})
            assert compare_with_onnx_runtime(case, reference, dict(zip(names, found, strict=True))) == ""


WEIGHTED = [name for name in OPERATOR_CASES if OPERATORS[name.split()[0]].has_weights]


@pytest.mark.parametrize("case", WEIGHTED, indirect=True)
def test_result_is_near_the_real_one(case: Graph) -> None:
    """Half a step of the output away from real arithmetic on the dequantized constants, or saturated."""
    operator = case.nodes[-1]
    weights, bias = (case.tensors[name] for name in operator.inputs[1:3])
    assert weights.quant is not None and bias.quant is not None
    output = quant_of(case, operator.outputs[0])
    for values in int8_inputs(case, 4):
        accumulated = OPERATORS[operator.op].accumulate(  # type: ignore[attr-defined]
            operator, values, case.constant(weights.name), quant_of(case, "input").zero_point
        )
        exact = (accumulated + case.constant(bias.name)) * bias.quant.scale.astype(np.float64)
        low, high = (scale_of(output) * (end - output.zero_point) for end in (-128, 127))
        result = run_graph(case, {"input": values})[operator.outputs[0]]
        found = scale_of(output) * (result - np.float64(output.zero_point))
        assert np.abs(found - np.clip(exact, low, high)).max() <= float(scale_of(output)) * 0.501


@pytest.mark.parametrize("method", ["spell_float", "spell_int8", "quantize", "run", "output_shape"])
def test_an_operator_without_a_rule_says_so(method: str) -> None:
    """A Graph that asks for what an operator cannot do is a bug of ours, and never gives a result."""
    operator = type("Nothing", (OPERATORS["add"].__class__.__mro__[1],), {"name": "nothing"})()
    with pytest.raises((AssertionError, InternalError), match="nothing"):
        getattr(operator, method)(*[None] * (2 if method.startswith("spell") or method == "output_shape" else 3))
