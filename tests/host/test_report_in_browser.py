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
from mbn2c.report.difference import ChangedFact, ChangedNumber, Difference
from mbn2c.report.exploration import Exploration, ExplorePoint
from mbn2c.report.html import report_page
from mbn2c.report.html.difference import diff_page
from mbn2c.report.html.exploration import explore_page
from mbn2c.report.html.results import PAGE, with_page
from mbn2c.report.layers import SeenFacts
from mbn2c.report.record import BuildRecord, FirmwareFacts, WeightsPointFacts
from mbn2c.report.time_facts import TimeFacts
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

# Parts of report.html that must be seen.
PARTS = [
    "h1",
    ".card",
    "#memory-map rect.space",
    "#trade-offs circle",
    "#layers td.name",
    "#layers .edge",
    "#layers .bars",
]
MISSING = f"""{PARTS}.filter(part => {{ const one = document.querySelector(part);
  return !one?.checkVisibility({{visibilityProperty: true}}) || one.getBoundingClientRect().height === 0; }})"""
NOTHING = {"rows": [], "near": [], "plans": [], "spaces": [], "moments": False, "foot": ""}


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
    # A concatenation of many, as detectors have them.
    layers = (*layers[:-1], replace(layers[-1], inputs=((1, 32, 32, 512),) * 9))
    # Plans as near each other as those of vww_96 are.
    sizes, costs = (11200, 11744, 12064, 12704, 13152, 13280, 14192, 38800), (981, 856, 826, 811, 801, 796, 775, 775)
    plans = tuple(
        replace(
            found.trade_offs[0],
            arena_bytes=size,
            instructions=cost * 10_000,
            peak_layer=layers[number].name,
            chosen=number == 4,
        )
        for number, (size, cost) in enumerate(zip(sizes, costs, strict=True))
    )
    used = {memory.name: memory.size_bytes // 3 for memory in load_board("nucleo-f446re").memories}
    bits = tuple(WeightsPointFacts(2_084_010 - 9_000 * n, 4 * n, 31.5 - n, 0.99 - n / 50, n == 2) for n in range(5))
    quantization = replace(found.quantization, weights_curve=bits)
    found = replace(found, quantization=quantization)
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
    assert page.run(FAULTS) == {} and page.run(MISSING) == []
    assert page.complaints == []


def other_pages(folder: Path) -> dict[str, Path]:
    """Results of a verify, two builds that differ, untrained networks: each with long and with large things in it."""
    long, digest = "/features/features.17/conv/conv.1/conv.1.0/Conv: weights_sqnr_db", "0123456789abcdef" * 4
    picture = io.BytesIO()
    Image.new("RGB", (32, 32)).save(picture, "png")
    tables = [
        ("images.csv", f"file,device,sqnr_db\n{long}.png,person,31.25\n".encode()),
        ("wrong_1.png", picture.getvalue()),
    ]
    results = dict(with_page(tables, "a_network_with_a_long_name", [("device against integer reference", digest)]))
    changed = (ChangedFact(long, digest, digest),)
    numbers = (ChangedNumber("flash.constants_bytes", 12_345_678, 23_456_789, 90.0, True),)
    two = Difference(1, ("out/before", "out/after"), numbers, changed, changed, changed, changed, True, 1.0, ())
    time = TimeFacts(123_456_789, (123_456_789, 234_567_890), 1, (1234.0, 2345.0), "somebody")
    points = tuple(
        ExplorePoint("v3-large", 0.75, size, 301_000_000, 3_000_000, size * 2000, 3_000_000, None, time, "", True, 71.5)
        for size in (96, 128, 224)
    )
    many = Exploration(1, "cortex-m7", "nucleo-h743zi2", "speed", 1000, None, 12, 9, points, (), "somebody")
    pages = {"results": results[PAGE].decode(), "diff": diff_page(two), "explore": explore_page(many)}
    (folder / "wrong_1.png").write_bytes(picture.getvalue())
    found = {name: folder / f"{name}.html" for name in pages}
    for name, text in pages.items():
        found[name].write_text(text, encoding="utf-8")
    return found


@pytest.mark.parametrize("look", ["wide, dark", "tablet", "phone"])
def test_other_pages_can_be_read(look: str, page: Page, tmp_path: Path) -> None:
    media, width, scheme = LOOKS[look]
    for name, path in other_pages(tmp_path).items():
        page.open(path, width, scheme=scheme, media=media)
        assert (page.run(FAULTS), page.complaints) == ({}, []), name


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
