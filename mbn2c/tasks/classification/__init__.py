"""Classification: each output says a class, a class at each position, yes or no, or numbers as they are.

The task that takes whatever no other one does, for every output can at least be compared as numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from mbn2c.errors import UsageError
from mbn2c.tasks.classification import words
from mbn2c.tasks.classification.drop import Choices, check_drop, check_verified_drop
from mbn2c.tasks.classification.labels import find_labels
from mbn2c.tasks.classification.likeness import Likeness, compare, described, summary, top1_agreement
from mbn2c.tasks.classification.outputs import CLASSES, KINDS, OutputSpec, main_output, read_outputs
from mbn2c.tasks.classification.results import SeenClass, class_files
from mbn2c.tasks.gates import check_has_float, check_sqnr, noisiest
from mbn2c.tasks.images import Samples
from mbn2c.tasks.outputs import Output
from mbn2c.tasks.protocol import Answers, CFunction, Costs, CValues, HeldBack, Json, Labels, Limits, Rows, Task
from mbn2c.tasks.statistics import Share, decibel
from mbn2c.tasks.tail_functions import tail_functions


@dataclass(frozen=True)
class ClassificationRecord:
    """What was found of one image.

    likeness               of each output to the float model's; [] without one
    int8, oracle, float32  the class that the main output says, of each of `Answers`; None where it says more, or none
    """

    likeness: list[Likeness]
    int8: int | None
    oracle: int | None
    float32: int | None


@dataclass(frozen=True)
class Classification(Task):
    """outputs  each with what it says"""

    outputs: tuple[OutputSpec, ...]

    name = "classification"
    about = "classes of the image or of each position, yes or no, or numbers as they are; any network"
    kinds = KINDS
    record = ClassificationRecord
    figures = ("top1_device", "top1_agreement")
    is_last = True

    @property
    def main(self) -> OutputSpec:
        """The output that labels speak of."""
        return self.outputs[main_output(self.outputs)]

    @classmethod
    def recognise(cls, outputs: Sequence[Output], kinds: Mapping[str, str], class_names: int) -> Self | None:
        return cls(read_outputs(outputs, kinds, class_names), "--output-kind" if kinds else "no other task takes it")

    def described(self) -> list[Json]:
        return [described(output) for output in self.outputs]

    @classmethod
    def words(cls, described: Json) -> str:
        return words.judged_as(described)

    def check_class_names(self, names: Sequence[str]) -> None:
        main = self.main
        if names and not main.name_count:
            raise UsageError(
                f"class names for an output that is judged as {main.kind}",
                where=f"--labels, output '{main.name}': {main.reason}",
                hint="leave them out, or give --output-kind",
            )
        if names and len(names) != main.name_count:
            raise UsageError(
                f"{len(names)} class names for {main.name_count} classes",
                where=f"--labels, output '{main.name}'",
                hint="one name per class, in order; a single logit has two, of no and of yes",
            )

    def check_limits(self, limits: Limits) -> None:
        if limits.max_drop is not None:
            self.main.check_labels("--max-drop")

    def find_labels(
        self, names: Sequence[str], folders: Sequence[str], file: Path | None, class_names: Sequence[str]
    ) -> Labels:
        return find_labels(names, folders, file, class_names, self.main)

    def compare(self, answers: Answers) -> ClassificationRecord:
        main = main_output(self.outputs)
        likeness, float32 = [], None
        if answers.float32 is not None:
            pairs = zip(self.outputs, answers.float32, answers.int8, strict=True)
            likeness = [compare(output, expected, found) for output, expected, found in pairs]
            float32 = self.main.choice(answers.float32[main])
        oracle = None if answers.oracle is None else self.main.choice(answers.oracle[main])
        return ClassificationRecord(likeness, self.main.choice(answers.int8[main]), oracle, float32)

    def is_possible(self, record: ClassificationRecord, has_float: bool) -> bool:
        classes = range(self.main.label_count)
        chosen = [record.int8, record.oracle, *([record.float32] if has_float else [])]
        return (
            len(record.likeness) == (len(self.outputs) if has_float else 0)
            and all(one.same <= output.decisions for one, output in zip(record.likeness, self.outputs, strict=False))
            and all(choice in (classes or (None,)) for choice in chosen)
            and (has_float or record.float32 is None)
        )

    def agreement(self, records: Sequence[ClassificationRecord]) -> float | None:
        decisions = len(records) * self.main.decisions
        main = main_output(self.outputs)
        return sum(record.likeness[main].same for record in records) / decisions if decisions else None

    def judge_held_back(self, held_back: HeldBack) -> Json:
        """`agreement` is the main output's, `drop` is None where it does not say one class for an image."""
        judged, choices = self._summaries(held_back.records), self._choices(held_back.records, held_back.labels)
        agreement, interval = top1_agreement(judged, main_output(self.outputs))
        drop, upper = choices.drop if choices else (None, None)
        return {
            "agreement": agreement,
            "agreement_95": interval,
            "accuracy_float32": choices.accuracy(choices.float32) if choices else None,
            "accuracy_int8": choices.accuracy(choices.int8) if choices else None,
            "drop": drop,
            "drop_upper_95": upper,
            "outputs": judged,
            "main": main_output(self.outputs),
        }

    def judge_verified(self, records: Sequence[ClassificationRecord], labels: Labels, has_float: bool) -> Json:
        judged = self._summaries(records)
        agreement, agreement_interval = top1_agreement(judged, main_output(self.outputs))
        noisy, truths = noisiest(judged), labels.truths
        choices = self._choices(records, labels) if has_float and truths is not None else None
        drop, upper = choices.drop if choices else (None, None)

        def right(side: str) -> Share | None:
            if truths is None or (side == "float32" and not has_float):
                return None
            found = [getattr(record, side) == truth for record, truth in zip(records, truths, strict=True)]
            return Share(sum(found), len(found))

        shares = {name: right(side) for name, side in _SIDES.items()}
        return {
            "top1_device": _value(shares["device"]),
            "top1_device_interval_95": _interval(shares["device"]),
            "top1_ort_float32": _value(shares["ort_float32"]),
            "top1_ort_float32_interval_95": _interval(shares["ort_float32"]),
            "top1_ort_int8": _value(shares["ort_int8"]),
            "top1_agreement": agreement,
            "top1_agreement_interval_95": agreement_interval,
            "drop": drop,
            "drop_upper_95": upper,
            "sqnr_db": noisy["sqnr_db"] if noisy else None,
            "outputs": judged,
            "main_output": self.main.name,
        }

    def result_files(
        self, samples: Samples, records: Sequence[ClassificationRecord], labels: Labels, class_names: Sequence[str]
    ) -> Iterator[tuple[str, bytes]]:
        names, truths = samples.names, labels.truths or [None] * len(records)
        main = main_output(self.outputs)

        def seen(position: int) -> SeenClass:
            one = records[position]
            noise = decibel(one.likeness[main].signal, one.likeness[main].noise) if one.likeness else None
            return SeenClass(position, names[position], one.int8, one.float32, truths[position], noise)

        return class_files(samples, [seen(position) for position in range(len(records))], class_names)

    def _summaries(self, records: Sequence[ClassificationRecord]) -> list[Json]:
        compared = [record.likeness for record in records if record.likeness]
        return [summary(output, [one[number] for one in compared]) for number, output in enumerate(self.outputs)]

    def _choices(self, records: Sequence[ClassificationRecord], labels: Labels) -> Choices | None:
        """None where the main output does not say one class for an image."""
        pairs = [(one.float32, one.int8) for one in records if one.float32 is not None and one.int8 is not None]
        if not pairs:
            return None
        float32, int8 = zip(*pairs, strict=True)
        return Choices(float32, int8, labels.truths or [None] * len(pairs))

    @classmethod
    def check_held_back(cls, judged: Mapping[str, Any], limits: Limits, costs: Costs) -> None:
        if limits.max_drop is not None:
            check_drop(judged, limits.max_drop, costs)
        if limits.min_sqnr is not None:
            check_sqnr(judged["outputs"], limits.min_sqnr, costs)

    @classmethod
    def check_verified(cls, judged: Mapping[str, Any], limits: Limits, costs: Costs) -> None:
        largest_error = judged["outputs"][0]["largest_error"]
        if limits.max_drop is not None:
            check_has_float(largest_error, "--max-drop")
            check_verified_drop(judged, limits.max_drop, costs)
        if limits.min_sqnr is not None:
            check_has_float(largest_error, "--min-sqnr")
            check_sqnr(judged["outputs"], limits.min_sqnr, costs)

    @classmethod
    def held_back_rows(cls, judged: Mapping[str, Any]) -> Rows:
        return words.held_back_rows(judged)

    @classmethod
    def verified_rows(cls, judged: Mapping[str, Any]) -> Rows:
        return words.verified_rows(judged)

    def example(self) -> str:
        says_a_class = len(self.outputs) == 1 and self.main.kind == CLASSES and self.main.decisions == 1
        return "class" if says_a_class else super().example()

    def c_functions(self, prefix: str, outputs: Sequence[CValues]) -> list[CFunction]:
        """The class in a word, whose scores are made probabilities whether the file does so or not, and the tails."""
        main, ends, offered = main_output(self.outputs), list(self.outputs), None
        if self.main.kind == CLASSES and self.main.label_count and not self.main.tail:
            ends[main], offered = replace(self.main, tail="softmax"), main
        tops = [_top1(prefix, self.main, outputs[main])] if self.main.label_count else []
        return tops + tail_functions(prefix, ends, outputs, offered)


def _top1(prefix: str, main: OutputSpec, values: CValues) -> CFunction:
    """The class that the main output says."""
    if main.kind == CLASSES:
        words = f"The class of the image, 0 to {values.bytes - 1}: that of the greatest score, the first of several"
    else:
        words = "1 for yes, 0 for no: whether the score is above 0, which is a probability above 1/2"
    declaration = f"/* {words}. `output` is what\n * {prefix}_run and {prefix}_finish fill. */\n"
    declaration += f"int {prefix}_top1(const int8_t *output);"
    facts = {"offset": values.offset, "count": values.bytes, "zero_point": values.zero_point}
    return CFunction("top1", declaration, "network/tasks/top1.c.j2", facts)


# Fields of JSON -> fields of a record.
_SIDES = {"device": "int8", "ort_float32": "float32", "ort_int8": "oracle"}


def _value(share: Share | None) -> float | None:
    return share.value if share else None


def _interval(share: Share | None) -> list[float] | None:
    return list(share.interval) if share else None


TASK = Classification
