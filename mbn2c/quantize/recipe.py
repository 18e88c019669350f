"""Which methods make an int8 Graph, and in which order they are tried."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from mbn2c.quantize.reconstruct import Fit


@dataclass(frozen=True)
class ChannelScaling:
    """What `equalize` is told; margin None: channels are as they are."""

    margin: float | None
    four_bits: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Recipe:
    """Which methods make an int8 Graph.

    ranges    "min-max", "mse", "entropy" or "percentile P"
    headroom  ranges of inner activations are this much wider than found, for images still to come
    margin    of `equalize`, None: channels are not equalized
    bias      correct biases analytically
    fit       fit weights and biases layer by layer, None: round to nearest
    int16     names of the activations that are int16
    four_bits  names of the layers whose weights have four bits
    shares_multipliers  whether all layers share few multipliers
    """

    ranges: str = "min-max"
    headroom: float = 1.0
    margin: float | None = None
    bias: bool = False
    fit: Fit | None = None
    int16: frozenset[str] = frozenset()
    four_bits: frozenset[str] = frozenset()
    shares_multipliers: bool = False

    @property
    def scaling(self) -> ChannelScaling:
        """How channels are scaled before it."""
        return ChannelScaling(self.margin, self.four_bits if self.margin is not None else frozenset())


Step = tuple[str, Callable[[Recipe], Recipe]]


def steps_of(effort: str, percentile: float, images: int) -> list[Step]:
    """The methods to try in order: (name, what it changes in the recipe so far); images: how many calibrate."""
    # The fewer images, the further the next one goes beyond what these were seen to hold: a quarter for 64.
    margin = 1 + 2 / math.sqrt(images)

    def ranges(method: str) -> Step:
        return f"{method} ranges", lambda recipe: replace(recipe, ranges=method)

    def headroom(factor: float) -> Step:
        return f"ranges {factor:g} times as wide", lambda recipe: replace(recipe, headroom=factor)

    def equalized(recipe: Recipe) -> Recipe:
        # Equal channels leave no slack in the range for a channel that goes beyond what it was seen to hold.
        return replace(recipe, margin=margin, headroom=margin)

    steps: list[Step] = [
        ("analytic bias correction", lambda recipe: replace(recipe, bias=True)),
        (f"channels centred and equalized, ranges {margin:.3g} times as wide", equalized),
        headroom(1.1),
        headroom(1.0),
    ]
    if percentile >= 100:
        steps += [ranges("mse")]
    if effort == "fast":
        return steps
    if effort == "best" and percentile >= 100:
        steps += [ranges("percentile 99.999"), ranges("percentile 99.99"), ranges("entropy")]
    steps += [("weights fitted layer by layer", lambda recipe: replace(recipe, fit=Fit()))]
    if effort == "best":
        steps += [
            ("... not moved for earlier layers", lambda recipe: replace(recipe, fit=Fit(ridge=None))),
            ("... moved more", lambda recipe: replace(recipe, fit=Fit(ridge=10.0))),
            ("... with more damping", lambda recipe: replace(recipe, fit=replace(recipe.fit or Fit(), damp=0.5))),
        ]
    return steps
