"""report.json: the record comes back; what was changed is refused in words, with exit code 2."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from damage import damaged
from models import tiny_mobilenet_v1
from networks import quantized
from records import record_of

from mbn2c.cli import main
from mbn2c.commands.output_folder import OutputFolder, staged
from mbn2c.errors import UsageError
from mbn2c.files.bundle import write_bundle
from mbn2c.planner.choice import choose_plan
from mbn2c.planner.cost import executed_macs
from mbn2c.report.json import read_record, to_json
from mbn2c.report.record import BuildRecord
from mbn2c.targets import load_core


@pytest.fixture(scope="module")
def record() -> BuildRecord:
    return record_of(
        choose_plan(quantized(tiny_mobilenet_v1()), load_core("cortex-m4"), "balanced"), "cortex-m4", "ram"
    )


def test_a_record_comes_back(record: BuildRecord) -> None:
    completed = record.with_sizes(12_345, 678, None)
    for one in (record, completed):
        text = to_json(one)
        assert to_json(read_record(text.encode())) == text
    assert completed.ram.total_bytes == record.ram.arena_bytes + record.ram.context_bytes + 678
    assert record.ram.total_bytes is None


CHANGES: dict[str, tuple[Callable[[Any], object], str]] = {
    "no schema": (lambda r: r.pop("schema"), "schema None, not 1"),
    "another schema": (lambda r: r.update(schema=2), "schema 2, not 1"),
    "no build": (lambda r: r.pop("build"), "missing required field `build`"),
    "no model": (lambda r: r.pop("model"), "missing required field `model`"),
    "a build without labels": (lambda r: r["build"].pop("labels"), "missing required field `labels`"),
    "a model without digest": (lambda r: r["model"].pop("int8_sha256"), "missing required field `int8_sha256`"),
    "text as bytes": (lambda r: r["ram"].update(arena_bytes="13 KiB"), r"Expected `int`, got `str` - at `\$.ram.arena"),
    "a list as model": (lambda r: r.update(model=[]), "Expected `object`, got `array`"),
    "a field too many": (lambda r: r["flash"].update(shell="rm"), "unknown field `shell`"),
    "sources without a default": (lambda r: r.pop("sources"), "misses field `sources`"),
    "a stride as layer": (lambda r: r["layers"].append(2), "Expected `object`, got `int`"),
}


def written(record: BuildRecord, out: Path, change: Callable[[Any], object]) -> Path:
    """An output folder with this record, changed and signed."""
    plain = json.loads(to_json(record))
    change(plain)
    with staged(out) as stage:
        write_bundle({"report.json": json.dumps(plain).encode()}, stage)
    return out


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("command", ["verify", "bench", "flash"])
def test_what_was_changed_is_refused(
    change: str, command: str, record: BuildRecord, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apply, reason = CHANGES[change]
    out = written(record, tmp_path / "out", apply)
    with pytest.raises(UsageError, match=f"cannot read report.json: .*{reason}"):
        OutputFolder(out).record  # noqa: B018
    assert main([command, str(out), *(["--images", "none"] if command == "verify" else [])]) == 2
    assert capsys.readouterr().err.startswith("error: cannot read report.json: ")


def test_three_hundred_damaged_reports(record: BuildRecord) -> None:
    """Each is refused in words, or what it says comes back as it stands."""
    chance, text, refused = random.Random(7), to_json(record), 0
    for _ in range(300):
        plain = damaged(json.loads(text), chance)
        try:
            found = read_record(json.dumps(plain).encode())
        except ValueError:
            refused += 1
        else:
            assert json.loads(to_json(found)) == plain
    assert refused > 150


def test_a_layer_that_is_made_twice_counts(record: BuildRecord) -> None:
    assert record.recomputed_macs == 0
    plan = choose_plan(quantized(tiny_mobilenet_v1()), load_core("cortex-m4"), "balanced").plan
    twice = replace(plan, loops=(*plan.loops, plan.loops[0]))
    again = sum(layer.macs for layer in record.layers if layer.step in {call.step for call in plan.loops[0].calls})
    assert executed_macs(twice) - record.model.macs == again > 0
