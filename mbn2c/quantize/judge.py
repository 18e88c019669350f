"""Values of all outputs of a float and an int8 network for one image -> what the task says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mbn2c.tasks.protocol import Answers, Task


@dataclass(frozen=True)
class Judged:
    """What the task found of an image that did not help to make the int8 network: `Task.compare`'s record.

    image  its number
    """

    image: int
    record: Any


def judge(
    image: int, task: Task, ports: Sequence[str], expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]
) -> Judged:
    """One image; expected, found: real values [1, C, H, W] by tensor, of the float and of the int8 network."""
    float32, int8 = ([side[port].transpose(0, 2, 3, 1) for port in ports] for side in (expected, found))
    return Judged(image, task.compare(Answers(int8, float32)))
