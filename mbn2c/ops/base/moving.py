"""Operators whose output holds what their input holds, and of these the ones that only move values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mbn2c.ir.graph import Graph, Node, Quant, Tensor
from mbn2c.ops.base.copying import copy_table, is_table, looked_up, tied_input
from mbn2c.ops.base.operator import OnnxOp, Operator
from mbn2c.ops.base.quants import quant_of
from mbn2c.ops.base.spelling import spell_dequantize, spell_quantize


class Tied(Operator):
    """Its output has the input's scale where that can be."""

    def tie_ranges(self, node: Node) -> Mapping[str, str]:
        """What the output holds the input holds, and an equal scale saves the table."""
        return {node.outputs[0]: node.inputs[0]}

    def tie_quants(
        self, node: Node, graph: Graph, quants: Mapping[str, Quant], with_scale: Callable[[str, np.float32], Quant]
    ) -> Mapping[str, Quant]:
        return tied_input(node, graph, quants)


class Moving(Tied):
    """A subclass says how values move, and how ONNX spells that.

    Its attributes have a `table`: what each int8 value becomes, None where it stays itself.
    """

    moves_values = True

    def moved(self, node: Node, x: np.ndarray) -> np.ndarray:
        """The output for x [N, H, W, C] of any type."""
        raise NotImplementedError

    def spell_moved(self, node: Node, graph: Graph, x: str, output: str) -> list[OnnxOp]:
        """ONNX operators that make `output` of `x`, whatever its type; their shapes are those of the node."""
        raise NotImplementedError

    def check_attributes(self, node: Node, graph: Graph) -> str:
        return "" if is_table(node.attributes.table) else "the table does not map int8 to int8"

    def _made(self, node: Node, x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(self.moved(node, x))

    # --- float32 ---

    def run_float(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return self._made(node, inputs[0])

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        return self.spell_moved(node, graph, node.inputs[0], node.outputs[0])

    # --- int8 ---

    def quantize(self, node: Node, graph: Graph, quants: Mapping[str, Quant]) -> tuple[Node, list[Tensor]]:
        table = copy_table(quants[node.inputs[0]], quants[node.outputs[0]])
        return replace(node, attributes=replace(node.attributes, table=table)), []

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return looked_up(node.attributes.table, self._made(node, inputs[0]))

    def spell_int8(self, node: Node, graph: Graph) -> list[OnnxOp]:
        x, output = node.inputs[0], node.outputs[0]
        if node.attributes.table is None:
            return self.spell_moved(node, graph, x, output)
        read, real = spell_dequantize(graph, x, node.name)
        made = f"{output}__real"
        moved = self.spell_moved(node, graph, real, made)
        return [read, *moved, spell_quantize(made, output, quant_of(graph, output))]
