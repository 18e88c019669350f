"""Names that a model, a board, a file or the user chose -> text that a terminal shows as it stands.

Escape sequences move the cursor and hide lines, direction marks turn words round, and a line break in a name makes
up a line of ours: whatever is not a printable character is written as its Python escape.
"""

from __future__ import annotations


def printable(text: str, *, lines: bool = False) -> str:
    r"""The text without control characters, e.g. `\x1b[2K`; lines: whether its line breaks are meant."""
    if lines:
        return "\n".join(printable(line) for line in text.split("\n"))
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
