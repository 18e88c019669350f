"""True boxes as users write them -> corners in the network's input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import ExifTags, Image, ImageOps

from mbn2c.errors import UsageError
from mbn2c.tasks.detection.box_files import find_form
from mbn2c.tasks.detection.labels import Placement, placement, read_truths
from mbn2c.tasks.detection.true_box import CROWD, DIFFICULT, TrueBox

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

VOC = """<annotation><filename>a.png</filename><size><width>200</width><height>100</height></size>
<object><name>person</name><difficult>0</difficult>
  <bndbox><xmin>11</xmin><ymin>21</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>
  <part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part></object>
<object><name>car</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>200</xmax><ymax>100</ymax></bndbox></object>
</annotation>"""
YOLO = "0 0.1 0.3 0.1 0.2\n\n1 0.5 0.5 1 1\n"
# The same boxes in every form: where they lie, and what is written there.
FORMS = {
    "csv": ("boxes.csv", BOXES),
    "coco": ("boxes.json", json.dumps(COCO)),
    "voc": ("voc/a.xml", VOC),
    "yolo": ("yolo/a.txt", YOLO),
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


def read(
    path: Path, names: list[str], resize: str = "stretch", class_names: tuple[str, ...] = ()
) -> list[list[TrueBox]]:
    return read_truths(find_form(path), path, names, placements(path.parent, resize), 2, class_names).of_images


def write(images: Path, name: str, text: str) -> Path:
    """What the user names for it: the file, or its folder where each image has one."""
    file = images / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file if "/" not in name else file.parent


@pytest.mark.parametrize("resize", WANTED)
@pytest.mark.parametrize("form", FORMS)
def test_boxes_go_where_the_pixels_go(images: Path, resize: str, form: str) -> None:
    path = write(images, *FORMS[form])
    assert find_form(path).name == form
    [boxes] = read(path, ["a.png"], resize, ("person", "car"))
    wanted = [pytest.approx([*box]) for box in WANTED[resize]]
    assert [list(box[:5]) for box in boxes] == wanted


@pytest.mark.parametrize("form", ["csv", "yolo"])
def test_an_image_may_have_no_boxes_that_the_network_knows(images: Path, form: str) -> None:
    """Its only box is of class 7, or the form names images with boxes only."""
    found = read(write(images, *FORMS[form]), ["a.png", "b.png"], class_names=("person", "car"))
    assert [len(boxes) for boxes in found] == [2, 0]


def test_boxes_that_are_left_out_are_told(images: Path) -> None:
    """A class that is written otherwise would only look like objects that the network misses."""
    text = "file,class,x1,y1,x2,y2\n" + "".join(
        f"a.png,{name},10,20,30,40\n" for name in ("person", "cra", "cra", "bus")
    )
    path = write(images, "boxes.csv", text)
    found = read_truths(find_form(path), path, ["a.png"], placements(images, "stretch"), 2, ("person", "car"))
    assert found.left_out == {"cra": 2, "bus": 1}
    assert found.words() == "1 true boxes; 3 of classes that the network does not know left out: 'cra', 'bus'"


# (form, from, to, what is said)
REFUSED = [
    ("csv", BOXES, "file,x1\na.png,3\n", "the header has no 'class'"),
    ("csv", "10,20", "ten,20", "a corner that is no number"),
    ("csv", "10,20", "nan,20", "not the upper left one"),
    ("csv", "10,20,30,40", "30,40,10,20", "not the upper left one"),
    ("csv", BOXES, f"file,class,x1,y1,x2,y2\na.png,²,10,20,30,40\na.png,{'9' * 5000},0,0,200,100\n", "knows none"),
    ("csv", "a.png", "c.png", "names none of the images"),
    ("coco", json.dumps(COCO), "{}", "not COCO's JSON"),
    ("coco", json.dumps(COCO), "[1]", "not COCO's JSON"),
    ("coco", json.dumps(COCO["categories"]), "[]", "not COCO's JSON"),
    ("coco", "20, 20]", '20, "nan"]', "a bbox of 20 x nan"),
    ("coco", "[0, 0, 200", '["inf", 0, 200', "corners are no numbers"),
    ("coco", '"id": 3', '"id": 1e999', "not COCO's JSON"),
    ("coco", "20, 20]", "20, -20]", "a bbox of 20 x -20"),
    ("coco", "20, 20]", "20, NaN]", "not COCO's JSON"),
    ("voc", "</annotation>", "", "not VOC's XML: no element found"),
    ("voc", "annotation>", "html>", "its root is 'html'"),
    ("voc", "<annotation>", "<!DOCTYPE a [<!ENTITY b 'c'>]><annotation>", "a document type"),
    ("voc", "<name>car</name>", "<name> </name>", "no 'name'"),
    ("voc", "<ymax>100</ymax>", "", "a corner of bndbox: no 'bndbox/ymax'"),
    ("voc", "<ymax>100</ymax>", "<ymax>ten</ymax>", "a corner of bndbox: could not"),
    ("voc", "<ymax>100</ymax>", "<ymax>-1</ymax>", "a bndbox from 1, 1 to 200, -1"),
    ("voc", "<difficult>0", "<difficult>no", "difficult is 'no'"),
    ("yolo", "0.2\n", "0.2 0.5\n", "6 numbers of a polygon or key points, not 5"),
    ("yolo", "0.2\n", "\n", "4 numbers, not 5"),
    ("yolo", "0 0.1", "person 0.1", "class 'person'"),
    ("yolo", "0 0.1", "0 0,1", "could not convert"),
    ("yolo", "0 0.1", "0 20", "in pixels"),
    ("yolo", "0 0.1", "0 nan", "in pixels"),
    ("yolo", "0.2\n", "-0.005\n", "a box of 0.1 x -0.005"),
]


@pytest.mark.parametrize(("form", "before", "after", "said"), REFUSED)
def test_what_is_no_list_of_boxes_is_refused(images: Path, form: str, before: str, after: str, said: str) -> None:
    name, text = FORMS[form]
    assert before in text
    with pytest.raises(UsageError, match=said):
        read(write(images, name, text.replace(before, after)), ["a.png"])


def test_the_form_is_found_or_refused(images: Path) -> None:
    """A folder with files of two forms, one with none, a file of no form, and nothing at all."""
    both = write(images, *FORMS["voc"])
    write(images, "voc/a.txt", YOLO)
    (images / "empty").mkdir()
    (images / "boxes.yaml").write_text("boxes: []\n")
    for path, said in (
        (both, r"\*.xml and \*.txt"),
        (images / "empty", "no true boxes"),
        (images / "boxes.yaml", "ends in '.yaml'"),
        (images / "boxes.cvs", "no such labels file"),
    ):
        with pytest.raises(UsageError, match=said):
            find_form(path)


def test_images_of_a_folder_and_images_without_boxes(images: Path) -> None:
    """Of a path the file's name counts, as in COCO's JSON, where an image that is listed may have no box."""
    for name, text, count in (
        ("boxes.csv", BOXES.replace("a.png", "images/a.png"), 2),
        ("boxes.json", json.dumps({**COCO, "annotations": []}), 0),
        ("yolo/a.txt", "", 0),
    ):
        found = read(write(images, name, text), ["a.png"], class_names=("person", "car"))
        assert [len(boxes) for boxes in found] == [count]


# Boxes of a/1.png alone, a car beside them in those of b/1.png; and one that could be of both.
OF_FOLDERS = {
    "csv": {"boxes.csv": f"{BOXES}b/1.png,1,0,0,9,9\n".replace("a.png", "a/1.png")},
    "coco": {
        "boxes.json": json.dumps(COCO).replace('"a.png"', '"data/a/1.png"').replace('"other.png"', '"data/b/1.png"')
    },
    "voc": {"voc/a/1.xml": VOC, "voc/b/1.xml": VOC.replace("person", "car")},
    "yolo": {"yolo/a/1.txt": YOLO, "yolo/b/1.txt": "1 0.5 0.5 1 1\n"},
}
OF_BOTH = {
    "csv": {"boxes.csv": BOXES.replace("a.png", "1.png")},
    "coco": {"boxes.json": json.dumps(COCO).replace("a.png", "1.png")},
    "voc": {"voc/1.xml": VOC},
    "yolo": {"yolo/1.txt": YOLO},
}


def read_of_folders(images: Path, files: dict[str, str]) -> list[list[TrueBox]]:
    names = ["a/1.png", "b/1.png"]
    for name, text in dict.fromkeys(names, "").items() | files.items():
        (images / name).parent.mkdir(exist_ok=True, parents=True)
        (images / name).write_text(text)
    where = {name: placement(images / f"{name[0]}.png", 50, 50, "stretch") for name in names}
    path = images / next(iter(files)).split("/")[0]
    return read_truths(find_form(path), path, names, where, 2, ("person", "car")).of_images


@pytest.mark.parametrize("form", OF_FOLDERS)
def test_images_of_one_name_in_two_folders_have_their_own_boxes(images: Path, form: str) -> None:
    labels = [[box.label for box in boxes] for boxes in read_of_folders(images, OF_FOLDERS[form])]
    assert labels == [[0, 1], {"coco": [0], "voc": [1, 1]}.get(form, [1])]


@pytest.mark.parametrize("form", OF_BOTH)
def test_boxes_that_could_be_of_two_images_are_refused(images: Path, form: str) -> None:
    with pytest.raises(UsageError, match=r"could be 'a/1\.png' and 'b/1\.png'") as refused:
        read_of_folders(images, OF_BOTH[form])
    assert "with their folders" in refused.value.hint


def test_an_image_that_could_be_two_of_a_file_is_refused(images: Path) -> None:
    path = write(images, "boxes.csv", f"{BOXES}x/a.png,1,0,0,9,9\ny/a.png,1,0,0,9,9\n")
    with pytest.raises(UsageError, match=r"'a\.png' could be 'a\.png' and 'x/a\.png'"):
        read(path, ["a.png"])


@pytest.mark.parametrize(("name", "text"), [("boxes.json", json.dumps(COCO)), ("voc/a.xml", VOC)])
def test_an_image_of_which_nothing_is_known_is_refused(images: Path, name: str, text: str) -> None:
    """In a form that names images without boxes, too, one that it does not name is no image without boxes."""
    with pytest.raises(UsageError, match=r"it says nothing of 1 of the 2 images: 'b\.png'"):
        read(write(images, name, text), ["a.png", "b.png"])


def test_a_folder_of_other_images_is_refused(images: Path) -> None:
    with pytest.raises(UsageError, match="names none of the images"):
        read(write(images, "yolo/c.txt", YOLO), ["a.png"])


def test_names_of_categories_count_before_their_order(images: Path) -> None:
    """Of a network that knows fewer classes than the file, in another order."""
    file = write(images, *FORMS["coco"])
    assert [box.label for box in read(file, ["a.png"])[0]] == [0, 1]
    assert [box.label for box in read(file, ["a.png"], class_names=("truck", "car"))[0]] == [1]


def test_what_is_ignored_is_marked(images: Path) -> None:
    crowd = json.dumps(COCO).replace('"category_id": 3,', '"category_id": 3, "iscrowd": 1,')
    assert [box.rule for box in read(write(images, "boxes.json", crowd), ["a.png"])[0]] == ["counted", CROWD]
    difficult = VOC.replace("<difficult>0", "<difficult>1")
    found = read(write(images, "voc/a.xml", difficult), ["a.png"], class_names=("person", "car"))
    assert [box.rule for box in found[0]] == [DIFFICULT, "counted"]
