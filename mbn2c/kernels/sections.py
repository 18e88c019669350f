"""Which layers' weights lie in a section of their own, apart from the other constants, and how many bytes those are.

A section is a name: on a board that of one of its memories, without one a word that the user's linker script knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from mbn2c.errors import UsageError
from mbn2c.ir.graph import Graph
from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Plan
from mbn2c.kernels import packed_constants
from mbn2c.ops import OPERATORS
from mbn2c.targets import Board

Sections = Mapping[str, str]
"""Layer -> the section of its weights; others' lie with all constants."""

_OPTION = "--weights-in"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")


def check_sections(words: Sequence[str], board: Board | None) -> None:
    """Refuse what cannot be meant, before any work.

    words   those of --weights-in: "SECTION" alone, or "LAYER=SECTION" each
    raises  UsageError
    """
    if len(words) > 1 and not all("=" in word for word in words):
        raise UsageError(f"{_OPTION} names one section for all layers, or one for each", hint="LAYER=SECTION,...")
    for name in {_section(word) for word in words}:
        if _NAME.fullmatch(name) is None:
            raise UsageError(f"'{name}' is no name of a section", where=_OPTION, hint="letters, digits and _")
        if board is None or not board.memories:
            continue
        if board.flash_called(name) is None:
            able = [memory.name for memory in board.memories if memory.kind == "flash"]
            what = f"board '{board.name}' has no flash that is called '{name}'"
            hint = f"{' or '.join(able)}; another is an entry of memories in targets/boards/{board.name}.toml"
            raise UsageError(what, where=_OPTION, hint=hint)


def sections_of(words: Sequence[str], graph: Graph) -> Sections:
    """The layers that --weights-in means.

    words   as above; LAYER may have * in it, and the last word that means a layer counts
    raises  UsageError for a layer that is not there or has no weights
    """
    layers = [node.name for node in graph.nodes if OPERATORS[node.op].has_weights]
    found: dict[str, str] = {}
    for word in words:
        pattern = word.rpartition("=")[0] or "*"
        meant = [name for name in layers if fnmatchcase(name, pattern.replace("[", "[[]"))]
        if not meant:
            what = f"no layer with weights is called '{pattern}'"
            raise UsageError(what, where=_OPTION, hint=f"one of {', '.join(layers[:3])}, ...; `mbn2c inspect` has all")
        found |= dict.fromkeys(meant, _section(word))
    return found


def _section(word: str) -> str:
    return word.rpartition("=")[2]


def bytes_in_sections(plan: Plan, kernels: Mapping[str, Kernel], sections: Sections) -> dict[str, int]:
    """Bytes of weights in each section, by its name; what kernels keep beside them, as padding, counts."""
    constants = packed_constants(plan, kernels) if sections else {}
    sizes = dict.fromkeys(sections.values(), 0)
    for call in plan.calls:
        if call.step in constants and call.node in sections:
            sizes[sections[call.node]] += constants[call.step].array_bytes("weights")
    return sizes
