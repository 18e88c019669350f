"""Segmentation: a class for each pixel, chosen on the device, whose map leaves row by row.

`segmenter` says what the network's last map means, `device` what stands behind it in the int8 Graph; `masks` reads what
is true, `intersection` judges, `maps` keeps maps as text and shows them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from mbn2c.errors import GateError, UsageError
from mbn2c.files.typed_json import Count
from mbn2c.ir.graph import Decoding, Graph
from mbn2c.tasks.gates import check_has_float, check_sqnr, most_costly, noisiest
from mbn2c.tasks.images import Samples, open_samples
from mbn2c.tasks.inputs import InputSpec
from mbn2c.tasks.noise import Noise, noise_json, noise_of
from mbn2c.tasks.outputs import Output
from mbn2c.tasks.protocol import Answers, Costs, CValues, HeldBack, Json, Labels, Limits, Rows, Task
from mbn2c.tasks.segmentation.device import with_classes, with_threshold
from mbn2c.tasks.segmentation.intersection import IGNORED, accuracy, count, drop_with_bound, mean_iou, with_interval
from mbn2c.tasks.segmentation.maps import from_text, to_text
from mbn2c.tasks.segmentation.masks import ScaledImage, read_masks
from mbn2c.tasks.segmentation.results import SeenMap, map_files
from mbn2c.tasks.segmentation.segmenter import NAME, SegmenterFacts
from mbn2c.tasks.statistics import mean_interval
from mbn2c.tasks.truths import check_are_files

_THRESHOLD = "score_threshold"


@dataclass(frozen=True)
class SegmentationRecord:
    """What was found of one image; maps are texts of `maps`.

    int8, float32  the classes of each of `Answers`; None where there is none
    agreeing       pixels that both have in common
    mismatches     pixels of a device that are not what ONNX Runtime's own numbers say
    noise          of the map that the classes are chosen from, against the float model's; [] without one
    """

    int8: str
    float32: str | None
    agreeing: Count
    mismatches: Count
    noise: list[Noise]


@dataclass(frozen=True)
class Segmentation(Task):
    """outputs  the map that the classes are chosen from
    facts    what it means
    images   by name, as far as they have been opened
    """

    facts: SegmenterFacts
    images: dict[str, ScaledImage] = field(default_factory=dict, compare=False)

    name = NAME
    about = "a class for each pixel: the largest of its channels, or yes and no, chosen on the device row by row"
    record = SegmentationRecord
    figures = ("miou_device", "pixel_agreement")

    @classmethod
    def recognise(cls, outputs: Sequence[Output], kinds: Mapping[str, str], class_names: int) -> Self | None:
        return None  # not by the outputs: by what the importer cut off behind them

    @classmethod
    def of_decoding(cls, outputs: Sequence[Output], decoding: Decoding, height: int, width: int) -> Self:
        facts = SegmenterFacts.from_decoding(decoding)
        if len(outputs) != 1 or (facts.height, facts.width) != (height, width):
            raise ValueError(f"a map of {facts.height}x{facts.width} for an image of {height}x{width}")
        return cls(tuple(outputs), f"the file ends in {facts.ending}", facts)

    @property
    def classes(self) -> int:
        """How many classes a pixel may be of."""
        return max(2, self.outputs[0].channels)

    def with_options(self, options: Mapping[str, float]) -> Self:
        if not options:
            return self
        option = next(iter(set(options) - {_THRESHOLD}), "")
        if option or self.outputs[0].channels > 1:
            name = (option or _THRESHOLD).replace("_", "-")
            raise UsageError(f"--{name} is not of {self.name} of {self.classes} classes", hint="leave it out")
        return replace(self, facts=with_threshold(self.facts, options[_THRESHOLD]))

    def on_device(self, graph: Graph) -> Graph:
        return with_classes(graph, self.facts)

    def described(self) -> list[Json]:
        return [{"name": one.name, "shape": list(one.nhwc), "classes": self.classes} for one in self.outputs]

    @classmethod
    def words(cls, described: Json) -> str:
        return f"from which one of {described['classes']} classes is chosen for each pixel"

    def check_class_names(self, names: Sequence[str]) -> None:
        if names and len(names) != self.classes:
            what = f"{len(names)} class names for {self.classes} classes"
            raise UsageError(what, where="--labels", hint="one name per class, in order, the background first")

    # --- images ----------------------------------------------------------------------------------

    def open_samples(self, path: Path, spec: InputSpec, *, resize: str = "crop", limit: int | None = None) -> Samples:
        samples = open_samples(path, spec, resize=resize, limit=limit)
        if samples.are_pixels:
            files = zip(samples.names, samples.files, strict=True)
            self.images.update((name, ScaledImage(file, resize)) for name, file in files)
        return samples

    def find_labels(
        self, names: Sequence[str], folders: Sequence[str], file: Path | None, class_names: Sequence[str]
    ) -> Labels:
        if file is None:
            return Labels()
        check_are_files(names, self.images, file, "masks")
        masks = read_masks(file, names, self._size, self.images, class_names)
        if all((mask == IGNORED).all() for mask in masks):
            what = f"no pixel of the masks counts: all are {IGNORED}"
            raise UsageError(what, where=str(file), hint=f"0 to {self.classes - 1}; {IGNORED} counts for nothing")
        largest = max((int(mask[mask != IGNORED].max(initial=0)) for mask in masks), default=0)
        if largest >= self.classes:
            what = f"class {largest} in a mask, of {self.classes} that the network has"
            raise UsageError(what, where=str(file), hint=f"0 to {self.classes - 1}; {IGNORED} counts for nothing")
        return Labels([to_text(mask) for mask in masks], "masks", f"{len(masks)} masks")

    @property
    def _size(self) -> tuple[int, int]:
        return self.facts.height, self.facts.width

    def compare(self, answers: Answers) -> SegmentationRecord:
        heads = answers.int8 if answers.oracle is None else answers.oracle
        if answers.oracle is None:
            found = self.facts.classes(heads[0])
        else:
            found = answers.int8[0][0, :, :, 0].astype(np.int8).view(np.uint8)
        floats = None if answers.float32 is None else self.facts.classes(answers.float32[0])
        return SegmentationRecord(
            to_text(found),
            None if floats is None else to_text(floats),
            0 if floats is None else int((floats == found).sum()),
            self.facts.differing(found, heads[0]),
            []
            if answers.float32 is None
            else [noise_of(*(np.clip(x, *self.telling(0)) for x in (answers.float32[0], heads[0])))],
        )

    def is_possible(self, record: SegmentationRecord, has_float: bool) -> bool:
        pixels = self.facts.height * self.facts.width
        try:
            for text in filter(None, (record.int8, record.float32)):
                from_text(text, *self._size)
        except ValueError:
            return False
        return (
            (record.float32 is not None) is has_float
            and len(record.noise) == int(has_float)
            and max(record.agreeing, record.mismatches) <= pixels
        )

    # --- all images ------------------------------------------------------------------------------

    def telling(self, number: int) -> tuple[float, float]:
        return self.facts.telling(self.outputs[number].nhwc)

    def agreement(self, records: Sequence[SegmentationRecord]) -> float | None:
        shares = self._shares(records)
        return sum(shares) / len(shares) if shares else None

    def _shares(self, records: Sequence[SegmentationRecord]) -> list[float]:
        pixels = self.facts.height * self.facts.width
        return [record.agreeing / pixels for record in records if record.float32 is not None]

    def judge_held_back(self, held_back: HeldBack) -> Json:
        records = [record for record in held_back.records if record.float32 is not None]
        return {**self._against(records, held_back.labels, "int8"), "outputs": self._noise(records)}

    def judge_verified(self, records: Sequence[SegmentationRecord], labels: Labels, has_float: bool) -> Json:
        outputs = self._noise(records)
        noisy = noisiest(outputs)
        return {
            **self._against(records, labels, "device"),
            "pixel_mismatches": sum(record.mismatches for record in records),
            "sqnr_db": noisy["sqnr_db"] if noisy else None,
            "outputs": outputs,
        }

    def result_files(
        self, samples: Samples, records: Sequence[SegmentationRecord], labels: Labels, class_names: Sequence[str]
    ) -> Iterator[tuple[str, bytes]]:
        if not samples.are_pixels:
            return iter(())
        truths = labels.truths or [None] * len(records)

        def known(text: str | None) -> np.ndarray | None:
            return None if text is None else from_text(text, *self._size)

        def images() -> Iterator[SeenMap]:
            for sample, record, true in zip(samples, records, truths, strict=True):
                assert sample.pixels is not None
                device = from_text(record.int8, *self._size)
                yield SeenMap(sample.name, sample.pixels[0], device, known(record.float32), known(true))

        return map_files(images())

    def _against(self, records: Sequence[SegmentationRecord], labels: Labels, side: str) -> Json:
        """Intersection over union of int8 and float model, and how many pixels they have in common."""
        shares = self._shares(records)
        interval = mean_interval(shares, 0.0, 1.0)
        judged: Json = {
            "pixel_agreement": self.agreement(records),
            "pixel_agreement_interval_95": list(interval) if interval else None,
        }
        truths = labels.truths
        is_known = truths is not None and None not in truths and bool(records)
        masks = [from_text(text, *self._size) for text in truths or ()] if is_known else []
        counts: dict[str, np.ndarray] = {}
        if is_known:
            counts[side] = count([from_text(one.int8, *self._size) for one in records], masks, self.classes)
            floats = [from_text(one.float32, *self._size) for one in records if one.float32 is not None]
            if len(floats) == len(records):
                counts["ort_float32"] = count(floats, masks, self.classes)
        for name in (side, "ort_float32"):
            for metric, of in (("miou", mean_iou), ("pixel_accuracy", accuracy)):
                found = with_interval(of, counts[name]) if name in counts else None
                judged[f"{metric}_{name}"] = found[0] if found else None
                judged[f"{metric}_{name}_interval_95"] = list(found[1]) if found else None
            judged[f"iou_of_classes_{name}"] = _of_classes(counts[name]) if name in counts else None
        drop: tuple[float | None, float | None] = (None, None)
        if len(counts) == 2:
            drop = drop_with_bound(mean_iou, counts["ort_float32"], counts[side])
        elif shares:
            # Without masks every pixel that changes counts as lost.
            drop = 1 - sum(shares) / len(shares), 1 - (interval or (min(shares),))[0]
        judged["drop"], judged["drop_upper_95"] = drop
        return judged

    def _noise(self, records: Sequence[SegmentationRecord]) -> list[Json]:
        judged = [record.noise[0] for record in records if record.noise]
        return [{**one, **noise_json(judged)} for one in self.described()]

    @classmethod
    def check_held_back(cls, judged: Json, limits: Limits, costs: Costs) -> None:
        _check(judged, limits, costs)

    @classmethod
    def check_verified(cls, judged: Mapping[str, Any], limits: Limits, costs: Costs) -> None:
        if judged["pixel_mismatches"]:
            what = f"{judged['pixel_mismatches']} pixels are not of the class that ONNX Runtime's numbers say"
            raise GateError(what, where="the classes' map", hint="run verify again with --layers")
        if limits != Limits():
            check_has_float(judged["outputs"][0]["largest_error"], "--max-drop or --min-sqnr")
        _check(judged, limits, costs)

    @classmethod
    def held_back_rows(cls, judged: Mapping[str, Any]) -> Rows:
        return [("", text) for text in _lines(judged, "int8")]

    @classmethod
    def verified_rows(cls, judged: Mapping[str, Any]) -> Rows:
        return [("pixels", text) for text in _lines(judged, "device")]

    # --- C ---------------------------------------------------------------------------------------

    def example(self) -> str:
        return "map" if self.facts.height > 1 else super().example()  # a single row leaves as other outputs do

    def output_words(self, prefix: str, outputs: Sequence[CValues]) -> str:
        return (
            f"a byte for each pixel of the image, row by row: the number of its class, below {self.classes}, without\n"
            f" * a sign. Rows leave as they are made: see {prefix}_rows_to. Scale and zero point mean nothing here."
        )


def _of_classes(counts: np.ndarray) -> list[float | None]:
    """Of each class; None where it is neither true nor found."""
    both, found, true = counts.sum(axis=0).tolist()
    return [b / (f + t - b) if f + t else None for b, f, t in zip(both, found, true, strict=True)]


def _lines(judged: Mapping[str, Any], side: str) -> list[str]:
    lines = []
    if judged["pixel_agreement"] is not None:
        lines.append(f"{100 * judged['pixel_agreement']:.2f} % of the class that the float model says")
    for name, words in ((side, side), ("ort_float32", "float model")):
        if judged[f"miou_{name}"] is not None:
            low, high = judged[f"miou_{name}_interval_95"]
            miou, right = 100 * judged[f"miou_{name}"], 100 * judged[f"pixel_accuracy_{name}"]
            lines.append(
                f"mean IoU of the {words} {miou:.1f} (95 %: {100 * low:.1f} to {100 * high:.1f}), {right:.1f} % right"
            )
    if judged["miou_ort_float32"] is not None:
        drop, upper = 100 * judged["drop"], 100 * judged["drop_upper_95"]
        lines.append(f"mean IoU drops by {drop:.2f}, at most {upper:.2f} (95 %)")
    return lines


def _check(judged: Mapping[str, Any], limits: Limits, costs: Costs) -> None:
    if limits.max_drop is not None:
        if judged["drop_upper_95"] is None:
            raise GateError("--max-drop compares with the float model", hint="build from the float model")
        if not 100 * judged["drop_upper_95"] <= limits.max_drop:
            what = "mean IoU drops by" if judged["miou_ort_float32"] is not None else "the class of pixels changes for"
            raise GateError(
                f"{what} {100 * judged['drop']:.2f} %, at most {100 * judged['drop_upper_95']:.2f} (95 %);"
                f" {limits.max_drop:g} is allowed",
                where=most_costly(costs),
                hint="--quantize best, more --calib images; masks by --labels or --calib-labels count only real losses",
            )
    if limits.min_sqnr is not None:
        check_sqnr(judged["outputs"], limits.min_sqnr, costs)


TASK = Segmentation
