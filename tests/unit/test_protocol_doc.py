"""docs/protocol.md says what wire.py does."""

from __future__ import annotations

import re

import pytest
from places import ROOT

from mbn2c.link import wire

DOC = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
TYPES = {"B": "u8", "H": "u16", "I": "u32", "Q": "u64", "32s": "32 bytes", "24s": "text, 24 bytes", "": "rest"}
ENUMS = {
    "mode of Begin": wire.MODES,
    "state of State": wire.STATES,
    "buffer of Fetch and Data": wire.BUFFERS,
    "reason of Refused": wire.REASONS,
}


@pytest.mark.parametrize("kind", wire.REQUESTS + wire.REPLIES, ids=lambda kind: kind.__name__)
def test_message(kind: type[wire.Message]) -> None:
    fields = ", ".join(f"`{field.name}` {TYPES[field.format]}" for field in wire.layout(kind)) or "-"
    meaning = " ".join((kind.__doc__ or "").split())
    assert f"| 0x{kind.code:02X} | {kind.__name__} | {fields} | {meaning} |" in DOC


def test_no_other_message() -> None:
    assert len(re.findall(r"^\| 0x", DOC, re.MULTILINE)) == len(wire.REQUESTS + wire.REPLIES)


@pytest.mark.parametrize("title", ENUMS)
def test_enumeration(title: str) -> None:
    entries = ", ".join(f"{value} {entry}" for value, entry in enumerate(ENUMS[title]))
    assert f"| {title} | {entries} |" in DOC


def test_version() -> None:
    assert f"Protocol {wire.PROTOCOL}." in DOC
