"""A second task, for the tests: is there a beacon in the image, and in which cell of a heat map.

Two outputs: one logit, and a map of one channel whose hottest cell is meant. All that it needs stands in this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from mbn2c.errors import GateError, UsageError
from mbn2c.files.csv_table import has_column, read_csv
from mbn2c.tasks.gates import check_has_float, check_sqnr, most_costly, noisiest
from mbn2c.tasks.noise import Noise, noise_json, noise_of
from mbn2c.tasks.outputs import Output
from mbn2c.tasks.protocol import Answers, CFunction, Costs, CValues, HeldBack, Json, Labels, Limits, Rows, Task
from mbn2c.tasks.statistics import Share

THERE, HEAT = "there", "heat"


@dataclass(frozen=True)
class Sighting:
    """What one network says: 1 if there is a beacon, and the number of its cell."""

    there: int
    cell: int


@dataclass(frozen=True)
class BeaconRecord:
    """What was found of one image; noise: of each output against the float model's."""

    int8: Sighting
    oracle: Sighting | None
    float32: Sighting | None
    noise: list[Noise]


@dataclass(frozen=True)
class Beacon(Task):
    name = "beacon"
    about = "whether there is a beacon, and where: a logit and a heat map"
    kinds = (THERE, HEAT)
    record = BeaconRecord
    figures = ("found_device", "same_cell")

    @classmethod
    def recognise(cls, outputs: Sequence[Output], kinds: Mapping[str, str], class_names: int) -> Self | None:
        found = {one.name: _kind(one) for one in outputs}
        if sorted(found.values()) != sorted(cls.kinds) or class_names or not kinds.items() <= found.items():
            return None
        return cls(tuple(outputs), "--output-kind" if kinds else "a logit and a map of one channel")

    @property
    def map(self) -> int:
        return next(number for number, one in enumerate(self.outputs) if _kind(one) == HEAT)

    def described(self) -> list[Json]:
        return [{"name": one.name, "shape": list(one.nhwc), "kind": _kind(one)} for one in self.outputs]

    @classmethod
    def words(cls, described: Json) -> str:
        return "the beacon's cell is its hottest" if described["kind"] == HEAT else "a beacon is there above 0"

    def find_labels(
        self, names: Sequence[str], folders: Sequence[str], file: Path | None, class_names: Sequence[str]
    ) -> Labels:
        """A CSV of file and cell; no cell: there is no beacon."""
        if file is None:
            return Labels()
        rows = read_csv(file, "file,cell")
        if not has_column(rows, "cell"):
            raise UsageError("the header has no 'cell'", where=str(file), hint="first line: file,cell")
        cells = {row["file"]: int(row["cell"] or -1) for row in rows.values()}
        missing = [name for name in names if name not in cells]
        if missing:
            raise UsageError(f"no cell for '{missing[0]}'", where=str(file), hint="name every image")
        return Labels([cells[name] for name in names], "csv", "cells of beacons")

    def compare(self, answers: Answers) -> BeaconRecord:
        pairs = list(zip(answers.float32 or (), answers.int8, strict=answers.float32 is not None))
        return BeaconRecord(
            self._seen(answers.int8),
            self._seen(answers.oracle) if answers.oracle is not None else None,
            self._seen(answers.float32) if answers.float32 is not None else None,
            [noise_of(wanted, got) for wanted, got in pairs],
        )

    def _seen(self, values: Sequence[np.ndarray]) -> Sighting:
        return Sighting(int(values[1 - self.map].item() > 0), int(values[self.map].argmax()))

    def is_possible(self, record: BeaconRecord, has_float: bool) -> bool:
        cells = self.outputs[self.map].nhwc[1] * self.outputs[self.map].nhwc[2]
        seen = [one for one in (record.int8, record.oracle, record.float32) if one is not None]
        return (
            all(one.there in (0, 1) and one.cell < cells for one in seen)
            and (record.float32 is not None) is has_float
            and len(record.noise) == (2 if has_float else 0)
        )

    def importance(self, number: int) -> np.ndarray:
        return super().importance(number) * (2 if number == self.map else 1)

    def agreement(self, records: Sequence[BeaconRecord]) -> float | None:
        return sum(record.int8.cell == record.float32.cell for record in records if record.float32) / len(records)

    def judge_held_back(self, held_back: HeldBack) -> Json:
        records = [record for record in held_back.records if record.float32 is not None]
        same = Share(sum(record.int8.cell == record.float32.cell for record in records), len(records))
        return {
            "same_cell": same.value,
            "same_cell_95": list(same.interval),
            "found_int8": _found([record.int8 for record in records], held_back.labels),
            "outputs": self._noise(records),
        }

    def judge_verified(self, records: Sequence[BeaconRecord], labels: Labels, has_float: bool) -> Json:
        outputs, same = self._noise(records), None
        if has_float:
            same = Share(sum(one.int8.cell == one.float32.cell for one in records if one.float32), len(records))
        noisy = noisiest(outputs)
        return {
            "found_device": _found([record.int8 for record in records], labels),
            "same_cell": same.value if same else None,
            "same_cell_95": list(same.interval) if same else None,
            "sqnr_db": noisy["sqnr_db"] if noisy else None,
            "outputs": outputs,
        }

    def _noise(self, records: Sequence[BeaconRecord]) -> list[Json]:
        judged = [record for record in records if record.noise]
        return [
            {**one, **noise_json([record.noise[number] for record in judged])}
            for number, one in enumerate(self.described())
        ]

    @classmethod
    def check_held_back(cls, judged: Json, limits: Limits, costs: Costs) -> None:
        _check(judged, limits, costs)

    @classmethod
    def check_verified(cls, judged: Mapping[str, Any], limits: Limits, costs: Costs) -> None:
        if limits != Limits():
            check_has_float(judged["outputs"][0]["largest_error"], "--max-drop or --min-sqnr")
        _check(judged, limits, costs)

    @classmethod
    def held_back_rows(cls, judged: Mapping[str, Any]) -> Rows:
        return [("", f"beacon in the same cell as float32 in {100 * judged['same_cell']:.1f} %")]

    @classmethod
    def verified_rows(cls, judged: Mapping[str, Any]) -> Rows:
        rows = (
            [] if judged["same_cell"] is None else [("beacon in the float model's cell", f"{judged['same_cell']:.4f}")]
        )
        return rows if judged["found_device"] is None else [*rows, ("beacons found", f"{judged['found_device']:.4f}")]

    def c_functions(self, prefix: str, outputs: Sequence[CValues]) -> list[CFunction]:
        """The cell, or -1 for no beacon, with nothing but comparisons of int8."""
        heat, there = outputs[self.map], outputs[1 - self.map]
        prototype = f"int {prefix}_beacon(const int8_t *output)"
        source = f"""#include "{prefix}.h"

{prototype}
{{
    const int8_t *heat = output + {heat.offset};
    int hottest = 0;
    if (output[{there.offset}] <= {there.zero_point}) {{
        return -1;
    }}
    for (int cell = 1; cell < {heat.bytes}; cell++) {{
        hottest = heat[cell] > heat[hottest] ? cell : hottest;
    }}
    return hottest;
}}
"""
        words = f"/* The cell of the beacon in {heat.outside}, row by row; -1 if there is none. */"
        return [CFunction("beacon", f"{words}\n{prototype};", source=source)]


def _kind(output: Output) -> str:
    _, height, width, channels = output.nhwc
    return "" if channels != 1 else THERE if height * width == 1 else HEAT


def _found(seen: Sequence[Sighting], labels: Labels) -> float | None:
    if labels.truths is None:
        return None
    pairs = zip(seen, labels.truths, strict=True)
    return sum((one.cell if one.there else -1) == truth for one, truth in pairs) / len(labels.truths)


def _check(judged: Mapping[str, Any], limits: Limits, costs: Costs) -> None:
    if limits.max_drop is not None and 100 * (1 - judged["same_cell"]) > limits.max_drop:
        moved = f"the beacon moves in {100 * (1 - judged['same_cell']):.1f} % of the images"
        raise GateError(f"{moved}; {limits.max_drop:g} % is allowed", where=most_costly(costs))
    if limits.min_sqnr is not None:
        check_sqnr(judged["outputs"], limits.min_sqnr, costs)


TASK = Beacon
