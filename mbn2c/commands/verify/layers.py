"""One input on a device, layer by layer -> the first layer that differs from the reference."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

from mbn2c.commands.verify.device import Device
from mbn2c.errors import BoardError
from mbn2c.ir.plan import Plan, from_memory, in_memory
from mbn2c.ops.base.operator import quant_of


def first_bad_layer(device: Device, plan: Plan, frame: bytes, reference: Mapping[str, np.ndarray]) -> tuple[str, str]:
    """The first step whose CRC-32 is not that of the reference's rows, and how the device contradicts itself; or ""."""
    session = device.session
    digests = session.layer_digests(frame)
    unstable = session.last_fault
    for call in plan.calls:
        rows, buffer = reference[call.write], plan.buffers[call.write]
        expected = in_memory(buffer, rows, quant_of(plan.graph, call.write).zero_point)
        if digests[call.step] != zlib.crc32(expected.tobytes()):
            step = f"step {call.step}, {call.node or 'input'}"
            try:
                raw = b"".join(session.layer_dump(frame, call.step))
            except BoardError:
                return f"{step}: its digest differs", unstable
            unstable = unstable or session.last_fault
            if zlib.crc32(raw) != digests[call.step]:
                unstable = unstable or f"{step}: its rows have another digest in the next run"
            if len(raw) != expected.nbytes:
                return f"{step}: {len(raw)} bytes, not {expected.nbytes}", unstable
            dumped = from_memory(buffer, np.frombuffer(raw, np.int8))
            first = [int(axis) for axis in np.argwhere(dumped != rows)[0]] if (dumped != rows).any() else []
            at = f", first at row {first[1]}, column {first[2]}, channel {first[3]}" if first else ""
            return f"{step}: {int((dumped != rows).sum())} bytes differ{at}", unstable
    return "", unstable
