"""The journal of a verify: what was written comes back whole, anything else is refused."""

from __future__ import annotations

import json
import math
import random
import zlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mbn2c.commands.verify.journal import Journal
from mbn2c.commands.verify.one_image import Tally
from mbn2c.commands.verify.resumed import taken_over
from mbn2c.errors import UsageError
from mbn2c.files.typed_json import from_plain
from mbn2c.tasks.classification import ClassificationRecord
from mbn2c.tasks.classification.likeness import Likeness
from mbn2c.tasks.images import Samples
from mbn2c.tasks.inputs import InputSpec
from mbn2c.tasks.outputs import Output
from mbn2c.tasks.registry import recognise

OUTPUT_BYTES = 10
SUBJECT = {"images": [6, "ab"], "firmware": ["board core 1.0 00000001"], "labels": None}
TASK = recognise([Output("scores", (1, 6), (0, 3), ""), Output("logits", (1, 4), (0, 3), "sigmoid")], {})
SPEC = InputSpec((1, 3, 2, 2), (0, 3, 1, 2))
SAMPLES = Samples(SPEC, values=np.arange(72, dtype=np.float32).reshape(6, 3, 2, 2), rows=tuple(range(6)))


def result(position: int) -> dict[str, Any]:
    likeness = [Likeness(1, -1 / 3, 0.1 * position, 1e-9, 2.0), Likeness(0, None, 0.0, 0.0, 0.0)]
    record = asdict(ClassificationRecord(likeness, int8=5, oracle=5, float32=0))
    return asdict(Tally(images=1, outputs_compared=OUTPUT_BYTES, records=[record], cycles=[7], first_bad=["x"]))


def with_record(**changes: Any) -> dict[str, Any]:
    """The entry of image 2, whose record says something else."""
    return {"result": {**result(2), "records": [result(2)["records"][0] | changes]}}


def written(file: Path, positions: range = range(4)) -> dict[int, Tally]:
    with Journal(file, SUBJECT) as journal:
        for position in positions:
            journal.write(position, SAMPLES.digest(position), result(position))
    return {position: Tally(**result(position)) for position in positions}


def resumed(file: Path) -> dict[int, Tally]:
    with Journal(file, SUBJECT, resume=True) as journal:
        return taken_over(journal.done, SAMPLES, OUTPUT_BYTES, TASK, True, str(file))


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    whole = written(tmp_path / "journal")
    assert resumed(tmp_path / "journal") == whole
    assert resumed(tmp_path / "journal") == whole  # and is kept for the next time


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_line_that_was_not_written_to_its_end_does_not_count(cut: int, tmp_path: Path) -> None:
    file = tmp_path / "journal"
    whole = written(file)
    file.write_bytes(file.read_bytes()[:-cut])
    assert resumed(file) == {position: whole[position] for position in range(3)}
    with Journal(file, SUBJECT, resume=True) as journal:
        journal.write(3, SAMPLES.digest(3), result(3))
    assert resumed(file) == whole


def edited(content: bytes, chance: random.Random) -> bytes:
    """One flipped, lost, doubled or inserted byte, or two lines swapped, or one lost."""
    at = chance.randrange(len(content))
    match chance.randrange(7):
        case 0 | 1:
            return content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]
        case 2:
            return content[:at] + content[at + 1 :]
        case 3:
            return content[:at] + content[at : at + 1] + content[at:]
        case 4:
            return content[:at] + bytes([chance.choice(b"\n\x00 0{}\xff")]) + content[at:]
    lines = content.splitlines(keepends=True)
    one, two = chance.sample(range(len(lines)), 2)
    if chance.randrange(2):
        lines[one], lines[two] = lines[two], lines[one]
    else:
        del lines[one]
    return b"".join(lines)


def test_no_edit_gives_another_result(tmp_path: Path) -> None:
    """Each is refused in words, or leaves only results that were written: the rest is verified anew."""
    file, chance, refused = tmp_path / "journal", random.Random(11), 0
    whole = written(file)
    content = file.read_bytes()
    for _ in range(300):
        file.write_bytes(edited(content, chance))
        try:
            assert resumed(file).items() <= whole.items()
        except UsageError as error:
            assert "journal" in error.what or "another verification" in error.what
            refused += 1
    assert refused > 200


def line(content: object, seed: int) -> bytes:
    body = json.dumps(content).encode()
    return b"%08x %s\n" % (zlib.crc32(body, seed), body)


NO_NUMBER = asdict(Likeness(1, 1.0, 1.0, math.nan, 1.0))
SAME, SAME_OF_6 = asdict(Likeness(1, 1.0, 1.0, 0.5, 1.0)), asdict(Likeness(6, 1.0, 1.0, 0.5, 1.0))
EDITS: list[tuple[str, dict[str, Any], str]] = [
    # (case, what replaces parts of the entry of image 2, word in the message)
    ("position", {"image": 9999}, "image 9999 of 6"),
    ("negative position", {"image": -1}, "image -1 of 6"),
    ("no position", {"image": True}, "edited"),
    ("image of another content", {"sha256": "00" * 32}, "'2' has changed"),
    ("unknown part", {"more": 1}, "edited"),
    ("no result", {"result": None}, "edited"),
    ("empty result", {"result": {}}, "no result of one image"),
    ("unknown field", {"result": {**result(2), "hits": 1}}, "no result of one image"),
    ("missing field", {"result": {k: v for k, v in result(2).items() if k != "unstable"}}, "no result of one image"),
    ("two images", {"result": {**result(2), "images": 2}}, "no result of one image"),
    ("other outputs", {"result": {**result(2), "outputs_compared": 9}}, "no result of one image"),
    ("negative count", {"result": {**result(2), "device_mismatches": -1}}, "no result of one image"),
    ("fraction of a byte", {"result": {**result(2), "device_mismatches": 0.5}}, "no result of one image"),
    ("more rotated than images", {"result": {**result(2), "rotated": 2}}, "no result of one image"),
    ("more that is the same than there is", with_record(likeness=2 * [SAME_OF_6]), "no result of one image"),
    ("a class that the output has not", with_record(int8=6), "no result of one image"),
    ("no class of an output that says one", with_record(float32=None), "no result of one image"),
    ("endless count", {"result": {**result(2), "instructions": [10**400]}}, "no result of one image"),
    ("no number", with_record(likeness=2 * [NO_NUMBER]), "no result of one image"),
    ("truth for a number", {"result": {**result(2), "images": True}}, "no result of one image"),
    ("one output of two", with_record(likeness=[SAME]), "no result of one"),
    ("three outputs of two", with_record(likeness=3 * [SAME]), "no result of one image"),
    ("no likeness", with_record(likeness=[]), "no result of one image"),
    ("empty likeness", with_record(likeness=[{}, {}]), "no result of one image"),
    ("two records", {"result": {**result(2), "records": 2 * result(2)["records"]}}, "no result of one image"),
    ("no record", {"result": {**result(2), "records": []}}, "no result of one image"),
    ("empty record", {"result": {**result(2), "records": [{}]}}, "no result of one image"),
    ("number for a list", {"result": {**result(2), "cycles": 7}}, "no result of one image"),
    ("text in a list", {"result": {**result(2), "cycles": ["7"]}}, "no result of one image"),
]


@pytest.mark.parametrize(("changes", "said"), [c[1:] for c in EDITS], ids=[c[0] for c in EDITS])
def test_a_line_that_somebody_made_up_is_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    """Even with the right CRC-32."""
    file = tmp_path / "journal"
    written(file, range(2))
    seed = int(file.read_bytes()[:8], 16)
    entry = {"image": 2, "sha256": SAMPLES.digest(2), "result": result(2)}
    with file.open("ab") as out:
        out.write(line(entry | changes, seed))
    with pytest.raises(UsageError, match=said):
        resumed(file)


def test_without_a_float_model_nothing_is_like_it() -> None:
    """Of a prequantized model."""
    [record] = [from_plain(one, ClassificationRecord) for one in result(2)["records"]]
    alone = replace(record, likeness=[], float32=None)
    assert TASK.is_possible(record, has_float=True) and TASK.is_possible(alone, has_float=False)
    for wrong, has_float in (
        (record, False),
        (alone, True),
        (replace(alone, float32=0), False),
        (replace(alone, likeness=record.likeness), False),
        (replace(record, likeness=[]), True),
    ):
        assert not TASK.is_possible(wrong, has_float)


def test_an_image_counts_once(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    written(file)
    with file.open("ab") as out:
        out.write(file.read_bytes().splitlines(keepends=True)[2])
    with pytest.raises(UsageError, match="an image twice"):
        resumed(file)


def test_a_line_of_another_journal_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "one")
    with Journal(tmp_path / "two", {**SUBJECT, "firmware": ["board core 1.0 00000002"]}) as other:
        other.write(4, SAMPLES.digest(4), result(4))
    with (tmp_path / "one").open("ab") as out:
        out.write((tmp_path / "two").read_bytes().splitlines(keepends=True)[1])
    with pytest.raises(UsageError, match="damaged or edited"):
        resumed(tmp_path / "one")


@pytest.mark.parametrize("kind", SUBJECT)
def test_another_subject_is_named(kind: str, tmp_path: Path) -> None:
    written(tmp_path / "journal")
    with pytest.raises(UsageError, match=f"another verification: other {kind}"):
        Journal(tmp_path / "journal", {**SUBJECT, kind: "other"}, resume=True)


@pytest.mark.parametrize("content", [b"", b"\n", b'{"verify": {}}\n', b"00000000 {}\n", b"\xff\xfe\n", b"{" * 20000])
def test_what_is_no_journal_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(content)
    with pytest.raises(UsageError, match="damaged, or is none"):
        resumed(tmp_path / "journal")


@pytest.mark.parametrize("name", ["journal", "journal.new"])
def test_a_link_in_its_place_is_not_followed(name: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"mine")
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    written(tmp_path / "journal")
    assert (tmp_path / "elsewhere").read_bytes() == b"mine" and not (tmp_path / "journal").is_symlink()
