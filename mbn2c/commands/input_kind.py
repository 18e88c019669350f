"""Whether a network takes what it is given: raw pixels, or inputs that are ready."""

from __future__ import annotations

from mbn2c.errors import Page, UsageError
from mbn2c.report.record import BuildFacts


def check_input_kind(facts: BuildFacts, are_pixels: bool, where: str) -> None:
    """Raises UsageError for ready inputs of a network of pixels, and for pixels where no preprocessing is known."""
    if facts.input == "uint8" and not are_pixels:
        raise UsageError(
            "this network takes raw pixels (--input uint8), not ready inputs",
            where=where,
            hint="give a folder of images, or build with --input int8",
            page=Page.PIXELS,
        )
    if are_pixels and facts.preprocess is None:
        raise UsageError(
            "the build does not know how the model wants its pixels",
            where=where,
            hint="build with --preprocess, or --mean and --std, or give ready inputs as an .npz",
            page=Page.PIXELS,
        )
