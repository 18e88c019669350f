"""BuildRecord <-> report.json."""

from __future__ import annotations

import json

from mbn2c.files.typed_json import from_plain, parse, to_plain
from mbn2c.report.record import SCHEMA, BuildRecord


def to_json(record: BuildRecord) -> str:
    """The text of report.json; equal records give equal texts."""
    return json.dumps(to_plain(record), indent=1, allow_nan=False) + "\n"


def read_record(text: bytes) -> BuildRecord:
    """The inverse of to_json. Raises ValueError that says what is wrong and where; another schema is said first."""
    plain = parse(text)
    schema = plain.get("schema") if isinstance(plain, dict) else None
    if schema != SCHEMA:
        raise ValueError(f"it has schema {schema}, not {SCHEMA}")
    record: BuildRecord = from_plain(plain, BuildRecord)
    return record
