"""What the detection task makes of found and true boxes: figures, gates, and records that cannot be."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from mbn2c.errors import GateError
from mbn2c.files.typed_json import from_plain
from mbn2c.ops.ssd_boxes.arithmetic import Box, boxes_to_bytes
from mbn2c.tasks.detection import Detection, DetectionRecord
from mbn2c.tasks.detection.decode import FoundBox
from mbn2c.tasks.detection.detector import CORNERS, SOFTMAX, Detector, DetectorFacts, HeadLevel
from mbn2c.tasks.detection.true_box import TrueBox
from mbn2c.tasks.noise import Noise
from mbn2c.tasks.outputs import Output
from mbn2c.tasks.protocol import Answers, Labels, Limits

ANCHORS = np.array([[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5]])
FACTS = DetectorFacts(
    "a test", (HeadLevel(1, 2, 1),), 2, 0, 4, SOFTMAX, CORNERS, (0, 1, 2, 3), (1.0, 1.0, 1.0, 1.0), ("cut",)
)
HEADS = (Output("scores", (1, 2, 1, 2), (0, 3, 1, 2), ""), Output("offsets", (1, 4, 1, 2), (0, 3, 1, 2), ""))
TASK = Detection(HEADS, "a test", Detector(FACTS, ANCHORS), size=(100, 100))
LEFT, RIGHT = FoundBox(0, 0, 50, 50, 0, 0.9), FoundBox(50, 0, 100, 50, 0, 0.8)
TRUTHS = [[TrueBox(0, 0.0, 0.0, 50.0, 50.0), TrueBox(0, 50.0, 0.0, 100.0, 50.0)]]


def record(int8: list[FoundBox], float32: list[FoundBox] | None = None) -> DetectionRecord:
    return DetectionRecord(int8, None, float32, [Noise(100.0, 1.0, 1.0)] * 2 if float32 is not None else [])


def test_heads_and_bytes_become_boxes() -> None:
    scores = np.array([[[[0.0, 2.0], [0.0, -3.0]]]])  # the second is below the threshold of 0.1
    offsets = np.zeros((1, 1, 2, 4))
    device = boxes_to_bytes([Box((0, 0, 800, 800), 0, 28862)], 3).reshape(1, 1, 1, -1).astype(np.float64)
    made = TASK.compare(Answers([device], [scores, offsets], [scores, offsets]))
    assert made.float32 == made.oracle == [FoundBox(0, 0, 50, 50, 0, pytest.approx(1 / (1 + np.exp(-2))))]
    assert made.int8 == [FoundBox(0, 0, 50, 50, 0, pytest.approx(0.8808, abs=1e-4))]
    assert made.noise == [Noise(13.0, 0.0, 0.0), Noise(0.0, 0.0, 0.0)]
    assert from_plain(asdict(made), DetectionRecord) == made


def test_boxes_that_differ_from_the_reference_s_are_counted() -> None:
    """One of another score, on both sides; and one that only the reference has."""
    right = [Box((0, 0, 800, 800), 0, 28862), Box((800, 0, 1600, 800), 0, 20000)]
    device, reference = (
        boxes_to_bytes(one, 3).reshape(1, 1, 1, -1).astype(np.float64) for one in ([replace(right[0], score=3)], right)
    )
    assert TASK.compare(Answers([device], reference=[reference])).mismatches == 3
    assert TASK.compare(Answers([device], reference=[device])).mismatches == 0
    judged = TASK.judge_verified([replace(record([LEFT]), mismatches=3)] * 2, Labels(), False)
    assert judged["detection_mismatches"] == 6


def test_figures() -> None:
    judged = TASK.judge_verified([record([LEFT], [LEFT, RIGHT])], Labels(TRUTHS, "csv"), True)
    assert judged["box_agreement"] == 0.5 and judged["detections_compared"] == 1
    assert judged["ap50_device"] == pytest.approx(51 / 101) and judged["ap50_ort_float32"] == 1
    assert judged["drop"] == pytest.approx(50 / 101) and judged["sqnr_db"] == 20
    blind = TASK.judge_verified([record([LEFT])], Labels(), False)
    assert blind["ap50_device"] is blind["drop"] is blind["box_agreement"] is None


# (boxes of the device, limits, what is said; "" for nothing)
GATES = [
    ([LEFT, RIGHT], Limits(max_drop=1.0), ""),
    ([LEFT], Limits(max_drop=1.0), "AP50 drops by 49.50"),
    ([LEFT], Limits(max_drop=60.0), ""),
    ([LEFT, RIGHT], Limits(min_sqnr=30.0), "20.0 dB"),
    ([LEFT, RIGHT], Limits(min_sqnr=10.0), ""),
]


@pytest.mark.parametrize(("boxes", "limits", "said"), GATES)
def test_gates(boxes: list[FoundBox], limits: Limits, said: str) -> None:
    judged = TASK.judge_verified([record(boxes, [LEFT, RIGHT])], Labels(TRUTHS, "csv"), True)
    if not said:
        TASK.check_verified(judged, limits, {})
        return
    with pytest.raises(GateError, match=said):
        TASK.check_verified(judged, limits, {})


def test_a_drop_needs_true_boxes() -> None:
    judged = TASK.judge_verified([record([LEFT], [LEFT])], Labels(), True)
    with pytest.raises(GateError, match="needs true boxes"):
        TASK.check_verified(judged, Limits(max_drop=1.0), {})


IMPOSSIBLE = {
    "a label that is none": record([replace(LEFT, label=1)], [LEFT]),
    "more boxes than there can be": record([LEFT] * 33, [LEFT]),
    "no float model": record([LEFT]),
    "more boxes differ than both sides can have": replace(record([LEFT], [LEFT]), mismatches=65),
    "noise of one head": replace(record([LEFT], [LEFT]), noise=[Noise(1.0, 1.0, 1.0)]),
}


@pytest.mark.parametrize("words", IMPOSSIBLE)
def test_records_that_cannot_be(words: str) -> None:
    assert TASK.is_possible(record([LEFT], [LEFT]), True)
    assert not TASK.is_possible(IMPOSSIBLE[words], True)


def test_a_detector_comes_back_from_the_graph() -> None:
    back = Detector.from_decoding(TASK.detector.to_decoding())
    assert back.facts == FACTS and np.array_equal(back.anchors, ANCHORS)
    broken = replace(TASK.detector.to_decoding(), arrays={"anchors": ANCHORS[:1]})
    with pytest.raises(ValueError, match="anchors of shape"):
        Detector.from_decoding(broken)
