"""Calls of a network -> how the rows of everything from some call on are cut into pieces.

A cut that begins at a call is the same for all segments that begin above it, unless one of its calls reads what is
made between the two; so each is made once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from mbn2c.ir.plan import Call
from mbn2c.planner.columns import Extent, Pieces, Strip, ancestors_of, cut_into_pieces


@dataclass(frozen=True, eq=False)
class CutCalls:
    """How the calls of a network from one on are cut.

    touched  those that make pieces, or read or write a strip
    strips   by name of the tensors that stream in pieces
    roots    by step of each call that works in pieces the first step of the chain it belongs to
    """

    touched: tuple[Call, ...]
    strips: Mapping[str, Strip]
    roots: Mapping[int, int]


class Cuts:
    """Cuts of one network; calls: of all its nodes in whole rows, call i being step i.

    made       how many cuts were worked out
    ancestors  `ancestors_of` all calls
    """

    def __init__(
        self, calls: Sequence[Call], extents: Mapping[str, Extent], phases: Mapping[str, int] | None = None
    ) -> None:
        self.calls, self.extents, self.phases = calls, extents, phases or {}
        self.made = 0
        self._step = {call.write: call.step for call in calls}
        self.ancestors = ancestors_of(calls)
        self._found: dict[tuple[int, int, frozenset[str]], CutCalls] = {}
        self._alike: dict[object, CutCalls] = {}
        self._beside = [self._read_beside(step) for step in range(len(calls))]

    def cut(self, first: int, wanted: Pieces, inner: Set[str]) -> CutCalls:
        """How everything from step `first` on is cut; equal cuts are one object.

        inner  tensors that are read from there on only
        """
        start = min(first + wanted.first, len(self.calls)) if wanted.columns else len(self.calls)
        beside = self._beside[start] if start < len(self.calls) else frozenset()
        key = (start, wanted.columns, frozenset(name for name in beside if self._step[name] >= first))
        if key not in self._found:
            self._found[key] = self._made(first, start, wanted, inner)
        return self._found[key]

    def _read_beside(self, start: int) -> frozenset[str]:
        """Tensors made before a step that calls from there on read beside others."""
        return frozenset(
            read.tensor
            for call in self.calls[start:]
            if len(call.reads) > 1
            for read in call.reads
            if read.tensor in self._step and self._step[read.tensor] < start
        )

    def _made(self, first: int, start: int, wanted: Pieces, inner: Set[str]) -> CutCalls:
        self.made += 1
        ancestors = {call.write: self.ancestors[call.write] for call in self.calls[first:]}
        calls, strips = cut_into_pieces(
            self.calls[start:], self.extents, inner, Pieces(wanted.columns), ancestors, self.phases
        )
        pieces = tuple((call.step, call.pieces) for call in calls if call.pieces)
        alike = (pieces, tuple(strips.items()))
        if alike not in self._alike:
            self._alike[alike] = CutCalls(_touched(calls, strips), strips, _piece_roots(calls))
        return self._alike[alike]


def _touched(calls: Sequence[Call], strips: Mapping[str, Strip]) -> tuple[Call, ...]:
    return tuple(
        call
        for call in calls
        if call.pieces or call.write in strips or any(read.tensor in strips for read in call.reads)
    )


def _piece_roots(calls: Sequence[Call]) -> dict[int, int]:
    """For each call that works in pieces the first step of the chain it belongs to."""
    roots: dict[int, int] = {}
    maker = {call.write: call.step for call in calls}
    for call in calls:
        if call.pieces:
            above = [roots[maker[read.tensor]] for read in call.reads if maker.get(read.tensor) in roots]
            roots[call.step] = min([*above, call.step])
    return roots
