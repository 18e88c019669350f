"""What a verify of a detector leaves to look at, and the folder that it leaves it in."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mbn2c.commands.verify.results import ResultsFolder
from mbn2c.errors import UsageError
from mbn2c.tasks.detection.decode import FoundBox
from mbn2c.tasks.detection.labels import placement
from mbn2c.tasks.detection.results import SeenImage, result_files
from mbn2c.tasks.detection.true_box import CROWD, TrueBox


@pytest.fixture
def seen(tmp_path: Path) -> SeenImage:
    """400x200 gray pixels, of which the network sees the middle, 100x100."""
    Image.new("RGB", (400, 200), (10, 10, 10)).save(tmp_path / "a.png")
    return SeenImage(
        "folder/a.png",
        tmp_path / "a.png",
        placement(tmp_path / "a.png", 100, 100, "crop"),
        [FoundBox(10, 40, 50, 80, 0, 0.75), FoundBox(60, 10, 90, 40, 1, 0.5)],
        [FoundBox(12, 40, 50, 80, 0, 0.7)],
        [TrueBox(0, 10, 50, 50, 90), TrueBox(1, 0, 0, 5, 5), TrueBox(0, 60, 50, 99, 99, CROWD)],
    )


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_boxes_are_drawn_where_they_are_in_the_file(seen: SeenImage) -> None:
    files = dict(result_files([seen], ["person", "car"]))
    assert list(files) == ["folder_a.png.jpg", "boxes.csv", "images.csv"]
    pixels = np.asarray(Image.open(io.BytesIO(files["folder_a.png.jpg"])).convert("RGB")).astype(int)
    assert pixels.shape == (400, 800, 3)  # small images are drawn larger
    pixels = pixels[::2, ::2]
    # x = 100 + 2 * that in the network's input, y = 2 * that: left edge of the first box, right edges of two true ones
    for (x, y), colour in (((121, 140), (255, 64, 32)), ((200, 170), (64, 224, 64)), ((297, 150), (160, 160, 160))):
        assert np.abs(pixels[y, x - 1 : x + 2] - colour).sum(axis=1).min() < 120, (x, y, pixels[y, x])
    assert pixels[100, 50].tolist() == pytest.approx([10, 10, 10], abs=3)


def test_tables(seen: SeenImage) -> None:
    files = dict(result_files([seen, replace(seen, name="b.jpg", float32=None, true=None)], ["person", "car"]))
    first, second, *_ = rows(files["boxes.csv"])
    assert first == {
        "file": "folder/a.png",
        "class": "person",
        "score": "0.75",
        "x1": "120.0",
        "y1": "80.0",
        "x2": "200.0",
        "y2": "160.0",
    }
    assert second["class"] == "car" and len(rows(files["boxes.csv"])) == 4
    known, unknown = rows(files["images.csv"])
    assert list(known.values()) == ["folder/a.png", "folder_a.png.jpg", "2", "1", "1", "2", "1", "1"]
    assert list(unknown.values()) == ["b.jpg", "b.jpg", "2", "", "", "", "", ""]


def test_large_images_are_drawn_smaller(seen: SeenImage) -> None:
    Image.new("RGB", (3000, 1000)).save(seen.file)
    _, picture = next(result_files([replace(seen, placement=placement(seen.file, 100, 100, "stretch"))], []))
    assert Image.open(io.BytesIO(picture)).size == (1280, 427)


# --- the folder ----------------------------------------------------------------------------------


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_what_an_earlier_verify_wrote_goes(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    ResultsFolder(folder).write([("a.jpg", b"1"), ("b.jpg", b"2")])
    (folder / "mine.txt").write_text("mine")
    again = ResultsFolder(folder)
    again.write([("b.jpg", b"3")])
    assert names(folder) == {"b.jpg", "files.txt", "mine.txt"} and (folder / "b.jpg").read_bytes() == b"3"
    assert again.files == ["b.jpg"] and (folder / "files.txt").read_text() == "b.jpg\n"


def test_without_files_there_is_no_folder(tmp_path: Path) -> None:
    ResultsFolder(tmp_path / "results").write([])
    assert not (tmp_path / "results").exists()


def test_a_list_that_was_edited_removes_nothing_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    ResultsFolder(folder).write([("a.jpg", b"1")])
    (tmp_path / "victim").write_text("still here")
    (folder / "files.txt").write_text("../victim\n")
    ResultsFolder(folder).write([("b.jpg", b"1")])
    assert (tmp_path / "victim").exists()


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    ResultsFolder(folder).write([("a.jpg", b"1")])
    (folder / "a.jpg").unlink()
    (folder / "a.jpg").symlink_to(tmp_path / "elsewhere")
    ResultsFolder(folder).write([("a.jpg", b"2")])
    assert not (tmp_path / "elsewhere").exists() and (folder / "a.jpg").read_bytes() == b"2"


def test_what_verify_did_not_write_is_left_alone(tmp_path: Path) -> None:
    """A folder with files, a link to a folder, and a file."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.jpg").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    for name in ("mine", "link", "mine/a.jpg"):
        with pytest.raises(UsageError, match="not written by verify"):
            ResultsFolder(tmp_path / name)
