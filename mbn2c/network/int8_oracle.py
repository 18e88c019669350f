"""The int8 model in ONNX Runtime, beside the integer reference: every tensor of ours, every byte of theirs.

A float model that we quantize is exported as model.int8.onnx, whose tensors have our names. A prequantized model
is the user's own file: its outputs are compared as ONNX Runtime computes them from the unchanged file, and its inner
tensors in `model.fused.onnx`, what ONNX Runtime makes of that file before it runs it, since asking for more outputs
would change what it makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from mbn2c.frontend.export import onnx_names, with_outputs
from mbn2c.frontend.prequantized.ends import as_input, real_numbers, tail_model
from mbn2c.frontend.runtime import Oracle
from mbn2c.ir.graph import Graph, Port
from mbn2c.numerics import quantize_linear
from mbn2c.ops.base.prequantized.values import Probe
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.tasks.inputs import to_nhwc

Tensors = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Comparison:
    """differing  bytes by what they were found in; only what differs
    outputs    int8 NHWC, each output as ONNX Runtime has it
    """

    differing: Mapping[str, int]
    outputs: tuple[np.ndarray, ...]


class Int8Oracle(Protocol):
    """One int8 model in ONNX Runtime."""

    def compare(self, values: np.ndarray, reference: Tensors) -> Comparison:
        """Run a float32 input in the model's axis order; `reference` holds all int8 tensors of ours, NHWC."""
        ...

    def real(self, values: np.ndarray, are_codes: bool) -> np.ndarray:
        """An input taken as it is -> float32; are_codes: it is what the model's integer input holds."""
        ...


class ExportedModel:
    """Our own model.int8.onnx."""

    def __init__(self, graph: Graph, model: bytes) -> None:
        graph = graph.network
        self._names = onnx_names(graph)
        self._oracle = Oracle(with_outputs(model, self._names.values()))
        self._input, self._outputs = graph.inputs[0].outside, [port.tensor for port in graph.outputs]

    def compare(self, values: np.ndarray, reference: Tensors) -> Comparison:
        """Every int8 tensor of the Graph, code by code; see `Int8Oracle`."""
        found = self._oracle.run({self._input: values})
        differing = {
            f"tensor {tensor}": int((reference[tensor].transpose(0, 3, 1, 2) != found[name]).sum())
            for tensor, name in self._names.items()
        }
        outputs = (found[self._names[tensor]].transpose(0, 2, 3, 1) for tensor in self._outputs)
        return Comparison(_only_wrong(differing), tuple(outputs))

    def real(self, values: np.ndarray, are_codes: bool) -> np.ndarray:
        """`values`: our own model takes float32 only."""
        return values


@dataclass(frozen=True)
class PrequantizedFacts:
    """What report.json keeps of a prequantized model: its input's type, and where tensors of ours are found."""

    input_type: str
    probes: Mapping[str, Probe]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; `from_json` is the inverse."""
        return {"input_type": self.input_type, "probes": {name: asdict(probe) for name, probe in self.probes.items()}}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> PrequantizedFacts:
        """The inverse of `to_json`."""
        probes = {
            tensor: Probe(probe["name"], tuple(probe["shape"]), tuple(probe["order"]), probe["unsigned"])
            for tensor, probe in facts["probes"].items()
        }
        return cls(facts["input_type"], probes)

    def real(self, graph: Graph, values: np.ndarray, are_codes: bool) -> np.ndarray:
        """Codes of an integer input by its scale and zero point in the Graph; anything else as it is."""
        if are_codes and self.input_type != "float32":
            return real_numbers(values, graph, self.input_type)
        return values


class PrequantizedOracle:
    """The user's own quantized file.

    model  the file, unchanged
    fused  what ONNX Runtime makes of it
    """

    def __init__(self, graph: Graph, model: bytes, fused: bytes, facts: PrequantizedFacts) -> None:
        self._graph, self._facts = graph, facts
        self._probes = {tensor: probe for tensor, probe in facts.probes.items() if tensor in graph.tensors}
        self._file = Oracle(model)
        self._inner = Oracle(with_outputs(fused, [probe.name for probe in self._probes.values()]), as_written=True)
        # An output that the file leaves in float32 is compared as it is made of the last int8 tensors.
        last = [
            name
            for port in graph.outputs
            for name in ([port.tensor] if port.tensor in self._probes else graph.producer[port.tensor].inputs)
        ]
        self._ends = {tensor: self._probes[tensor] for tensor in last}
        tail = tail_model(fused, list(self._ends.values()))
        self._tail = Oracle(tail, as_written=True) if tail else None

    def compare(self, values: np.ndarray, reference: Tensors) -> Comparison:
        """The tensors ONNX Runtime has after its fusions, and the file's outputs bit by bit; see `Int8Oracle`."""
        feed = {self._graph.inputs[0].outside: as_input(values, self._graph, self._facts.input_type)}
        found = self._inner.run(feed, [probe.name for probe in self._probes.values()])
        differing = {
            f"tensor {tensor}": int((probe.outside(reference[tensor]) != found[probe.name]).sum())
            for tensor, probe in self._probes.items()
        }
        ours = {probe.name: probe.outside(reference[tensor]) for tensor, probe in self._ends.items()}
        if self._tail is not None:
            ours.update(self._tail.run(ours))
        outputs = self._file.run(feed)
        for name, theirs in outputs.items():
            differing[f"output {name}"] = int((ours[name].view(np.uint8) != theirs.view(np.uint8)).sum())
        codes = {port: self._codes(port, found, outputs, reference) for port in self._graph.outputs}
        for port, theirs in codes.items():
            if port.tensor not in self._probes:
                differing[f"output {port.outside} as int8"] = int((theirs != reference[port.tensor]).sum())
        return Comparison(_only_wrong(differing), tuple(codes.values()))

    def _codes(self, port: Port, found: Tensors, outputs: Tensors, reference: Tensors) -> np.ndarray:
        """An output of the device, int8 NHWC, as ONNX Runtime has it.

        Of one that the file leaves in float32, it is the file's own output, quantized; before a tail it is not seen.
        """
        if port.tensor in self._probes:
            probe = self._probes[port.tensor]
            return probe.inside(found[probe.name], self._graph.tensors[port.tensor].shape)
        if port.tail:
            return reference[port.tensor]
        quant = quant_of(self._graph, port.tensor)
        values = to_nhwc(outputs[port.outside].reshape(port.shape), port.permutation)
        return quantize_linear(values, scale_of(quant), quant.zero_point)

    def real(self, values: np.ndarray, are_codes: bool) -> np.ndarray:
        """As `PrequantizedFacts.real`."""
        return self._facts.real(self._graph, values, are_codes)


def _only_wrong(differing: Mapping[str, int]) -> dict[str, int]:
    return {where: count for where, count in differing.items() if count}
