"""Labels and class names from files, and which image each belongs to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pictures import NCHW
from PIL import Image
from shared import SHARED

from mbn2c.commands.verify.open_devices import read_lab
from mbn2c.errors import UsageError
from mbn2c.tasks.class_names import read_class_names
from mbn2c.tasks.classification.class_folders import classes_of_folders
from mbn2c.tasks.classification.csv_labels import labels_of, read_labels
from mbn2c.tasks.images import open_samples
from mbn2c.tasks.inputs import InputSpec
from mbn2c.tasks.truths import check_are_files

DATA = SHARED / "data"


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


@pytest.mark.parametrize(
    ("text", "class_names", "expected"),
    [
        ("file,index\na.png,3\nb.png,0\n", (), {"a.png": 3, "b.png": 0}),
        ("file,label,who\na.png,1,me\n\n", (), {"a.png": 1}),
        ("file,index,label\na.png,2,cat\n", (), {"a.png": 2}),
        ("\ufefflabel, file\ncat,x/a.png\ndog,b.png\n", ("dog", "cat"), {"x/a.png": 1, "b.png": 0}),
        ('file,label\n"a,b.png",0\n', (), {"a,b.png": 0}),
        ("file,class\na.png,1\n", (), {"a.png": 1}),
        ("class,label,file\n1,2,a.png\n", (), {"a.png": 2}),
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
        (b"file,kind\na,1\n", "none of 'index', 'label' and 'class'", "labels.csv"),
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


def test_truths_in_pixels_need_image_files() -> None:
    check_are_files(["a.png"], {"a.png", "b.png"}, Path("masks"), "masks")
    with pytest.raises(UsageError, match="masks need image files; '3' is none"):
        check_are_files(["a.png", "3"], {"a.png"}, Path("masks"), "masks")
