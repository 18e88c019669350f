"""What `bench` found -> text for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mbn2c.printable import printable
from mbn2c.report.table import shortened, table
from mbn2c.report.text import OWN_FIRMWARE
from mbn2c.report.time_facts import range_text


def bench_text(result: Mapping[str, Any]) -> str:
    """What `bench` or `bench_device` found, layer by layer."""
    if result["cycles_per_inference"] is not None:
        text = _cycles_text(result)
    else:
        text = _instructions_text(result) if result["instructions_per_inference"] is not None else _time_text(result)
    measured = printable(result["measured"])
    return text if measured == OWN_FIRMWARE else f"measured: {measured}\n\n{text}"


def _cycles_text(result: Mapping[str, Any]) -> str:
    """Layers by step, with their cycles on the board."""
    rows = [("step", "layer", "operator", "MACs", "cycles", "per MAC", "share")]
    for layer in result["layers"]:
        per_mac = "" if layer["cycles_per_mac"] is None else f"{layer['cycles_per_mac']:.2f}"
        numbers = (f"{layer['macs']:,}", f"{layer['cycles']:,}", per_mac, f"{100 * layer['share']:.1f} %")
        rows.append((str(layer["step"]), shortened(layer["name"]), layer["op"], *numbers))
    each = "" if result["cycles_per_mac"] is None else f", {result['cycles_per_mac']} per MAC"
    total = f"{result['cycles_per_inference']:,} cycles per inference{each}{_ms_text(result)}"
    return f"{table(rows)}\n\n{_device(result)}: {total}"


def _time_text(result: Mapping[str, Any]) -> str:
    """Layers by step, with their time on the processor."""
    rows = [("step", "layer", "operator", "MACs", "us", "MACs per ns", "share")]
    for layer in result["layers"]:
        rate = f"{layer['macs'] / layer['ns']:.1f}" if layer["macs"] and layer["ns"] else ""
        numbers = (f"{layer['macs']:,}", f"{layer['ns'] / 1e3:,.1f}", rate, f"{100 * layer['share']:.1f} %")
        rows.append((str(layer["step"]), shortened(layer["name"]), layer["op"], *numbers))
    return f"{table(rows)}\n\n{_device(result)}: {result['ms_per_inference'][0]:.3f} ms per inference by one thread"


def _ms_text(result: Mapping[str, Any]) -> str:
    """Of an inference, where the clock is known."""
    ms = result["ms_per_inference"]
    return "" if ms is None else f", {range_text((ms[0], ms[1]))} ms at {result['clock_hz'] / 1e6:g} MHz"


def _device(result: Mapping[str, Any]) -> str:
    return printable(f"{result['board']}, {result['core']}")


def _instructions_text(result: Mapping[str, Any]) -> str:
    """Layers by step, instructions by class, and cycles where the core has a model of them."""
    classes = list(result["layers"][0]["classes"])
    cycles = result["estimated_cycles_per_inference"]
    has_model = result["layers"][0]["estimated_cycles"] is not None
    estimate = ("cycles, estimated",) if has_model else ()
    rows = [("step", "layer", "operator", "MACs", "instructions", "per MAC", "share", *classes, *estimate)]
    for layer in result["layers"]:
        per_mac = layer["instructions_per_mac"]
        rows.append(
            (
                "" if layer["step"] is None else str(layer["step"]),
                shortened(layer["name"]),
                layer["op"],
                f"{layer['macs']:,}",
                f"{layer['instructions']:,}",
                "" if per_mac is None else f"{per_mac:.2f}",
                f"{100 * layer['share']:.1f} %",
                *(f"{count:,}" for count in layer["classes"].values()),
                *((f"{layer['estimated_cycles'][0]:,} to {layer['estimated_cycles'][1]:,}",) if has_model else ()),
            )
        )
    per_mac = result["instructions_per_mac"]
    total = f"{result['instructions_per_inference']:,} instructions per inference"
    each = f", {per_mac} per MAC" if per_mac is not None else ""
    about = ""
    if cycles:
        about = (
            f"; about {cycles[0]:,} to {cycles[1]:,} cycles{_ms_text(result)}, by {result['estimated_cycles_source']}"
        )
    return f"{table(rows)}\n\n{_device(result)}: {total}{each}{about}"
