"""A build's record -> report.html: one page that needs no network: memory map, trade-off curve, the layers as a graph.

Everything is taken from the report, so the page can be made again when code and stack are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from mbn2c.printable import printable
from mbn2c.report.html.cards import cards
from mbn2c.report.html.layer_table import layer_table
from mbn2c.report.html.memory_map import memory_map
from mbn2c.report.html.trade_off_curve import trade_off_curve
from mbn2c.report.html.weights_curve import weights_curve
from mbn2c.report.record import BuildRecord
from mbn2c.resources.render import render

T = TypeVar("T")


def report_page(report: BuildRecord) -> str:
    """The page of a report, before or after compilation; equal reports give equal pages."""
    report = _printable(report)
    values = {
        "report": report,
        "cards": cards(report),
        "map": memory_map(report),
        "curve": trade_off_curve(report.trade_offs, report.layers),
        "weights": weights_curve(report.quantization.weights_curve),
        "table": layer_table(report),
    }
    return render("report/report.html.j2", values)


def _printable(value: T) -> T:
    """A record whose texts are shown as they stand: the template escapes markup only."""
    found: Any = value
    if is_dataclass(value) and not isinstance(value, type):
        found = replace(value, **{one.name: _printable(getattr(value, one.name)) for one in fields(value)})
    elif isinstance(value, Mapping):
        found = {key: _printable(inner) for key, inner in value.items()}
    elif isinstance(value, tuple):
        found = tuple(_printable(inner) for inner in value)
    elif isinstance(value, str):
        found = printable(value)
    return cast(T, found)
