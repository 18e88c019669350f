"""Classes that two networks say for images -> what a classification makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mbn2c.tasks.outputs import Output
from mbn2c.tasks.protocol import Answers, HeldBack, Json, Labels
from mbn2c.tasks.registry import recognise

CLASSES = 10


class Said(NamedTuple):
    """Classes of one image; label: None where not known."""

    float32: int
    int8: int
    label: int | None = None


def held_back(said: Sequence[Said]) -> Json:
    """`quantization.held_back` of report.json where these were said of images held back."""
    task = recognise([Output("scores", (1, CLASSES), (0, 3), "")], {})
    scores = np.eye(CLASSES).reshape(CLASSES, 1, 1, 1, CLASSES)
    records = [task.compare(Answers([scores[one.int8]], [scores[one.float32]])) for one in said]
    return HeldBack(records, Labels([one.label for one in said])).to_json(task)
