"""Values of all outputs of a float and an int8 network for one image -> how alike they are, and what each chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mbn2c.tasks.classification.likeness import Likeness, compare
from mbn2c.tasks.classification.outputs import OutputSpec, main_output


@dataclass(frozen=True)
class Judged:
    """What both networks say of an image that did not help to make the int8 one.

    image     its number
    likeness  of each output
    choices   the class that the main output says: of the float and of the int8 network; None where it says none
    """

    image: int
    likeness: tuple[Likeness, ...]
    choices: tuple[int, int] | None


def judge(
    image: int,
    outputs: Sequence[OutputSpec],
    ports: Sequence[str],
    expected: Mapping[str, np.ndarray],
    found: Mapping[str, np.ndarray],
) -> Judged:
    """One image; expected, found: real values [1, C, H, W] by tensor, of the float and of the int8 network."""
    pairs = [(expected[port].transpose(0, 2, 3, 1), found[port].transpose(0, 2, 3, 1)) for port in ports]
    likeness = tuple(compare(output, *pair) for output, pair in zip(outputs, pairs, strict=True))
    main = main_output(outputs)
    float_choice, int8_choice = (outputs[main].choice(values) for values in pairs[main])
    return Judged(image, likeness, None if float_choice is None or int8_choice is None else (float_choice, int8_choice))
