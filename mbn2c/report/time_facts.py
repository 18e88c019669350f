"""What one inference takes, between least and most, and the same in words."""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class TimeFacts:
    """Of one inference, as it is estimated before anything runs.

    instructions  as the planner estimates them
    cycles        least, most; None for a core of which nobody says
    clock_hz      of the board's core; None where no board is named, or it has no clock
    ms            least, most at that clock
    source        of the cycles an instruction takes, and of the waits for constants; "" without cycles
    worst_case    instructions of steps whose work depends on the image, at most; 0 without such, None where not known
    """

    instructions: int
    cycles: tuple[int, int] | None
    clock_hz: int | None
    ms: Range | None
    source: str
    worst_case: int | None = 0


def cycles_text(time: TimeFacts) -> str:
    """ "9.3 to 11.6 M", or "not known"."""
    return "not known" if time.cycles is None else f"{range_text((time.cycles[0] / 1e6, time.cycles[1] / 1e6))} M"


def ms_text(time: TimeFacts) -> str:
    """ "52 to 77 ms", or "" without a clock."""
    return "" if time.ms is None else f"{range_text(time.ms)} ms"


def time_text(time: TimeFacts) -> str:
    """Everything in a line."""
    text = f"about {time.instructions / 1e6:,.2f} M instructions"
    if time.cycles is not None:
        text += f", {cycles_text(time)} cycles"
    return text if time.ms is None else f"{text}, {ms_text(time)} at {(time.clock_hz or 0) / 1e6:g} MHz"


def worst_case_text(time: TimeFacts) -> str:
    """Of the steps that an image may make longer; "" where there are none, or nobody knows."""
    if not time.worst_case:
        return ""
    return f"steps whose work depends on the image take at most {time.worst_case / 1e6:,.2f} M of them"


def range_text(ends: Range) -> str:
    """Two or three digits each; once where both ends are printed alike."""
    low, high = (_in_digits(end) for end in ends)
    return low if low == high else f"{low} to {high}"


def _in_digits(value: float) -> str:
    if 0 < value < 0.1:
        return f"{value:.2g}"  # a layer's milliseconds may be few
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
