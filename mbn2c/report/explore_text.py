"""What `explore` found -> text for people, 100 columns wide at most."""

from __future__ import annotations

import textwrap

from mbn2c.printable import printable
from mbn2c.report.exploration import Exploration, ExplorePoint
from mbn2c.report.table import table
from mbn2c.report.time_facts import range_text

_WIDTH = 100


def explore_text(found: Exploration) -> str:
    """A row for each network, and what is to be known of the figures."""
    has_ms = any(one.time.ms is not None for one in found.points)
    unit = "ms" if has_ms else "M cycles"
    head = ("network", "MACs", "weights", "RAM, KiB", "flash, KiB", "M instr.", unit, "accuracy", "")
    rows = [head, *(_row(one, has_ms=has_ms) for one in found.points)]
    text = table(rows) if found.points else "no network is within the limits"
    return "\n\n".join([text, "\n".join(textwrap.fill(words, _WIDTH) for words in _words(found))])


def _row(point: ExplorePoint, *, has_ms: bool) -> tuple[str, ...]:
    time = point.time
    cycles = None if time.cycles is None else (time.cycles[0] / 1e6, time.cycles[1] / 1e6)
    ends = time.ms if has_ms else cycles
    return (
        f"{printable(point.family)} {point.width:g} {point.size}",
        f"{point.macs / 1e6:,.1f} M",
        f"{point.parameters / 1e3:,.0f} k",
        f"{point.ram_bytes / 1024:,.1f}",
        f"{point.flash_bytes / 1024:,.0f}",
        f"{time.instructions / 1e6:,.1f}",
        "not known" if ends is None else range_text(ends),
        "" if point.accuracy is None else f"{point.accuracy:.1f} %",
        "does not fit" if point.fits is False else "best" if point.is_best else "",
    )


def _words(found: Exploration) -> list[str]:
    on = f"{found.target}" + (f", board {found.board}" if found.board else "")
    lacking = sum(one.code_bytes is None for one in found.points)
    words = [
        f"{len(found.points)} of {found.asked} networks for {on}, untrained, planned as by `build --optimize "
        f"{found.optimize}`; {found.unfit} left out by the limits.",
        "RAM: arena and context, the stack needs a build. Flash: weights and constants"
        + (f", without code for {lacking} of them." if lacking else ", code as of another network of its family."),
    ]
    if any(one.accuracy is not None for one in found.points):
        words.append(f"accuracy: {found.accuracy_source}. best: none has more for as little RAM, flash and time.")
    sources = {one.time.source for one in found.points if one.time.source}
    words += [f"cycles: {source}" for source in sorted(sources)]
    return words + [f"left out: {printable(problem)}" for problem in found.impossible]
