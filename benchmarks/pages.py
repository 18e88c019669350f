"""Tables and outputs in Markdown pages, each between its markers, which name the script's part that renews it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BENCHMARKS = ROOT / "docs" / "benchmarks.md"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def table_rows(page: Path, name: str, key_cells: int = 1) -> dict[tuple[str, ...], list[str]]:
    """The cells of a table, by the first `key_cells` cells of its rows."""
    found = _table(name).search(page.read_text(encoding="utf-8"))
    if found is None:
        raise SystemExit(f"{page} has no table '{name}'")
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in found.group(2).splitlines()[2:]]
    return {tuple(row[:key_cells]): row[key_cells:] for row in rows}


def renew(page: Path, name: str, table: str) -> None:
    """Put a table between `<!-- table: NAME -->` and `<!-- end -->` of a page."""
    _replace(page, name, _table(name), f"{table}\n")


def renew_output(page: Path, name: str, output: str) -> None:
    """Put what a command prints into the fenced block under `<!-- output: NAME -->`."""
    block = re.compile(rf"(<!-- output: {re.escape(name)} -->\n```\n)(.*?)(\n```)", re.DOTALL)
    _replace(page, name, block, output)


def _table(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- table: {re.escape(name)} -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def _replace(page: Path, name: str, block: re.Pattern[str], content: str) -> None:
    text = page.read_text(encoding="utf-8")
    if not block.search(text):
        raise SystemExit(f"{page} has no marker for '{name}'")
    page.write_text(block.sub(lambda found: found.group(1) + content + found.group(3), text), encoding="utf-8")
