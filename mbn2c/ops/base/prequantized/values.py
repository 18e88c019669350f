"""What an ONNX value of a quantized model means: an int8 tensor of the Graph, or real numbers made of one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from mbn2c.errors import ModelError
from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Node, Quant, Tensor
from mbn2c.ir.limits import MAX_ELEMENTS
from mbn2c.ir.window import Activation
from mbn2c.ops.base.builder import Builder
from mbn2c.ops.base.call import Declined, OnnxCall, OnnxNode

UNSIGNED_SHIFT = 128
FOLD_FIRST = (
    "prepare the float32 model with onnxruntime.quantization.shape_inference.quant_pre_process, which folds such nodes "
    "into layers, and quantize it again; or give mbn2c the float32 model"
)


# Of a float32 sum: a dequantized tensor, or float32 [C].
Term = Value | np.ndarray


@dataclass(frozen=True, eq=False)
class Meaning:
    """Of an ONNX value, beside the `Value` that names its tensor and axes.

    is_real   float32 in the file, else int8 or uint8
    unsigned  uint8 in the file: what the Graph holds is less by 128
    steps     real only: the DequantizeLinear and the elementwise nodes since, each with its first input as data
    terms     of an addition: what was added up so far with nothing quantized in between, in order
    """

    is_real: bool
    unsigned: bool = False
    steps: tuple[OnnxNode, ...] = ()
    terms: tuple[Term, ...] = ()


@dataclass(frozen=True)
class Probe:
    """Where ONNX Runtime's value of a Graph tensor is found.

    name      in the fused model
    shape     there
    order     the tensor's NHWC axes in the order that value's bytes run over them
    unsigned  it is uint8 there
    """

    name: str
    shape: tuple[int, ...]
    order: tuple[int, ...]
    unsigned: bool

    def outside(self, values: np.ndarray) -> np.ndarray:
        """int8 NHWC -> as ONNX Runtime has it."""
        turned = np.ascontiguousarray(values.transpose(self.order)).reshape(self.shape)
        return (turned.astype(np.int16) + UNSIGNED_SHIFT).astype(np.uint8) if self.unsigned else turned

    def inside(self, found: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """The inverse of `outside`; shape: the tensor's, NHWC."""
        codes = (found.astype(np.int16) - UNSIGNED_SHIFT).astype(np.int8) if self.unsigned else found
        return codes.reshape([shape[axis] for axis in self.order]).transpose(np.argsort(self.order))


@dataclass(frozen=True, eq=False)
class FileQuant:
    """A scale and zero point of the file; `quant` has the zero point that int8 has."""

    quant: Quant
    unsigned: bool

    @property
    def scale(self) -> np.float32:
        """Of all values."""
        return np.float32(self.quant.scale[0])

    @property
    def file_zero_point(self) -> np.ndarray:
        """As ONNX wants it."""
        if self.unsigned:
            return np.array(self.quant.zero_point + UNSIGNED_SHIFT, np.uint8)
        return np.array(self.quant.zero_point, np.int8)


# Completes a layer that the file computes in float32, once the QuantizeLinear behind it is known.
Finish = Callable[[FileQuant, Activation | None], Node]
# Makes the node of a sum of integers: (call of its QuantizeLinear, x, its steps, its output's zero point) -> output.
FinishSum = Callable[["PrequantizedCall", Value, tuple[OnnxNode, ...], int], Value]


@dataclass(frozen=True)
class IntegerSum:
    """A sum of the file that waits for its QuantizeLinear; see `integer_sums`.

    steps     the nodes that make it, in order, so far
    unsigned  its input is uint8 in the file
    """

    steps: tuple[OnnxNode, ...]
    finish: FinishSum
    unsigned: bool


@dataclass(frozen=True, eq=False)
class PrequantizedConstant:
    """A weight or bias behind DequantizeLinear: integers with their zero point taken off, float32 scale."""

    values: np.ndarray
    scale: np.ndarray


Constants = Mapping[str, np.ndarray]


class RunNodes(Protocol):
    """Asks ONNX Runtime what it computes for some nodes, each as it is written; the frontend hands it in."""

    def __call__(
        self,
        nodes: Sequence[OnnxNode],
        inputs: Constants,
        output: str,
        constants: Constants,
        opsets: Mapping[str, int],
    ) -> np.ndarray:
        """The value of `output`.

        inputs     activations by name
        constants  by name, those that the nodes do not read among them
        opsets     the version of each ONNX domain
        """


@dataclass
class PrequantizedBuilder(Builder):
    """Collects the int8 Graph.

    run_nodes  ONNX Runtime
    meanings   by ONNX name, as `values`
    quants     of the Graph's activations, as far as known
    unfinished float layers that still wait for their QuantizeLinear, by output tensor
    sums       of integers, likewise, by ONNX name
    zero_points of those of which only that is known so far: a sum of integers takes it off
    ties       of the Graph's activations: what must have the same quantization
    ends       ONNX names after which no layer comes, as `tails.ends_of`
    """

    opsets: dict[str, int]
    run_nodes: RunNodes
    ends: Set[str] = frozenset()
    meanings: dict[str, Meaning] = field(default_factory=dict)
    quants: dict[str, Quant] = field(default_factory=dict)
    zero_points: dict[str, int] = field(default_factory=dict)
    ties: dict[str, list[str]] = field(default_factory=dict)
    probes: dict[str, Probe] = field(default_factory=dict)
    unfinished: dict[str, Finish] = field(default_factory=dict)
    sums: dict[str, IntegerSum] = field(default_factory=dict)
    dequantized_constants: dict[str, PrequantizedConstant] = field(default_factory=dict)
    float_layers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.opsets, self.ends)

    def add_quantized(self, wanted: str, data: np.ndarray, quant: Quant | None) -> str:
        """A constant int8, int16 or int32 tensor; quant: None of bits."""
        name = self.unique_tensor(wanted)
        array = np.ascontiguousarray(data)
        self.tensors[name] = Tensor(name, array.shape, array.dtype.name, array, quant)
        return name

    def set_quant(self, call: OnnxCall, tensor: str, in_file: FileQuant) -> None:
        """Note a tensor's quantization, or check that all its readers and its maker say the same.

        raises  ModelError if they do not
        """
        is_news = tensor not in self.quants
        known = self.quants.setdefault(tensor, in_file.quant)
        if known.scale[0] != in_file.quant.scale[0] or known.zero_point != in_file.quant.zero_point:
            raise call.refuse(
                f"{call.op} reads '{tensor}' with scale {in_file.scale:.9g}, zero point {in_file.quant.zero_point}; "
                f"it was made with {known.scale[0]:.9g}, {known.zero_point}",
                "quantize the model again: both ends of a tensor must agree",
            )
        self.set_zero_point(call, tensor, known.zero_point)
        if is_news:
            for other in self.ties.get(tensor, ()):
                self.set_quant(call, other, in_file)

    def set_zero_point(self, call: OnnxCall, tensor: str, zero_point: int) -> None:
        """Likewise, where the scale does not count.

        zero_point  that int8 has
        raises      ModelError if another one is known
        """
        is_news = tensor not in self.zero_points
        known = self.quants[tensor].zero_point if tensor in self.quants else zero_point
        if self.zero_points.setdefault(tensor, known) != zero_point or known != zero_point:
            raise call.refuse(
                f"{call.op} reads '{tensor}' with zero point {zero_point}; another reader or its maker has "
                f"{self.zero_points[tensor] if known == zero_point else known}",
                "quantize the model again: both ends of a tensor must agree",
            )
        if is_news:
            for other in self.ties.get(tensor, ()):
                self.set_zero_point(call, other, zero_point)

    def quant_of(self, tensor: str) -> Quant:
        """Any scale where nobody says one: then only functions and sums of integers make and read the tensor."""
        return self.quants.get(tensor) or Quant(np.ones(1, np.float32), self.zero_points.get(tensor, 0))

    def tie(self, call: OnnxCall, one: str, other: str) -> None:
        """Two activations have the same quantization, as soon as anybody says one of them.

        raises  ModelError if they are known to differ
        """
        self.ties.setdefault(one, []).append(other)
        self.ties.setdefault(other, []).append(one)
        for known, unknown in ((one, other), (other, one)):
            if known in self.quants:
                self.set_quant(call, unknown, FileQuant(self.quants[known], False))
            elif known in self.zero_points:
                self.set_zero_point(call, unknown, self.zero_points[known])

    def note_probe(self, name: str, value: Value, unsigned: bool) -> None:
        """Where ONNX Runtime's value of a tensor is found; the first place counts."""
        left_out = tuple(axis for axis in range(4) if axis not in value.order)
        self.probes.setdefault(value.tensor, Probe(name, value.shape, (*left_out, *value.order), unsigned))

    def activation(self, wanted: str, shape: Sequence[int], call: OnnxCall) -> str:
        """As `add_activation`.

        raises  ModelError if the shape is empty or far too large
        """
        if min(shape) < 1 or math.prod(shape) > MAX_ELEMENTS:
            raise call.refuse(
                f"{call.op} would produce a tensor of shape {list(shape)}", "check the input size the model declares"
            )
        return self.add_activation(wanted, shape)


class PrequantizedCall(OnnxCall):
    """One node of a quantized model."""

    builder: PrequantizedBuilder

    def ask(
        self, nodes: Sequence[OnnxNode], inputs: Constants, output: str, more: Constants | None = None
    ) -> np.ndarray:
        """What ONNX Runtime computes for some nodes that read `inputs`, constants of the file and `more` of ours."""
        known = {**self.builder.constants, **(more or {})}
        return self.builder.run_nodes(nodes, inputs, output, known, self.builder.opsets)

    def meaning(self, index: int) -> Meaning:
        """Of input `index`."""
        return self.builder.meanings[self.node.inputs[index]]

    def integers_in(self, index: int) -> tuple[Value, Meaning]:
        """Input `index` as an int8 or uint8 activation."""
        value, meaning = self.value(index), self.meaning(index)
        if meaning.is_real:
            raise self.refuse(f"{self.op}: input {index} is not quantized", "quantize the model again")
        return value, meaning

    def file_quant(self, scale: int, zero_point: int) -> FileQuant:
        """The scale and zero point of an activation, two inputs of this node."""
        numbers = self.floats(scale).astype(np.float32).reshape(-1)
        zero = self.constant(zero_point) if self.has(zero_point) else np.zeros(1, np.uint8)
        if zero.dtype not in (np.int8, np.uint8):
            raise self.refuse(f"{self.op} to {zero.dtype} is not supported", "activations must be int8 or uint8")
        if numbers.size != 1 or zero.size != 1:
            raise self.refuse(f"{self.op}: activations must have one scale", "quantize activations per tensor")
        if not numbers[0] > 0:
            raise self.refuse(f"{self.op}: the scale {numbers[0]:g} is not positive", "quantize the model again")
        unsigned = zero.dtype == np.uint8
        return FileQuant(Quant(numbers, int(zero.reshape(-1)[0]) - UNSIGNED_SHIFT * unsigned), unsigned)

    def weights_scale(self, index: int, channels: int) -> np.ndarray:
        """Input `index` as float32 [channels], one number or one per output channel in the file."""
        scale = self.floats(index).astype(np.float32).reshape(-1)
        if scale.size not in (1, channels) or not (scale > 0).all():
            raise self.refuse(
                f"{self.op}: weight scales of shape {list(self.constant(index).shape)} for {channels} channels, "
                "all positive, are needed",
                "quantize weights per tensor or per output channel",
            )
        return np.ascontiguousarray(np.broadcast_to(scale, (channels,)))

    def real_steps(self, index: int) -> tuple[Value, tuple[OnnxNode, ...]]:
        """Input `index` as a quantized tensor that was dequantized, with the elementwise nodes since."""
        value, meaning = self.value(index), self.meaning(index)
        if not meaning.is_real or not meaning.steps:
            raise self.refuse(
                f"{self.op} reads a tensor that is not quantized", "quantize every layer of the model, in QDQ form"
            )
        return value, meaning.steps


def terms_of(call: PrequantizedCall, index: int) -> tuple[Term, ...]:
    """What input `index` is the float32 sum of, in order; () if it is something else."""
    meaning = call.meaning(index)
    if meaning.terms and not meaning.steps:
        return meaning.terms
    is_plain = meaning.is_real and len(meaning.steps) == 1 and meaning.steps[0].op_type == "DequantizeLinear"
    return (call.value(index),) if is_plain else ()


def unquantized(what: str, where: str) -> ModelError:
    """The refusal of a place in the file that should hold int8."""
    return ModelError(what, where=where, hint="quantize every layer of the model, the last one included")


# As `Importer`, of nodes of quantized models: notes what the output means, too.
PrequantizedImporter = Callable[[PrequantizedCall], Value | Declined]
