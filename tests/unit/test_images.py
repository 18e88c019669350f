"""Samples, preprocessing and labels: what the host loads, and every mistake a user can make with them."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy
from onnx import TensorProto, helper, numpy_helper
from PIL import ExifTags, Image, ImageOps
from shared import SHARED

from mbn2c.commands.verify.open_devices import read_lab
from mbn2c.errors import UsageError
from mbn2c.frontend.runtime import Oracle
from mbn2c.numerics import quantize_linear
from mbn2c.tasks.class_names import read_class_names
from mbn2c.tasks.classification.class_folders import classes_of_folders
from mbn2c.tasks.classification.csv_labels import labels_of, read_labels
from mbn2c.tasks.images import _resized, evenly_spaced, open_samples
from mbn2c.tasks.inputs import InputSpec, Preprocess

NCHW, NHWC = (0, 3, 1, 2), (0, 1, 2, 3)
RGB = InputSpec((1, 3, 8, 12), NCHW)
GRAY = InputSpec((1, 8, 12, 1), NHWC)
DATA = SHARED / "data"


def picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    shape = (height, width, 3) if channels == 3 else (height, width)
    return np.random.default_rng(height * width).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, height: int = 8, width: int = 12, channels: int = 3) -> np.ndarray:
    pixels = picture(height, width, channels)
    Image.fromarray(pixels).save(path)
    return pixels


# --- InputSpec -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "size", "sample_shape"),
    [
        (RGB, (8, 12, 3), (3, 8, 12)),
        (GRAY, (8, 12, 1), (8, 12, 1)),
        (InputSpec((3, 8, 12), (3, 1, 2)), (8, 12, 3), (3, 8, 12)),
        (InputSpec((1, 7), (0, 3)), (1, 1, 7), (7,)),
    ],
)
def test_input_spec(spec: InputSpec, size: tuple[int, ...], sample_shape: tuple[int, ...]) -> None:
    assert (spec.height, spec.width, spec.channels) == size
    assert spec.sample_shape == sample_shape
    values = np.arange(np.prod(size), dtype=np.float32).reshape(spec.shape)
    assert spec.to_nhwc(values).shape == (1, *size)
    assert np.array_equal(spec.from_nhwc(spec.to_nhwc(values)), values)


# --- preprocessing -------------------------------------------------------------------------------

PREPROCESSES = {
    "unit": Preprocess.named("unit"),
    "pm1": Preprocess.named("pm1"),
    "imagenet": Preprocess.named("imagenet"),
    "own numbers": Preprocess((0.1,), (0.3, 0.5, 0.7)),
}


@pytest.mark.parametrize("name", PREPROCESSES)
@pytest.mark.parametrize(("scale", "zero_point"), [(1 / 255, -128), (0.0186584, -14), (0.5, 3), (1e-4, 0)])
def test_device_table_is_what_onnx_runtime_makes_of_the_pixels(name: str, scale: float, zero_point: int) -> None:
    preprocess = PREPROCESSES[name]
    pixels = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    nodes = [helper.make_node("QuantizeLinear", ["x", "scale", "zero_point"], ["y"])]
    constants = [
        numpy_helper.from_array(np.float32(scale), "scale"),
        numpy_helper.from_array(np.int8(zero_point), "zero_point"),
    ]
    values = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [256, 3]),
        helper.make_tensor_value_info("y", TensorProto.INT8, [256, 3]),
    ]
    graph = helper.make_graph(nodes, "quantize", values[:1], values[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    expected = Oracle(model.SerializeToString()).run({"x": preprocess.apply(pixels)})["y"]
    table = quantize_linear(preprocess.pixel_values(3), np.float32(scale), zero_point)
    assert table.shape == (3, 256)
    assert np.array_equal(table.T, expected)


@pytest.mark.parametrize(
    ("name", "pixel", "value"),
    [("unit", 255, 1.0), ("pm1", 0, -1.0), ("pm1", 255, 1.0), ("imagenet", 0, -0.485 / 0.229)],
)
def test_preprocess(name: str, pixel: int, value: float) -> None:
    assert np.isclose(Preprocess.named(name).apply(np.full((1, 3), pixel, np.uint8))[0, 0], value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Preprocess.named("caffe"), "no preprocessing is called 'caffe'"),
        (lambda: Preprocess((0.5,), (0.0,)), "must be positive"),
        (lambda: Preprocess((float("nan"),), (1.0,)), "not a list of numbers"),
        (lambda: Preprocess((), (1.0,)), "not a list of numbers"),
        (lambda: Preprocess.named("imagenet").check_channels(1), "3 numbers for mean, the model has 1 channel"),
    ],
)
def test_preprocess_refused(make: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()  # type: ignore[operator]


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


# (folders, class names, classes of the model, index of each folder, what is said)
CLASSES = [
    ("cat dog", "", 2, [0, 1], "folder names, in sorted order as in Keras and PyTorch: 0 cat, 1 dog"),
    ("cat dog", "dog cat", 2, [1, 0], "folder names, by the model's class names: 0 dog, 1 cat"),
    ("cat", "dog cat emu", 3, [1], "by the model's class names: 1 cat"),
    ("n01 n02", "dog cat", 2, [0, 1], "in sorted order"),
    ("cat dog", "", 3, None, "2 folders for 3 classes"),
    ("cat dgo", "dog cat", 2, None, "'dgo' is no class name of the model"),
    ("crane emu", "crane crane emu", 3, None, "two classes are called 'crane'"),
    ("0 1 2", "", 3, [0, 1, 2], "in sorted order"),
    ("0 1 10 2 3 4 5 6 7 8 9", "", 11, None, "sorted as text"),
    ("0 1 10 2 3 4 5 6 7 8 9", "0 1 2 3 4 5 6 7 8 9 10", 11, [0, 1, 10, 2, 3, 4, 5, 6, 7, 8, 9], "by the model's"),
    ("cat dog", "", 0, None, "no class of the image"),
]


@pytest.mark.parametrize(("folders", "names", "count", "expected", "note"), CLASSES, ids=[one[4] for one in CLASSES])
def test_classes_of_folders(folders: str, names: str, count: int, expected: list[int] | None, note: str) -> None:
    found = classes_of_folders(folders.split(), names.split(), count)
    assert note in found.note
    assert found.labels([f"{folder}/a.png" for folder in folders.split()]) == expected


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


# --- what is refused -----------------------------------------------------------------------------


def _npz(**arrays: object):  # type: ignore[no-untyped-def]
    def make(folder: Path) -> Path:
        np.savez(folder / "inputs.npz", **arrays)  # type: ignore[arg-type]
        return folder / "inputs.npz"

    return make


def _file(name: str, content: bytes, open_folder: bool = True):  # type: ignore[no-untyped-def]
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder if open_folder else folder / name

    return make


def _tree(*files: str):  # type: ignore[no-untyped-def]
    def make(folder: Path) -> Path:
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            save(folder / file)
        return folder

    return make


def _deep(folder: Path) -> Path:
    Image.fromarray(np.zeros((8, 12), np.uint16)).save(folder / "a.png")
    return folder


def _truncated(folder: Path) -> Path:
    save(folder / "a.png", 100, 100)
    (folder / "a.png").write_bytes((folder / "a.png").read_bytes()[:3000])
    return folder


GOOD_NPZ = np.zeros((2, 3, 8, 12), np.float32)


def _npy_renamed(folder: Path) -> Path:
    np.save(folder / "a.npy", GOOD_NPZ)
    return (folder / "a.npy").rename(folder / "a.npz")


def _zip(name: str, content: bytes):  # type: ignore[no-untyped-def]
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, content)
        return folder / "a.npz"

    return make


def _npy_header(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    npy.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": "<f4"})
    return file.getvalue()


def _flipped(behind: bytes, offset: int, bits: int):  # type: ignore[no-untyped-def]
    """A good compressed .npz with one byte changed, so far behind the first place where `behind` stands."""

    def make(folder: Path) -> Path:
        np.savez_compressed(folder / "a.npz", a=GOOD_NPZ)
        content = bytearray((folder / "a.npz").read_bytes())
        content[content.index(behind) + offset] ^= bits
        (folder / "a.npz").write_bytes(content)
        return folder / "a.npz"

    return make


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "a.npz")
    return folder / "a.npz"


def _device(folder: Path) -> Path:
    (folder / "a.npz").symlink_to("/dev/zero")
    return folder / "a.npz"


def _npz_folder(folder: Path) -> Path:
    (folder / "a.npz").mkdir()
    return folder / "a.npz"


def _narrow(folder: Path) -> Path:
    Image.new("L", (1, 2_000_000)).convert("RGB").save(folder / "a.png")
    return folder


def _png_chunk(folder: Path) -> Path:
    """An iCCP chunk that is cut short: Pillow raises something else than OSError."""
    save(folder / "a.png", 12, 8)
    content = (folder / "a.png").read_bytes()
    place = content.index(b"IDAT") - 4
    (folder / "a.png").write_bytes(content[:place] + b"\0\0\0\1pHYs\0" + b"\0\0\0\0" + content[place:])
    return folder


REFUSED = {
    "no folder": (lambda folder: folder / "gone", "no such folder"),
    "empty folder": (lambda folder: folder, "holds no PNG or JPEG"),
    "folders two deep": (_tree("train/cats/a.png", "test/cats/a.png"), "holds no PNG or JPEG"),
    "images beside folders": (_tree("a.png", "cats/b.png"), "images lie beside folders of images: a.png, cats/"),
    "a folder in a class": (_tree("cats/a.png", "cats/old/b.png"), "lies in a class folder: cats/old/"),
    "classes one and two deep": (_tree("cats/a.png", "dogs/old/b.png"), "lies in a class folder: dogs/old/"),
    "other file": (_file("labels.csv", b"file,index\n", open_folder=False), "neither an images folder nor an .npz"),
    "not an image": (_file("a.png", b"hello"), "cannot read the image"),
    "empty image": (_file("a.jpg", b""), "cannot read the image"),
    "image cut short": (_truncated, "cannot read the image"),
    "16 bits": (_deep, "only 8 bits"),
    "not an npz": (_file("a.npz", b"hello", open_folder=False), "cannot read the file"),
    "empty npz": (_npz(), "holds 0 arrays"),
    "two arrays": (_npz(a=GOOD_NPZ, b=GOOD_NPZ), "holds 2 arrays"),
    "other shape": (_npz(a=GOOD_NPZ.transpose(0, 2, 3, 1)), r"shape \[2, 8, 12, 3\], the model takes \[N, 3, 8, 12\]"),
    "no batch": (_npz(a=GOOD_NPZ[0]), "the model takes"),
    "no rows": (_npz(a=GOOD_NPZ[:0]), "the model takes"),
    "NaN": (_npz(a=np.full_like(GOOD_NPZ, np.nan)), "NaN or infinite"),
    "text": (_npz(a=np.array(["cat"])), "is of type"),
    "objects": (_npz(a=np.array([{}], dtype=object)), "Python objects"),
    "complex numbers": (_npz(a=GOOD_NPZ.astype(np.complex64)), "is of type"),
    "records": (_npz(a=np.zeros(2, [("a", "f4"), ("b", "i4")])), "is of type"),
    "beyond float32": (_npz(a=np.full(GOOD_NPZ.shape, 1e300)), "NaN or infinite"),
    "a bare npy": (_npy_renamed, "numpy.savez writes an .npz"),
    "a text in the zip": (_zip("a.txt", b"hello"), "'a.txt' in it is no array"),
    "an npy cut short": (_zip("a.npy", b"\x93NUMPY\x01\x00"), "cannot read the file"),
    "a header that is no header": (_zip("a.npy", b"\x93NUMPY\x01\x00\x08\x00 (1, 2)\n"), "cannot read the file"),
    "terabytes declared": (_zip("a.npy", _npy_header((10**9, 3, 8, 12))), "needs 1,152,000,000,000 bytes, 0 are there"),
    "a negative shape": (_zip("a.npy", _npy_header((-1, 3, 8, 12))), "bytes, 0 are there"),
    "a zip bomb": (_zip("a.npy", bytes(300 << 20)), "it declares 314,572,800 bytes of content in a file of"),
    "a zip with a password": (_flipped(b"PK\x01\x02", 8, 1), "cannot read the file"),
    "a damaged deflate stream": (_flipped(b"a.npy", 5 + 20, 0xFF), "cannot read the file"),
    "a pipe": (_pipe, "a device or a pipe"),
    "a link to a device": (_device, "a device or a pipe"),
    "a folder": (_npz_folder, "holds no PNG or JPEG"),
    "a very narrow image": (_narrow, "too narrow to crop"),
    "a PNG with a damaged chunk": (_png_chunk, "cannot read the image"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    make, message = REFUSED[name]
    with pytest.raises(UsageError, match=message) as caught:
        list(open_samples(make(tmp_path), RGB))
    assert caught.value.where
    assert caught.value.hint


def test_more_channels_than_an_image_has(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    with pytest.raises(UsageError, match="takes 4 channels"):
        open_samples(tmp_path, InputSpec((1, 4, 8, 12), NCHW))


@pytest.mark.parametrize(("options", "message"), [({"resize": "zoom"}, "'zoom'"), ({"limit": 0}, "limit of 0")])
def test_wrong_option(options: dict[str, object], message: str, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    with pytest.raises(UsageError, match=message):
        open_samples(tmp_path, RGB, **options)  # type: ignore[arg-type]


# --- labels --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "class_names", "expected"),
    [
        ("file,index\na.png,3\nb.png,0\n", (), {"a.png": 3, "b.png": 0}),
        ("file,label,who\na.png,1,me\n\n", (), {"a.png": 1}),
        ("file,index,label\na.png,2,cat\n", (), {"a.png": 2}),
        ("\ufefflabel, file\ncat,x/a.png\ndog,b.png\n", ("dog", "cat"), {"x/a.png": 1, "b.png": 0}),
        ('file,label\n"a,b.png",0\n', (), {"a,b.png": 0}),
    ],
)
def test_read_labels(text: str, class_names: tuple[str, ...], expected: dict[str, int], tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    assert read_labels(tmp_path / "labels.csv", class_names) == expected


@pytest.mark.parametrize(
    ("content", "message", "where"),
    [
        (b"", "no rows", "labels.csv"),
        (b"file,index\n", "no rows", "labels.csv"),
        (b"name,index\na,1\n", "has no 'file'", "labels.csv"),
        (b"file,class\na,1\n", "neither 'index' nor 'label'", "labels.csv"),
        (b"file,index\na.png,1\n\nb.png,cat\n", "'cat' is no class index", "line 4"),
        (b"file,index\na.png,-1\n", "'-1' is no class index", "line 2"),
        (b"file,index\na.png," + b"7" * 5000, "'7{80}' is no class index", "line 2"),
        ("file,index\na.png,1\u00b2\n".encode(), "'1\u00b2' is no class index", "line 2"),
        (b"file,index\na.png\n", "1 of 2 columns", "line 2"),
        (b"file,index\n,1\n", "without a file name", "line 2"),
        (b"file,index\na.png,1\na.png,2\n", "two labels", "line 3"),
        (b"\xff\xfe\x00", "not UTF-8", "labels.csv"),
    ],
)
def test_labels_refused(content: bytes, message: str, where: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(UsageError, match=message) as caught:
        read_labels(tmp_path / "labels.csv")
    assert where in caught.value.where


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("labels.txt", "cat\ndog\n\n", ("cat", "dog")),
        ("labels.csv", "index,synset,name\n1,n2,dog\n0,n1,cat\n", ("cat", "dog")),
    ],
)
def test_class_names(name: str, text: str, expected: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert read_class_names(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("labels.txt", "", "class name is empty"),
        ("labels.txt", "cat\n\ndog\n", "class name is empty"),
        ("labels.csv", "file,index\na.png,0\n", "no 'index' and 'name'"),
        ("labels.csv", "index,name\n0,cat\n2,dog\n", "without a gap"),
        ("labels.csv", "index,name\n0,cat\n0,dog\n", "two names"),
    ],
)
def test_class_names_refused(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message):
        read_class_names(tmp_path / name)


def test_no_labels_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such CSV"):
        read_labels(tmp_path / "gone.csv")


@pytest.mark.parametrize("read", [read_labels, read_class_names, read_lab])
def test_a_text_that_never_ends(read: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("zero.csv", "pipe.csv"):
        with pytest.raises(UsageError, match="is a device or a pipe"):
            read(tmp_path / name)
    with pytest.raises(UsageError, match="is a folder"):
        read(tmp_path)


# (samples, labels, what comes of it)
MATCHES = [
    (["a.png"], {"a.png": 1}, [1]),
    (["a.png"], {"x/y/a.png": 1}, [1]),
    (["cat/a.png", "dog/a.png"], {"cat/a.png": 0, "dog/a.png": 1}, [0, 1]),
    (["cat/a.png", "dog/a.png"], {"images/cat/a.png": 0, "images/dog/a.png": 1}, [0, 1]),
    (["cat/a.png", "dog/b.png"], {"a.png": 0, "b.png": 1}, [0, 1]),
    (["cat/a.png"], {"cat/a.png": 0, "a.png": 1}, [0]),
    (["cat/a.png", "dog/a.png"], {"a.png": 0}, "'a.png' may be cat/a.png or dog/a.png"),
    (["a.png"], {"x/a.png": 0, "y/a.png": 1}, "'a.png' has two labels"),
    (["a.png"], {"x/a.png": 1, "y/a.png": 1}, [1]),
    (["cat/a.png"], {"dog/a.png": 1}, "no label for 1 of 1"),
    (["a.png"], {"aa.png": 1}, "no label for 1 of 1"),
]


@pytest.mark.parametrize(("names", "labels", "expected"), MATCHES, ids=[f"{one[0]} {one[1]}" for one in MATCHES])
def test_files_of_labels(names: list[str], labels: dict[str, int], expected: list[int] | str, tmp_path: Path) -> None:
    if isinstance(expected, str):
        with pytest.raises(UsageError, match=expected) as refused:
            labels_of(names, labels, 2, "labels.csv")
        assert refused.value.hint
    else:
        assert labels_of(names, labels, 2, "labels.csv") == expected


def test_labels_of() -> None:
    labels = {"a.png": 1, "b.png": 5}
    assert labels_of(["b.png", "a.png"], labels, 6, "labels.csv") == [5, 1]
    with pytest.raises(UsageError, match=r"no label for 1 of 2 images, the first is 'c\.png'"):
        labels_of(["a.png", "c.png"], labels, 6, "labels.csv")
    with pytest.raises(UsageError, match="class index 5, the model has 5 classes"):
        labels_of(["a.png", "b.png"], labels, 5, "labels.csv")


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not there")
@pytest.mark.parametrize(("folder", "size", "classes"), [("vww_96", 96, 2), ("imagenet_500", 224, 1000)])
def test_shared_images(folder: str, size: int, classes: int) -> None:
    spec = InputSpec((1, 3, size, size), NCHW)
    samples = open_samples(DATA / folder, spec, limit=20)
    labels = labels_of(samples.names, read_labels(DATA / folder / "labels.csv"), classes, "labels.csv")
    assert len(labels) == len(samples) == 20
    for sample in samples:
        assert sample.pixels is not None
        assert np.array_equal(sample.pixels[0], np.asarray(Image.open(DATA / folder / sample.name).convert("RGB")))
