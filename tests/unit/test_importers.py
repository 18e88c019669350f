"""Which operator takes an ONNX node: several may offer to, the first that does not decline makes it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from mbn2c.errors import ModelError
from mbn2c.frontend.operators import IN_ORDER, Importers
from mbn2c.frontend.operators.relabel import RELABELS, TAILS
from mbn2c.ir.axes import NCHW, Value, labeled
from mbn2c.ir.graph import Node
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.builder import Builder
from mbn2c.ops.base.call import Declined, Importer, OnnxCall, OnnxName, OnnxNode
from mbn2c.ops.base.operator import QUANTIZED

SHAPE = (1, 4, 5, 6)
# It takes a Mul by a constant and declines any other; whatever else takes one must not matter here.
OFFERS = [OPERATORS["scale_shift"].onnx_imports()]


def make_two(call: OnnxCall) -> Value | Declined:
    """A product of two activations, as an operator of a later day may take it."""
    if call.is_constant(0) or call.is_constant(1):
        return Declined("two activations, please")
    return call.emit_like("two", call.value(0), None, more=[call.value(1)])


def make_gate(call: OnnxCall) -> Value | Declined:
    return call.emit_like("gate", call.value(0), None)


def call_of(op_type: str, *inputs: str, ends: frozenset[str] = frozenset()) -> OnnxCall:
    builder = Builder({"": 13}, ends)
    for name in ("a", "b"):
        builder.values[name] = labeled(builder.add_activation(name, (1, 5, 6, 4)), SHAPE, NCHW)
    builder.constants["c"] = np.float32([2.0])
    return OnnxCall(builder, OnnxNode(op_type, "", "n", inputs, ("y",)), "n", 13)


@pytest.mark.parametrize(
    ("inputs", "made"), [(("a", "b"), "two"), (("a", "c"), "scale_shift"), (("c", "a"), "scale_shift")]
)
def test_a_new_operator_takes_what_the_others_decline(inputs: tuple[str, ...], made: str) -> None:
    new: Mapping[OnnxName, Importer] = {("", "Mul"): make_two}
    for offers in ([*OFFERS, new], [new, *OFFERS]):
        call = call_of("Mul", *inputs)
        Importers(offers, RELABELS, TAILS).translate(call)
        assert [node.op for node in call.builder.nodes] == [made]


@pytest.mark.parametrize(
    ("declining", "words"),
    [
        ([Declined("none of mine"), Declined("nor mine")], "none of mine"),
        ([Declined(), Declined("nor mine")], "nor mine"),
        ([Declined(), Declined()], "Mul of these inputs is not supported"),
    ],
)
def test_a_node_that_all_decline_is_refused_in_the_first_words(declining: list[Declined], words: str) -> None:
    offers: list[Mapping[OnnxName, Importer]] = [{("", "Mul"): lambda call, one=one: one} for one in declining]
    with pytest.raises(ModelError) as refusal:
        Importers(offers, RELABELS, TAILS).translate(call_of("Mul", "a", "b"))
    assert (refusal.value.what, refusal.value.where) == (words, "node 'n', operator Mul")


def test_what_only_quantized_graphs_have_comes_last() -> None:
    kinds = [operator.stages == {QUANTIZED} for operator in IN_ORDER]
    assert kinds == sorted(kinds)
    assert set(kinds) == {False, True}


@pytest.mark.parametrize(
    ("ends", "layers", "is_offered", "made", "tail"),
    [
        (frozenset({"y"}), ["layer"], True, ["layer"], "sigmoid"),
        (frozenset({"y"}), [], True, ["gate"], ""),  # a network of nothing else
        (frozenset(), ["layer"], True, ["layer", "gate"], ""),
        (frozenset(), ["layer"], False, ["layer"], "sigmoid"),
    ],
)
def test_a_tail_is_split_off_at_the_end_and_where_no_operator_makes_it(
    ends: frozenset[str], layers: list[str], is_offered: bool, made: list[str], tail: str
) -> None:
    offers: list[Mapping[OnnxName, Importer]] = [{("", "Sigmoid"): make_gate}] if is_offered else []
    call = call_of("Sigmoid", "a", ends=ends)
    call.builder.nodes.extend(Node(layer, layer, ("a",), ("a",)) for layer in layers)
    value = Importers([*offers, TAILS], RELABELS, TAILS).translate(call)
    assert ([node.op for node in call.builder.nodes], value.tail) == (made, tail)


def test_no_operator_takes_what_only_relabels() -> None:
    with pytest.raises(AssertionError, match="Reshape is taken already"):
        Importers([{("", "Reshape"): make_two}], RELABELS, TAILS)
