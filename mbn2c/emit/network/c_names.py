"""C identifiers: the prefix a user chooses, and safe names made of a model's own."""

from __future__ import annotations

import re

from mbn2c.errors import UsageError

_C99 = """auto break case char const continue default do double else enum extern float for goto if inline int long
    register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while"""
# The C must compile as C++ too.
_CPP = """asm bool catch class delete explicit export false friend mutable namespace new operator private protected
    public template this throw true try typename using virtual"""
_KEYWORDS = frozenset((*_C99.split(), *_CPP.split(), "main", "mbn"))

# A <prefix>.h beside the system's own would be found in its place.
_HEADERS = """assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg
    stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar unistd wchar wctype"""
_TAKEN = _KEYWORDS | frozenset(_HEADERS.split())


def check_prefix(name: str) -> str:
    """The name if it can prefix C functions, else UsageError."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) or name in _TAKEN or name.startswith("mbn_"):
        raise UsageError(
            f"'{name}' cannot prefix C functions",
            where="--name",
            hint="use lower case letters, digits and _, starting with a letter, at most 40, no word of C",
        )
    return name


def prefix_of(file_stem: str) -> str:
    """A valid prefix made of a file name: MobileNet-V2 (1) -> mobilenet_v2_1."""
    name = re.sub(r"[^a-z0-9]+", "_", file_stem.lower()).strip("_")[:40].strip("_") or "model"
    if not name[0].isalpha() or name in _TAKEN or name.startswith("mbn_"):
        name = f"model_{name}"[:40]
    return name


def comment(text: str) -> str:
    """Text that cannot end a C comment or leave its line, whatever a model calls its layers."""
    printable = "".join(char if char.isprintable() and char.isascii() else "?" for char in text)
    return printable.replace("*/", "* /").replace("/*", "/ *").replace("\\", "/").replace("??", "? ?")
