"""One input on a device, layer by layer -> the first layer that differs from the reference.

The only loop over layers: `--layers` asks it of every image, the stress set of each of its inputs.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mbn2c.emit.expectations import Expectations
from mbn2c.errors import BoardError
from mbn2c.ir.plan import Call, from_memory
from mbn2c.link.session import Session


@dataclass(frozen=True)
class LayerFinding:
    """What one input showed.

    bad       the first layer that differs, in words; "" for none
    unstable  how the device contradicts itself, in words; "" if it does not
    """

    bad: str = ""
    unstable: str = ""


def compare_layers(
    session: Session, expected: Expectations, frame: bytes, reference: Mapping[str, np.ndarray]
) -> LayerFinding:
    """The digests of all layers of one inference, and the rows of the first that differs, of another one.

    raises  BoardError if the digests do not come; what is found once stands even if the line fails then
    """
    digests, unstable = session.layer_digests(frame), session.last_fault
    for call, crc in zip(expected.plan.calls, expected.digests(reference), strict=True):
        if digests[call.step : call.step + 1] != [crc]:
            return _closer(session, expected, call, digests[call.step : call.step + 1], frame, reference, unstable)
    return LayerFinding("", unstable)


def _closer(
    session: Session,
    expected: Expectations,
    call: Call,
    told: list[int],
    frame: bytes,
    reference: Mapping[str, np.ndarray],
    unstable: str,
) -> LayerFinding:
    """Where the rows of a step differ, as the device has them when the input is run again."""
    step, right = f"step {call.step}, {call.node or 'input'}", expected.rows(call, reference)
    try:
        raw = b"".join(session.layer_dump(frame, call.step))
    except BoardError:
        return LayerFinding(f"{step}: its digest differs", unstable)
    unstable = unstable or session.last_fault
    if [zlib.crc32(raw)] != told:
        unstable = unstable or f"{step}: its rows have another digest in the next run"
    if raw == right.tobytes():
        return LayerFinding(f"{step}: its digest differs, and is right when the input is run again", unstable)
    if len(raw) != right.nbytes:
        return LayerFinding(f"{step}: {len(raw)} bytes, not {right.nbytes}", unstable)
    rows = reference[call.write]
    dumped = from_memory(expected.plan.buffers[call.write], np.frombuffer(raw, np.int8))
    first = [int(axis) for axis in np.argwhere(dumped != rows)[0]] if (dumped != rows).any() else []
    at = f", first at row {first[1]}, column {first[2]}, channel {first[3]}" if first else ""
    return LayerFinding(f"{step}: {int((dumped != rows).sum())} bytes differ{at}", unstable)
