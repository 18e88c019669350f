"""Calls of a segment -> where the pieces of their rows end, and how many columns must be kept.

All columns of a row are like those of any other, so one table per call says it for every row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import lru_cache

from mbn2c.ir.plan import Call, Read
from mbn2c.ir.row_map import RowMap

# Of a row: each is a call, and has an entry in a table of the C. Rows of up to 1,024 columns are cut at will.
MAX_PIECES = 512


@dataclass(frozen=True)
class Extent:
    """The columns of a tensor: padding on the left, width, padding on the right."""

    left: int
    width: int
    right: int

    @property
    def columns(self) -> int:
        """Width and both paddings."""
        return self.left + self.width + self.right


@dataclass(frozen=True)
class Pieces:
    """How the rows of a segment are cut.

    columns  how many columns the reader of a piece shall make of it, where nothing upstream decides; 0: whole rows
    first    the first call of the segment that makes pieces, counted from 0; those above it make whole rows
    """

    columns: int = 0
    first: int = 0


@dataclass(frozen=True)
class Strip:
    """How a tensor streams in pieces, as in `Buffer`.

    slots    rows kept besides the strip: all of the largest window but the newest
    columns  columns the strip holds
    kept     first column in the strip when piece j is made: what the slowest reader still wants
    """

    slots: int
    columns: int
    kept: tuple[int, ...]


def cut_into_pieces(
    calls: Sequence[Call],
    extents: Mapping[str, Extent],
    inner: Set[str],
    wanted: Pieces,
    ancestors: Mapping[str, Set[str]] | None = None,
    phases: Mapping[str, int] | None = None,
) -> tuple[list[Call], dict[str, Strip]]:
    """The calls with `pieces`, and the strips of the tensors that stream in pieces.

    A strip may have any number of readers in the segment.

    inner      tensors that are read in this segment only
    ancestors  `ancestors_of` the segment, where that is known and some of its first calls, which make whole rows, are
               left out of `calls`
    phases     by tensor the order in which its rows are made, where that is not one after the other
    """
    phases = phases or {}
    readers = _readers(calls)
    ancestors = ancestors_of(calls) if ancestors is None else ancestors
    pieced: list[Call] = []
    ends: dict[str, tuple[int, ...]] = {}
    strips: dict[str, Strip] = {}
    for position, call in enumerate(calls):
        source = next((read for read in call.reads if read.tensor in ends), None)
        may_strip = position >= wanted.first and call.write in inner
        wants_strip = (
            may_strip
            and _slides(call)
            and _can_stream(call, readers[call.write], ancestors, ends)
            and all(_keeps_to_phases(read, phases.get(read.tensor, 1)) for read in _reads(call, readers[call.write]))
        )
        if source is not None:
            pieces = _following(source.column_map, ends[source.tensor], extents[source.tensor], _made(call, extents))
            kept = _kept(source.column_map, ends[source.tensor], _made(call, extents).width)
            strips[source.tensor] = _strip(
                ends[source.tensor], kept, _slots(source, phases.get(source.tensor, 1)), strips.get(source.tensor)
            )
        elif wants_strip and not call.accumulates:
            stride = max(
                read.column_map.numerator
                for reader in readers[call.write]
                for read in reader.reads
                if read.tensor == call.write
            )
            pieces = _even(extents[call.write], wanted.columns * stride)
        else:
            pieces = ()
        if len(pieces) == 1:
            pieces = ()
        pieced.append(replace(call, pieces=pieces))
        if wants_strip and pieces and not call.accumulates:
            ends[call.write] = pieces
    return pieced, strips


def _readers(calls: Sequence[Call]) -> dict[str, list[Call]]:
    readers: dict[str, list[Call]] = {call.write: [] for call in calls}
    for call in calls:
        for read in call.reads:
            if read.tensor in readers:
                readers[read.tensor].append(call)
    return readers


def ancestors_of(calls: Sequence[Call]) -> dict[str, set[str]]:
    """For each tensor made here all tensors it is made of."""
    ancestors: dict[str, set[str]] = {}
    for call in calls:
        made_of: set[str] = set()
        for read in call.reads:
            made_of |= {read.tensor} | ancestors.get(read.tensor, set())
        ancestors[call.write] = made_of
    return ancestors


def _slides(call: Call) -> bool:
    """Whether a piece further right needs columns as much further right: only then can its kernel begin anywhere."""
    return call.rows_per_run == 1 and all(read.row_map.is_window and read.column_map.is_window for read in call.reads)


def _can_stream(
    call: Call, readers: Sequence[Call], ancestors: Mapping[str, Set[str]], ends: Mapping[str, tuple[int, ...]]
) -> bool:
    """Whether each reader of the tensor can always follow at once, and so takes its newest row from the strip.

    It can if all else it reads was there before: from another segment, or an ancestor, as the short cut of a
    residual sum is.
    """
    return bool(readers) and all(_follows(call, reader, ancestors, ends) for reader in readers)


def _follows(call: Call, reader: Call, ancestors: Mapping[str, Set[str]], ends: Mapping[str, tuple[int, ...]]) -> bool:
    others = [read.tensor for read in reader.reads if read.tensor != call.write]
    return (
        _slides(reader)
        and len(reader.reads) == len(others) + 1
        and all((other in ancestors[call.write] or other not in ancestors) and other not in ends for other in others)
    )


def _made(call: Call, extents: Mapping[str, Extent]) -> Extent:
    """The columns a call works on: those it makes, or those it sums up."""
    if call.accumulates:
        return Extent(0, extents[call.reads[0].tensor].width, 0)
    return extents[call.write]


def _even(extent: Extent, piece_columns: int) -> tuple[int, ...]:
    """Pieces of equal and even size, since many kernels make two pixels at once; the last may be smaller."""
    count = min(-(-extent.width // piece_columns), MAX_PIECES)
    size = -(-extent.width // count)
    size += size % 2
    ends = list(range(extent.left + size, extent.left + extent.width, size))
    return (*ends, extent.columns)


@lru_cache(maxsize=4096)
def _following(source: RowMap, source_ends: tuple[int, ...], source_extent: Extent, extent: Extent) -> tuple[int, ...]:
    """As many columns as each piece of the source makes possible."""
    ends: list[int] = []
    for end in source_ends:
        possible = extent.width if end == source_extent.columns else source.possible(end, extent.width)
        if possible and (not ends or possible > ends[-1] - extent.left):
            ends.append(extent.left + possible)
    ends[-1] = extent.columns
    return tuple(ends)


@lru_cache(maxsize=4096)
def _kept(source: RowMap, source_ends: tuple[int, ...], width: int) -> tuple[int, ...]:
    """For each piece of the source, the first column that this reader still wants of the strip when it is made."""
    # What the next window starts with, after all windows have been served that could be.
    wanted = [source.first(source.possible(made, width)) for made in (0, *source_ends[:-1])]
    return tuple(min(pair) for pair in zip(wanted, (0, *source_ends[:-1]), strict=True))


def _reads(call: Call, readers: Sequence[Call]) -> list[Read]:
    """What is read of the tensor that the call makes."""
    return [read for reader in readers for read in reader.reads if read.tensor == call.write]


def _keeps_to_phases(read: Read, phases: int) -> bool:
    """Whether the rows of a window come one after the other."""
    return phases == 1 or read.row_map.count == 1 or read.row_map.dilation == phases


def _slots(source: Read, phases: int) -> int:
    """Rows of a window but the newest, and those that are made between them."""
    return source.row_map.extent - 1 if phases == 1 else source.row_map.count - 1


def _strip(source_ends: Sequence[int], kept: tuple[int, ...], slots: int, others: Strip | None) -> Strip:
    """The strip that serves this reader, which wants so many slots, and those before it."""
    if others is not None:
        slots, kept = max(slots, others.slots), tuple(min(pair) for pair in zip(kept, others.kept, strict=True))
    return Strip(slots, max(end - first for end, first in zip(source_ends, kept, strict=True)), kept)
