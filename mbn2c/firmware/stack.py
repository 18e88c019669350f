"""Worst-case stack of C functions, from what GCC writes with -fstack-usage -fcallgraph-info=su.

The call graph of each object file (a .ci file in VCG) holds every function's own frame; the deepest path
from an entry is the answer. What cannot be bounded is refused, never guessed: recursion, frames of
unbounded size, pointers whose targets nobody named, functions that are neither ours nor known.

GCC knows nothing of functions written in assembly: theirs is what their call-frame information says (.cfi directives,
.debug_frame in the object file). One without is unknown, never 0; and one that calls others is refused, since nobody
says which. Assembly inside a C function must not touch the stack pointer; `tests` walk all code to hold both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mbn2c.errors import BoardError, InternalError
from mbn2c.files.elf import CallFrame, read_call_frames

_NODE = re.compile(r'^node: \{ title: "([^"]*)" label: "([^"]*)"')
_EDGE = re.compile(r'^edge: \{ sourcename: "([^"]*)" targetname: "([^"]*)"')
_FRAME = re.compile(r"\\n(\d+) bytes \(([a-z,]+)\)")
_INDIRECT = "__indirect_call"

LIBRARY_BYTES = 64
"""Allowance for memcpy, memmove and memset: newlib, picolibc and glibc use 0 to 24 bytes."""
COMPILER_BYTES = 128
"""Allowance for helpers of libgcc (__aeabi_lmul, __muldi3, __udivsi3): they use up to 80 bytes."""
_LIBRARY = frozenset({"memcpy", "memmove", "memset"})
# Of a RISC-V: sets the stack pointer anew, so nothing behind it lies on this stack.
_RESTARTS = frozenset({"mbn_start"})


@dataclass
class _Graph:
    frames: dict[str, int] = field(default_factory=dict)
    calls: dict[str, set[str]] = field(default_factory=dict)
    unbounded: set[str] = field(default_factory=set)
    assembly: dict[str, CallFrame] = field(default_factory=dict)
    tables: tuple[str, ...] = ()


@dataclass(frozen=True)
class StackUse:
    """The deepest path: its bytes, and the functions on it from the entry down."""

    bytes: int
    path: tuple[str, ...]


def worst_case_stack(
    call_graphs: Iterable[Path],
    entries: Iterable[str],
    through_pointers: Mapping[str, tuple[str, ...]] | None = None,
    objects: Iterable[Path] = (),
    tables: Sequence[str] = (),
) -> StackUse:
    """The deepest stack that any of `entries` needs, their own frames included.

    call_graphs       .ci files of all objects that take part
    through_pointers  function that calls through pointers -> the functions those may be; () if the pointer is NULL
    objects           object files with functions in assembly
    tables            functions that any other may call through pointers; none: no other does that
    raises            InternalError for what cannot be bounded, BoardError if the compiler wrote no call graphs
    """
    graph = _Graph(tables=tuple(tables))
    for path in sorted(call_graphs):
        _read(path, graph)
    for path in sorted(objects):
        graph.assembly |= read_call_frames(path)
    if not graph.frames:
        raise BoardError("no call graphs: the stack is unknown", hint="build with GCC 10 or newer")
    named = through_pointers or {}
    known: dict[str, StackUse] = {}
    uses = [_deepest(_title(entry, graph), graph, named, known, ()) for entry in entries]
    return max(uses, key=lambda use: use.bytes)


def _read(path: Path, graph: _Graph) -> None:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BoardError(f"cannot read {path}: {error.strerror}", hint="build again") from error
    for line in text.splitlines():
        if node := _NODE.match(line):
            title, label = node.groups()
            frame = _FRAME.search(label)
            if frame is None:
                continue  # defined elsewhere
            graph.frames[title] = max(int(frame.group(1)), graph.frames.get(title, 0))
            if frame.group(2) == "dynamic":
                graph.unbounded.add(title)
        elif edge := _EDGE.match(line):
            caller, callee = edge.groups()
            graph.calls.setdefault(caller, set()).add(callee)


def _title(name: str, graph: _Graph) -> str:
    """GCC calls a static function "file.c:name"."""
    if name in graph.frames:
        return name
    titles = [title for title in graph.frames if title.endswith(f":{name}")]
    if len(titles) == 1:
        return titles[0]
    return name


def _deepest(
    function: str,
    graph: _Graph,
    named: Mapping[str, tuple[str, ...]],
    known: dict[str, StackUse],
    above: tuple[str, ...],
) -> StackUse:
    if function in known:
        return known[function]
    # GCC names the pieces it splits off f.part.0, f.isra.0, f.constprop.0.
    plain = function.rsplit(":", 1)[-1].split(".")[0]
    if function in above:
        raise InternalError(f"'{plain}' calls itself: its stack has no bound", where=" > ".join((*above, function)))
    if function in graph.unbounded:
        raise InternalError(f"the stack frame of '{plain}' has no fixed size", where=function)
    if function not in graph.frames:
        return StackUse(_assembly_bytes(plain, graph, above), (plain,))
    deepest = StackUse(0, ())
    for callee in sorted(graph.calls.get(function, ())):
        targets: tuple[str, ...] = (callee,)
        if callee == _INDIRECT:
            if plain not in named and not graph.tables:
                raise InternalError(f"'{plain}' calls through a pointer and nobody said what", where=function)
            targets = named.get(plain, graph.tables)
        for target in targets:
            use = _deepest(_title(target, graph), graph, named, known, (*above, function))
            deepest = max(deepest, use, key=lambda each: each.bytes)
    known[function] = StackUse(graph.frames[function] + deepest.bytes, (plain, *deepest.path))
    return known[function]


def _assembly_bytes(name: str, graph: _Graph, above: tuple[str, ...]) -> int:
    frame = graph.assembly.get(name)
    if frame is None:
        return _foreign_bytes(name, above)
    if frame.stack_bytes is None:
        raise InternalError(f"the call frame of '{name}' does not follow the stack pointer", where=" > ".join(above))
    if not frame.is_leaf:
        raise InternalError(f"'{name}' is assembly and calls others: its stack is unknown", where=" > ".join(above))
    return frame.stack_bytes


def _foreign_bytes(name: str, above: tuple[str, ...]) -> int:
    if name in _RESTARTS:
        return 0
    if name in _LIBRARY:
        return LIBRARY_BYTES
    if name.startswith("__"):
        return COMPILER_BYTES
    raise InternalError(f"the stack of '{name}' is unknown", where=" > ".join(above))
