"""What each ONNX operator becomes: Graph nodes that our operators make, or mere labels.

An operator says in its own file which ONNX operators it is spelt as; `relabel` has those that make no node. What has
only constants as inputs never comes here; `convert` folds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from mbn2c.frontend.operators import relabel
from mbn2c.ir.axes import Value
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.call import Declined, OnnxCall, OnnxName
from mbn2c.ops.base.operator import QUANTIZED, Operator
from mbn2c.tasks import tails

SomeCall = TypeVar("SomeCall", bound=OnnxCall)


class Importers(Generic[SomeCall]):
    """Of each ONNX operator those that may take it.

    offers      in order: the first one that does not decline takes a node
    alone       take their operators, which nobody else may offer to
    at_the_end  take theirs where no layer comes after
    """

    def __init__(
        self,
        offers: Sequence[Mapping[OnnxName, Callable[[SomeCall], Value | Declined]]],
        alone: Mapping[OnnxName, Callable[[SomeCall], Value | Declined]],
        at_the_end: Mapping[OnnxName, Callable[[SomeCall], Value | Declined]],
    ) -> None:
        self._importers = {name: [importer] for name, importer in alone.items()}
        for offer in offers:
            for name, importer in offer.items():
                assert name not in alone, f"ONNX {name[1]} is taken already, and an operator offers to take it"
                self._importers.setdefault(name, []).append(importer)
        self._at_the_end = at_the_end

    def __contains__(self, name: OnnxName) -> bool:
        return name in self._importers

    def may_take(self, call: SomeCall) -> bool:
        """Whether anybody may take the node."""
        return bool(self._in_turn(call))

    def translate(self, call: SomeCall) -> Value:
        """What the node's first output becomes.

        raises  ModelError, LayoutError, in the words of the first importer that has some, where all decline
        """
        declined: list[Declined] = []
        for importer in self._in_turn(call):
            made = importer(call)
            if isinstance(made, Value):
                return made
            declined.append(made)
        words = next((one for one in declined if one.what), Declined(f"{call.op} of these inputs is not supported"))
        raise call.refuse(words.what, words.hint)

    def _in_turn(self, call: SomeCall) -> Sequence[Callable[[SomeCall], Value | Declined]]:
        name = (call.node.domain, call.op)
        is_end = name in self._at_the_end and call.node.outputs[0] in call.builder.ends
        # A network of nothing else is a network all the same, if an operator takes it.
        if is_end and call.builder.nodes:
            return [self._at_the_end[name]]
        return self._importers.get(name, [])


def in_words(operators: Iterable[Operator]) -> str:
    """A list for messages: layers with weights first, what follows them last."""
    ordered = sorted(operators, key=lambda operator: (not operator.has_weights, operator.is_clamp))
    return ", ".join(operator.in_words for operator in ordered if operator.in_words)


# What only quantized Graphs have takes what the others leave.
IN_ORDER = sorted(OPERATORS.values(), key=lambda operator: operator.stages == {QUANTIZED})
_OFFERS = [operator.onnx_imports() for operator in IN_ORDER]
OFFERED = {name for offer in _OFFERS for name in offer}
# What may end a network is split off elsewhere, too, where no operator takes it: then whatever reads it is refused.
IMPORTERS: Importers[OnnxCall] = Importers([*_OFFERS, relabel.TAILS], relabel.RELABELS, relabel.TAILS)
SUPPORTED = (
    f"supported: {in_words(operator for operator in OPERATORS.values() if operator.onnx_imports())}, {tails.IN_WORDS}"
)
# ONNX operators with weights, by which a network's layers are counted.
WEIGHTED = {
    op_type for operator in OPERATORS.values() if operator.has_weights for _, op_type in operator.onnx_imports()
}
