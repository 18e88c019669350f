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
from mbn2c.report.layers import SeenFacts
from mbn2c.report.record import BuildRecord, FirmwareFacts, TradeOffFacts
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
SCRIPTS = Path(__file__).parents[1] / "support"
FAULTS, MARKED = ((SCRIPTS / name).read_text() for name in ("page_faults.js", "page_marks.js"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser_page(tmp_path_factory.mktemp("profile")) as one:
        yield one


@pytest.fixture(scope="module")
def record() -> BuildRecord:
    """Of a small network on a board, as if it were compiled and calibrated on images."""
    choice = choose_plan(quantized(tiny_mobilenet_v2()), load_core("cortex-m4"), "balanced")
    found = record_of(choice, "cortex-m4", "ram", "nucleo-f446re")
    values = SeenFacts(-1.0, 2.0, tuple(range(0, 64, 2)), 0.001)
    layers = tuple(replace(layer, seen=values, sqnr_db=31.4, noise_share=0.0625) for layer in found.layers)
    # Plans as near each other as those of vww_96 are.
    sizes, costs = (11200, 11744, 12064, 12704, 13152, 13280, 14192, 38800), (981, 856, 826, 811, 801, 796, 775, 775)
    plans = tuple(
        TradeOffFacts(size, cost * 10_000, 1, False, layers[number].name, number == 4)
        for number, (size, cost) in enumerate(zip(sizes, costs, strict=True))
    )
    used = {memory.name: memory.size_bytes // 3 for memory in load_board("nucleo-f446re").memories}
    return replace(found, layers=layers, trade_offs=plans).with_sizes(12_345, 678, FirmwareFacts("build/net.elf", used))


@pytest.fixture(scope="module")
def report(record: BuildRecord, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("out") / "report.html"
    found.write_text(report_page(record), encoding="utf-8")
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


NOTHING = {"rows": [], "near": [], "plans": [], "spaces": [], "moments": False, "foot": ""}


def marked(record: BuildRecord, step: int) -> dict[str, object]:
    """What must be marked once a layer is chosen."""
    (layer,) = [one for one in record.layers if one.step == step]
    near = [one.step for one in record.layers if one.step in layer.reads or step in one.reads]
    plans = [number for number, one in enumerate(record.trade_offs, start=1) if one.peak_layer == layer.name]
    return {
        "rows": [str(step)],
        "near": list(map(str, near)),
        "plans": list(map(str, plans)),
        "spaces": [str(step)],
        "moments": True,
        "foot": f"step {step}: {layer.name}",
    }


def test_a_layer_is_chosen_in_the_table(page: Page, report: Path, record: BuildRecord) -> None:
    page.open(report, 1400)
    assert page.run(MARKED) == NOTHING
    for step in (layer.step for layer in record.layers):
        page.click(f"#step-{step} .step")
        assert page.run(MARKED) == marked(record, step)
    page.click("#layer button")
    assert page.run(MARKED) == NOTHING and page.complaints == []


def test_a_layer_is_chosen_with_the_keyboard(page: Page, report: Path, record: BuildRecord) -> None:
    page.open(report, 1400)
    page.run("document.querySelector('#plans').scrollIntoView()")
    for _ in range(60):
        page.key("Tab")
        if page.run("document.activeElement.id") == "step-1":
            break
    for key, step in {"Enter": 1, "ArrowDown": 2, "ArrowRight": 3, "ArrowUp": 2, "End": len(record.layers)}.items():
        page.key(key)
        assert page.run(MARKED) == marked(record, step), key
        assert page.run("document.activeElement.id") == f"step-{step}"
    # The next stop is the C of that layer.
    page.key("Tab")
    page.key("Escape")
    assert page.run(MARKED) == NOTHING and page.complaints == []


def test_a_finger_chooses_in_the_map(page: Page, report: Path, record: BuildRecord) -> None:
    page.open(report, 390)
    page.tap('#memory-map [data-step="2"][data-kind]:not([data-kind=scratch])')
    assert page.run(MARKED) == marked(record, 2)


def test_a_plan_leads_to_its_fullest_layer(page: Page, report: Path, record: BuildRecord) -> None:
    page.open(report, 1400)
    steps = {layer.name: layer.step for layer in record.layers}
    for number, plan in enumerate(record.trade_offs, start=1):
        page.run(f"document.querySelector('circle[data-plan=\"{number}\"]').focus()")
        page.key("Enter")
        assert page.run(MARKED) == marked(record, steps[plan.peak_layer])
        assert page.run("[...document.querySelectorAll('.picked')].map(one => one.dataset.plan)") == [str(number)] * 2
