"""README.md and docs/: short enough, figures taken from the tables, commands that the command line knows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from benchmark_scripts import script
from places import ROOT

from mbn2c.cli.command_table import all_commands

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "firmware_examples").rglob("*.md"))]
MOST_LINES = 120


def commands_of(page: Path) -> list[str]:
    """The lines of its sh blocks that call mbn2c, continued lines joined, comments dropped."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.startswith("mbn2c ")]


COMMANDS = {f"{page.name}: {line}": line for page in PAGES for line in commands_of(page)}


def test_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_headline_is_what_the_tables_say() -> None:
    pages = script("pages")
    expected = script("readme").headline()
    assert expected.count("\n") == 7
    assert f"<!-- table: headline -->\n{expected}\n<!-- end -->" in README.read_text(encoding="utf-8")
    assert set(pages.table_rows(pages.BENCHMARKS, "vww_96")) == set(
        pages.table_rows(pages.BENCHMARKS, "mobilenet_v2_1.0_224")
    )


def test_every_output_has_its_marker() -> None:
    for name, example in script("readme").EXAMPLES.items():
        assert f"<!-- output: {name} -->\n```\n" in example.page.read_text(encoding="utf-8"), name


def test_there_are_commands() -> None:
    assert sum(name.startswith("README.md") for name in COMMANDS) >= 3


@pytest.mark.parametrize("line", COMMANDS.values(), ids=COMMANDS)
def test_command_line_knows_it(line: str) -> None:
    words = shlex.split(line, comments=True)
    all_commands().parse_args(words[1:])


def paths_of(page: Path) -> set[str]:
    """Files and folders of the package that a page names."""
    words = re.findall(r"`([\w/]+(?:\.py|/))`", page.read_text(encoding="utf-8"))
    return set(words)


def test_architecture_names_what_is_there() -> None:
    """By path from mbn2c/ or from the checkout, or by the end of one."""
    files = [path for root in ("mbn2c", "tests", "templates") for path in (ROOT / root).rglob("*")]
    there = {"/" + path.relative_to(ROOT).as_posix() + ("/" if path.is_dir() else "") for path in files}
    there |= {"/templates/", "/targets/", "/tests/", "/mbn2c/", "/docs/operators/"}
    missing = {
        word for word in paths_of(ROOT / "docs" / "architecture.md") if not any(p.endswith("/" + word) for p in there)
    }
    assert missing <= {"out/", "build/", "model/", "src/"}, "out/ is a user's, with two folders; src/ a packaging's"
