"""How a network wants its pixels, where its file says it."""

from __future__ import annotations

import numpy as np

from mbn2c.errors import UsageError
from mbn2c.ir.graph import Graph
from mbn2c.tasks.inputs import AS_BYTES, InputSpec, Preprocess

# Of 0 to 255: numbers that a user writes for 1 / 255 are rounded.
_NEAR = 0.5


def preprocess_of(graph: Graph, spec: InputSpec, given: Preprocess | None) -> Preprocess | None:
    """What the file says of its pixels, else what the user says; None if neither does.

    graph   as imported: a note says that the file's input is uint8
    raises  UsageError if the user says something else than the file
    """
    if not any(note.kind == "input" for note in graph.notes):
        return given
    if given is not None and given.suits_channels(spec.channels):
        values = given.pixel_values(spec.channels)
        if np.abs(values - np.arange(256)).max() > _NEAR:
            what = f"pixels of {values.min():.4g} to {values.max():.4g} for a file whose input is uint8"
            raise UsageError(what, where="--preprocess", hint="leave it out: the file takes bytes as they are")
    return given or AS_BYTES
