"""Options -> the images that a network is calibrated or compared with, and what they need."""

from __future__ import annotations

from pathlib import Path

from mbn2c.errors import UsageError
from mbn2c.network.options import RANDOM, NetworkOptions
from mbn2c.tasks.images import Samples
from mbn2c.tasks.inputs import InputSpec
from mbn2c.tasks.protocol import Task


def open_calibration(options: NetworkOptions, task: Task, spec: InputSpec) -> Samples | None:
    """None for noise and where images are drawn. Raises UsageError."""
    if options.calib in (None, RANDOM):
        if options.calib_limit is not None:
            raise UsageError("--calib-limit needs images", hint="--calib FOLDER, or leave it out")
        return None
    return task.open_samples(Path(options.calib), spec, resize=options.resize, limit=options.calib_limit)


def check_preprocess(options: NetworkOptions, spec: InputSpec, samples: Samples | None) -> None:
    """Raises UsageError if the pixels of images, or what the device does with its own, are not known."""
    hint = "--preprocess unit, pm1 or imagenet, or --mean and --std: what the model was trained with"
    if samples is not None and samples.are_pixels and options.preprocess is None:
        raise UsageError("how the model wants its pixels is not given", where=str(options.calib), hint=hint)
    if options.camera is not None and options.input_kind != "uint8":
        raise UsageError("a camera's rows become bytes, and the input is int8", hint="--input uint8 with --camera")
    if options.camera is not None and spec.channels not in (1, 3):
        raise UsageError(f"no camera gives {spec.channels} channels", hint="leave --camera out")
    if options.input_kind == "uint8" and options.preprocess is None:
        raise UsageError("--input uint8 needs the preprocessing the device shall do", hint=hint)
    if options.preprocess is not None:
        options.preprocess.check_channels(spec.channels)
