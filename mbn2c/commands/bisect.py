"""Output folder and a device that computes something else -> the first layer that is wrong, and the element.

The inputs are those of the stress set, which reach all layers. Over the line go one frame and a digest of each layer
until one differs; then the frame once more, and the CRC-32 of each row of that layer up to the wrong one, which alone
is sent whole. So a slow line carries two frames and little else, however large the layer. Where no layer differs the
last input runs once more for its output.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.verify.device import Device
from mbn2c.commands.verify.one_image import Models, open_models
from mbn2c.commands.verify.stress import stress_sample
from mbn2c.emit.expectations import Expectations
from mbn2c.ir.plan import Call, from_memory
from mbn2c.network.stress_inputs import open_stress
from mbn2c.progress import Stages
from mbn2c.tasks.inputs import Sample

BISECT_STAGES = _CONSTANTS, _LAYERS = ("compare constants", "compare layers")


@dataclass(frozen=True)
class WrongElement:
    """The first byte that is not the reference's, in the order in which the layer's rows are made.

    row, column, channel  of the layer's output; None: it is in the padding around it
    found  None: its row was never made
    """

    row: int | None
    column: int | None
    channel: int | None
    expected: int
    found: int | None


@dataclass(frozen=True)
class WrongLayer:
    """The first step whose rows are not the reference's.

    kernel   C function; "" for what makes no call
    element  None: its rows were right when the input was run again
    """

    input: str
    step: int
    name: str
    op: str
    kernel: str
    element: WrongElement | None


@dataclass(frozen=True)
class WrongArray:
    """A constant array whose bytes in the device's memory are not those that were packed; layer: who reads it."""

    name: str
    layer: str


@dataclass(frozen=True)
class Bisection:
    """What a device does wrong.

    arrays    that differ; the layer that reads one is usually the first wrong one
    layer     None: all layers of all inputs have the reference's bytes
    is_output_wrong  though all layers are right: what brings it from the arena to the caller is at fault
    unstable  in what the device contradicted itself, in words
    inputs, steps, constants  compared, until something differed
    sent_bytes, received_bytes  on the line
    """

    verified: str
    arrays: tuple[WrongArray, ...]
    layer: WrongLayer | None
    is_output_wrong: bool
    unstable: str
    inputs: int
    steps: int
    constants: int
    sent_bytes: int
    received_bytes: int
    wall_s: float

    @property
    def is_right(self) -> bool:
        """Whether nothing was found."""
        return not self.arrays and self.layer is None and not self.is_output_wrong and not self.unstable


def bisect(output: OutputFolder, device: Device, stages: Stages | None = None) -> Bisection:
    """BISECT_STAGES begin in `stages`. Raises BoardError if the line fails, or the device stops answering."""
    stages = stages or Stages(BISECT_STAGES)
    stages.begin(_CONSTANTS)
    started, session = time.monotonic(), device.session
    models, recipes = open_models(output, {}), open_stress(output.record.stress)
    expected = device.expectations(output)
    arrays = tuple(
        WrongArray(array.name, array.owner)
        for number, array in enumerate(expected.constants)
        if session.constant(number) != (array.size_bytes, array.crc)
    )
    layer, unstable, inputs, is_output_wrong = None, "", 0, False
    for recipe in stages.begin(_LAYERS)(recipes, "inputs", len(recipes)):
        inputs += 1
        sample = stress_sample(models, recipe)
        layer, unstable = _first_wrong(output, device, expected, models, sample)
        if layer is not None or unstable:
            break
    else:
        is_output_wrong = _is_output_wrong(device, models, sample)
    return Bisection(
        device.verified,
        arrays,
        layer,
        is_output_wrong,
        unstable,
        inputs,
        len(expected.plan.calls),
        len(expected.constants),
        session.sent_bytes,
        session.received_bytes,
        time.monotonic() - started,
    )


def _is_output_wrong(device: Device, models: Models, sample: Sample) -> bool:
    """One more frame, for the outputs alone."""
    _, frame, reference, _ = models.compared(sample, are_codes=False)
    right = b"".join(reference[port.tensor].tobytes() for port in models.graph.outputs)
    return device.session.run_digest(frame) != zlib.crc32(right)


def _first_wrong(
    output: OutputFolder, device: Device, expected: Expectations, models: Models, sample: Sample
) -> tuple[WrongLayer | None, str]:
    """The first wrong layer on one input, and how the device contradicted itself."""
    session = device.session
    _, frame, reference, _ = models.compared(sample, are_codes=False)
    digests, unstable = session.layer_digests(frame), session.last_fault
    right = expected.digests(reference)
    wrong = [call for call in expected.plan.calls if digests[call.step : call.step + 1] != [right[call.step]]]
    if not wrong:
        return None, unstable
    call = wrong[0]
    found = session.first_wrong_row(frame, call.step, expected.rows(call, reference).tobytes())
    unstable = unstable or session.last_fault
    facts = device.session.facts
    kernels = {layer.name: layer.kernel for layer in output.record.layers} if facts.board == output.record.board else {}
    op = expected.plan.graph.producer[call.write].op if call.node else "input"
    layer = WrongLayer(sample.name, call.step, call.node or "input", op, kernels.get(call.node, ""), None)
    if found is None:
        return layer, unstable or "its rows are right when the input is run again"
    return replace(layer, element=_element(expected, call, reference, *found)), unstable


def _element(
    expected: Expectations, call: Call, reference: Mapping[str, np.ndarray], offset: int, row: bytes
) -> WrongElement:
    """Where the first byte of a row differs; offset: of the row, in all rows as they are made.

    row  none: it was never made
    """
    rows = expected.rows(call, reference)
    there = rows.copy()
    there[offset : offset + len(row)] = np.frombuffer(row, np.int8)
    at = int(np.flatnonzero(there != rows)[0]) if row else offset
    values = reference[call.write]
    # A mark that no other byte has, brought back as a tensor, tells which element lies there.
    marked = rows.copy()
    marked[at] = there[at] if row else ~rows[at]
    tensor = from_memory(expected.plan.buffers[call.write], marked)
    places: Sequence[Sequence[int]] = np.argwhere(tensor != values).tolist()
    _, y, x, channel = places[0] if places else (None, None, None, None)
    return WrongElement(y, x, channel, int(rows[at]), int(there[at]) if row else None)
