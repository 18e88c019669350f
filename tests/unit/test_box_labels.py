"""True boxes as users write them -> corners in the network's input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import ExifTags, Image, ImageOps

from mbn2c.errors import UsageError
from mbn2c.tasks.detection.labels import Placement, placement, read_truths

BOXES = "file,class,x1,y1,x2,y2\na.png,0,10,20,30,40\na.png,car,0,0,200,100\nb.png,7,1,1,2,2\n"
COCO = {
    "images": [{"id": 5, "file_name": "a.png"}, {"id": 6, "file_name": "other.png"}],
    "categories": [{"id": 3, "name": "car"}, {"id": 1, "name": "person"}],
    "annotations": [
        {"image_id": 5, "category_id": 1, "bbox": [10, 20, 20, 20]},
        {"image_id": 5, "category_id": 3, "bbox": [0, 0, 200, 100]},
        {"image_id": 6, "category_id": 1, "bbox": [0, 0, 5, 5]},
    ],
}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (200, 100)).save(tmp_path / name)
    return tmp_path


def placements(images: Path, resize: str) -> dict[str, Placement]:
    return {name: placement(images / name, 50, 50, resize) for name in ("a.png", "b.png")}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_file_that_is_turned_lies_upright(images: Path, orientation: int) -> None:
    """As Pillow turns it."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = Image.new("RGB", (60, 40))
    image.save(images / "turned.jpg", exif=exif)
    with Image.open(images / "turned.jpg") as opened:
        columns, rows = ImageOps.exif_transpose(opened).size
    assert placement(images / "turned.jpg", 24, 24, "stretch").scale == (24 / columns, 24 / rows)


# Where the two boxes of a.png lie in 50x50 pixels: of 200x100 the sides are scaled, or half of the width is cut off.
WANTED = {
    "stretch": [[0.0, 2.5, 10.0, 7.5, 20.0], [1.0, 0.0, 0.0, 50.0, 50.0]],
    "crop": [[1.0, 0.0, 0.0, 50.0, 50.0]],  # the first lies in what is cut off
}


@pytest.mark.parametrize("resize", WANTED)
@pytest.mark.parametrize("form", ["csv", "json"])
def test_boxes_go_where_the_pixels_go(images: Path, resize: str, form: str) -> None:
    file = images / f"boxes.{form}"
    file.write_text(BOXES if form == "csv" else json.dumps(COCO))
    found = read_truths(file, ["a.png", "b.png"], placements(images, resize), 2, ["person", "car"])
    assert found == [WANTED[resize], []]  # class 7 is none of the network's


# (name, text, what is said)
REFUSED = [
    ("boxes.csv", "file,x1\na.png,3\n", "the header has no 'class'"),
    ("boxes.csv", BOXES.replace("10,20", "ten,20"), "a corner that is no number"),
    ("boxes.csv", BOXES.replace("10,20", "nan,20"), "not the upper left one"),
    ("boxes.csv", BOXES.replace("10,20,30,40", "30,40,10,20"), "not the upper left one"),
    ("boxes.csv", BOXES.replace(",0,10", ",²,10").replace("car", "9" * 5000).replace(",7,", ",person,"), "knows none"),
    ("boxes.csv", BOXES.replace("a.png", "c.png").replace("b.png", "d.png"), "names none of the images"),
    ("boxes.json", "{}", "not COCO's JSON"),
    ("boxes.json", json.dumps({**COCO, "categories": []}), "not COCO's JSON"),
    ("boxes.json", json.dumps(COCO).replace('"id": 3', '"id": 1e999'), "not COCO's JSON"),
    ("boxes.json", json.dumps(COCO).replace("20, 20]", "20, -20]"), "a bbox of 20 x -20"),
]


@pytest.mark.parametrize(("name", "text", "said"), REFUSED)
def test_what_is_no_list_of_boxes_is_refused(images: Path, name: str, text: str, said: str) -> None:
    (images / name).write_text(text)
    with pytest.raises(UsageError, match=said):
        read_truths(images / name, ["a.png"], placements(images, "stretch"), 2, [])


def test_images_of_a_folder_and_images_without_boxes(images: Path) -> None:
    """Of a path the file's name counts, as in COCO's JSON, where an image that is listed may have no box."""
    (images / "boxes.csv").write_text(BOXES.replace("a.png", "images/a.png"))
    (images / "boxes.json").write_text(json.dumps({**COCO, "annotations": []}))
    for file, count in (("boxes.csv", 2), ("boxes.json", 0)):
        found = read_truths(images / file, ["a.png"], placements(images, "stretch"), 2, ["person", "car"])
        assert [len(boxes) for boxes in found] == [count]
