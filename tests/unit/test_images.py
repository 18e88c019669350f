"""Samples: image files and arrays as the network takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pictures import GRAY, NCHW, RGB, picture, save
from PIL import ExifTags, Image, ImageOps

from mbn2c.errors import UsageError
from mbn2c.tasks.images import _resized, evenly_spaced, open_samples
from mbn2c.tasks.inputs import InputSpec, Preprocess

# --- folders -------------------------------------------------------------------------------------


def test_files_at_the_input_size_are_used_as_they_are(tmp_path: Path) -> None:
    pixels = save(tmp_path / "b.png")
    save(tmp_path / "a.PNG", 30, 40)
    save(tmp_path / "c.jpeg")
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "._b.png").write_bytes(b"")
    samples = open_samples(tmp_path, RGB)
    assert samples.names == ("a.PNG", "b.png", "c.jpeg")
    assert [sample.name for sample in samples] == list(samples.names)
    assert samples.are_pixels
    loaded = samples[1].pixels
    assert loaded is not None
    assert np.array_equal(loaded, pixels[None])


def test_model_input_is_in_the_model_s_axis_order(tmp_path: Path) -> None:
    pixels = save(tmp_path / "a.png")
    sample = open_samples(tmp_path, RGB)[0]
    values = sample.model_input(RGB, Preprocess.named("unit"))
    assert values.dtype == np.float32
    assert np.array_equal(values, (pixels.astype(np.float32) / np.float32(255)).transpose(2, 0, 1)[None])


@pytest.mark.parametrize("size", [(8, 12), (80, 120), (100, 50), (5, 200), (3, 3), (16, 25)])
@pytest.mark.parametrize("resize", ["crop", "stretch"])
@pytest.mark.parametrize("spec", [RGB, GRAY], ids=["rgb", "gray"])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_and_colour(
    size: tuple[int, int], resize: str, spec: InputSpec, channels: int, tmp_path: Path
) -> None:
    save(tmp_path / "a.png", *size, channels)
    pixels = open_samples(tmp_path, spec, resize=resize)[0].pixels
    assert pixels is not None
    assert pixels.dtype == np.uint8
    assert pixels.shape == (1, 8, 12, spec.channels)


def test_crop_takes_the_centre_and_stretch_everything(tmp_path: Path) -> None:
    pixels = np.zeros((8, 36), np.uint8)
    pixels[:, 12:24] = 200
    Image.fromarray(pixels).save(tmp_path / "a.png")
    cropped = open_samples(tmp_path, GRAY, resize="crop")[0].pixels
    stretched = open_samples(tmp_path, GRAY, resize="stretch")[0].pixels
    assert cropped is not None
    assert stretched is not None
    assert (cropped == 200).all()
    assert (stretched[0, :, 0] < 50).all()
    assert (stretched[0, :, 6] > 150).all()


# height and width, both after scaling to cover 8 x 12, row and column where the centre begins
CROPS = [
    ((80, 120), (8, 12), (0, 0)),
    ((100, 50), (24, 12), (8, 0)),
    ((5, 200), (8, 320), (0, 154)),
    ((3, 3), (12, 12), (2, 0)),
    ((16, 25), (8, 12), (0, 0)),  # 12.5 to the even number
    ((7, 11), (8, 13), (0, 0)),  # 12.57
    ((7, 13), (8, 15), (0, 1)),  # 14.86
    ((11, 12), (11, 12), (1, 0)),
]


@pytest.mark.parametrize("size, covering, start", CROPS, ids=[str(size) for size, _, _ in CROPS])
def test_crop_to_the_pixel(size: tuple[int, int], covering: tuple[int, int], start: tuple[int, int]) -> None:
    image = Image.fromarray(picture(*size))
    scaled = np.asarray(image.resize(covering[::-1], Image.Resampling.BILINEAR))
    expected = scaled[start[0] : start[0] + 8, start[1] : start[1] + 12]
    assert np.array_equal(np.asarray(_resized(image, 8, 12, "crop", "")), expected)


def test_too_narrow_to_crop() -> None:
    """A row of pixels covers 8 x 12 only as 8 rows of 8 times as many; Pillow's limit is for what comes out of that."""
    limit = 2 * 89_478_485
    widest = limit // 64
    with pytest.raises(UsageError, match=f"{widest + 1} x 1 pixels is too narrow"):
        _resized(Image.new("L", (widest + 1, 1)), 8, 12, "crop", "")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_image_modes(mode: str, tmp_path: Path) -> None:
    name = "a.jpg" if mode == "CMYK" else "a.png"
    Image.fromarray(picture(8, 12)).convert(mode).save(tmp_path / name)
    assert open_samples(tmp_path, RGB)[0].pixels is not None
    assert open_samples(tmp_path, GRAY)[0].pixels is not None


@pytest.mark.parametrize(
    ("count", "limit", "expected"),
    [(5, None, [0, 1, 2, 3, 4]), (10, 4, [0, 2, 5, 7]), (3, 9, [0, 1, 2]), (500, 2, [0, 250]), (7, 1, [0])],
)
def test_evenly_spaced(count: int, limit: int | None, expected: list[int]) -> None:
    assert evenly_spaced(count, limit) == expected


def test_limit(tmp_path: Path) -> None:
    for number in range(9):
        save(tmp_path / f"{number}.png")
    assert open_samples(tmp_path, RGB, limit=3).names == ("0.png", "3.png", "6.png")


# (what lies there, names of the samples, folders)
TREES = [
    (["a.png", "b.jpg"], ["a.png", "b.jpg"], []),
    (["dog/a.png", "cat/b.png", "cat/a.png"], ["cat/a.png", "cat/b.png", "dog/a.png"], ["cat", "dog"]),
    (["b/1.png", "a/", "B/1.png", "10/1.png", "9/1.png"], ["10/1.png", "9/1.png", "B/1.png", "b/1.png"], "10 9 B a b"),
    (["cat/a.png", ".git/b.png", "__MACOSX/a.png", "notes.txt"], ["cat/a.png"], ["cat"]),
    (["a.png", "notes/readme.txt", "empty/"], ["a.png"], []),
]


@pytest.mark.parametrize(("files", "names", "folders"), TREES, ids=[str(one[0]) for one in TREES])
def test_class_folders(files: list[str], names: list[str], folders: list[str] | str, tmp_path: Path) -> None:
    for file in files:
        (tmp_path / file if file.endswith("/") else (tmp_path / file).parent).mkdir(parents=True, exist_ok=True)
        if file.endswith((".png", ".jpg")):
            save(tmp_path / file)
        elif not file.endswith("/"):
            (tmp_path / file).write_text("none")
    samples = open_samples(tmp_path, RGB)
    assert list(samples.names) == names and [sample.name for sample in samples] == names
    assert list(samples.folders) == (folders.split() if isinstance(folders, str) else folders)


# --- EXIF orientation ----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("orientation", range(10))
def test_photos_are_turned_upright(orientation: int, suffix: str, tmp_path: Path) -> None:
    """As ImageOps.exif_transpose has it; 1 is upright, 0 and 9 mean nothing."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = Image.fromarray(picture(30, 40))
    image.save(tmp_path / f"a.{suffix}", exif=exif)
    image.save(tmp_path / f"b.{suffix}")
    samples = open_samples(tmp_path, InputSpec((1, 3, 40, 30), NCHW), resize="stretch")
    with Image.open(tmp_path / f"a.{suffix}") as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGB").resize((30, 40), Image.Resampling.BILINEAR)
    pixels = samples[0].pixels
    assert pixels is not None and np.array_equal(pixels[0], np.asarray(upright))
    assert samples[1].pixels is not None
    assert samples.rotated == ({f"a.{suffix}"} if 2 <= orientation <= 8 else set())


def test_damaged_exif_data_is_no_damaged_image(tmp_path: Path) -> None:
    """An entry of the wrong type, with which ImageOps.exif_transpose of Pillow 11 and 12 fails."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.XResolution] = 1.5
    Image.fromarray(picture(12, 8)).save(tmp_path / "a.jpg", exif=exif)
    content = (tmp_path / "a.jpg").read_bytes()
    entry = content.index(bytes([0x01, 0x1A, 0x00, 0x05]))  # XResolution, of type RATIONAL
    (tmp_path / "a.jpg").write_bytes(content[: entry + 3] + b"\x02" + content[entry + 4 :])  # of type ASCII
    samples = open_samples(tmp_path, RGB)
    assert samples[0].pixels is not None and samples.rotated == {"a.jpg"}


# --- .npz ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.uint8])
def test_npz_is_taken_as_it_is(dtype: type, tmp_path: Path) -> None:
    array = np.random.default_rng(0).uniform(0, 9, (6, 3, 8, 12)).astype(dtype)
    np.savez(tmp_path / "inputs.npz", whatever=array)
    samples = open_samples(tmp_path / "inputs.npz", RGB, limit=2)
    assert len(samples) == 2
    assert samples.names == ("0", "3")
    assert not samples.are_pixels
    assert np.array_equal(samples[1].model_input(RGB, Preprocess.named("pm1")), array[3:4].astype(np.float32))
