"""Classes that both networks say for images -> agreement, accuracy, drop, and the gate of --max-drop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mbn2c.errors import GateError
from mbn2c.tasks.classification.labels import doubt_of
from mbn2c.tasks.gates import most_costly
from mbn2c.tasks.statistics import Share, drop_text, paired_drop


@dataclass(frozen=True)
class Choices:
    """The classes that float and int8 network say for each image (0 and 1 for a single logit); there must be some.

    labels  of each image; None where not known

    Where labels are missing the drop counts every image whose answer changes as lost, which bounds it from above.
    """

    float32: Sequence[int]
    int8: Sequence[int]
    labels: Sequence[int | None]

    @property
    def is_labelled(self) -> bool:
        """Whether each image has a label."""
        return None not in self.labels

    @property
    def agreement(self) -> Share:
        """The share of images for which both networks say the same class."""
        return Share(sum(one == other for one, other in zip(self.float32, self.int8, strict=True)), len(self.int8))

    @property
    def drop(self) -> tuple[float, float]:
        """(drop, upper end of its 95 % interval), fractions."""
        if not self.is_labelled:
            return paired_drop(len(self.int8) - int(self.agreement.hits), 0, len(self.int8))
        right = list(zip(self._right(self.float32), self._right(self.int8), strict=True))
        return paired_drop(right.count((True, False)), right.count((False, True)), len(right))

    def accuracy(self, choices: Sequence[int]) -> float | None:
        """Share of `float32` or `int8` that are the labels; None without labels."""
        return sum(self._right(choices)) / len(choices) if self.is_labelled else None

    def _right(self, choices: Sequence[int]) -> list[bool]:
        return [choice == label for choice, label in zip(choices, self.labels, strict=True)]


def check_drop(judged: Mapping[str, Any], max_drop: float, costs: Mapping[str, float]) -> None:
    """The gate of `build --max-drop`.

    judged    `quantization.held_back` of report.json
    max_drop  percent
    raises    GateError naming the layers that cost most, or if the labels cannot be the images'
    """
    if judged["accuracy_float32"] is not None:
        check_labels_known(judged["accuracy_float32"], judged["outputs"][judged["main"]], judged["labels"]["note"])
    drop, upper, count = judged["drop"], judged["drop_upper_95"], judged["images"]
    if 100 * upper <= max_drop:
        return
    hints = ["--quantize best", "more --calib images"]
    if not judged["labelled"]:
        hints.append("--calib-labels CSV or one folder of images per class, which count only answers that were right")
    if 100 * paired_drop(0, 0, count)[1] > max_drop:
        hints = [f"more --calib images: {count} could not show less even without a single loss"]
    raise GateError(
        f"{drop_text(drop, upper)}, on {count} images held back; {max_drop:g} % is allowed",
        where=most_costly(costs),
        hint="; ".join(hints),
    )


def check_verified_drop(judged: Mapping[str, Any], max_drop: float, costs: Mapping[str, float]) -> None:
    """The gate of `verify --max-drop`; arguments and errors as of `check_drop`, of what verify found."""
    if judged["drop_upper_95"] is None:
        hint = "--labels CSV with columns file and index, or one folder of images per class"
        raise GateError("--max-drop needs labels", where=judged["labels"]["note"], hint=hint)
    [main] = [one for one in judged["outputs"] if one["name"] == judged["main_output"]]
    check_labels_known(judged["top1_ort_float32"], main, judged["labels"]["note"])
    if not 100 * judged["drop_upper_95"] <= max_drop:
        raise GateError(
            f"{drop_text(judged['drop'], judged['drop_upper_95'])}; {max_drop:g} % is allowed",
            where=most_costly(costs),
            hint="more images narrow the interval; build with --quantize best or more --calib images may help",
        )


def check_labels_known(accuracy: float, main: Mapping[str, Any], note: str) -> None:
    """Raises GateError where the float model's accuracy says that the labels are others: no drop can be measured."""
    doubt = doubt_of(accuracy, main["shape"][3])
    if doubt:
        raise GateError(
            f"no drop can be measured against these labels: of output '{main['name']}' {doubt}",
            where=note,
            hint="check labels, class order and --preprocess; --labels FILE of build names the classes in order",
        )
