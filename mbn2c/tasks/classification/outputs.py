"""What each output of a network says: names, shapes and how it ends -> an OutputSpec each.

An output is one of three kinds:

  classes  a class at each position: the largest of its channels. One position: one class for the whole image
  logits   a yes or no for each value: yes where it is above 0, which is a sigmoid above 0.5
  vector   numbers as they are: an embedding, a regression

The kind is what the user says, or else follows from how the network ends and from the shape (`read_outputs`).
Networks are compared (`likeness`) by what stands before a softmax or sigmoid, which the device returns, and by what
a tanh or an L2 normalization makes of that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.errors import UsageError
from mbn2c.tasks.outputs import Output

CLASSES, LOGITS, VECTOR = KINDS = ("classes", "logits", "vector")
SOFTMAXES = ("softmax", "log_softmax")


@dataclass(frozen=True)
class OutputSpec(Output):
    """One output and what it says.

    kind        one of KINDS
    reason      why it is of this kind, in words
    is_assumed  nothing but the shape says so
    """

    kind: str
    reason: str
    is_assumed: bool = False

    @property
    def decisions(self) -> int:
        """How many classes or yes and no it says for an image; 0 for a vector."""
        positions = self.nhwc[1] * self.nhwc[2]
        return {CLASSES: positions, LOGITS: positions * self.channels, VECTOR: 0}[self.kind]

    @property
    def label_count(self) -> int:
        """How many classes an image's label is one of; 0 if it does not say one thing for the whole image."""
        if self.decisions != 1:
            return 0
        return 2 if self.kind == LOGITS else self.channels

    @property
    def name_count(self) -> int:
        """How many class names go with it; 0 for a vector."""
        return {CLASSES: self.channels, LOGITS: max(2, self.channels), VECTOR: 0}[self.kind]

    def decide(self, values: np.ndarray) -> np.ndarray:
        """[1, H, W, C] before the tail -> class indices [1, H, W], or 0 and 1 [1, H, W, C]; not for a vector."""
        return np.asarray(values.argmax(axis=3) if self.kind == CLASSES else (values > 0).astype(int))

    def check_labels(self, what: str) -> None:
        """Raises UsageError if an image's label can say nothing of it; what: the option that needs that."""
        if self.label_count:
            return
        _, height, width, channels = self.nhwc
        says = "one value" if channels == 1 else f"{channels} values"
        says = f"{height}x{width} positions" if height * width > 1 else says
        hint = "--min-sqnr DB is the gate for it"
        if height * width == 1:
            kind = LOGITS if channels == 1 else CLASSES
            hint += f"; --output-kind {self.name}={kind} if it says one class after all"
        raise UsageError(
            f"{what} speaks of one class for an image; output '{self.name}' has {says} and is judged as {self.kind}",
            where=f"output '{self.name}': {self.reason}",
            hint=hint,
        )

    def choice(self, values: np.ndarray) -> int | None:
        """The one class it says for the image; None where it says more, or none."""
        return int(self.decide(values).item()) if self.decisions == 1 else None


def read_outputs(outputs: Sequence[Output], kinds: Mapping[str, str], class_names: int = 0) -> tuple[OutputSpec, ...]:
    """What each output is.

    kinds        by name: what the user says
    class_names  how many class names the user gave; 0: none
    """
    found = []
    for one in outputs:
        output = OutputSpec(one.name, one.shape, one.permutation, one.tail, *_deduced(one.tail, one.nhwc))
        if one.name in kinds:
            output = replace(output, kind=kinds[one.name], reason="--output-kind", is_assumed=False)
        elif class_names and output.label_count == class_names and output.is_assumed:
            output = replace(output, reason=f"{class_names} class names", is_assumed=False)
        found.append(output)
    return tuple(found)


def _deduced(tail: str, nhwc: Sequence[int]) -> tuple[str, str, bool]:
    """Kind, reason, and whether only the shape says so."""
    if tail in SOFTMAXES:
        return CLASSES, f"{tail} at the end", False
    if tail == "sigmoid":
        return LOGITS, "sigmoid at the end", False
    if tail:
        return VECTOR, f"{'L2 normalization' if tail == 'l2_normalize' else tail} at the end", False
    values = "one value" if nhwc[3] == 1 else f"{nhwc[3]} values"
    where = " at each position" if max(nhwc[1:3]) > 1 else ""
    return LOGITS if nhwc[3] == 1 else CLASSES, values + where, True


def main_output(outputs: Sequence[OutputSpec]) -> int:
    """The number of the output that labels and top-1 speak of: the first that says one class for an image, else 0."""
    return next((number for number, output in enumerate(outputs) if output.label_count), 0)
