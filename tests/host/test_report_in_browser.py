"""report.html as headless Chromium shows it, wide or narrow, light or dark, printed: all of it can be read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browser import Page, browser_page
from models import tiny_mobilenet_v2
from networks import quantized
from PIL import Image
from records import record_of

from mbn2c.planner.choice import choose_plan
from mbn2c.report.html import report_page
from mbn2c.report.record import FirmwareFacts
from mbn2c.targets import load_board, load_core

# Media, width and scheme of what was looked at; A4 across, without its margins, is 1,031 pixels wide.
LOOKS = {
    "wide": ("", 1400, "light"),
    "wide, dark": ("", 1400, "dark"),
    "tablet": ("", 800, "light"),
    "phone": ("", 390, "light"),
    "phone, dark": ("", 390, "dark"),
    "paper": ("print", 1031, "light"),
}
FAULTS = (Path(__file__).parents[1] / "support" / "page_faults.js").read_text()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser_page(tmp_path_factory.mktemp("profile")) as one:
        yield one


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small network on a board, as if it were compiled."""
    record = record_of(
        choose_plan(quantized(tiny_mobilenet_v2()), load_core("cortex-m4"), "balanced"), "cortex-m4", "ram"
    )
    used = {memory.name: memory.size_bytes // 3 for memory in load_board("nucleo-f446re").memories}
    built = replace(record, board="nucleo-f446re").with_sizes(12_345, 678, FirmwareFacts("build/net.elf", used))
    found = tmp_path_factory.mktemp("out") / "report.html"
    found.write_text(report_page(built), encoding="utf-8")
    return found


@pytest.mark.parametrize("look", LOOKS)
def test_everything_can_be_read(look: str, page: Page, report: Path) -> None:
    media, width, scheme = LOOKS[look]
    page.open(report, width, scheme=scheme, media=media)
    assert page.run("document.documentElement.clientWidth") == width
    assert page.run("getComputedStyle(document.body).backgroundColor !== 'rgb(255, 255, 255)'") == (scheme == "dark")
    assert page.run(FAULTS) == {}
    assert page.complaints == []


def test_the_pictures_are_drawn(page: Page, report: Path) -> None:
    page.open(report, 1400)
    pixels = np.asarray(Image.open(io.BytesIO(page.picture())).convert("RGB")).astype(int)
    red, green, blue = (pixels[..., channel] for channel in range(3))
    # Tensors in full are blue, rings orange, strips green; the arena's line and the chosen plan are red.
    is_tensor = (blue > red + 40) | (red > blue + 60) | (green > red + 40)
    assert is_tensor.mean() > 0.05
    is_limit = (red > 150) & (green < 80) & (blue < 80)
    assert is_limit.sum() > 200


def test_it_can_be_printed(page: Page, report: Path) -> None:
    page.open(report, 800)
    paper = page.pdf()
    assert paper.startswith(b"%PDF") and 2 <= paper.count(b"/Type /Page\n") <= 4
