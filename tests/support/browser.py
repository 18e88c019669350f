"""Headless Chromium, spoken to over a pipe in its DevTools protocol: pages as a reader sees them.

Widths, schemes of colour and media are the browser's own, keys and taps real events.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

_FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --force-device-scale-factor=1 --remote-debugging-pipe"
)
# The browser reads commands from its file descriptor 3 and writes answers to 4.
_IN, _OUT = 3, 4
# How long a browser that does not answer may hang, with all tests that share it.
_PATIENCE_S = 600
# Their codes, and what they write.
_KEYS = {"Enter": (13, "\r"), "Tab": (9, ""), "Escape": (27, ""), "Home": (36, ""), "End": (35, "")} | {
    f"Arrow{way}": (code, "") for code, way in enumerate(("Left", "Up", "Right", "Down"), start=37)
}


class Page:
    """One page in the browser.

    complaints  what the browser said of the page: exceptions, console errors, what it could not load
    """

    def __init__(self, to_browser: BinaryIO, from_browser: BinaryIO) -> None:
        self.complaints: list[str] = []
        self._to, self._from, self._sent = to_browser, from_browser, 0
        self._session: str | None = None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: object) -> dict[str, Any]:
        """One command, its answer; events on the way are noted."""
        self._sent += 1
        command = {"id": self._sent, "method": method, "params": parameters}
        if self._session is not None:
            command["sessionId"] = self._session
        self._to.write(json.dumps(command).encode() + b"\0")
        self._to.flush()
        return self._until(lambda message: message.get("id") == command["id"])

    def _until(self, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            message = self._read()
            if is_it(message):
                assert "error" not in message, message
                found: dict[str, Any] = message.get("result", {})
                return found

    def _read(self) -> dict[str, Any]:
        found = bytearray()
        while (byte := self._from.read(1)) != b"\0":
            assert byte, "the browser has gone"
            found += byte
        message: dict[str, Any] = json.loads(found)
        what, facts = message.get("method"), message.get("params", {})
        if what == "Runtime.exceptionThrown":
            self.complaints.append(str(facts["exceptionDetails"]))
        elif what == "Log.entryAdded" and facts["entry"]["level"] in ("error", "warning"):
            self.complaints.append(facts["entry"]["text"])
        elif what == "Runtime.consoleAPICalled" and facts["type"] in ("error", "warning"):
            self.complaints.append(str(facts["args"]))
        return message

    def open(self, path: Path, width: int, *, scheme: str = "light", media: str = "") -> None:
        """Load a file in a window so many pixels wide; scheme: "light" or "dark"; media: "print", or the screen."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.ask("Emulation.setEmulatedMedia", media=media, features=features)
        self.complaints.clear()
        self.ask("Page.navigate", url=path.resolve().as_uri())
        self._until(lambda message: message.get("method") == "Page.loadEventFired")

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, as JSON has it."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def key(self, name: str) -> None:
        """Press a key and let it go."""
        code, text = _KEYS[name]
        facts: dict[str, object] = {"key": name, "code": name, "windowsVirtualKeyCode": code}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **facts, **({"text": text} if text else {}))
        self.ask("Input.dispatchKeyEvent", type="keyUp", **facts)

    def _middle(self, selector: str) -> tuple[float, float]:
        """Of an element, which is brought into sight."""
        script = (
            f"(() => {{ const one = document.querySelector({json.dumps(selector)});"
            " one.scrollIntoView({block: 'center'}); const box = one.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        x, y = self.run(script)
        return x, y

    def click(self, selector: str) -> None:
        """With the mouse, in the middle of an element."""
        x, y = self._middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def tap(self, selector: str) -> None:
        """With a finger."""
        self.ask("Emulation.setTouchEmulationEnabled", enabled=True)
        x, y = self._middle(selector)
        self.ask("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.ask("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.ask("Emulation.setTouchEmulationEnabled", enabled=False)

    def picture(self) -> bytes:
        """The whole page as PNG, however long it is."""
        answer = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    def pdf(self) -> bytes:
        """The page as it is printed on A4."""
        answer = self.ask("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, printBackground=True)
        return base64.b64decode(answer["data"])


@contextmanager
def browser_page(profile: Path) -> Iterator[Page]:
    """A page of a browser that ends with it; skips the test where there is none. profile: a folder of its own."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium: apt-get install chromium")
    theirs_in, to_browser = os.pipe()
    from_browser, theirs_out = os.pipe()

    # A shell moves the pipe's ends to the numbers that Chromium reads and writes.
    command = f'exec "$@" {_IN}<&{theirs_in} {_OUT}>&{theirs_out}'
    process = subprocess.Popen(
        ["bash", "-c", command, "browser", program, *_FLAGS.split(), f"--user-data-dir={profile}"],
        pass_fds=(theirs_in, theirs_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    # What waits for an answer then sees the end of the pipe.
    watchdog = threading.Timer(_PATIENCE_S, process.kill)
    watchdog.start()
    try:
        with open(to_browser, "wb") as writes, open(from_browser, "rb") as reads:
            yield Page(writes, reads)
    finally:
        watchdog.cancel()
        process.terminate()
        process.wait(20)
