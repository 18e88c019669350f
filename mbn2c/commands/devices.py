"""This computer -> the boards' ports and debug probes that are attached to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mbn2c.errors import BoardError
from mbn2c.firmware.flash.tools import attached_probes, blocked_probes
from mbn2c.link.transports.serial_port import attached_ports
from mbn2c.report.table import table


@dataclass(frozen=True)
class AttachedDevices:
    """Ports for --port and probes for `flash --to`, by name, with what each says of itself.

    blocked  device files of probes that this user may not open
    note     why there are no probes known; "" where they are
    """

    ports: Mapping[str, str]
    probes: Mapping[str, str]
    blocked: tuple[str, ...]
    note: str


def attached_devices() -> AttachedDevices:
    """Whatever is found; a missing pyOCD is said in `note`."""
    try:
        probes, note = attached_probes(), ""
    except BoardError as error:
        probes, note = {}, f"{error.what}; {error.hint}" if error.hint else error.what
    return AttachedDevices(attached_ports(), probes, tuple(blocked_probes()), note)


def devices_text(found: AttachedDevices) -> str:
    """The same for people."""
    rows = [("port", name, words) for name, words in found.ports.items()]
    rows += [("probe", name, words) for name, words in found.probes.items()]
    rows += [("probe", name, "no permission to open it") for name in found.blocked]
    lines = [table(rows)] if rows else ["no serial port and no debug probe is attached"]
    return "\n".join([*lines, f"probes: {found.note}"] if found.note else lines)
