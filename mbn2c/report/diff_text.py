"""What two builds differ in -> text for people, 100 columns wide at most."""

from __future__ import annotations

from collections.abc import Sequence

from mbn2c.printable import printable
from mbn2c.report.difference import ChangedFact, ChangedNumber, Difference, figure_text, growth_text
from mbn2c.report.table import shortened, table

_MOST_ROWS = 20
_LONGEST = 24


def diff_text(found: Difference) -> str:
    """Figures, then what changed in a list each, the first of them; --json has all."""
    rows = [("", "before", "after", "growth"), *(_row(one) for one in found.numbers if one.before is not None)]
    parts = [f"before: {printable(found.names[0])}\nafter:  {printable(found.names[1])}", table(rows)]
    for title, facts in (
        ("build", found.facts),
        ("layers", found.layers),
        ("plan", found.plan),
        ("generated C", found.files),
    ):
        parts += [_list(title, facts)] if facts else []
    if not found.has_files:
        parts.append("generated C: not compared, which needs two output folders")
    if found.is_same:
        parts.append("nothing differs")
    return "\n\n".join(parts)


def _row(one: ChangedNumber) -> tuple[str, ...]:
    return one.name, figure_text(one.before), figure_text(one.after), growth_text(one)


def _list(title: str, facts: Sequence[ChangedFact]) -> str:
    rows = [(shortened(one.name), _short(one.before), _short(one.after)) for one in facts[:_MOST_ROWS]]
    more = f"\nand {len(facts) - _MOST_ROWS} more (--json has all)" if len(facts) > _MOST_ROWS else ""
    return f"{title}: {len(facts)} changed\n{table(rows)}{more}"


def _short(text: str) -> str:
    if not text:
        return "-"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
