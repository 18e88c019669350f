"""C files of a network -> one header: declarations for every includer, code for the one that asks for it.

What is private to a C file stays apart: names that two files have get the file's name in front, macros end with their
file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath

from mbn2c.files.bundle import Bundle
from mbn2c.resources.render import render

_INCLUDE = re.compile(r'^#include "([^"]+)"\n', re.MULTILINE)
# One network's choice of a type in a header; what the header says without it suits every network in the same file.
_CHOSEN_TYPE = re.compile(r"^#define MBN_COLUMN .*\n", re.MULTILINE)
_ATTRIBUTE = re.compile(r"__attribute__\(\(.*?\)\)")
_MACRO = re.compile(r"^#define (\w+)", re.MULTILINE)
_PRIVATE = re.compile(
    r"^(?:static|MBN_TEMPLATE)\b[^;={(\[]*?\b(\w+)\s*[(\[=;]|^\} (\w+);|^(?:struct|enum) (\w+) \{|^typedef \w+ (\w+);",
    re.MULTILINE,
)
_ENUM = re.compile(r"^enum (?:\w+ )?\{(.*?)\}", re.MULTILINE | re.DOTALL)
_ENUM_CONSTANT = re.compile(r"(?:^|,)\s*(\w+)")


def single_header(name: str, code: Mapping[str, bytes]) -> Bundle:
    """`<name>.h` with everything in it.

    code  the network's C files and headers, by file name
    """
    texts = {path: content.decode() for path, content in sorted(code.items())}
    sources = [path for path in texts if path.endswith(".c")]
    texts |= {path: _CHOSEN_TYPE.sub("", texts[path]) for path in sources}
    private = Counter(word for path in sources for word in _private_names(texts[path]))
    seen = {f"{name}.h"}
    parts = []
    for path in sources:
        stem = PurePosixPath(path).stem
        clashing = sorted(word for word in _private_names(texts[path]) if private[word] > 1)
        headers, text = _split(texts[path], texts, seen)
        before = "".join(f"#define {word} {stem}_{word}\n" for word in clashing)
        after = "".join(f"#undef {word}\n" for word in sorted({*clashing, *_MACRO.findall(text)}))
        parts += [*headers, before + text + after]
    values = {"name": name, "NAME": name.upper(), "header": texts[f"{name}.h"], "code": parts}
    return {f"{name}.h": render("packages/single-header/NAME.h.j2", values).encode()}


def _private_names(text: str) -> set[str]:
    names = {word for words in _PRIVATE.findall(_ATTRIBUTE.sub("", text)) for word in words if word}
    return names.union(*(_ENUM_CONSTANT.findall(body) for body in _ENUM.findall(text)))


def _split(text: str, texts: Mapping[str, str], seen: set[str]) -> tuple[list[str], str]:
    """The headers a text includes that were not there before, each behind those it needs, and the text without them."""
    headers: list[str] = []
    for path in _INCLUDE.findall(text):
        if path not in seen:
            seen.add(path)
            below, rest = _split(texts[path], texts, seen)
            headers += [*below, rest]
    return headers, _INCLUDE.sub("", text)
