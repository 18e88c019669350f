"""One node of an ONNX file seen by the operator that reads it: inputs as values or constants, attributes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mbn2c.errors import ModelError
from mbn2c.ir.axes import NCHW, LayoutError, Value, labeled, labels_of, nhwc_shape, reshaped
from mbn2c.ir.graph import Node
from mbn2c.ir.limits import MAX_ELEMENTS, is_usable
from mbn2c.ops.base.builder import Builder

EXPORT_AGAIN = "the file is damaged or contradicts itself; export the model again"


@dataclass(frozen=True)
class OnnxNode:
    """A node of an ONNX file as plain data.

    domain      "" for ONNX's own operators
    inputs      names; "" where an optional one is left out
    attributes  by name: numbers, bytes, lists of them; tensors and graphs as `onnx` has them
    """

    op_type: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """How error messages name it."""
        name = self.name or (self.outputs[0] if self.outputs else "")
        domain = f"{self.domain}." if self.domain not in ("", "ai.onnx") else ""
        return f"node '{name}', operator {domain}{self.op_type}"

    def renamed(self, inputs: Mapping[int, str], output: str) -> OnnxNode:
        """A copy to ask ONNX Runtime about: other names for some of its inputs, one output, no name of its own, which
        no other copy may have."""
        names = tuple(inputs.get(index, name) for index, name in enumerate(self.inputs))
        return replace(self, name="", inputs=names, outputs=(output,))


@dataclass(frozen=True)
class OnnxCall:
    """One ONNX node being translated.

    name   its name in the file, or its operator and first output, made unique
    opset  the version of its domain
    """

    builder: Builder
    node: OnnxNode
    name: str
    opset: int

    @property
    def op(self) -> str:
        """The ONNX operator, without its domain."""
        return self.node.op_type

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Of the node."""
        return self.node.attributes

    @property
    def where(self) -> str:
        """How error messages name the node."""
        return self.node.where

    def refuse(self, what: str, hint: str = EXPORT_AGAIN) -> ModelError:
        """The error to raise for this node."""
        return ModelError(what, where=self.where, hint=hint)

    # --- inputs ---

    def has(self, index: int) -> bool:
        """Whether input `index` is there."""
        return index < len(self.node.inputs) and self.node.inputs[index] != ""

    def is_constant(self, index: int) -> bool:
        """Whether input `index` is known before the network runs."""
        return self.has(index) and self.node.inputs[index] in self.builder.constants

    def value(self, index: int, *, after_tail: bool = False) -> Value:
        """Input `index` as an activation; after_tail: the node only looks at it in another way."""
        if not self.has(index):
            raise self.refuse(f"{self.op} lacks its input {index}", "export the model again; the file is damaged")
        name = self.node.inputs[index]
        if name not in self.builder.values:
            raise self.refuse(
                f"{self.op}: input {index} '{name}' is a constant where an activation is needed"
                if name in self.builder.constants
                else f"{self.op}: input {index} '{name}' is an output mbn2c does not compute",
                "simplify the model with onnxsim, or export the inference graph without extra outputs",
            )
        value = self.builder.values[name]
        if value.factors and not after_tail:
            raise self.refuse(
                f"{self.op} of channels that a Reshape cut into {' x '.join(map(str, value.factors))} is not supported",
                "only a channel shuffle is: Reshape, Transpose, Reshape",
            )
        if value.tail and not after_tail:
            raise self.refuse(
                f"{self.op} after {value.tail} is not supported: it may only end the network",
                f"cut the model before '{self.name}'",
            )
        return value

    def constant(self, index: int) -> np.ndarray:
        """Input `index` as a constant of the file, in its own type."""
        if not self.is_constant(index):
            name = self.node.inputs[index] if self.has(index) else ""
            raise self.refuse(
                f"{self.op}: input {index} '{name}' must be a constant",
                "only models with fixed weights compile; export the inference graph with weights stored in it",
            )
        return self.builder.constants[self.node.inputs[index]]

    def floats(self, index: int) -> np.ndarray:
        """Constant `index` as float64, all values finite."""
        array = self.constant(index)
        if array.dtype.kind not in "fV" and array.dtype.name not in ("float16", "bfloat16"):
            raise self.refuse(f"{self.op}: constant '{self.node.inputs[index]}' is {array.dtype}, not floating point")
        with np.errstate(invalid="ignore"):  # a signalling NaN
            numbers: np.ndarray = array.astype(np.float64)
        if not np.isfinite(numbers).all():
            raise self.refuse(
                f"{self.op}: constant '{self.node.inputs[index]}' holds NaN or infinite values",
                "train or export the model again; these weights cannot compute anything",
            )
        return numbers

    def integers(self, index: int) -> list[int]:
        """Constant `index`, a list of integers or one."""
        array = self.constant(index)
        if array.dtype.kind not in "iu" or array.ndim > 1:
            raise self.refuse(f"{self.op}: constant '{self.node.inputs[index]}' is not a list of integers")
        return [int(number) for number in array.ravel()]

    # --- attributes ---

    def integer(self, name: str, default: int) -> int:
        """An attribute."""
        return int(self.attributes.get(name, default))

    def number(self, name: str, default: float) -> float:
        """An attribute; infinite only where the default is."""
        found = float(self.attributes.get(name, default))
        if math.isnan(found) or (math.isinf(found) and not math.isinf(default)):
            raise self.refuse(f"{self.op}: its attribute {name} is {found}")
        return found

    def text(self, name: str, default: str) -> str:
        """An attribute."""
        raw = self.attributes.get(name, default)
        return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)

    def axes(self, rank: int, input_since: int, default: list[int] | None) -> list[int] | None:
        """The `axes`, attribute or (from opset `input_since` on) input 1, made non-negative and sorted."""
        found: list[int] | None = default
        if self.opset >= input_since:
            if self.has(1):
                found = self.integers(1)
        elif "axes" in self.attributes:
            found = [int(axis) for axis in self.attributes["axes"]]
        if found is None:
            return None
        if any(not -rank <= axis < rank for axis in found) or len({axis % rank for axis in found}) != len(found):
            raise self.refuse(f"{self.op}: axes {found} do not suit a tensor of rank {rank}")
        return sorted(axis % rank for axis in found)

    def axis(self, rank: int, default: int) -> int:
        """The attribute `axis`, made non-negative."""
        found = self.integer("axis", default)
        if not -rank <= found < max(rank, 1):
            raise self.refuse(f"{self.op}: axis {found} does not suit a tensor of rank {rank}")
        return found % rank if rank else 0

    # --- geometry ---

    def extents(self, value: Value) -> tuple[int, ...]:
        """(1, H, W, C) of the Graph's tensor."""
        return self.builder.tensors[value.tensor].shape

    def as_nchw(self, value: Value) -> tuple[int, int, int]:
        """(H, W, C) of a value that this node reads as NCHW, checked to be so."""
        if len(value.shape) != 4:
            dimensions = len(value.shape) - 2
            raise self.refuse(
                f"{self.op} on a tensor of rank {len(value.shape)} is not supported"
                + (f": {dimensions}-D {self.op}" if dimensions in (1, 3) else ""),
                "only 2-D image networks compile",
            )
        if labels_of(value, (NCHW,)) is None:
            raise LayoutError(f"channels first; it finds axes {list(value.groups)} of NHWC")
        _, height, width, channels = self.extents(value)
        return height, width, channels

    def reshape(self, value: Value, shape: tuple[int, ...]) -> Value:
        """`value` in another shape, free of 0 and -1.

        raises  ModelError, LayoutError
        """
        if math.prod(shape) != math.prod(value.shape):
            raise self.refuse(
                f"{self.op} of {list(value.shape)} to {list(shape)} changes the number of elements",
                "if the batch size is fixed inside the model, export it with batch 1",
            )
        return reshaped(value, shape, self.extents(value))

    # --- the Graph's nodes ---

    def emit(
        self,
        op: str,
        inputs: Sequence[Value],
        shape: Sequence[int],
        attributes: Any,
        constants: Sequence[tuple[str, np.ndarray]] = (),
        part: str = "",
    ) -> str:
        """Add a Graph node and return its output tensor.

        shape      NHWC of the output
        constants  (what it is called, data), appended to the inputs
        part       tells apart the nodes of one ONNX node; the one with "" makes the ONNX node's output
        """
        if min(shape) < 1 or math.prod(shape) > MAX_ELEMENTS:
            raise self.refuse(
                f"{self.op} would produce a tensor of shape {list(shape)}", "check the input size the model declares"
            )
        for what, data in constants:
            if not is_usable(data):
                raise self.refuse(
                    f"{self.op}: {what} of up to {np.abs(data).max():.3g}: no trained network has those",
                    "train or export the model again; these weights cannot compute anything",
                )
        name = self.name if not part else self.builder.unique_node(f"{self.name}/{part}")
        names = [value.tensor for value in inputs]
        names += [self.builder.add_constant(f"{name}.{what}", data) for what, data in constants]
        output = self.builder.add_activation(self.node.outputs[0] if not part else f"{name}_output", shape)
        self.builder.nodes.append(Node(name, op, tuple(names), (output,), attributes))
        return output

    def emit_nchw(
        self,
        op: str,
        inputs: Sequence[Value],
        hwc: tuple[int, int, int],
        attributes: Any,
        constants: Sequence[tuple[str, np.ndarray]] = (),
        part: str = "",
    ) -> Value:
        """As `emit`, the result read as NCHW."""
        height, width, channels = hwc
        shape = (1, channels, height, width)
        tensor = self.emit(op, inputs, nhwc_shape(shape, NCHW), attributes, constants, part)
        return labeled(tensor, shape, NCHW)

    def emit_like(
        self,
        op: str,
        value: Value,
        attributes: Any,
        constants: Sequence[tuple[str, np.ndarray]] = (),
        part: str = "",
        more: Sequence[Value] = (),
    ) -> Value:
        """As `emit`, an elementwise operator: the result has the shape and axes of `value`."""
        tensor = self.emit(op, [value, *more], self.extents(value), attributes, constants, part)
        return replace(value, tensor=tensor)


@dataclass(frozen=True)
class Declined:
    """An operator's answer to a node that it does not make, though it makes others of that kind.

    what, hint  of the refusal, should no other operator make it either; "" where it is plainly another's
    """

    what: str = ""
    hint: str = EXPORT_AGAIN


OnnxName = tuple[str, str]  # domain, operator
MICROSOFT = "com.microsoft"  # the domain of ONNX Runtime's own operators
# What a node's first output becomes; raises ModelError or LayoutError where the node is right for nobody.
Importer = Callable[[OnnxCall], Value | Declined]
