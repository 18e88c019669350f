"""What a verify found and left to look at -> a page beside the pictures and tables, which it links."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

from mbn2c.printable import printable
from mbn2c.resources.render import render

Cells = dict[str, object]
PAGE = "index.html"
# Of a table, or pictures, that the page shows; the files hold all.
_MOST = 200


def with_page(
    files: Iterable[tuple[str, bytes]], title: str, facts: Sequence[Sequence[str]]
) -> Iterator[tuple[str, bytes]]:
    """The same files, names and contents, and after them the page; without any file there is none."""
    tables: list[Cells] = []
    pictures: list[Cells] = []
    for name, content in files:
        if name.endswith(".csv"):
            tables.append(_table(name, content.decode()))
        elif len(pictures) < _MOST:
            pictures.append({"name": printable(name), "link": quote(name)})
        yield name, content
    if tables or pictures:
        shown = [(printable(name), printable(value)) for name, value in facts]
        values = {"title": printable(title), "facts": shown, "tables": tables, "pictures": pictures}
        yield PAGE, render("report/results.html.j2", values).encode()


def _table(name: str, text: str) -> Cells:
    columns, *rows = [[printable(cell) for cell in row] for row in csv.reader(io.StringIO(text))]
    return {"name": name, "columns": columns, "rows": rows[:_MOST], "left_out": len(rows[_MOST:])}
