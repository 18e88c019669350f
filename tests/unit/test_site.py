"""The documentation site: built strictly, its reference as the code is, its error messages those of the code."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from places import ROOT

from mbn2c.cli.command_table import all_commands
from mbn2c.cli.completion import all_actions
from mbn2c.errors import Page, UsageError


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("no mkdocs: ./setup.sh docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_option_is_in_the_reference(site: Path) -> None:
    page = (site / "reference" / "cli.html").read_text(encoding="utf-8")
    words = {word for action in all_actions(all_commands()) for word in action.option_strings}
    words -= {"-h", "--help", "--version"}
    assert len(words) > 60
    assert [word for word in sorted(words) if not re.search(rf"[> ]{word}[ ,<]", page)] == []


def test_reference_has_functions_schemas_and_a_header(site: Path) -> None:
    pages = {
        name: (site / "reference" / f"{name}.html").read_text(encoding="utf-8") for name in ("python", "json", "c")
    }
    assert "HostNetwork" in pages["python"] and "mbn2c.load" in pages["python"]
    assert "peak_step" in pages["json"] and "_ARENA_BYTES" in pages["c"]


def test_the_site_fetches_nothing(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r'<(?:script|img|iframe)[^>]*src="(?:https?:)?//[^"]*"', text) == [], page
        assert re.findall(r'<link[^>]*rel="stylesheet"[^>]*href="(?:https?:)?//', text) == [], page


def test_messages_of_troubleshooting_are_the_code_s() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "mbn2c").rglob("*.py"))
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    messages = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(messages) > 10
    unknown = [one for one in messages if one not in source]
    # composed in the code: "bytes differ from {against}"
    assert [one for one in unknown if not one.startswith("bytes differ from")] == []
    assert "bytes differ from {against}" in source


def anchor_of(heading: str) -> str:
    """As Python-Markdown's toc makes one of a heading of plain words."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


def anchors_of(page: Path) -> set[str]:
    return {anchor_of(heading) for heading in re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)}


@pytest.mark.parametrize("page", list(Page))
def test_pages_that_end_hints_are_there(page: Page) -> None:
    file, _, anchor = page.partition("#")
    assert anchor in anchors_of(ROOT / file)
    assert str(UsageError("no", hint="try it", page=page)).endswith(f"try:   try it; {page.value}")
    uses = [path for path in (ROOT / "mbn2c").rglob("*.py") if f"Page.{page.name}" in path.read_text(encoding="utf-8")]
    assert uses, "no error names it"


def test_the_site_has_the_same_anchors(site: Path) -> None:
    page = (site / "troubleshooting.html").read_text(encoding="utf-8")
    assert [one for one in Page if f'id="{one.partition("#")[2]}"' not in page] == []


def test_every_page_that_the_code_names_is_there() -> None:
    """In messages and in help; all of docs/ is in the wheel."""
    named = {
        (path.name, name)
        for path in (ROOT / "mbn2c").rglob("*.py")
        for name in re.findall(r"docs/[\w/-]+\.(?:md|ipynb)", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 10 and [one for one in sorted(named) if not (ROOT / one[1]).is_file()] == []
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"]["docs"] == "mbn2c/docs"
