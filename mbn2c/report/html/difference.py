"""What two builds differ in -> a page of tables, which needs no network."""

from __future__ import annotations

from mbn2c.printable import printable
from mbn2c.report.difference import ChangedNumber, Difference, figure_text, growth_text
from mbn2c.resources.render import render


def diff_page(found: Difference) -> str:
    """The page; equal differences give equal pages."""
    lists = (
        ("How it was built", found.facts),
        ("Layers", found.layers),
        ("Plan", found.plan),
        ("Generated C, SHA-256", found.files),
    )
    values = {
        "names": [printable(name) for name in found.names],
        "numbers": [_row(one, found) for one in found.numbers],
        "lists": [
            {"title": title, "facts": [tuple(map(printable, (one.name, one.before, one.after))) for one in facts]}
            for title, facts in lists
            if facts
        ],
        "is_same": found.is_same,
        "has_files": found.has_files,
    }
    return render("report/diff.html.j2", values)


def _row(one: ChangedNumber, found: Difference) -> dict[str, object]:
    return {
        "name": one.name,
        "before": figure_text(one.before),
        "after": figure_text(one.after),
        "growth": growth_text(one),
        "has_grown": one.name in found.grown,
        "share": 0 if one.growth is None else min(100, abs(round(one.growth))),
    }
