"""`mbn2c devices`: what is attached, what may not be opened, and why nothing is known."""

from __future__ import annotations

import json

import pytest
from command_line import run

from mbn2c.errors import BoardError


def test_ports_and_probes_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("mbn2c.commands.devices.attached_ports", lambda: {"/dev/ttyACM0": "STLink V3"})
    monkeypatch.setattr("mbn2c.commands.devices.attached_probes", lambda: {"0671FF": "ST-Link"})
    monkeypatch.setattr("mbn2c.commands.devices.blocked_probes", lambda: ["/dev/bus/usb/001/004"])
    code, out, _ = run("devices", capsys=capsys)
    assert code == 0 and [line.split()[:2] for line in out.splitlines()] == [
        ["port", "/dev/ttyACM0"],
        ["probe", "0671FF"],
        ["probe", "/dev/bus/usb/001/004"],
    ]
    code, out, _ = run("devices", "--json", capsys=capsys)
    assert json.loads(out) == {
        "ports": {"/dev/ttyACM0": "STLink V3"},
        "probes": {"0671FF": "ST-Link"},
        "blocked": ["/dev/bus/usb/001/004"],
        "note": "",
    }


def test_without_pyocd_the_rest_is_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def missing() -> dict[str, str]:
        raise BoardError("pyocd is not installed", hint="pip install pyocd")

    monkeypatch.setattr("mbn2c.commands.devices.attached_ports", dict)
    monkeypatch.setattr("mbn2c.commands.devices.attached_probes", missing)
    monkeypatch.setattr("mbn2c.commands.devices.blocked_probes", list)
    code, out, _ = run("devices", capsys=capsys)
    assert code == 0 and out.splitlines() == [
        "no serial port and no debug probe is attached",
        "probes: pyocd is not installed; pip install pyocd",
    ]
