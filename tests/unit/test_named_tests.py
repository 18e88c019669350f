"""A test that a page or a script names is there."""

from __future__ import annotations

import re

from places import ROOT

NAMED = re.compile(r"tests/[\w/]+\.(?:py|json|js|toml)\b")
PLACES = (
    "docs/*.md",
    "README.md",
    "firmware_examples/**/*.md",
    "setup.sh",
    "Makefile",
    "benchmarks/*.py",
    "mbn2c/**/*.py",
)


def test_files_of_tests_that_are_named_exist() -> None:
    pages = [page for place in PLACES for page in ROOT.glob(place)]
    named = {(page, name) for page in pages for name in NAMED.findall(page.read_text(encoding="utf-8"))}
    assert len(named) > 10
    missing = [f"{page.relative_to(ROOT)}: {name}" for page, name in sorted(named) if not (ROOT / name).is_file()]
    assert missing == []
