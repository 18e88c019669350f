"""What each ONNX operator becomes: Graph nodes that our operators make, or mere labels.

An operator says in its own file which ONNX operators it is spelt as; `relabel` has those that make no node. What has
only constants as inputs never comes here; `convert` folds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mbn2c.frontend.operators import relabel
from mbn2c.ir.axes import Value
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.call import Call, Declined, Importer, OnnxName
from mbn2c.ops.base.operator import Operator
from mbn2c.ops.base.weighted import Weighted


class Importers(Mapping[OnnxName, tuple[Importer, ...]]):
    """Of each ONNX operator those that may take it, in order.

    relabels   take their operators alone
    tails      take theirs at the end of the network, and where no operator of ours does
    operators  the first one, in this order, that does not decline
    """

    def __init__(
        self,
        operators: Mapping[str, Operator],
        relabels: Mapping[OnnxName, Importer],
        tails: Mapping[OnnxName, Importer],
    ) -> None:
        self.offered: dict[OnnxName, tuple[Importer, ...]] = {}
        for operator in operators.values():
            for name, importer in operator.onnx_imports().items():
                assert name not in relabels, f"ONNX {name[1]} only relabels, and {operator.name} offers to make a node"
                self.offered[name] = (*self.offered.get(name, ()), importer)
        self._tails = tails
        self._all = {name: (importer,) for name, importer in relabels.items()} | self.offered
        for name, importer in tails.items():
            self._all[name] = (*self.offered.get(name, ()), importer)

    def __getitem__(self, name: OnnxName) -> tuple[Importer, ...]:
        return self._all[name]

    def __iter__(self) -> Iterator[OnnxName]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def translate(self, call: Call) -> Value:
        """What the node's first output becomes.

        raises  ModelError, LayoutError, in the words of the first importer where all decline
        """
        name = (call.node.domain, call.op)
        importers = self[name]
        if name in self._tails and call.node.outputs[0] in call.builder.ends:
            importers = (self._tails[name],)
        declined: list[Declined] = []
        for importer in importers:
            made = importer(call)
            if isinstance(made, Value):
                return made
            declined.append(made)
        raise call.refuse(declined[0].what, declined[0].hint)


IMPORTERS = Importers(OPERATORS, relabel.RELABELS, relabel.TAILS)
# ONNX operators with weights, by which a network's layers are counted.
WEIGHTED = {
    op_type
    for operator in OPERATORS.values()
    if isinstance(operator, Weighted)
    for _, op_type in operator.onnx_imports()
}
