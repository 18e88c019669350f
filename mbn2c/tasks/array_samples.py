"""Images in memory -> Samples' items: uint8 pixels still to be preprocessed, or floats taken as they are."""

from __future__ import annotations

import numpy as np

from mbn2c.errors import UsageError
from mbn2c.tasks.inputs import InputSpec, Sample


def samples_of_array(images: np.ndarray, spec: InputSpec) -> list[Sample]:
    """One Sample per image, named by its number.

    images  uint8 [N, H, W, C] or [H, W, C], of gray images also without C; or floats [N, ...] or [...] in the model's
            own axis order, without the batch axis
    raises  UsageError for another type or shape, or numbers that are none
    """
    if images.dtype == np.uint8:
        pixels = _batch(images, spec.nhwc[1:], "uint8 pixels [N, H, W, C]")
        return [Sample(str(number), pixels=one[None]) for number, one in enumerate(pixels)]
    if images.dtype.kind != "f":
        what = f"an array of {images.dtype} is neither pixels nor ready inputs"
        raise UsageError(what, hint="uint8 for pixels, float32 for inputs that are preprocessed already")
    values = _batch(images, spec.sample_shape, "floats in the model's own axis order")
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise UsageError("the array holds NaN or infinite values", hint="check how it was made")
    return [Sample(str(number), values=one.reshape(spec.shape)) for number, one in enumerate(values)]


def _batch(images: np.ndarray, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """[N, *shape]. An axis of one channel may be missing at the end."""
    for one in dict.fromkeys((shape, shape[:-1] if shape[-1] == 1 else shape)):
        if images.shape == one or (images.shape[1:] == one and len(images)):
            return np.ascontiguousarray(images).reshape(-1, *shape)
    raise UsageError(
        f"the array has shape {list(images.shape)}, {kind} are [N, {', '.join(map(str, shape))}] here",
        hint="images of another size come from files: give their folder, and they are scaled as in verify",
    )
