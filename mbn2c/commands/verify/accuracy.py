"""What device, int8 model and float model say of one image -> the accuracy fields of a Tally."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from mbn2c.ir.graph import Graph
from mbn2c.network.outputs import real_values, split_outputs
from mbn2c.tasks.classification.likeness import compare
from mbn2c.tasks.classification.outputs import OutputSpec, main_output


def accuracy_counts(
    graph: Graph,
    outputs: Sequence[OutputSpec],
    got: bytes,
    int8: Sequence[np.ndarray],
    floats: Mapping[str, np.ndarray] | None,
    label: int | None,
) -> dict[str, Any]:
    """Hits, losses and gains are those of the main output; `likeness` compares each with the float model's.

    got     all outputs as the device returns them
    int8    each output of the int8 model, int8 NHWC
    floats  each output of the float model as the file has it, by name; None without one
    label   class of the image; None where it is not known
    """
    main = main_output(outputs)
    device = [real_values(graph, number, codes) for number, codes in enumerate(split_outputs(graph, got))]

    def right(values: np.ndarray) -> bool:
        return label is not None and outputs[main].choice(values) == label

    counts: dict[str, Any] = {
        "device_hits": int(right(device[main])),
        "int8_hits": int(right(real_values(graph, main, int8[main]))),
    }
    if floats is None:
        return counts
    wanted = [output.before_tail(floats[output.name]) for output in outputs]
    triples = zip(outputs, wanted, device, strict=True)
    counts["likeness"] = [[asdict(compare(output, expected, found)) for output, expected, found in triples]]
    device_right, float_right = right(device[main]), right(wanted[main])
    counts["float_hits"] = int(float_right)
    counts["losses"], counts["gains"] = int(float_right and not device_right), int(device_right and not float_right)
    return counts
