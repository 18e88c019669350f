"""What the segmentation task makes of maps and masks: figures, gates, masks' values, and records that cannot be."""

from __future__ import annotations

import io
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mbn2c.errors import GateError, UsageError
from mbn2c.files.typed_json import from_plain
from mbn2c.tasks.noise import Noise
from mbn2c.tasks.outputs import Output
from mbn2c.tasks.protocol import Answers, Labels, Limits
from mbn2c.tasks.segmentation import Segmentation, SegmentationRecord
from mbn2c.tasks.segmentation.maps import as_lines, from_text, to_text
from mbn2c.tasks.segmentation.masks import ScaledImage, read_masks
from mbn2c.tasks.segmentation.results import SeenMap, map_files
from mbn2c.tasks.segmentation.segmenter import SIGMOID, SegmenterFacts

FACTS = SegmenterFacts("a test", 2, 4, "half_pixel", "", ("cut",))
TASK = Segmentation((Output("map", (1, 3, 2, 4), (0, 3, 1, 2), ""),), "a test", FACTS)
HALF = np.array([[0, 0, 1, 1], [0, 0, 1, 1]], np.uint8)
LESS = np.array([[0, 0, 0, 1], [0, 0, 1, 1]], np.uint8)


def record(int8: np.ndarray, float32: np.ndarray = HALF, mismatches: int = 0) -> SegmentationRecord:
    agreeing = int((int8 == float32).sum())
    return SegmentationRecord(to_text(int8), to_text(float32), agreeing, mismatches, [Noise(100.0, 1.0, 1.0)])


def test_maps_and_bytes_become_classes() -> None:
    heads = np.eye(3)[HALF][None]
    device = LESS.view(np.int8)[None, :, :, None].astype(np.float64)
    made = TASK.compare(Answers([device], [heads], [heads]))
    assert (made.agreeing, made.mismatches) == (7, 1)
    assert np.array_equal(from_text(made.int8, 2, 4), LESS) and made.float32 == to_text(HALF)
    assert from_plain(asdict(made), SegmentationRecord) == made and TASK.is_possible(made, True)
    assert TASK.compare(Answers([heads])).int8 == to_text(HALF)


def test_figures() -> None:
    judged = TASK.judge_verified([record(LESS)], Labels([to_text(HALF)], "masks"), True)
    assert judged["miou_device"] == pytest.approx((4 / 5 + 3 / 4) / 2) and judged["miou_ort_float32"] == 1
    assert judged["iou_of_classes_device"] == [0.8, 0.75, None] and judged["pixel_accuracy_device"] == 7 / 8
    assert judged["pixel_agreement"] == 7 / 8 and judged["drop"] == pytest.approx(0.225)
    blind = TASK.judge_verified([record(LESS), record(HALF)], Labels(), True)
    assert blind["miou_device"] is None and blind["drop"] == pytest.approx(1 / 16)
    ignored = TASK.judge_verified([record(LESS)], Labels([to_text(np.where(LESS != HALF, 255, HALF))], "masks"), True)
    assert ignored["miou_device"] == 1


# (record, truth, limits, what is said; "" for nothing)
GATES = [
    (record(HALF), HALF, Limits(max_drop=1.0), ""),
    (record(LESS), HALF, Limits(max_drop=1.0), "mean IoU drops by 22.50"),
    (record(LESS), None, Limits(max_drop=20.0), ""),
    (record(LESS), None, Limits(max_drop=1.0), "the class of pixels changes for 12.50"),
    (record(HALF), None, Limits(min_sqnr=30.0), "20.0 dB"),
    (record(HALF, mismatches=3), None, Limits(), "3 pixels"),
]


@pytest.mark.parametrize("found, truth, limits, words", GATES)
def test_gates(found: SegmentationRecord, truth: np.ndarray | None, limits: Limits, words: str) -> None:
    labels = Labels() if truth is None else Labels([to_text(truth)], "masks")
    judged = TASK.judge_verified([found], labels, True)
    if not words:
        return TASK.check_verified(judged, limits, {})
    with pytest.raises(GateError, match=words):
        TASK.check_verified(judged, limits, {})


@pytest.mark.parametrize(
    "changed",
    [
        {"int8": "!"},
        {"int8": to_text(HALF[:1])},
        {"float32": to_text(np.zeros((9, 9)))},
        {"float32": None},
        {"agreeing": 9},
        {"noise": []},
    ],
    ids=str,
)
def test_records_that_cannot_be(changed: dict[str, object]) -> None:
    assert not TASK.is_possible(replace(record(HALF), **changed), True)


def test_a_threshold_is_of_what_the_file_says() -> None:
    one = replace(TASK, outputs=(Output("map", (1, 1, 2, 4), (0, 3, 1, 2), ""),), facts=replace(FACTS, tail=SIGMOID))
    values = np.array([[0.0, -0.01, 1.0, 2.0]] * 2)[None, :, :, None]
    assert one.facts.classes(values)[0].tolist() == [1, 0, 1, 1]
    assert one.with_options({"score_threshold": 0.8}).facts.classes(values)[0].tolist() == [0, 0, 0, 1]
    with pytest.raises(UsageError, match="--score-threshold is not of segmentation of 3 classes"):
        TASK.with_options({"score_threshold": 0.8})


def test_what_is_left_to_look_at() -> None:
    pixels = np.full((2, 4, 3), 100, np.uint8)
    files = dict(
        map_files(iter([SeenMap("a/b.jpg", pixels, LESS, HALF, None), SeenMap("c.jpg", pixels, LESS, None, HALF)]))
    )
    shown = np.asarray(Image.open(io.BytesIO(files["a_b.png"])))
    assert shown[0, 0].tolist() == [100] * 3 and shown[1, 2].tolist() == [114, 50, 50]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(files["c_classes.png"]))), LESS)
    assert files["images.csv"].decode().splitlines()[1:] == ["a/b.jpg,a_b.png,0.875,", "c.jpg,c.png,,0.875"]


def masks_in(folder: Path, mask: np.ndarray, names: str = "") -> Path:
    (folder / "masks").mkdir()
    Image.fromarray(mask).save(folder / "masks" / "a.png")
    if names:
        (folder / "mask_classes.csv").write_text(names)
    return folder / "masks"


def test_masks_of_one_name_in_two_folders(tmp_path: Path) -> None:
    """Each image has that of its own folder, or the file could be of both."""
    names, folder = ["a/1.jpg", "b/1.jpg"], tmp_path / "masks"
    for number, inside in enumerate(("a", "b")):
        (folder / inside).mkdir(parents=True)
        Image.fromarray(np.full((2, 2), number, np.uint8)).save(folder / inside / "1.png")
    found = read_masks(folder, names, (2, 2), images_of(tmp_path, names), [])
    assert [mask.max() for mask in found] == [0, 1]
    (folder / "b" / "1.png").unlink()
    (folder / "a" / "1.png").rename(folder / "1.png")
    with pytest.raises(UsageError, match=r"'1\.png' could be 'a/1\.jpg' and 'b/1\.jpg'"):
        read_masks(folder, names, (2, 2), images_of(tmp_path, names), [])


def test_masks_are_read_by_their_names(tmp_path: Path) -> None:
    folder = masks_in(
        tmp_path, np.array([[0, 9], [7, 255]], np.uint8), "value,name\n0,nothing\n9,Dining Table\n7,bus\n"
    )
    images = images_of(tmp_path, ["a.jpg"])
    [found] = read_masks(folder, ["a.jpg"], (2, 2), images, ["background", "person", "diningtable"])
    assert found.tolist() == [[0, 2], [0, 255]]
    [enlarged] = read_masks(folder, ["a.jpg"], (4, 4), images, ["background", "bus"])
    assert np.array_equal(enlarged, np.kron([[0, 0], [1, 255]], np.ones((2, 2))))


REFUSED = [
    ("", ["b.jpg"], (), "cannot read the mask"),
    ("value,name\n1,cat\n", ["a.jpg"], (), "classes that have none"),
    ("value,name\n1,cat\n", ["a.jpg"], ("background", "dog"), "of its names the network has none"),
    ("value,name\nx,dog\n", ["a.jpg"], ("background", "dog"), "is no value of a mask"),
]


def images_of(folder: Path, names: list[str], size: tuple[int, int] = (2, 2)) -> dict[str, ScaledImage]:
    """Image files of so many columns and rows."""
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", size).save(folder / name)
    return {name: ScaledImage(folder / name, "crop") for name in names}


@pytest.mark.parametrize("size", [(4, 2), (2, 4), (3, 3)])
def test_a_mask_has_the_size_of_its_image(size: tuple[int, int], tmp_path: Path) -> None:
    """Or the network's, as maps of OUT/results have; one that is turned would be read at the wrong places."""
    folder, images = masks_in(tmp_path, HALF), images_of(tmp_path, ["a.jpg"], size)
    assert np.array_equal(read_masks(folder, ["a.jpg"], (2, 4), images, [])[0], HALF)
    if size == (4, 2):
        assert read_masks(folder, ["a.jpg"], (4, 8), images, [])[0].shape == (4, 8)
    else:
        words = f"a mask of 4 x 2 pixels for an image of {size[0]} x {size[1]}"
        with pytest.raises(UsageError, match=words):
            read_masks(folder, ["a.jpg"], (4, 8), images, [])


@pytest.mark.parametrize("table, names, classes, words", REFUSED)
def test_masks_that_are_refused(
    table: str, names: list[str], classes: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    folder = masks_in(tmp_path, HALF, table)
    with pytest.raises(UsageError, match=words):
        read_masks(folder, names, (2, 4), images_of(tmp_path, names), classes)


def test_masks_in_which_no_pixel_counts_are_refused(tmp_path: Path) -> None:
    task = replace(TASK, images={"a.png": ScaledImage(tmp_path / "image.png", "stretch")})
    Image.new("L", (4, 2), 255).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match="no pixel of the masks counts"):
        task.find_labels(["a.png"], [""], tmp_path, ())


# (tail, threshold, shape of the map, where values tell anything)
TELLING = [
    ("sigmoid", 0.5, (1, 2, 4, 1), (-12.0, 12.0)),
    ("sigmoid", 1 / (1 + np.exp(-2.0)), (1, 2, 4, 1), (-10.0, 14.0)),
    ("sigmoid", 0.999999, (1, 2, 4, 1), (-np.inf, np.inf)),  # 0 must lie inside
    ("sigmoid", 0.5, (1, 1, 2, 1), (-np.inf, np.inf)),  # pixels lie between, and how far a value is moves an edge
    ("", 0.5, (1, 2, 4, 1), (-np.inf, np.inf)),
    ("softmax", 0.5, (1, 2, 4, 3), (-np.inf, np.inf)),
]


@pytest.mark.parametrize("tail, threshold, shape, expected", TELLING)
def test_which_values_tell_anything(
    tail: str, threshold: float, shape: tuple[int, ...], expected: tuple[float, float]
) -> None:
    facts = replace(FACTS, tail=tail, threshold=threshold)
    task = Segmentation((Output("map", shape, (0, 1, 2, 3), ""),), "a test", facts)
    assert task.telling(0) == pytest.approx(expected)


def test_noise_beyond_what_tells_anything_counts_for_nothing() -> None:
    facts = replace(FACTS, tail="sigmoid")
    task = Segmentation((Output("map", (1, 2, 4, 1), (0, 1, 2, 3), ""),), "a test", facts)
    far, near = (np.full((1, 2, 4, 1), value) for value in (500.0, 12.0))
    [noise] = task.compare(Answers([near], [far])).noise
    assert (noise.noise, noise.signal) == (0.0, 8 * 144.0)


def test_a_map_in_characters() -> None:
    assert as_lines(np.array([[0, 0, 1, 2], [0, 9, 10, 35]], np.uint8)) == ["..12"]
    wide = np.arange(200, dtype=np.uint8).reshape(1, 200).repeat(9, axis=0)
    assert as_lines(wide // 100) == ["." * 25 + "1" * 25]  # a column in four, a row in eight
