"""Answers of both networks on images that did not help to quantize -> agreement, drop, and the gate of --max-drop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mbn2c.errors import GateError
from mbn2c.results import Share, paired_drop

_NAMED_LAYERS = 3


@dataclass(frozen=True)
class Answer:
    """Top-1 classes for one image; label: None where it is not known."""

    float_top1: int
    int8_top1: int
    label: int | None = None


@dataclass(frozen=True)
class HeldBack:
    """The int8 network beside the float one on images held back.

    Where labels are missing the drop counts every image whose answer changes as lost, which bounds it from above.
    """

    answers: Sequence[Answer]

    @property
    def is_labelled(self) -> bool:
        return all(answer.label is not None for answer in self.answers)

    @property
    def agreement(self) -> Share:
        return Share(sum(answer.float_top1 == answer.int8_top1 for answer in self.answers), len(self.answers))

    @property
    def drop(self) -> tuple[float, float]:
        """(drop, upper end of its 95 % interval), fractions."""
        if not self.is_labelled:
            return paired_drop(len(self.answers) - self.agreement.hits, 0, len(self.answers))
        right = [(answer.float_top1 == answer.label, answer.int8_top1 == answer.label) for answer in self.answers]
        return paired_drop(right.count((True, False)), right.count((False, True)), len(right))

    def to_json(self) -> dict[str, Any]:
        drop, upper = self.drop
        return {
            "images": len(self.answers),
            "labelled": self.is_labelled,
            "agreement": self.agreement.value,
            "agreement_95": list(self.agreement.interval),
            "drop": drop,
            "drop_upper_95": upper,
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
    raises    GateError naming the layers that cost most
    """
    drop, upper = held_back.drop
    if 100 * upper <= max_drop:
        return
    count = len(held_back.answers)
    hints = ["--quantize best", "more --calib images"]
    if not held_back.is_labelled:
        hints.append("--calib-labels CSV, which counts only answers that were right")
    if 100 * paired_drop(0, 0, count)[1] > max_drop:
        hints = [f"more --calib images: {count} could not show less even without a single loss"]
    raise GateError(
        f"accuracy drops by {100 * drop:.2f} %, at most {100 * upper:.2f} % with 95 % confidence, on {count} images "
        f"held back; {max_drop:g} % is allowed",
        where=most_costly(costs),
        hint="; ".join(hints),
    )
