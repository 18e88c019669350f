"""Two output folders, or two report.json -> what differs between the builds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mbn2c.commands.build import REPORT
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.errors import GateError, UsageError
from mbn2c.files.typed_json import to_plain
from mbn2c.files.user_files import read_bytes
from mbn2c.report.difference import SCHEMA, ChangedFact, ChangedNumber, Difference
from mbn2c.report.json import read_record
from mbn2c.report.record import BuildRecord

_MOST_REPORT_BYTES = 64 * 2**20
# What --max-growth judges, in the order in which it is shown; the rest is shown only.
_GATED = ("ram.total_bytes", "ram.arena_bytes", "flash.total_bytes", "time.instructions")
_SHOWN = (
    *("ram.context_bytes", "ram.stack_bytes", "flash.weights_bytes", "flash.constants_bytes", "flash.code_bytes"),
    *("model.macs", "model.parameters", "recomputed_macs"),
)
_FACTS = ("mbn2c", "target", "board", "prefix", "model.file", "model.sha256", "model.int8_sha256", "schedule", "fit")
_LAYER_FACTS = ("op", "kernel", "inputs", "output", "macs", "weight_bytes", "scale", "zero_point", "sqnr_db")
_BUFFER_FACTS = ("offset", "size_bytes", "slots", "strip_columns", "first_step", "last_step")


def diff(before: Path, after: Path, max_growth: float | None = None) -> Difference:
    """What changed from one build to another.

    before, after  output folders or report.json files; generated C is compared between two folders
    max_growth     per cent that RAM, flash or instructions may grow before it is called grown; None: no gate
    raises         UsageError if one is neither, or is damaged
    """
    records = _record(before), _record(after)
    plain: tuple[dict[str, Any], dict[str, Any]] = (to_plain(records[0]), to_plain(records[1]))
    numbers = [_number(name, plain, name in _GATED) for name in (*_GATED, *_SHOWN)]
    numbers += [_accuracy_number(name, plain) for name in _accuracy_names(plain)]
    facts = list(_changed("", [{name: _at(one, name) for name in _FACTS} for one in plain]))
    facts += _changed("build.", [_flat(one["build"]) for one in plain])
    has_files = before.is_dir() and after.is_dir()
    return Difference(
        SCHEMA,
        (str(before), str(after)),
        tuple(numbers),
        tuple(facts),
        tuple(_of_named(plain, "layers", "name", _LAYER_FACTS)),
        (*_of_named(plain, "buffers", "tensor", _BUFFER_FACTS), *_loops(records)),
        tuple(_files(before, after)) if has_files else (),
        has_files,
        max_growth,
        () if max_growth is None else tuple(one.name for one in numbers if _has_grown(one, max_growth)),
    )


def check_growth(found: Difference) -> None:
    """Raises GateError that names what grew by more than was allowed."""
    if found.grown:
        grown = [one for one in found.numbers if one.name in found.grown]
        words = ", ".join(f"{one.name} {one.growth:+.1f} %" for one in grown if one.growth is not None)
        raise GateError(f"grown by more than {found.max_growth:g} %: {words}", where=found.names[1])


def _record(path: Path) -> BuildRecord:
    if path.is_dir():
        return OutputFolder(path).record
    hint = f"an output folder, or its {REPORT}"
    try:
        return read_record(read_bytes(path, "report", hint, _MOST_REPORT_BYTES))
    except ValueError as error:
        raise UsageError(f"cannot read the report: {str(error)[:300]}", where=str(path), hint=hint) from None


def _at(plain: Mapping[str, Any], name: str) -> Any:
    """The value at a path with dots."""
    found: Any = plain
    for word in name.split("."):
        found = found[word]
    return found


def _number(name: str, plain: Sequence[Mapping[str, Any]], is_gated: bool) -> ChangedNumber:
    return _change(name, *(_at(one, name) for one in plain), is_gated=is_gated)


def _change(name: str, before: float | None, after: float | None, *, is_gated: bool = False) -> ChangedNumber:
    growth = 100 * (after / before - 1) if before and after is not None else None
    return ChangedNumber(name, before, after, growth, is_gated)


def _has_grown(one: ChangedNumber, max_growth: float) -> bool:
    return one.is_gated and one.growth is not None and one.growth > max_growth


# --- what was measured on images held back -------------------------------------------------------------


def _accuracy_names(plain: Sequence[Mapping[str, Any]]) -> list[str]:
    """The numbers that both builds' tasks tell of images held back."""
    told = [one["quantization"]["held_back"] or {} for one in plain]
    return [name for name, value in told[0].items() if _is_number(value) and _is_number(told[1].get(name))]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _accuracy_number(name: str, plain: Sequence[Mapping[str, Any]]) -> ChangedNumber:
    told = [one["quantization"]["held_back"][name] for one in plain]
    return _change(f"held_back.{name}", *told)


# --- what is named -------------------------------------------------------------------------------------


def _flat(facts: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Names with dots for what lies in others."""
    found: dict[str, Any] = {}
    for name, value in facts.items():
        found |= _flat(value, f"{start}{name}.") if isinstance(value, dict) else {f"{start}{name}": value}
    return found


def _changed(start: str, both: Sequence[Mapping[str, Any]]) -> Iterator[ChangedFact]:
    for name in dict.fromkeys([*both[0], *both[1]]):
        before, after = (one.get(name) for one in both)
        if before != after:
            yield ChangedFact(f"{start}{name}", _words(before), _words(after))


def _words(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else str(value)


def _of_named(plain: Sequence[Mapping[str, Any]], key: str, name: str, fields: Sequence[str]) -> Iterator[ChangedFact]:
    """Of layers or buffers, those of one name compared; which are in one build only."""
    both = [{one[name]: one for one in each[key]} for each in plain]
    for each in dict.fromkeys([*both[0], *both[1]]):
        if not all(each in one for one in both):
            yield ChangedFact(each, *("there" if each in one else "" for one in both))
            continue
        yield from _changed(f"{each}: ", [{field: one[each][field] for field in fields} for one in both])


def _loops(records: Sequence[BuildRecord]) -> Iterator[ChangedFact]:
    loops = [" ".join(f"{one.first_step}-{one.last_step}" for one in record.timeline.loops) for record in records]
    if loops[0] != loops[1]:
        yield ChangedFact("steps of the loops", *loops)


def _files(before: Path, after: Path) -> Iterator[ChangedFact]:
    """Generated C: SHA-256, its start, of what lies there."""
    both = [OutputFolder(path).code for path in (before, after)]
    digests = [{path: hashlib.sha256(content).hexdigest()[:12] for path, content in one.items()} for one in both]
    yield from _changed("", digests)
