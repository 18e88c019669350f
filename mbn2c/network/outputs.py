"""Graph, and what a device returns -> the real values of each output, as a task compares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mbn2c.ir.graph import Graph
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.tasks.protocol import Answers, Task


def split_outputs(graph: Graph, found: bytes) -> list[np.ndarray]:
    """What a device returns for an image, its outputs one after the other -> int8 [1, H, W, C] each."""
    outputs, offset = [], 0
    for port in graph.outputs:
        shape = graph.tensors[port.tensor].shape
        outputs.append(np.frombuffer(found, np.int8, int(np.prod(shape)), offset).reshape(shape))
        offset += outputs[-1].size
    return outputs


def real_values(graph: Graph, codes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """int8 values of each output -> float64."""
    quants = [quant_of(graph, port.tensor) for port in graph.outputs]
    return [
        np.asarray((one.astype(np.float64) - quant.zero_point) * float(scale_of(quant)))
        for one, quant in zip(codes, quants, strict=True)
    ]


def device_answers(
    graph: Graph,
    task: Task,
    got: bytes,
    expected: bytes,
    int8: Sequence[np.ndarray],
    floats: Mapping[str, np.ndarray] | None,
) -> Answers:
    """What device and host have computed of one image.

    got       all outputs as the device returns them
    expected  as the integer reference makes them
    int8      each output of the int8 model in ONNX Runtime, int8 NHWC
    floats    each output of the float model as the file has it, by name; None without one
    """
    return Answers(
        int8=real_values(graph, split_outputs(graph, got)),
        float32=None if floats is None else [output.before_tail(floats[output.name]) for output in task.outputs],
        oracle=real_values(graph.network, int8),
        reference=real_values(graph, split_outputs(graph, expected)),
    )
