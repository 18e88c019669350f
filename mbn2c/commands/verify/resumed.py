"""What a verify is about, and the results that an earlier one of the same left behind -> Tallies to go on with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from mbn2c import __version__
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.verify.device import Device
from mbn2c.commands.verify.journal import Entry
from mbn2c.commands.verify.one_image import Models, Tally, VerifyOptions
from mbn2c.errors import UsageError
from mbn2c.files.typed_json import from_plain, to_plain
from mbn2c.tasks.images import Samples
from mbn2c.tasks.protocol import Task

_HINT = "leave --resume out to begin anew"
_OF_ONE_IMAGE = ("rotated", "unstable")


def subject_of(
    output: OutputFolder,
    models: Models,
    samples: Samples,
    labels: Sequence[Any] | None,
    options: VerifyOptions,
    devices: Sequence[Device],
) -> dict[str, Any]:
    """All that results depend on, but the contents of the images: those stand beside each result."""
    files = [output.int8_model, output.float_model or output.fused_model]
    facts = [device.session.facts for device in devices]
    return {
        "version of mbn2c": __version__,
        "network": [output.digest.hex(), *(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)],
        "build": _digest(to_plain(output.record.build)),
        "images": [len(samples), _digest(samples.names)],
        "labels": _digest(labels),
        "task": models.task.name,
        "kinds of outputs": models.task.described(),
        "options": {"layers": options.layers, "digest": options.digest},
        "firmware": sorted({f"{one.board} {one.core} {one.version} {one.build:08x}" for one in facts}),
    }


def _digest(plain: object) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def taken_over(
    done: Mapping[int, Entry], samples: Samples, output_bytes: int, task: Task, has_float: bool, where: str
) -> dict[int, Tally]:
    """The results of an earlier verify, by position of the image.

    output_bytes  compared for each image
    has_float     outputs are compared with a float model
    where         the journal, for messages
    raises        UsageError if one is no result of one of these images as they are now
    """
    results: dict[int, Tally] = {}
    for position, entry in done.items():
        if not 0 <= position < len(samples):
            raise UsageError(f"the journal has an image {position} of {len(samples)}", where=where, hint=_HINT)
        name = samples.names[position]
        if samples.digest(position) != entry.sha256:
            raise UsageError(f"'{name}' has changed since its result was written", where=where, hint=_HINT)
        tally = _tally(entry.result, output_bytes, task, has_float)
        if tally is None:
            raise UsageError(f"what the journal says of '{name}' is no result of one image", where=where, hint=_HINT)
        results[position] = tally
    return results


def _tally(result: Mapping[str, Any], output_bytes: int, task: Task, has_float: bool) -> Tally | None:
    """None unless it is one of one image, and the task's record in it is possible."""
    try:
        tally: Tally = from_plain(result, Tally)
        records = [from_plain(one, task.record) for one in tally.records]
    except ValueError:
        return None
    is_one = (tally.images, tally.outputs_compared, len(records)) == (1, output_bytes, 1)
    is_one = is_one and all(getattr(tally, count) <= 1 for count in _OF_ONE_IMAGE)
    return tally if is_one and task.is_possible(records[0], has_float) else None
