"""Detection: boxes with a label and a score, made on the device of a detector's heads.

`detector` says what the heads' numbers mean, `device` what stands behind them in the int8 Graph, `decode` the same in
floating point; `box_files` reads what is true, `labels` and `average_precision` judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from mbn2c.errors import GateError, UsageError
from mbn2c.files.typed_json import Count
from mbn2c.ir.graph import Decoding, Graph
from mbn2c.ops.ssd_boxes.arithmetic import BOX, CORNER_BITS
from mbn2c.ops.ssd_candidates.records import ONE_SCORE
from mbn2c.tasks.detection.average_precision import AP50, COCO, drop_with_bound, with_interval
from mbn2c.tasks.detection.box_files import ANY_FORM, find_form
from mbn2c.tasks.detection.decode import FoundBox, decode_heads, from_device
from mbn2c.tasks.detection.detector import MOST_KEPT, NAME, Detector
from mbn2c.tasks.detection.device import with_boxes, with_limits
from mbn2c.tasks.detection.labels import Placement, placement, read_truths
from mbn2c.tasks.detection.results import SeenImage, result_files
from mbn2c.tasks.detection.true_box import SAME, same_boxes
from mbn2c.tasks.gates import check_has_float, check_sqnr, most_costly, noisiest
from mbn2c.tasks.images import Samples, open_samples
from mbn2c.tasks.inputs import InputSpec
from mbn2c.tasks.noise import Noise, noise_json, noise_of
from mbn2c.tasks.outputs import Output
from mbn2c.tasks.protocol import Answers, CFunction, Costs, CValues, HeldBack, Json, Labels, Limits, Rows, Task
from mbn2c.tasks.truths import check_are_files


@dataclass(frozen=True)
class DetectionRecord:
    """What was found of one image.

    int8, oracle, float32  boxes of each of `Answers`; None where there is none
    noise                  of each head against the float model's; [] without one
    mismatches             boxes that a device has and its reference has not, or the other way round
    """

    int8: list[FoundBox]
    oracle: list[FoundBox] | None
    float32: list[FoundBox] | None
    noise: list[Noise]
    mismatches: Count = 0


@dataclass(frozen=True)
class Detection(Task):
    """outputs     the heads: of each level the maps of `DetectorFacts.kinds`
    detector    what they mean
    size        rows and columns of the network's input
    placements  where image files lie in the network's input, by name, as far as they have been opened
    """

    detector: Detector
    placements: dict[str, Placement] = field(default_factory=dict, compare=False)
    size: tuple[int, int] = field(default=(0, 0), compare=False)

    name = NAME
    about = "boxes with a label and a score: SSD heads, decoded on the device"
    record = DetectionRecord
    figures = ("ap50_device", "box_agreement", "detection_mismatches")

    @classmethod
    def recognise(cls, outputs: Sequence[Output], kinds: Mapping[str, str], class_names: int) -> Self | None:
        return None  # not by the outputs: by what the importer cut off behind them

    @classmethod
    def of_decoding(cls, outputs: Sequence[Output], decoding: Decoding, height: int, width: int) -> Self:
        detector = Detector.from_decoding(decoding)
        return cls(tuple(outputs), f"the file ends in {detector.facts.family}", detector, size=(height, width))

    def with_options(self, options: Mapping[str, float]) -> Self:
        for name, value in options.items():
            option = f"--{name.replace('_', '-')}"
            if name.endswith("threshold") and not 0 <= value <= 1:
                raise UsageError(f"{option} {value:g} is not from 0 to 1", hint="a share, such as 0.5")
            if name.startswith("max") and value > MOST_KEPT:
                raise UsageError(f"{option} {value} is more than {MOST_KEPT}", hint="the board keeps them all in RAM")
        return replace(self, detector=with_limits(self.detector, **options)) if options else self

    def options(self) -> Mapping[str, float]:
        return asdict(self.detector.facts.limits)

    def on_device(self, graph: Graph) -> Graph:
        return with_boxes(graph, self.detector)

    def described(self) -> list[Json]:
        facts = self.detector.facts
        return [
            {
                "name": one.name,
                "shape": list(one.nhwc),
                "kind": facts.kinds[number % len(facts.kinds)],
                "anchors": facts.levels[number // len(facts.kinds)].anchors,
            }
            for number, one in enumerate(self.outputs)
        ]

    @classmethod
    def words(cls, described: Json) -> str:
        return f"{described['kind']} of {described['anchors']} anchors at each position"

    def check_class_names(self, names: Sequence[str]) -> None:
        labels = self.detector.facts.labels
        if names and len(names) != labels:
            raise UsageError(
                f"{len(names)} class names for {labels} classes",
                where="--labels",
                hint="one name per class, in order, without the background",
            )

    # --- images ----------------------------------------------------------------------------------

    def open_samples(self, path: Path, spec: InputSpec, *, resize: str = "crop", limit: int | None = None) -> Samples:
        samples = open_samples(path, spec, resize=resize, limit=limit)
        if samples.are_pixels:
            for name, file in zip(samples.names, samples.files, strict=True):
                try:
                    self.placements[name] = placement(file, spec.height, spec.width, resize)
                except OSError:
                    continue  # reading its pixels will say what is wrong
        return samples

    def find_labels(
        self, names: Sequence[str], folders: Sequence[str], file: Path | None, class_names: Sequence[str]
    ) -> Labels:
        if file is None:
            return Labels()
        check_are_files(names, self.placements, file, "true boxes")
        form = find_form(file)
        found = read_truths(form, file, names, self.placements, self.detector.facts.labels, class_names)
        return Labels(found.of_images, form.name, found.words())

    def compare(self, answers: Answers) -> DetectionRecord:
        heads = answers.oracle or answers.int8
        pairs = zip(answers.float32, heads, strict=True) if answers.float32 is not None else ()
        found = self._boxes(answers.int8)
        expected = self._boxes(answers.reference) if answers.reference is not None else found
        return DetectionRecord(
            found,
            self._boxes(answers.oracle) if answers.oracle is not None else None,
            self._boxes(answers.float32) if answers.float32 is not None else None,
            [noise_of(wanted, got) for wanted, got in pairs],
            len(set(found) ^ set(expected)),
        )

    def _boxes(self, values: Sequence[np.ndarray]) -> list[FoundBox]:
        """Of a device's bytes, or of the heads' numbers."""
        # A map has more than a pixel.
        if len(values) == 1 and values[0].shape[1:3] == (1, 1):
            return from_device(values[0])
        return decode_heads(self.detector, values, *self.size)

    def is_possible(self, record: DetectionRecord, has_float: bool) -> bool:
        most, labels = self.detector.facts.limits.max_boxes, self.detector.facts.labels
        lists = [one for one in (record.int8, record.oracle, record.float32) if one is not None]
        return (
            (record.float32 is not None) is has_float
            and len(record.noise) == (len(self.outputs) if has_float else 0)
            and all(len(one) <= most and all(0 <= box.label < labels for box in one) for one in lists)
            and record.mismatches <= 2 * most
        )

    # --- all images ------------------------------------------------------------------------------

    def agreement(self, records: Sequence[DetectionRecord]) -> float | None:
        return _agreement(records)

    def judge_held_back(self, held_back: HeldBack) -> Json:
        records = [record for record in held_back.records if record.float32 is not None]
        return {**self._against(records, held_back.labels, "int8"), "outputs": self._noise(records)}

    def judge_verified(self, records: Sequence[DetectionRecord], labels: Labels, has_float: bool) -> Json:
        outputs = self._noise(records)
        noisy = noisiest(outputs)
        boxes = sum(len(record.int8) for record in records)
        return {
            **self._against(records, labels, "device"),
            "detections_compared": boxes,
            "detection_mismatches": sum(record.mismatches for record in records),
            "sqnr_db": noisy["sqnr_db"] if noisy else None,
            "outputs": outputs,
        }

    def result_files(
        self, samples: Samples, records: Sequence[DetectionRecord], labels: Labels, class_names: Sequence[str]
    ) -> Iterator[tuple[str, bytes]]:
        if not samples.are_pixels:
            return iter(())
        truths = labels.truths or [None] * len(records)
        images = [
            SeenImage(name, file, self.placements[name], record.int8, record.float32, true)
            for name, file, record, true in zip(samples.names, samples.files, records, truths, strict=True)
        ]
        return result_files(images, class_names)

    def _against(self, records: Sequence[DetectionRecord], labels: Labels, side: str) -> Json:
        """Average precision of int8 and float model, and how many boxes they have in common."""
        judged: Json = {"box_agreement": _agreement(records)}
        sides = {side: [record.int8 for record in records]}
        if all(record.float32 is not None for record in records):
            sides["ort_float32"] = [record.float32 or [] for record in records]
        truths = labels.truths
        for name in (side, "ort_float32"):
            known = name in sides and truths is not None and None not in truths
            for metric, thresholds in (("ap50", AP50), ("ap", COCO)):
                found = with_interval(sides[name], truths or [], thresholds) if known else None
                judged[f"{metric}_{name}"] = found[0] if found else None
                judged[f"{metric}_{name}_interval_95"] = list(found[1]) if found else None
        both = truths is not None and "ort_float32" in sides and None not in truths
        drop = drop_with_bound(sides["ort_float32"], sides[side], truths or []) if both else None
        judged["drop"], judged["drop_upper_95"] = drop or (None, None)
        return judged

    def _noise(self, records: Sequence[DetectionRecord]) -> list[Json]:
        judged = [record for record in records if record.noise]
        return [
            {**one, **noise_json([record.noise[number] for record in judged])}
            for number, one in enumerate(self.described())
        ]

    @classmethod
    def check_held_back(cls, judged: Json, limits: Limits, costs: Costs) -> None:
        _check(judged, limits, costs, "--calib-labels")

    @classmethod
    def check_verified(cls, judged: Mapping[str, Any], limits: Limits, costs: Costs) -> None:
        if limits != Limits():
            check_has_float(judged["outputs"][0]["largest_error"], "--max-drop or --min-sqnr")
        _check(judged, limits, costs, "--labels")

    @classmethod
    def held_back_rows(cls, judged: Mapping[str, Any]) -> Rows:
        return [("", text) for text in _lines(judged, "int8")]

    @classmethod
    def verified_rows(cls, judged: Mapping[str, Any]) -> Rows:
        rows = [("boxes", text) for text in _lines(judged, "device")]
        compared = f"{judged['detections_compared']}, {judged['detection_mismatches']} differ from the reference's"
        return [("boxes of the device", compared), *rows]

    # --- C ---------------------------------------------------------------------------------------

    def c_functions(self, prefix: str, outputs: Sequence[CValues]) -> list[CFunction]:
        """The boxes of a finished inference, which lie in the arena."""
        if not _are_boxes(outputs):
            return []
        return [
            CFunction(
                "boxes",
                _DECLARATION.format(
                    prefix=prefix, PREFIX=prefix.upper(), unit=1 << CORNER_BITS, one=ONE_SCORE, count=_count(outputs)
                ),
                "network/tasks/boxes.c.j2",
                {"count": _count(outputs), "at": outputs[0].arena_offset},
            )
        ]

    def example(self) -> str:
        return "boxes"

    def output_words(self, prefix: str, outputs: Sequence[CValues]) -> str:
        if not _are_boxes(outputs):
            return super().output_words(prefix, outputs)
        return (
            f"{_count(outputs)} {prefix}_box_t, the best first, zeros behind the last: bytes to copy, since the\n"
            f" * buffer need not be aligned; {prefix}_boxes does it. Scale and zero point mean nothing here."
        )


def _are_boxes(outputs: Sequence[CValues]) -> bool:
    """Whether boxes are the output, and not the heads themselves."""
    return len(outputs) == 1 and outputs[0].bytes % BOX.itemsize == 0


def _count(outputs: Sequence[CValues]) -> int:
    return outputs[0].bytes // BOX.itemsize


_DECLARATION = """/* Boxes that an image can have. */
#define {PREFIX}_MAX_BOXES {count}

/* A found object: x0, y0 is its upper left corner, x1, y1 its lower right one, in 1/{unit} of a pixel of the input from
 * its upper left, clipped to it; the label counts from 0, without the background; the score is of {one}. */
typedef struct {{
    int16_t x0, y0, x1, y1;
    int16_t label;
    int16_t score;
}} {prefix}_box_t;

/* Writes the boxes of the last inference, the best first, and returns how many: at most `max`, and 0 before the first
 * {prefix}_finish or {prefix}_run and while one is running. They stay until the next {prefix}_begin. */
int {prefix}_boxes(const {prefix}_t *net, {prefix}_box_t *boxes, int max);"""


def _agreement(records: Sequence[DetectionRecord]) -> float | None:
    """Boxes that int8 and float model have in common, of all that one of them has; None if there is none."""
    same = every = 0
    for record in records:
        if record.float32 is None:
            continue
        matching = same_boxes(record.int8, record.float32)
        same += matching
        every += len(record.int8) + len(record.float32) - matching
    return same / every if every else None


def _lines(judged: Mapping[str, Any], side: str) -> list[str]:
    lines = []
    if judged["box_agreement"] is not None:
        lines.append(f"{100 * judged['box_agreement']:.1f} % the same as the float model's, at IoU {SAME}")
    for name, words in ((side, side), ("ort_float32", "float model")):
        if judged[f"ap50_{name}"] is not None:
            low, high = judged[f"ap50_{name}_interval_95"]
            ap50, ap = 100 * judged[f"ap50_{name}"], 100 * judged[f"ap_{name}"]
            lines.append(f"AP50 of the {words} {ap50:.1f} (95 %: {100 * low:.1f} to {100 * high:.1f}), AP {ap:.1f}")
    if judged["drop"] is not None:
        lines.append(f"AP50 drops by {100 * judged['drop']:.2f}, at most {100 * judged['drop_upper_95']:.2f} (95 %)")
    return lines


def _check(judged: Mapping[str, Any], limits: Limits, costs: Costs, option: str) -> None:
    if limits.max_drop is not None:
        if judged["drop_upper_95"] is None:
            raise GateError("--max-drop needs true boxes", hint=f"{option} FILE|DIR: {ANY_FORM}")
        if not 100 * judged["drop_upper_95"] <= limits.max_drop:
            what = f"AP50 drops by {100 * judged['drop']:.2f}, at most {100 * judged['drop_upper_95']:.2f} (95 %)"
            raise GateError(f"{what}; {limits.max_drop:g} is allowed", where=most_costly(costs))
    if limits.min_sqnr is not None:
        check_sqnr(judged["outputs"], limits.min_sqnr, costs)


TASK = Detection
