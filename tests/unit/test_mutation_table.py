"""The table of `make mutants` names what there is."""

from __future__ import annotations

import tomllib

from places import ROOT, SUPPORT


def test_files_and_tests_are_there() -> None:
    table = tomllib.loads((SUPPORT / "mutation.toml").read_text(encoding="utf-8"))
    named = [path for room in table["rooms"] for path in (*room["files"], *room["tests"]) if path.endswith(".py")]
    assert [path for path in named if not (ROOT / path).is_file()] == []
    files = [path for room in table["rooms"] for path in room["files"]]
    assert len(files) == len(set(files)) >= 15


def test_equivalent_mutants_have_reasons_and_lines() -> None:
    """A line that is gone takes its entry along."""
    for entry in tomllib.loads((SUPPORT / "equivalent_mutants.toml").read_text(encoding="utf-8"))["mutants"]:
        lines = {line.strip() for line in (ROOT / entry["file"]).read_text(encoding="utf-8").splitlines()}
        assert entry["old"] in lines and entry["old"] != entry["new"] and len(entry["why"]) > 20, entry
