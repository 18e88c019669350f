"""What two builds differ in, typed: the JSON, text and page of `mbn2c diff` are views of it."""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA = 1


@dataclass(frozen=True)
class ChangedNumber:
    """One figure of both builds.

    name       "ram.total_bytes" and the like, as report.json has it
    before, after   None: that build does not know it
    growth     in per cent; None where one is not known or was 0
    is_gated   whether --max-growth judges it
    """

    name: str
    before: float | None
    after: float | None
    growth: float | None
    is_gated: bool


@dataclass(frozen=True)
class ChangedFact:
    """One thing that is said in words, or of a layer: what it was and what it is; "" where there is none."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Difference:
    """Of two builds.

    names       of the two: folders or files as they were said
    numbers     all figures, changed or not
    facts       target, model, how it was built: those that changed
    layers      fields of layers that changed, by layer; "only in one" for layers of one build
    plan        buffers and loops that changed
    files       generated C that changed, by path; () where one is a report without its folder
    has_files   whether files were compared
    grown       names of the gated figures that grew by more than `max_growth` per cent
    """

    schema: int
    names: tuple[str, str]
    numbers: tuple[ChangedNumber, ...]
    facts: tuple[ChangedFact, ...]
    layers: tuple[ChangedFact, ...]
    plan: tuple[ChangedFact, ...]
    files: tuple[ChangedFact, ...]
    has_files: bool
    max_growth: float | None
    grown: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """Whether nothing differs."""
        changed = any(one.before != one.after for one in self.numbers)
        return not (changed or self.facts or self.layers or self.plan or self.files)


def figure_text(value: float | None) -> str:
    """A figure for people."""
    return "not known" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def growth_text(one: ChangedNumber) -> str:
    """ "+3.2 %"; "" where nothing changed, or it is not known."""
    return "" if one.growth is None or one.before == one.after else f"{one.growth:+.1f} %"
