"""What `bisect` found -> text for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mbn2c.printable import printable
from mbn2c.report.table import table
from mbn2c.report.text import OWN_FIRMWARE

_BITS_PER_BYTE = 10  # with start and stop bit
_NAMED_ARRAYS = 4


def bisect_text(result: Mapping[str, Any], baud: int) -> str:
    """result: `Bisection` as JSON; baud: of the line, 0 if it has no rate."""
    layer, arrays = result["layer"], result["arrays"]
    rows = [] if result["verified"] == OWN_FIRMWARE else [("verified", printable(result["verified"]))]
    if layer is None:
        compared = f"{result['inputs']} inputs, {result['steps']} layers each"
        rows.append(("first wrong layer", f"none: {compared} have the reference's bytes"))
    else:
        kernel = f", {layer['kernel']}" if layer["kernel"] else ""
        rows.append(("first wrong layer", f"step {layer['step']}, {printable(layer['name'])}, {layer['op']}{kernel}"))
        rows.append(("element", _element_text(layer["element"])))
        rows.append(("input", layer["input"]))
    if result["is_output_wrong"]:
        rows.append(("output", "differs: what copies it out of the arena, or its caller's buffer"))
    wrong = [f"{array['name']} ({printable(array['layer'] or 'input')})" for array in arrays[:_NAMED_ARRAYS]]
    more = f" and {len(arrays) - _NAMED_ARRAYS} more" if len(arrays) > _NAMED_ARRAYS else ""
    words = f"{len(arrays)} hold other bytes than were packed: {', '.join(wrong)}{more}" if arrays else "as packed"
    rows.append((f"{result['constants']} constant arrays", words))
    if result["unstable"]:
        rows.append(("the device contradicts itself", result["unstable"]))
    sent, received = result["sent_bytes"], result["received_bytes"]
    rate = f", {_BITS_PER_BYTE * (sent + received) / baud:.1f} s of it at {baud:,} baud" if baud else ""
    rows.append(("line", f"{sent:,} bytes sent, {received:,} received; {result['wall_s']:.1f} s{rate}"))
    return table(rows)


def _element_text(element: Mapping[str, Any] | None) -> str:
    if element is None:
        return "none when the input is run again"
    place = "in the padding around the rows"
    if element["row"] is not None:
        place = f"row {element['row']}, column {element['column']}, channel {element['channel']}"
    found = "never made" if element["found"] is None else element["found"]
    return f"{place}: {found}, not {element['expected']}"
