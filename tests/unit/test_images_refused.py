"""Images and arrays that cannot be taken: each is refused in words that name the file."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy
from pictures import NCHW, RGB, save
from PIL import Image

from mbn2c.errors import UsageError
from mbn2c.tasks.images import open_samples
from mbn2c.tasks.inputs import InputSpec


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
