"""Answers of both networks on images that did not help to quantize -> agreement, drop, and the gate of --max-drop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mbn2c.errors import GateError
from mbn2c.tasks.classification.labels import Labels, doubt_of
from mbn2c.tasks.classification.likeness import fails_sqnr, top1_agreement
from mbn2c.tasks.statistics import Share, drop_text, paired_drop

_NAMED_LAYERS = 3


@dataclass(frozen=True)
class Answer:
    """The classes that both networks say for one image (0 and 1 for a single logit); label: None where not known."""

    float_top1: int
    int8_top1: int
    label: int | None = None


@dataclass(frozen=True)
class HeldBack:
    """The int8 network beside the float one on images held back.

    answers   of the output that says one class for an image; () if none does
    outputs   every output over all images, as `tasks.likeness.summary` has them
    main      the number of that output among them
    images    how many were judged
    folds     networks that were made to judge the calibration images, each from the others: 4 is cross-validation of
              all, 1 holds a quarter back, with 0 they are too few, and judged by the network that is made from them
    labels    of the images, and where they are from
    left_out  of the images: those that --calib-limit left out, which are judged by the network itself

    Where labels are missing the drop counts every image whose answer changes as lost, which bounds it from above.
    """

    answers: Sequence[Answer]
    outputs: Sequence[Mapping[str, Any]] = ()
    main: int = 0
    images: int = 0
    folds: int = 0
    left_out: int = 0
    labels: Labels = field(default_factory=Labels)

    @property
    def is_labelled(self) -> bool:
        return bool(self.answers) and all(answer.label is not None for answer in self.answers)

    @property
    def agreement(self) -> Share:
        """Of the answers, of which there must be some."""
        return Share(sum(answer.float_top1 == answer.int8_top1 for answer in self.answers), len(self.answers))

    @property
    def drop(self) -> tuple[float, float]:
        """(drop, upper end of its 95 % interval), fractions; there must be answers."""
        if not self.is_labelled:
            return paired_drop(len(self.answers) - int(self.agreement.hits), 0, len(self.answers))
        right = [(answer.float_top1 == answer.label, answer.int8_top1 == answer.label) for answer in self.answers]
        return paired_drop(right.count((True, False)), right.count((False, True)), len(right))

    @property
    def float_accuracy(self) -> float | None:
        return self._accuracy([answer.float_top1 for answer in self.answers])

    def _accuracy(self, choices: Sequence[int]) -> float | None:
        """Share of choices that are the labels; None without labels."""
        if not self.is_labelled:
            return None
        return sum(choice == answer.label for choice, answer in zip(choices, self.answers, strict=True)) / len(choices)

    def to_json(self) -> dict[str, Any]:
        """`agreement` is the main output's, `drop` is None where it does not say one class for an image."""
        drop, upper = self.drop if self.answers else (None, None)
        agreement, interval = top1_agreement(self.outputs, self.main) if self.outputs else (None, None)
        return {
            "images": self.images,
            "folds": self.folds,
            "left_out_images": self.left_out,
            "labelled": self.is_labelled,
            "labels": self.labels.to_json(),
            "agreement": agreement,
            "agreement_95": interval,
            "accuracy_float32": self.float_accuracy,
            "accuracy_int8": self._accuracy([answer.int8_top1 for answer in self.answers]),
            "drop": drop,
            "drop_upper_95": upper,
            "outputs": list(self.outputs),
            "main": self.main,
        }


def most_costly(costs: Mapping[str, float]) -> str:
    """Where to look first; costs: share of the rounding noise at the outputs, by layer."""
    worst = sorted(costs, key=lambda name: -costs[name])[:_NAMED_LAYERS]
    names = ", ".join(f"{name} ({100 * costs[name]:.0f} %)" for name in worst)
    return f"most of the rounding noise at the output is from {names}"


def check_drop(held_back: HeldBack, max_drop: float, costs: Mapping[str, float]) -> None:
    """The gate of `build --max-drop`.

    max_drop  percent
    costs     share of the rounding noise at the outputs, by layer
    raises    GateError naming the layers that cost most, or if the labels cannot be the images'
    """
    accuracy = held_back.float_accuracy
    if accuracy is not None and held_back.outputs:
        check_labels_known(accuracy, held_back.outputs[held_back.main], held_back.labels.note)
    drop, upper = held_back.drop
    if 100 * upper <= max_drop:
        return
    count = len(held_back.answers)
    hints = ["--quantize best", "more --calib images"]
    if not held_back.is_labelled:
        hints.append("--calib-labels CSV or one folder of images per class, which count only answers that were right")
    if 100 * paired_drop(0, 0, count)[1] > max_drop:
        hints = [f"more --calib images: {count} could not show less even without a single loss"]
    raise GateError(
        f"{drop_text(drop, upper)}, on {count} images held back; {max_drop:g} % is allowed",
        where=most_costly(costs),
        hint="; ".join(hints),
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


def check_sqnr(outputs: Sequence[Mapping[str, Any]], least_db: float, costs: Mapping[str, float]) -> None:
    """The gate of `--min-sqnr`, which every output must pass.

    outputs  as `tasks.likeness.summary` has them
    costs    share of the rounding noise at the outputs, by layer, as far as known
    raises   GateError naming the output, and the layers that cost most
    """
    worst = fails_sqnr(outputs, least_db)
    if worst is not None:
        sqnr = "has noise only" if worst["sqnr_db"] is None else f"has {worst['sqnr_db']:.1f} dB"
        raise GateError(
            f"output '{worst['name']}' {sqnr} of signal to noise against the float model; {least_db:g} dB is asked for",
            where=most_costly(costs) if costs else "",
            hint="build with --quantize best or more --calib images",
        )
