"""What a verify is about, and the results that an earlier one of the same left behind -> Tallies to go on with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from mbn2c import __version__
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.verify.device import Device
from mbn2c.commands.verify.journal import Entry
from mbn2c.commands.verify.one_image import Models, Tally, VerifyOptions
from mbn2c.errors import UsageError
from mbn2c.tasks.classification.likeness import Likeness
from mbn2c.tasks.images import Samples

_HINT = "leave --resume out to begin anew"
_OF_ONE_IMAGE = ("rotated", "unstable", "device_hits", "int8_hits", "float_hits", "losses", "gains")
_MOST = 1 << 63
_MOST_SQUARES = 1e300


def subject_of(
    output: OutputFolder,
    models: Models,
    samples: Samples,
    labels: Sequence[int] | None,
    options: VerifyOptions,
    devices: Sequence[Device],
) -> dict[str, Any]:
    """All that results depend on, but the contents of the images: those stand beside each result."""
    files = [output.int8_model, output.float_model or output.fused_model]
    facts = [device.session.facts for device in devices]
    return {
        "version of mbn2c": __version__,
        "network": [output.digest.hex(), *(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)],
        "build": _digest(output.report["build"]),
        "images": [len(samples), _digest(samples.names)],
        "labels": _digest(labels),
        "kinds of outputs": {one.name: one.kind for one in models.outputs},
        "options": {"layers": options.layers, "digest": options.digest},
        "firmware": sorted({f"{one.board} {one.core} {one.version} {one.build:08x}" for one in facts}),
    }


def _digest(plain: object) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def taken_over(
    done: Mapping[int, Entry], samples: Samples, output_bytes: int, compared: int, where: str
) -> dict[int, Tally]:
    """The results of an earlier verify, by position of the image.

    output_bytes  compared for each image
    compared      how many outputs are compared with the float model
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
        tally = _tally(entry.result)
        if (
            tally is None
            or (tally.images, tally.outputs_compared) != (1, output_bytes)
            or any(getattr(tally, count) > 1 for count in _OF_ONE_IMAGE)
            or [len(image) for image in tally.likeness] != ([compared] if compared else [])
        ):
            raise UsageError(f"what the journal says of '{name}' is no result of one image", where=where, hint=_HINT)
        results[position] = tally
    return results


def _tally(result: Mapping[str, Any]) -> Tally | None:
    """None unless each field is there, of its kind, and nothing else."""
    return Tally(**result) if _has_fields_of(Tally, result) else None


def _has_fields_of(kind: type, found: object) -> bool:
    kinds = {entry.name: str(entry.type) for entry in fields(kind)}
    return (
        isinstance(found, dict)
        and set(found) == set(kinds)
        and all(_is_of(kind, found[name]) for name, kind in kinds.items())
    )


def _is_of(kind: str, value: object) -> bool:
    if kind.startswith("list["):
        inner = kind.removeprefix("list[").removesuffix("]")
        return isinstance(value, list) and all(_is_of(inner, one) for one in value)
    match kind:
        case "int":  # all are counts
            return type(value) is int and 0 <= value < _MOST
        case "float":  # JSON has NaN and infinities in Python
            return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST_SQUARES
        case "float | None":
            return value is None or _is_of("float", value)
        case "str":
            return isinstance(value, str)
        case "dict[str, Any]":
            return _has_fields_of(Likeness, value)
    raise TypeError(f"a Tally's {kind} is not checked")
