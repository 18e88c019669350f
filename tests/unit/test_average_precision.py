"""Average precision of boxes, beside COCO's own evaluation where it is installed."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from mbn2c.tasks.detection.average_precision import AP50, COCO, average_precision, drop_with_bound, with_interval
from mbn2c.tasks.detection.decode import FoundBox
from mbn2c.tasks.detection.true_box import COUNTED, CROWD, DIFFICULT, TrueBox

ONE = FoundBox(0, 0, 10, 10, 0, 0.9)
BESIDE = FoundBox(50, 50, 60, 60, 0, 0.8)
TRUE = TrueBox(0, 0.0, 0.0, 10.0, 10.0)
CROWD_THERE = TrueBox(0, 40.0, 40.0, 100.0, 100.0, CROWD)

# (found, true, AP50)
CASES = {
    "found": ([[ONE]], [[TRUE]], 1.0),
    "missed": ([[]], [[TRUE]], 0.0),
    "nothing there": ([[ONE]], [[]], None),
    "a worse one beside it": ([[ONE, BESIDE]], [[TRUE]], 1.0),
    "found twice": ([[ONE, ONE]], [[TRUE]], 1.0),
    "a better one beside it": ([[FoundBox(*BESIDE.corners, 0, 0.95), ONE]], [[TRUE]], 0.5),
    "another label": ([[FoundBox(*ONE.corners, 1, 0.9)]], [[TRUE]], 0.0),
    "one of two": ([[ONE]], [[TRUE, TrueBox(0, 80.0, 80.0, 90.0, 90.0)]], 51 / 101),
    "in a crowd": ([[FoundBox(*BESIDE.corners, 0, 0.95), ONE]], [[TRUE, CROWD_THERE]], 1.0),
    "twice in a crowd": ([[FoundBox(*BESIDE.corners, 0, 0.95)] * 2 + [ONE]], [[TRUE, CROWD_THERE]], 1.0),
    "a crowd that is not found": ([[ONE]], [[TRUE, CROWD_THERE]], 1.0),
    "a crowd alone": ([[BESIDE]], [[CROWD_THERE]], None),
    "a difficult one": (
        [[FoundBox(*BESIDE.corners, 0, 0.95), ONE]],
        [[TRUE, TrueBox(0, *BESIDE.corners, DIFFICULT)]],
        1.0,
    ),
    "in a difficult one": (
        [[FoundBox(*BESIDE.corners, 0, 0.95), ONE]],
        [[TRUE, TrueBox(0, *CROWD_THERE.corners, DIFFICULT)]],
        0.5,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_average_precision(name: str) -> None:
    found, true, wanted = CASES[name]
    assert average_precision(found, true) == (None if wanted is None else pytest.approx(wanted))


def random_images(seed: int, count: int = 12) -> tuple[list[list[FoundBox]], list[list[TrueBox]]]:
    """True boxes, a few of them crowds, and found ones near most of them: more than COCO counts on the first image."""
    generator = np.random.default_rng(seed)
    found, truths = [], []
    for number in range(count):
        least = 1 if number == 0 else 0
        corners = generator.uniform(0, 80, (int(generator.integers(least, 5)), 2))
        boxes = np.concatenate([corners, corners + generator.uniform(5, 20, corners.shape)], axis=1)
        labels = generator.integers(0, 2, len(boxes))
        rules = generator.choice([COUNTED, COUNTED, COUNTED, CROWD], len(boxes))
        truths.append([TrueBox(int(a), *map(float, b), str(c)) for a, b, c in zip(labels, boxes, rules, strict=True)])
        times = 150 if number == 0 else 2
        moved = np.repeat(boxes, times, axis=0) + generator.normal(0, 2, (len(boxes) * times, 4))
        found.append(
            [
                FoundBox(*map(float, box), int(label), float(generator.uniform()))
                for label, box in zip(np.repeat(labels, times), moved, strict=True)
                if generator.uniform() < 0.8 and box[2] > box[0] and box[3] > box[1]
            ]
        )
    return found, truths


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("thresholds", [AP50, COCO])
def test_it_is_coco_s(seed: int, thresholds: tuple[float, ...]) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    found, truths = random_images(seed)
    true, seen = coco.COCO(), coco.COCO()
    for one, images in ((true, truths), (seen, found)):
        flat = [(number, box) for number, boxes in enumerate(images) for box in boxes]
        one.dataset = {
            "images": [{"id": number} for number in range(len(images))],
            "categories": [{"id": 0}, {"id": 1}],
            "annotations": [
                {
                    "id": identity,
                    "image_id": number,
                    "category_id": box.label,
                    "bbox": [box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0],
                    "area": (box.x1 - box.x0) * (box.y1 - box.y0),
                    **({"score": box.score} if isinstance(box, FoundBox) else {"iscrowd": int(box.rule == CROWD)}),
                }
                for identity, (number, box) in enumerate(flat, 1)
            ],
        }
        with contextlib.redirect_stdout(io.StringIO()):
            one.createIndex()
    judge = evaluation.COCOeval(true, seen, "bbox")
    judge.params.iouThrs = np.array(thresholds)
    with contextlib.redirect_stdout(io.StringIO()):
        judge.evaluate()
        judge.accumulate()
    wanted = judge.eval["precision"][:, :, :, 0, 2]
    assert average_precision(found, truths, thresholds) == pytest.approx(float(wanted[wanted > -1].mean()), abs=1e-9)


def test_intervals_hold_the_value() -> None:
    found, truths = random_images(5, 30)
    judged = with_interval(found, truths)
    assert judged is not None
    value, (low, high) = judged
    assert 0 < low < value < high < 1
    worse = [boxes[1:] for boxes in found]
    lost = drop_with_bound(found, worse, truths)
    assert lost is not None and 0 < lost[0] < lost[1]
    assert drop_with_bound(found, found, truths) == (0, 0)
