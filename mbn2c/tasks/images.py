"""A folder of PNG and JPEG files, or an .npz of ready inputs -> Samples, loaded one by one."""

from __future__ import annotations

import hashlib
import io
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from mbn2c.errors import Page, UsageError
from mbn2c.files.user_files import read_npz
from mbn2c.tasks.camera import Camera
from mbn2c.tasks.folders import find_images
from mbn2c.tasks.inputs import InputSpec, Sample

RESIZES = ("crop", "stretch")
_MODES = {1: "L", 3: "RGB"}
# Of an image while it is scaled: what Pillow accepts of a file as well.
_MAX_PIXELS = 2 * 89_478_485
# What brings an image of each EXIF orientation upright; 1 is upright. ImageOps.exif_transpose does the same, but also
# writes the EXIF data anew, which fails on entries of the wrong type that nobody reads here.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Of them those that exchange columns and rows.
_TURNED = (
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
)


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples by number, in sorted order; iterating loads each image when its turn comes.

    files      image files, or () for an .npz
    values     float32 [N, ...] of an .npz, or None
    rows       which rows of `values` these are
    are_codes  the .npz holds integers: for a model whose input is int8 or uint8, what that input holds
    folders    names of all class folders in sorted order; () for a flat folder
    rotated    names of the files loaded so far that were turned or mirrored as their EXIF orientation says
    """

    spec: InputSpec
    files: tuple[Path, ...] = ()
    resize: str = "crop"
    values: np.ndarray | None = None
    rows: tuple[int, ...] = ()
    are_codes: bool = False
    folders: tuple[str, ...] = ()
    rotated: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.rows) if self.values is not None else len(self.files)

    def __iter__(self) -> Iterator[Sample]:
        return (self[position] for position in range(len(self)))

    def __getitem__(self, position: int) -> Sample:
        if self.values is not None:
            row = self.rows[position]
            return Sample(str(row), values=np.ascontiguousarray(self.values[row]).reshape(self.spec.shape))
        name = self.names[position]
        pixels, is_rotated = load_image(self.files[position], self.spec, self.resize)
        if is_rotated:
            self.rotated.add(name)
        return Sample(name, pixels=pixels)

    def digest(self, position: int) -> str:
        """The sha256 of what a sample is made of: its file, or its row of the .npz.

        raises  UsageError if the file cannot be read
        """
        if self.values is not None:
            kind = b"codes" if self.are_codes else b"values"
            return hashlib.sha256(kind + self.values[self.rows[position]].tobytes()).hexdigest()
        file = self.files[position]
        try:
            return hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError as error:
            hint = "remove or replace it"
            raise UsageError(f"cannot read the image: {error.strerror}", where=str(file), hint=hint) from None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """File names, "folder/file" where each class has a folder; row numbers for an .npz."""
        if self.values is not None:
            return tuple(str(row) for row in self.rows)
        return tuple(f"{file.parent.name}/{file.name}" if self.folders else file.name for file in self.files)

    @property
    def are_pixels(self) -> bool:
        """Whether they are image files, still to be preprocessed."""
        return self.values is None


def open_samples(path: Path, spec: InputSpec, *, resize: str = "crop", limit: int | None = None) -> Samples:
    """The samples of an images folder or an .npz.

    resize  "crop" scales the short side and crops the centre, "stretch" ignores the aspect ratio
    limit   take this many, evenly spaced over the sorted files
    raises  UsageError naming the file and what to do
    """
    if resize not in RESIZES:
        raise UsageError(f"no resize is called '{resize}'", hint=f"one of {', '.join(RESIZES)}")
    if limit is not None and limit < 1:
        raise UsageError(f"a limit of {limit} images leaves none", hint="give 1 or more")
    if path.is_dir():
        return _open_folder(path, spec, resize, limit)
    if not path.exists():
        raise UsageError("no such folder or file", where=str(path), hint="an images folder, or an .npz")
    if path.suffix.lower() != ".npz":
        raise UsageError(
            "neither an images folder nor an .npz file", where=str(path), hint="a folder of PNG/JPEG, or an .npz"
        )
    values, are_codes = _read_npz(path, spec)
    return Samples(spec, values=values, rows=tuple(evenly_spaced(len(values), limit)), are_codes=are_codes)


def evenly_spaced(count: int, limit: int | None) -> list[int]:
    """`limit` of `count` positions, evenly spaced, the first one included."""
    if limit is None or limit >= count:
        return list(range(count))
    return [number * count // limit for number in range(limit)]


# --- folders -------------------------------------------------------------------------------------


def _open_folder(path: Path, spec: InputSpec, resize: str, limit: int | None) -> Samples:
    if spec.channels not in _MODES:
        raise UsageError(
            f"the model takes {spec.channels} channels; image files give 1 (gray) or 3 (RGB)",
            where=str(path),
            hint="give the inputs as an .npz",
        )
    found = find_images(path)
    chosen = tuple(found.files[position] for position in evenly_spaced(len(found.files), limit))
    return Samples(spec, chosen, resize, folders=found.folders)


def load_image(path: Path, spec: InputSpec, resize: str) -> tuple[np.ndarray, bool]:
    """One image file at the network's size: uint8 [1, H, W, C]; a file of that size is used as it is.

    returns  the pixels, upright, and whether they were turned or mirrored for that, as the EXIF orientation says
    raises   UsageError if it cannot be read
    """
    if spec.camera is not None:
        return _through_camera(path, spec, spec.camera, resize)
    upright, is_turned = _upright_image(path, _MODES[spec.channels])
    resized = _resized(upright, spec.height, spec.width, resize, str(path))
    pixels = np.asarray(resized, dtype=np.uint8).reshape(1, spec.height, spec.width, spec.channels)
    return pixels, is_turned


def png_of(image: Image.Image) -> bytes:
    """A PNG file."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _through_camera(path: Path, spec: InputSpec, camera: Camera, resize: str) -> tuple[np.ndarray, bool]:
    """The same through a camera: a file of its frame's size is the frame, any other is what the network sees of it."""
    image, is_turned = _upright_image(path, "RGB")
    frame = np.zeros((camera.height, camera.width, 3), np.uint8)
    top, left, rows, columns = camera.window(spec.height, spec.width, resize)
    if image.size == (camera.width, camera.height):
        frame[:] = np.asarray(image)
    else:
        seen = _resized(image, rows, columns, resize, str(path))
        frame[top : top + rows, left : left + columns] = np.asarray(seen)
    pixels = camera.pixels(camera.encode(frame), (spec.height, spec.width, spec.channels), resize)
    return pixels[None], is_turned


def upright_image(path: Path) -> Image.Image:
    """An image file in its own size and RGB, upright. Raises UsageError as `load_image`."""
    return _upright_image(path, "RGB")[0]


def _upright_image(path: Path, mode: str) -> tuple[Image.Image, bool]:
    """The image, and whether it was turned or mirrored."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as opened:
                if opened.mode.startswith(("I", "F")):
                    raise UsageError(
                        f"an image of {opened.mode} pixels: only 8 bits per channel are supported",
                        where=str(path),
                        hint="convert it to an 8-bit PNG",
                    )
                turn = _turn_of(opened)
                image = opened.convert(mode)
    except UsageError:
        raise
    except Exception as error:  # Pillow's decoders raise struct.error, IndexError, zlib.error and others as well
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"cannot read the image: {reason}", where=str(path), hint="remove or replace it") from None
    return (image if turn is None else image.transpose(turn)), turn is not None


def resized_mask(mask: Image.Image, height: int, width: int, resize: str, where: str) -> Image.Image:
    """A mask as the image that it belongs to is brought to the network's size, without values between two."""
    return _resized(mask, height, width, resize, where, Image.Resampling.NEAREST)


def _resized(
    image: Image.Image,
    height: int,
    width: int,
    resize: str,
    where: str,
    filter_: Image.Resampling = Image.Resampling.BILINEAR,
) -> Image.Image:
    if image.size == (width, height):
        return image
    if resize == "stretch":
        return image.resize((width, height), filter_)
    scaled, (left, top) = covering(image.size, height, width)
    if math.prod(scaled) > _MAX_PIXELS:
        what = f"an image of {image.width} x {image.height} pixels is too narrow to crop"
        raise UsageError(what, where=where, hint="--resize stretch, or remove it", page=Page.IMAGES)
    image = image.resize(scaled, filter_)
    return image.crop((left, top, left + width, top + height))


def covering(size: tuple[int, int], height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """How "crop" covers a size with an image: its columns and rows when scaled, and those left out at left and top.

    size  columns and rows of the image
    """
    factor = max(width / size[0], height / size[1])
    scaled = (max(width, round(size[0] * factor)), max(height, round(size[1] * factor)))
    return scaled, ((scaled[0] - width) // 2, (scaled[1] - height) // 2)


def upright_size(path: Path) -> tuple[int, int]:
    """Columns and rows of an image file, upright. Raises OSError if it cannot be read."""
    with Image.open(path) as opened:
        columns, rows = opened.size
        return (rows, columns) if _turn_of(opened) in _TURNED else (columns, rows)


def _turn_of(opened: Image.Image) -> Image.Transpose | None:
    """What brings it upright, as its EXIF orientation says."""
    return _UPRIGHT.get(opened.getexif().get(ExifTags.Base.Orientation, 1))


# --- .npz ----------------------------------------------------------------------------------------


def _read_npz(path: Path, spec: InputSpec) -> tuple[np.ndarray, bool]:
    """The inputs as float32, and whether the file holds integers."""
    where = str(path)
    expected = "one array [N, " + ", ".join(map(str, spec.sample_shape)) + "] of float32"
    arrays = list(read_npz(path, "file", f"save {expected}").values())
    if len(arrays) != 1:
        raise UsageError(f"the file holds {len(arrays)} arrays, not one", where=where, hint=f"save {expected}")
    array = arrays[0]
    if array.dtype.kind not in "fiu":
        raise UsageError(f"the array is of type {array.dtype}", where=where, hint=f"save {expected}")
    if array.shape[1:] != spec.sample_shape or len(array) < 1:
        raise UsageError(
            f"the array has shape {list(array.shape)}, the model takes [N, {', '.join(map(str, spec.sample_shape))}]",
            where=where,
            hint="one row per input, in the model's own axis order, without the batch axis",
        )
    with np.errstate(over="ignore"):
        values: np.ndarray = array.astype(np.float32)
    if not np.isfinite(values).all():
        raise UsageError("the array holds NaN or infinite values", where=where, hint="check how it was made")
    return values, array.dtype.kind in "iu"
